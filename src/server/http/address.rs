//! Checks addresses before a handler reads them, and finds the virtual machine that a page's address names.
//! `layers` and `pages` call it.
//!
//! axum's router and Leptos' router both read the path, and Leptos' router applies the WHATWG URL rules. A
//! path that the two read differently (`/a/../b`, `/a\b`) is not found.

use axum::http::Uri;
use leptos_router::location::RequestUrl;

use super::error::{ApiError, ApiResult};
use i18n::msg;
use model::{
    name::{check_node, check_vm},
    params::{Params, is_unseen, percent_decode},
};

/// Path prefix of the server functions, which the browser's half calls.
pub const SERVER_FUNCTIONS: &str = "/fn/";
/// Path prefix of the requests of a build's browser half.
pub const OF_BUILD: &str = "/at/";

/// Returns whether a path is for programs; all others are for people.
pub fn is_machine(path: &str) -> bool {
    is_api(path)
        || [SERVER_FUNCTIONS, OF_BUILD, "/pkg/", "/healthz", "/readyz"]
            .iter()
            .any(|start| path.starts_with(start))
}

/// Returns whether a path is the REST API's.
pub fn is_api(path: &str) -> bool {
    path == "/api" || path.starts_with("/api/")
}

/// Returns whether this is the path of a probe. Probes are answered under any host name, and even if all
/// connections are taken.
pub fn is_probe(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz")
}

/// Refuses an address whose path or query cannot be decoded, or has invisible characters.
pub fn check(uri: &Uri) -> ApiResult<()> {
    let path = uri.path();
    if !path.starts_with('/') || percent_decode(path).is_none_or(|path| path.contains(is_unseen)) {
        return Err(ApiError::BadRequest(msg!(problem.bad_url)));
    }
    Params::parse(query(uri))?;
    Ok(())
}

/// Returns the query string without its question mark; empty if there is none.
pub fn query(uri: &Uri) -> &str {
    uri.query().unwrap_or_default()
}

/// Refuses an address that no page can have, before anything is rendered.
pub fn check_page(uri: &Uri) -> ApiResult<()> {
    let path = uri.path();
    if path.contains("//") || path.len() > 1 && path.ends_with('/') || !is_read_alike(path) {
        return Err(ApiError::NotFound("nothing exists at this address".into()));
    }
    if let Some(name) = path.strip_prefix("/nodes/").filter(|name| !name.contains('/')) {
        let name = percent_decode(name).unwrap_or_default();
        return check_node(&name).map_err(|_| ApiError::NoNodeName);
    }
    match vm_names(path) {
        Some((namespace, name)) => check_vm(&namespace, &name).map_err(|_| ApiError::NoName),
        None => Ok(()),
    }
}

/// Returns the namespace and name in the address of a virtual machine's page, if both are valid.
pub fn vm_of_page(uri: &Uri) -> Option<(String, String)> {
    vm_names(uri.path()).filter(|(namespace, name)| check_vm(namespace, name).is_ok())
}

/// Returns the path segments of the namespace and the name, decoded once and not validated.
fn vm_names(path: &str) -> Option<(String, String)> {
    let (namespace, name) = path.strip_prefix("/vms/")?.split_once('/')?;
    Some((percent_decode(namespace)?, percent_decode(name)?))
}

/// Returns whether Leptos' router and browsers read the path as it is written: they resolve dots. Leptos gets it as part of
/// an absolute URL.
pub fn is_read_alike(path: &str) -> bool {
    let read = RequestUrl::new(&["http://localhost", path].concat()).parse();
    read.is_ok_and(|url| url.path() == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(address: &str) -> Uri {
        address.parse().unwrap()
    }

    #[test]
    fn a_vm_is_named_by_two_parts_of_a_path() {
        let names = |address| vm_of_page(&uri(address)).map(|(namespace, name)| [namespace, name].join(" "));
        assert_eq!(names("/vms/shop/web?span=7d").as_deref(), Some("shop web"));
        assert_eq!(names("/vms/%73hop/web%2e1").as_deref(), Some("shop web.1"));
        for none in [
            "/",
            "/vms",
            "/vms/shop",
            "/vms/shop/",
            "/vms/shop/web/",
            "/vms/shop/a/b",
            "/vms/S/web",
            "/vms/s/%2577",
        ] {
            assert_eq!(names(none), None, "{none}");
        }
    }

    #[test]
    fn an_address_is_readable_and_all_of_it_is_seen() {
        for (address, fine) in [
            ("/", true),
            ("/é%C3%A9?q=é%C3%A9", true),
            ("/%ff", false),
            ("/%", false),
            ("/%C2%85", false),
            ("/\u{85}", false),
            ("/\u{202e}", false),
            ("/?q=%ff", false),
            ("/?q=\u{85}", false),
            ("/?q=a&q=b", false),
            ("*", false),
        ] {
            assert_eq!(check(&uri(address)).is_ok(), fine, "{address}");
        }
    }

    #[test]
    fn only_plain_paths_of_pages_are_accepted() {
        for (address, fine) in [
            ("/", true),
            ("/nope/%E2%98%83", true),
            ("/vms/shop/web", true),
            ("/vms/shop", true),
            ("/vms/shop/a/b", false),
            ("/nodes/n1.rack", true),
            ("/nodes/n%31", true),
            ("/nodes", true),
            ("/nodes/n1/vms", true),
            ("/nodes/N1", false),
            ("/nodes/n%2F1", false),
            ("/nodes/%2577", false),
            ("/nodes/", false),
            ("//", false),
            ("//host/vms", false),
            ("/sources/", false),
            ("/a/../b", false),
            ("/a/%2e%2E/b", false),
            ("/a/.", false),
            ("/a\\b", false),
            ("/é", false),
        ] {
            assert_eq!(check_page(&uri(address)).is_ok(), fine, "{address}");
        }
    }
}
