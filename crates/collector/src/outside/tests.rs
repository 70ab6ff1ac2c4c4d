//! Addresses, certificates of authorities, and error statuses in words.

use super::*;
use crate::tests::is_translated;
use i18n::Render;
use i18n::key;

fn session(base: &str) -> Session {
    let http = build(None, None).unwrap();
    let limits = SiteLimits { deadline: CONNECT_TIMEOUT, limit: 1, budget: Budget::new(&[]) };
    Session { http, base: base.parse().unwrap(), limits }
}

#[test]
fn a_path_is_appended_to_the_base_url() {
    for (base, want) in [
        ("http://p:9090", "http://p:9090/api/v1/query"),
        ("http://p:9090/", "http://p:9090/api/v1/query"),
        ("https://p/prefix", "https://p/prefix/api/v1/query"),
        ("https://p/prefix/", "https://p/prefix/api/v1/query"),
    ] {
        assert_eq!(session(base).url(&["api", "v1", "query"]).as_str(), want);
    }
}

#[test]
fn a_segment_is_escaped_as_a_whole() {
    let url = session("http://c/").url(&["api", "block", "image", "pool/a b/../x?y#z%"]);
    assert_eq!(url.as_str(), "http://c/api/block/image/pool%2Fa%20b%2F..%2Fx%3Fy%23z%25");
}

#[test]
fn every_status_has_a_message_that_names_the_site() {
    for (code, reason) in [
        (301, Reason::BadAnswer),
        (400, Reason::BadAnswer),
        (401, Reason::Forbidden),
        (403, Reason::Forbidden),
        (404, Reason::BadAnswer),
        (422, Reason::BadAnswer),
        (429, Reason::Unreachable),
        (500, Reason::Unreachable),
        (503, Reason::Unreachable),
        (504, Reason::TimedOut),
    ] {
        let nothing = PeerError::default();
        let error = describe_status("Prometheus", key!(collect.token_or_password), code, &nothing);
        assert_eq!(error.reason, reason, "{code}");
        let words = error.detail.english();
        assert!(words.starts_with(&format!("Prometheus answers {code}: ")), "{words}");
        assert!(is_translated(&error), "{error:?}");
    }
}

#[test]
fn the_sites_own_message_is_one_line_without_credentials() {
    for (code, kind, line, reason, want) in [
        (401, "", "bad token t", Reason::Forbidden, "Prometheus answers 401: check its token or password"),
        (
            422,
            "execution",
            "query processing would load too many samples into memory in query execution",
            Reason::BadAnswer,
            "Prometheus answers 422: it does not understand the request (it says: query processing would load too many samples into memory in query execution)",
        ),
        (
            503,
            "timeout",
            "query timed out in expression evaluation",
            Reason::TimedOut,
            "Prometheus answers 503: it did not answer in time (it says: query timed out in expression evaluation)",
        ),
        (
            503,
            "unavailable",
            "no store at 10.0.0.3:10901",
            Reason::Unreachable,
            "Prometheus answers 503: it has an internal error (it says: no store at …)",
        ),
    ] {
        let says = PeerError { kind: kind.into(), line: line.into() };
        let error = describe_status("Prometheus", key!(collect.token_or_password), code, &says);
        assert_eq!((error.reason, error.detail.english().as_str()), (reason, want));
    }
}

#[test]
fn a_ca_file_without_certificates_is_refused() {
    assert!(build(None, None).is_some());
    for ca in ["", "x", "-----BEGIN CERTIFICATE-----\nnope\n-----END CERTIFICATE-----\n"] {
        assert!(build(Some(ca.as_bytes()), None).is_none(), "{ca}");
    }
}
