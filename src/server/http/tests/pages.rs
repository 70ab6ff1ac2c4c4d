//! The router's part in pages and server functions.

use axum::http::Method;
use leptos::server_fn::error::FromServerFnError;

use super::fixture::*;
use crate::server_fns::Failure;

#[tokio::test]
async fn pages_have_the_status_of_what_they_say() {
    let server = Server::new(vec![vm("shop", "web")]);
    for (path, want) in [
        ("/", 200),
        ("/?q=web&sort=cpu&page=1", 200),
        ("/?page=0", 400),
        ("/?page=18446744073709551616", 400),
        ("/?sort=size", 400),
        ("/?status=%3Cscript%3E", 400),
        ("/vms/shop/web", 200),
        ("/vms/shop/nope", 404),
        ("/vms/%E2%98%83/%2F", 404),
        ("/vms/shop", 404),
        ("/vms/shop/web/more", 404),
        ("/vms/../../etc/passwd", 404),
        ("/vms/a/%2e%2e", 404),
        ("//", 404),
        ("/?view=map&by=namespace&color=disk", 200),
        ("/?view=map&by=pod", 400),
        ("/groups", 200),
        ("/groups?by=namespace&sort=disk&page=2", 200),
        ("/groups?by=pod", 400),
        ("/groups/x", 404),
        ("/nodes/node-1", 200),
        ("/nodes/node-1?top=disk-io", 200),
        ("/nodes/node-1?top=size", 400),
        ("/nodes/node-9", 404),
        ("/nodes/node-1/vms", 404),
        ("/nodes", 404),
        ("/sources", 200),
        ("/nope", 404),
    ] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, want, "{path}");
        assert!(answer.header("content-type").starts_with("text/html"), "{path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
    }
}

#[tokio::test]
async fn server_functions_are_get_and_send_nobody_anywhere() {
    let server = Server::new(vec![vm("shop", "web")]);
    let headers = [("accept", "text/html"), ("referer", "https://evil.example/")];
    let answer = server.send(Method::GET, "/fn/home", &headers).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (200, ""));
    assert_eq!(answer.header("cache-control"), "no-store");
    let head = server.send(Method::HEAD, "/fn/home", &[]).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    for (path, want) in
        [("/fn/home?query=page%3D0", 400), ("/fn/vm", 400), ("/fn/node", 400), ("/fn/nope", 404)]
    {
        assert_eq!(server.get(path).await.status, want, "{path}");
    }
    assert_eq!(server.send(Method::POST, "/fn/home", &[]).await.status, 405);
}

#[tokio::test]
async fn a_page_of_another_build_is_told_so_and_one_of_this_is_answered() {
    let server = Server::new(vec![vm("shop", "web")]);
    for path in ["/fn/home", "/fn/vm?namespace=shop&name=web", "/fn/home?query=page%3D0"] {
        let (plain, named) = (server.get(path).await, server.get(&format!("/at/h1/en{path}")).await);
        assert_eq!((named.status, named.body), (plain.status, plain.body), "{path}");
        let other = server.get(&format!("/at/h0/en{path}")).await;
        assert_eq!(other.status, 409, "{path}");
        assert_eq!(Failure::de(other.body.clone()), Failure::OtherBuild, "{path}");
        assert_eq!(other.header("cache-control"), "no-store", "{path}");
    }
    assert_eq!(server.get("/at/h0/en/api/events?only=sources").await.status, 409);
    for path in [
        "/at",
        "/at/h1",
        "/at/h1/en/",
        "/at/h1/xx/fn/home",
        "/at/h1/en/fn/nope",
        "/at/h1/en/at/h1/en/fn/home",
        "/at/h1/en/sources",
        "/at/h1/en/api/vms",
        "/at/h1/en/pkg/h1/app.css",
    ] {
        assert_eq!(server.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn names_from_the_cluster_are_text() {
    let mut odd = vm("shop", "web");
    odd.summary.name = "<script>alert(1)</script>".into();
    odd.os_image = "\"><img src=x onerror=alert(1)>".into();
    odd.summary.node = "</script><script>alert(2)</script>".into();
    let server = Server::new(vec![odd]);
    let html = String::from_utf8(server.get("/").await.body.to_vec()).unwrap();
    assert!(html.contains("&lt;script&gt;alert(1)"), "{html}");
    assert!(!html.contains("<script>alert") && !html.contains("<img src=x"), "{html}");
}
