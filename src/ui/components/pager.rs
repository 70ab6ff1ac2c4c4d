//! Which part of the list this is, and plain links to the parts before and after.

use leptos::{either::Either, prelude::*};

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

fn step(query: &Query, page: Option<u32>, word: &'static str, rel: &'static str) -> impl IntoView + use<> {
    match page {
        Some(page) => {
            let address = ["/", &Query { page, ..query.clone() }.to_query_string()].concat();
            Either::Left(view! {
                <a class="button" href=address rel=rel>
                    {word}
                </a>
            })
        }
        None => Either::Right(view! {
            <a class="button" role="link" aria-disabled="true">
                {word}
            </a>
        }),
    }
}
