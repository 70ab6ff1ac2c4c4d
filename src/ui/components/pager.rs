//! Which part of the list this is, and plain links to the parts before and after.

use leptos::prelude::*;

use crate::{model::query::Query, ui::words};

pub fn pager(query: &Query, pages: u32, matching: u32) -> Option<impl IntoView + use<>> {
    let previous = (query.page > 1).then(|| query.page - 1);
    let next = (query.page < pages).then(|| query.page + 1);
    let place = format!("Page {} of {}", query.page, pages);
    (pages > 1).then(|| {
        view! {
            <nav class="pager" aria-label="Result pages">
                <span>{words::range(query.page, matching)}</span>
                {step(query, previous, "Previous", "prev")}
                <span class="place">{place}</span>
                {step(query, next, "Next", "next")}
            </nav>
        }
    })
}

/// A link, or what is left of one where there is nothing to go to.
fn step(query: &Query, page: Option<u32>, word: &'static str, rel: &'static str) -> impl IntoView + use<> {
    let address = page.map(|page| ["/", &Query { page, ..query.clone() }.to_query_string()].concat());
    view! {
        <a
            class="button"
            href=address
            rel=rel
            role=page.is_none().then_some("link")
            aria-disabled=page.is_none().then_some("true")
        >
            {word}
        </a>
    }
}
