//! Pages for addresses without content, with the matching HTTP status.

use leptos::prelude::*;

use crate::{
    server_fns::respond_with,
    ui::{address, components::title::title, ready::ready},
};
use i18n::{MARK, around, expected, t};
use model::bad_param::BadParam;

pub fn all_vms() -> impl IntoView {
    view! { <a href=address::at("/")>{t!(page.all_vms)}</a> }
}

/// There is no page at this address.
#[component]
pub fn NotFound() -> impl IntoView {
    respond_with(404);
    ready(view! {
        {title(|| [t!(page.not_found), " · wukong-dashboard"].concat())}
        <div class="empty">
            <h1>{t!(page.not_found)}</h1>
            <p>{t!(page.not_found_text)} " " {all_vms()}</p>
        </div>
    })
}

/// The query is not valid.
pub fn bad_query(bad: BadParam) -> impl IntoView {
    let (before, after) = around(&t!(page.bad_query_text, field = MARK, expected = expected(&bad.expected)));
    view! {
        <div class="empty">
            <h1>{t!(page.bad_query)}</h1>
            <p>
                {before} <code>{bad.field}</code> {after} " " {all_vms()}
            </p>
        </div>
    }
}
