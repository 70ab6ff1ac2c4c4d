//! What browsers say about a request: whether a page of another site or origin sends it (Fetch Metadata, W3C, and
//! `Origin`), and whether somebody looks at the answer now.

use axum::http::{HeaderMap, HeaderValue, header};

/// Returns whether a browser requests an answer ahead of time: Chrome and Safari say so by `Sec-Purpose`
/// (Fetch, W3C) or `Purpose`, Firefox by `X-Moz`. Only files are answered then. Everything else is never
/// stored, so it would be computed twice, and an event stream would have no reader.
pub fn is_asked_ahead(headers: &HeaderMap) -> bool {
    ["sec-purpose", "purpose", "x-moz"].iter().any(|name| {
        let value = headers.get(*name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        value.split(';').next().is_some_and(|purpose| purpose.trim().eq_ignore_ascii_case("prefetch"))
    })
}

/// Returns whether a page of another site loads this, as browsers say in Fetch Metadata headers (W3C). Such
/// a page may link here, which navigates the whole window. `same-site` counts as another site, since it
/// includes other ports of this machine.
pub fn is_loaded_by_another_site(headers: &HeaderMap) -> bool {
    let is = |name: &str, value: &str| headers.get(name).is_some_and(|own| own == value);
    let is_navigation = is("sec-fetch-mode", "navigate") && is("sec-fetch-dest", "document");
    is_of_another_site(headers) && !is_navigation
}

/// Returns whether a page of another site sends or links to this. Any value of `Sec-Fetch-Site` that is not known means
/// that too; without the header nobody knows.
pub fn is_of_another_site(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none")
}

/// Returns whether the request comes from a page of another origin: a WebSocket handshake says so by
/// `Origin`, and has no Fetch Metadata. The dashboard's own pages use GET, for which browsers send no
/// `Origin`.
pub fn is_of_another_origin(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let own = text(header::HOST);
    // A proxy may have ended TLS, so that the scheme is not known here.
    let host = |scheme| text(header::ORIGIN).and_then(|origin: &str| origin.strip_prefix(scheme));
    headers.contains_key(header::ORIGIN) && host("http://").or_else(|| host("https://")) != own
}
