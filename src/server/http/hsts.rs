//! Strict-Transport-Security (RFC 6797): a browser that has come over TLS never asks this host over plain HTTP again.

use axum::{
    extract::{Request, State},
    http::{HeaderValue, header},
    middleware::Next,
    response::Response,
};

use super::{hosts, state::App};

/// Half a year, for this host alone. The rule covers every port of the host, and nobody can take it back earlier.
const HALF_A_YEAR: HeaderValue = HeaderValue::from_static("max-age=15552000");

/// Adds the header if browsers come over TLS. `localhost` is left out: many programs of a developer share that name,
/// and most of them speak plain HTTP. Browsers ignore the header where they came over plain HTTP.
pub async fn require_https(State(app): State<App>, request: Request, next: Next) -> Response {
    let applies = app.is_https && !hosts::is_loopback_host(request.headers());
    let mut response = next.run(request).await;
    if applies {
        response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, HALF_A_YEAR);
    }
    response
}
