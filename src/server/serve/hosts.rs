//! `--allowed-hosts`: which names this server answers to. It keeps a page of another origin from reading the API
//! by pointing a name of its own at this address (DNS rebinding), for as long as there is no sign-in.

use crate::words::msg;
use axum::http::{Request, header, uri::Authority};

use super::error::ApiError;

/// Refuses a request for another host. Probes come with the pod's address as host: their paths are left out.
pub fn check<B>(request: &Request<B>, allowed: &[String]) -> Result<(), ApiError> {
    if allowed.is_empty() || matches!(request.uri().path(), "/healthz" | "/readyz") {
        return Ok(());
    }
    let host = host(request)?;
    let known = allowed.iter().any(|entry| answers_to(entry, &host));
    if known { Ok(()) } else { Err(ApiError::Misdirected) }
}

/// The target's authority where the request line names one, else the only Host header (RFC 9112, 3.2).
fn host<B>(request: &Request<B>) -> Result<Authority, ApiError> {
    let bad = ApiError::BadRequest(msg!(problem.bad_host));
    if let Some(authority) = request.uri().authority() {
        return Ok(authority.clone());
    }
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return Err(bad) };
    Authority::try_from(host.as_bytes()).map_err(|_| bad)
}

/// An entry without a port stands for every port.
fn answers_to(entry: &str, host: &Authority) -> bool {
    let name = host.host();
    entry.eq_ignore_ascii_case(name)
        || entry.eq_ignore_ascii_case(host.as_str()) && !host.as_str().contains('@')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(host: &[&str], path: &str) -> u16 {
        let allowed = ["dash.example.com".to_owned(), "x:8443".to_owned(), "[::1]".to_owned()];
        let mut request = Request::builder().uri(path);
        for host in host {
            request = request.header(header::HOST, *host);
        }
        check(&request.body(()).unwrap(), &allowed).map_or_else(|error| error.status().as_u16(), |()| 200)
    }

    #[test]
    fn only_the_named_hosts_are_answered() {
        for (host, want) in [
            ("dash.example.com", 200),
            ("DASH.example.com:9999", 200),
            ("x:8443", 200),
            ("X:8443", 200),
            ("[::1]:80", 200),
            ("x", 421),
            ("x:80", 421),
            ("evil.example", 421),
            ("dash.example.com.evil.example", 421),
            ("evil@x:8443", 421),
            ("", 400),
            ("a b", 400),
        ] {
            assert_eq!(status(&[host], "/"), want, "{host}");
        }
        assert_eq!(status(&[], "/"), 400);
        assert_eq!(status(&["dash.example.com", "evil.example"], "/"), 400);
        assert_eq!(status(&["dash.example.com"], "http://evil.example/"), 421);
        assert_eq!(status(&["10.0.0.7:8081"], "/healthz"), 200);
    }
}
