//! Links to download the list: the same query as a file, with all pages.

use leptos::prelude::*;

use super::icon::{Icon, icon};
use crate::ui::address;
use i18n::t;
use model::query::Query;

pub fn download(query: &Query) -> impl IntoView + use<> {
    // A file does not depend on how the page shows the list.
    let query = Query { sort: query.sort, order: query.order, page: 1, ..query.filters() }.to_query_string();
    let link = |kind: &'static str, word| {
        view! {
            <a download="" href=address::at(&["/api/vms.", kind, &query].concat())>
                {word}
            </a>
        }
    };
    view! {
        <p class="download">
            {icon(Icon::Download)} " " {t!(download.list)} " " {link("csv", "CSV")} " " {link("json", "JSON")}
        </p>
    }
}
