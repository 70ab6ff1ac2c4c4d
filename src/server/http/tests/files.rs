//! Embedded files.

use axum::http::Method;

use super::fixture::*;

#[tokio::test]
async fn files_with_a_hash_are_cached_for_ever_and_sent_as_they_were_compressed() {
    let server = Server::new(vec![]);
    for (accept, coding, body) in
        [("br, gzip", "br", "brotli css"), ("gzip", "gzip", "gzip css"), ("", "", "plain css")]
    {
        let css = server.send(Method::GET, "/pkg/h1/app.css", &[("accept-encoding", accept)]).await;
        assert_eq!((css.header("content-encoding"), &css.body[..]), (coding, body.as_bytes()));
        assert_eq!(css.header("cache-control"), "public, max-age=31536000, immutable");
        assert_eq!(css.header("content-type"), "text/css; charset=utf-8");
        assert_eq!(css.header("vary"), "accept-encoding");
        let known = [("accept-encoding", accept), ("if-none-match", css.header("etag"))];
        let again = server.send(Method::GET, "/pkg/h1/app.css", &known).await;
        assert_eq!((again.status.as_u16(), again.body.len()), (304, 0));
    }
    let wasm = server.send(Method::GET, "/pkg/h1/app.wasm", &[("accept-encoding", "br")]).await;
    assert_eq!((wasm.header("content-type"), wasm.header("content-encoding")), ("application/wasm", ""));
}

#[tokio::test]
async fn files_at_the_root_are_served_and_others_do_not_exist() {
    let server = Server::new(vec![]);
    let robots = server.get("/robots.txt").await;
    assert_eq!((&robots.body[..], robots.header("cache-control")), (&b"robots"[..], "public, max-age=3600"));
    for path in
        ["/pkg/h1/nope.js", "/pkg/h1/app.css.br", "/pkg/h1/../h1/app.css", "/pkg/%2e%2e/x", "/pkg/h1/"]
    {
        let answer = server.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
    }
    assert_eq!(server.get("/manifest.json").await.status, 404);
}
