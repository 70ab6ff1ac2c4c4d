//! `GET /api/search`.

use axum::http::StatusCode;
use serde_json::json;

use super::fixture::*;

#[tokio::test]
async fn names_are_found_and_a_text_that_is_too_long_is_refused() {
    let mut on_node = vm("shop", "web");
    on_node.summary.node = "web-node".into();
    let server = Server::new(vec![on_node, vm("ops", "db")]);
    let found = server.get("/api/search?q=web").await;
    assert_eq!((found.status, found.header("content-type")), (StatusCode::OK, "application/json"));
    let wanted = json!({ "matches": [
        { "kind": "vm", "namespace": "shop", "name": "web" },
        { "kind": "node", "namespace": null, "name": "web-node" },
    ] });
    assert_eq!(found.json(), wanted);
    assert_eq!(server.get("/api/search").await.json(), json!({ "matches": [] }));
    let long = server.get(&format!("/api/search?q={}", "a".repeat(254))).await;
    assert_eq!((long.status, &long.json()["field"]), (StatusCode::BAD_REQUEST, &json!("q")));
    assert_eq!(server.get("/api/search?q=a&q=b").await.status, StatusCode::BAD_REQUEST);
}
