//! The addresses of pages and files, and the query string of the page's own address, which is read by the same rules as
//! the API.

#[cfg(feature = "ssr")]
use std::sync::Arc;

use leptos::prelude::*;
use leptos_router::{
    NavigateOptions,
    hooks::{use_navigate, use_url},
};

use model::{
    bad_param::BadParam, groups::GroupsQuery, insight::InsightQuery, name::is_dns_subdomain, query::Query,
};

/// The path below which everything lives, such as `/vms`: without a slash at its end, empty if that is the whole host.
/// The context of a request holds it.
#[cfg(feature = "ssr")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BasePath(pub Arc<str>);

/// Returns the base path. It is empty while Leptos lists the routes.
#[cfg(feature = "ssr")]
pub fn base() -> String {
    use_context::<BasePath>().unwrap_or_default().0.to_string()
}

/// Returns the base path: what comes before `/at/BUILD/LANGUAGE` in the address of server functions, which the page's
/// script has set.
#[cfg(not(feature = "ssr"))]
pub fn base() -> &'static str {
    leptos::server_fn::client::get_server_url().rsplitn(4, '/').nth(3).unwrap_or_default()
}

/// Returns the address of a path of this server, which begins with a slash.
pub fn at(path: &str) -> String {
    base().to_owned() + path
}

/// Returns the address of the list.
pub fn list(query: &Query) -> String {
    at(&query.address())
}

/// Returns the address of the page of nodes or namespaces.
pub fn groups(query: &GroupsQuery) -> String {
    at(&query.address())
}

/// Returns the address of the page of findings.
pub fn insights(query: &InsightQuery) -> String {
    at(&["/insights", &query.to_query_string()].concat())
}

/// Returns the address of a node's page; `None` for a name that no node can have, which a Wukong's status may contain.
pub fn node(name: &str) -> Option<String> {
    is_dns_subdomain(name).then(|| at(&["/nodes/", name].concat()))
}

/// Returns a function that opens an address of this server. (By default, Leptos would put the base path before an
/// address once more.)
pub fn use_go() -> impl Fn(&str, NavigateOptions) + Clone {
    let navigate = use_navigate();
    move |address, options| navigate(address, NavigateOptions { resolve: false, ..options })
}

/// Returns a memo of what `read` makes of the query string; it changes with the address. (Leptos'
/// `use_query_map` decodes twice: see `model::params`.)
pub fn use_query<T: PartialEq + Send + Sync + 'static>(
    read: fn(&str) -> Result<T, BadParam>,
) -> Memo<Result<T, BadParam>> {
    let url = use_url();
    Memo::new(move |_| url.with(|url| read(url.search())))
}
