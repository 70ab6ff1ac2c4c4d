//! The list to take away: the same query as a file, all pages of it.

use leptos::prelude::*;

use super::icon::{Icon, icon};
use i18n::t;
use model::query::Query;

pub fn take(query: &Query) -> impl IntoView + use<> {
    // How the page shows the list is nothing to a file.
    let query = Query { sort: query.sort, order: query.order, page: 1, ..query.filters() }.to_query_string();
    let link = |kind: &'static str, word| {
        view! {
            <a download="" href=["/api/vms.", kind, &query].concat()>
                {word}
            </a>
        }
    };
    view! {
        <p class="take">
            {icon(Icon::Download)} " " {t!(take.list)} " " {link("csv", "CSV")} " " {link("json", "JSON")}
        </p>
    }
}
