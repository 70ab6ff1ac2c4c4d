//! Requests that a browser sends before anybody opens the page.

use super::fixture::*;

const AHEAD: [(&str, &str); 4] = [
    ("sec-purpose", "prefetch"),
    ("sec-purpose", "prefetch;prerender"),
    ("purpose", "prefetch"),
    ("x-moz", "prefetch"),
];

#[tokio::test]
async fn prefetched_pages_are_neither_followed_nor_computed() {
    let server = Server::new(vec![vm("shop", "a")]);
    for header in AHEAD {
        for url in [
            "/",
            "/vms/shop/a?span=30d",
            "/api/vms",
            "/api/vms.csv",
            "/api/events",
            "/at/h1/en/api/events?format=postcard",
        ] {
            let answer = server.send(axum::http::Method::GET, url, &[header]).await;
            assert_eq!(answer.status, 503, "{header:?} {url}");
            assert_eq!(answer.header("cache-control"), "no-store", "{header:?} {url}");
        }
        for url in ["/pkg/h1/app.css", "/robots.txt", "/healthz"] {
            let answer = server.send(axum::http::Method::GET, url, &[header]).await;
            assert_ne!(answer.status, 503, "{header:?} {url}: cheap, and the same for everybody");
        }
    }
    assert_eq!((server.app.events.clients(), server.app.events.views()), (0, 0));
}

#[tokio::test]
async fn requests_with_another_purpose_are_answered() {
    let server = Server::new(vec![vm("shop", "a")]);
    for header in [("sec-purpose", "other"), ("purpose", "preview")] {
        assert_eq!(server.send(axum::http::Method::GET, "/", &[header]).await.status, 200, "{header:?}");
    }
}
