//! Reads the query string of the page's address by the same rules as the API.

use leptos::prelude::*;
use leptos_router::hooks::use_url;

use model::bad_param::BadParam;

/// Returns a memo of what `read` makes of the query string; it changes with the address. (Leptos'
/// `use_query_map` decodes twice: see `model::params`.)
pub fn use_query<T: PartialEq + Send + Sync + 'static>(
    read: fn(&str) -> Result<T, BadParam>,
) -> Memo<Result<T, BadParam>> {
    let url = use_url();
    Memo::new(move |_| url.with(|url| read(url.search())))
}
