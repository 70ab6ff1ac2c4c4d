//! `--public-url` with a path: everything is answered below this base path, which a proxy in front must not remove.
//!
//! [`below`] removes it from requests before anything reads them, so that routes, limits and logs know paths without
//! it. Where addresses are written they get it back: from `ui::address` in pages, and here in `Location`.

use std::convert::Infallible;

use axum::{
    Router,
    extract::Request,
    http::{HeaderMap, HeaderValue, Uri, header, uri::PathAndQuery},
    response::{IntoResponse, Redirect, Response},
};
use tower::{ServiceExt, service_fn};

use super::{
    address,
    error::{ApiError, ApiResult},
};
use crate::ui::address::BasePath;

/// Says that a request is for an address outside the base path.
#[derive(Clone, Debug)]
struct OutsideBasePath {
    base: BasePath,
    /// Whether only the slash behind the base path is missing.
    lacks_slash: bool,
}

/// Returns the routes below the base path, which requests have among their extensions. Probes are also answered without it, since they reach the program directly.
pub fn serve_below(base: &BasePath, routes: Router) -> Router {
    if base.0.is_empty() {
        return routes;
    }
    let base = base.clone();
    Router::new().fallback_service(service_fn(move |request| answer(base.clone(), routes.clone(), request)))
}

async fn answer(base: BasePath, routes: Router, mut request: Request) -> Result<Response, Infallible> {
    request.extensions_mut().insert(base.clone());
    let path = request.uri().path();
    match inner_uri(request.uri(), &base) {
        Some(inner) => *request.uri_mut() = inner,
        None if address::is_probe(path) => {}
        None => {
            let lacks_slash = path == &*base.0;
            request.extensions_mut().insert(OutsideBasePath { base: base.clone(), lacks_slash });
        }
    }
    let mut response = routes.oneshot(request).await?;
    add_to_location(response.headers_mut(), &base);
    Ok(response)
}

/// Returns the address without the base path; `None` for one outside of it.
fn inner_uri(uri: &Uri, base: &BasePath) -> Option<Uri> {
    let inner = uri.path_and_query()?.as_str().strip_prefix(&*base.0)?;
    let inner = inner.starts_with('/').then(|| inner.parse::<PathAndQuery>())?.ok()?;
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(inner);
    Uri::from_parts(parts).ok()
}

/// Adds the base path to the address of this server that an answer leads to.
fn add_to_location(headers: &mut HeaderMap, base: &BasePath) {
    let Some(location) = headers.get(header::LOCATION).and_then(|location| location.to_str().ok()) else {
        return;
    };
    if !location.starts_with('/') {
        return;
    }
    if let Ok(location) = HeaderValue::from_str(&[&base.0, location].concat()) {
        headers.insert(header::LOCATION, location);
    }
}

/// Answers a request for an address outside the base path; `Ok` lets the request through. `layers` asks, so that such
/// answers are like all others.
pub fn check(request: &Request) -> ApiResult<Option<Response>> {
    match request.extensions().get::<OutsideBasePath>() {
        None => Ok(None),
        Some(OutsideBasePath { lacks_slash: true, .. }) => {
            // `answer` adds the base path.
            let query = request.uri().query().map(|query| ["?", query].concat()).unwrap_or_default();
            Ok(Some(Redirect::temporary(&["/", &query].concat()).into_response()))
        }
        Some(OutsideBasePath { base, .. }) => {
            let detail = format!(
                "nothing exists at this address: the dashboard is below {}/, the path of --public-url. A proxy in front \
                 must not remove this path.",
                base.0
            );
            Err(ApiError::NotFound(detail.into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> BasePath {
        BasePath("/ops/vms".into())
    }

    #[test]
    fn only_whole_segments_are_the_base_path() {
        for (address, inner) in [
            ("/ops/vms/", Some("/")),
            ("/ops/vms/?q=a", Some("/?q=a")),
            ("/ops/vms/vms/a/b", Some("/vms/a/b")),
            ("/ops/vms//evil.example", Some("//evil.example")),
            ("http://ops.example/ops/vms/api/vms", Some("http://ops.example/api/vms")),
            ("/ops/vms/ops/vms/", Some("/ops/vms/")),
            ("/ops/vms", None),
            ("/ops/vms?q=a", None),
            ("/ops/vmss/", None),
            ("/ops/VMS/", None),
            ("/ops/%76ms/", None),
            ("//ops/vms/", None),
            ("/", None),
        ] {
            let found = inner_uri(&address.parse().unwrap(), &base()).map(|uri| uri.to_string());
            assert_eq!(found.as_deref(), inner, "{address}");
        }
    }

    #[test]
    fn only_addresses_of_this_server_get_the_base_path() {
        for (location, want) in [
            ("/", "/ops/vms/"),
            ("/auth/sign-in?next=%2F", "/ops/vms/auth/sign-in?next=%2F"),
            // A path without the base path before it would lead to another server.
            ("//evil.example", "/ops/vms//evil.example"),
            ("https://idp.example/authorize", "https://idp.example/authorize"),
        ] {
            let mut headers = HeaderMap::from_iter([(header::LOCATION, HeaderValue::from_static(location))]);
            add_to_location(&mut headers, &base());
            assert_eq!(headers[header::LOCATION], want);
        }
    }
}
