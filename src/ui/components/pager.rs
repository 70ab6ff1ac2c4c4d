//! Pagination of the list: the current range, and plain links to the previous and next page.

use leptos::prelude::*;

use crate::ui::{address, words};
use i18n::t;
use model::query::Query;

/// Pagination of the list of VMs; `None` if there is only one page.
pub fn pager(query: &Query, pages: u32, matching: u32) -> Option<impl IntoView + use<>> {
    let address = |page| address::list(&Query { page, ..query.clone() });
    pagination(query.page, pages, matching, &address)
}

/// Pagination of any list; `address` returns the address of a page.
pub fn pagination(
    page: u32,
    pages: u32,
    matching: u32,
    address: &dyn Fn(u32) -> String,
) -> Option<impl IntoView + use<>> {
    let previous = (page > 1).then(|| address(page - 1));
    let next = (page < pages).then(|| address(page + 1));
    let place = t!(list.page, page = page.to_string(), pages = pages.to_string());
    (pages > 1).then(|| {
        view! {
            <nav class="pager" aria-label=t!(list.pages)>
                <span>{words::range(page, matching)}</span>
                {step(previous, t!(list.previous), "prev")}
                <span class="place">{place}</span>
                {step(next, t!(list.next), "next")}
            </nav>
        }
    })
}

/// A link, or a disabled one if there is no such page.
fn step(address: Option<String>, word: &'static str, rel: &'static str) -> impl IntoView + use<> {
    let none = address.is_none();
    view! {
        <a
            class="button"
            href=address
            rel=rel
            role=none.then_some("link")
            aria-disabled=none.then_some("true")
        >
            {word}
        </a>
    }
}
