//! Rules for all routes: methods, hosts, problems, headers, panics.

use std::collections::HashSet;

use axum::{Router, body::Body, http::Method, http::Request, routing::get};

use super::fixture::*;
use crate::server::{
    config::{AllowedHosts, HttpConfig, PublicUrl, SignInConfig},
    http::{App, Assets, layers, reader::Reader, router},
};
use wukong_core::{Snapshot, frame::Identity};

const ROUTES: [&str; 9] = [
    "/",
    "/api/vms",
    "/api/vms/web",
    "/api/stats",
    "/api/vms/stats",
    "/api/sources",
    "/healthz",
    "/readyz",
    "/pkg/h1/app.css",
];

#[tokio::test]
async fn every_route_answers_get_and_head_and_nothing_else() {
    let server = Server::new(vec![vm("shop", "web")]);
    for path in ROUTES {
        let got = server.get(path).await;
        assert_eq!(got.status, 200, "{path}");
        let head = server.send(Method::HEAD, path, &[]).await;
        assert_eq!((head.status.as_u16(), head.body.len()), (200, 0), "{path}");
        assert_eq!(head.header("content-type"), got.header("content-type"), "{path}");
        for method in
            [Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS, Method::TRACE]
        {
            let refused = server.send(method.clone(), path, &[]).await;
            assert_eq!(
                (refused.status.as_u16(), refused.header("allow")),
                (405, "GET, HEAD"),
                "{method} {path}"
            );
        }
    }
}

#[tokio::test]
async fn head_says_how_long_the_answer_would_be() {
    let server = Server::new(vec![vm("shop", "web")]);
    let length = server.get("/api/vms").await.body.len().to_string();
    assert_eq!(server.send(Method::HEAD, "/api/vms", &[]).await.header("content-length"), length);
}

#[tokio::test]
async fn problems_are_json_for_programs_and_a_page_for_people() {
    let server = Server::new(vec![]);
    for path in ["/api", "/api/", "/api/nope", "/api/vms/x/y", "/api/vms/x", "/fn/nope", "/pkg/nope"] {
        let answer = server.get(path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("content-type")),
            (404, "application/problem+json"),
            "{path}"
        );
        let problem = answer.json();
        assert_eq!((&problem["status"], &problem["title"]), (&404.into(), &"Not Found".into()), "{path}");
        assert_eq!(problem["type"], "about:blank");
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{path}");
    }
    let refused = server.send(Method::POST, "/", &[]).await;
    assert_eq!((refused.status.as_u16(), refused.header("content-type")), (405, "text/html; charset=utf-8"));
    assert!(String::from_utf8_lossy(&refused.body).contains("only GET and HEAD are supported"));
    let nowhere = server.get("/nope/nothing").await;
    assert_eq!(nowhere.status, 404);
    assert!(nowhere.header("content-type").starts_with("text/html"));
}

#[tokio::test]
async fn urls_that_are_no_urls_are_refused() {
    let server = Server::new(vec![vm("shop", "web")]);
    for (url, want) in [
        ("/%", 400),
        ("/%2", 400),
        ("/%zz", 400),
        ("/vms/%ff/x", 400),
        ("/vms/a%00b/x", 400),
        ("/?q=%c3%28", 400),
        ("/api/vms/%", 400),
        ("/api/vms/web?namespace=%ff", 400),
        ("*", 400),
        ("/?q=%41", 200),
    ] {
        assert_eq!(server.get(url).await.status, want, "{url}");
    }
    for start in ["/api/vms/", "/", "/?q=", "/vms/a/"] {
        let answer = server.get(&format!("{start}{}", "x".repeat(9000))).await;
        assert_eq!(answer.status, 414, "{start}");
    }
}

/// Returns the parts of a page that a browser refuses under `script-src 'self' 'nonce-…'; style-src 'self'`.
fn refused_by_policy(html: &str, nonce: &str) -> Vec<String> {
    let own = |tag: &str, attribute: &str| {
        let address = tag.split(&format!(" {attribute}=\"")).nth(1);
        address.map(|address| address.starts_with('/') && !address.starts_with("//"))
    };
    let tags = html.split('<').filter_map(|tag| tag.split('>').next());
    let refused = tags.filter(|tag| {
        let inline =
            tag.split([' ', '\n']).skip(1).any(|part| part.starts_with("style=") || part.starts_with("on"));
        inline
            || tag.starts_with("style")
            || tag.starts_with("script")
                && !own(tag, "src").unwrap_or_else(|| tag.contains(&format!(" nonce=\"{nonce}\"")))
            || tag.contains("rel=\"stylesheet\"") && own(tag, "href") != Some(true)
    });
    refused.map(str::to_owned).collect()
}

#[test]
fn the_test_finds_what_a_policy_refuses() {
    for (html, refused) in [
        (r#"<script src="/a.js"></script><link rel="stylesheet" href="/a.css"><p class="on">"#, 0),
        (r#"<script nonce="N">1</script>"#, 0),
        (r#"<script nonce="M">1</script>"#, 1),
        ("<script>1</script>", 1),
        (r#"<script src="//evil/a.js"></script>"#, 1),
        (r#"<script src="https://evil/a.js"></script>"#, 1),
        (r#"<link rel="stylesheet" href="https://evil/a.css">"#, 1),
        (r#"<p style="color:red">"#, 1),
        (r#"<p onclick="x()">"#, 1),
        ("<style>p{}</style>", 1),
    ] {
        assert_eq!(refused_by_policy(html, "N").len(), refused, "{html}");
    }
}

#[tokio::test]
async fn pages_carry_a_nonce_of_their_own_and_allow_no_other_inline_script() {
    let server = Server::new(vec![vm("shop", "web")]);
    let mut nonces = HashSet::new();
    for path in ["/", "/", "/nope"] {
        let page = server.get(path).await;
        let policy = page.header("content-security-policy").to_owned();
        let nonce =
            policy.split("'nonce-").nth(1).and_then(|rest| rest.split('\'').next()).unwrap().to_owned();
        assert!(nonce.len() >= 20 && nonces.insert(nonce.clone()), "{policy}");
        assert!(!policy.contains("unsafe-inline") && !policy.contains("'unsafe-eval'"), "{policy}");
        for part in ["default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'", "'wasm-unsafe-eval'"]
        {
            assert!(policy.contains(part), "{policy}");
        }
        let html = String::from_utf8(page.body.to_vec()).unwrap();
        assert_eq!(refused_by_policy(&html, &nonce), Vec::<String>::new());
        assert!(html.contains("<script") && html.contains("rel=\"stylesheet\""), "nothing to judge: {html}");
        assert_eq!(page.header("cache-control"), "no-store");
    }
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let server = Server::new(vec![vm("shop", "web")]);
    for path in ROUTES.iter().chain(&["/api/nope", "/nope", "/%"]) {
        let answer = server.get(path).await;
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), value, "{path} {name}");
        }
        assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"), "{path}");
    }
}

#[tokio::test]
async fn only_allowed_hosts_are_answered() {
    let server = Server::with(
        vec![vm("shop", "web")],
        HttpConfig {
            allowed_hosts: AllowedHosts::Named(vec!["dash.example".into()]),
            ..HttpConfig::default()
        },
    );
    for (host, path, want) in [
        ("dash.example", "/", 200),
        ("dash.example:8081", "/api/vms", 200),
        ("evil.example", "/", 421),
        ("evil.example", "/api/vms", 421),
        ("evil.example", "/pkg/h1/app.css", 421),
        ("10.0.0.9:8081", "/healthz", 200),
    ] {
        let answer = server.send(Method::GET, path, &[("host", host)]).await;
        assert_eq!(answer.status, want, "{host} {path}");
    }
}

#[tokio::test]
async fn a_loopback_listener_refuses_unknown_host_names() {
    let Server { app, snapshots, .. } = Server::new(vec![vm("shop", "web")]);
    let app = app.listening_on([127, 0, 0, 1].into());
    let server = Server { router: router(app.clone()), app, snapshots };
    for path in
        ROUTES.into_iter().chain(["/api/events?only=sources", "/fn/home", "/at/h1/en/fn/home", "/nope"])
    {
        let probe = ["/healthz", "/readyz"].contains(&path);
        for (host, want) in [("evil.example:8081", if probe { 200 } else { 421 }), ("localhost:8081", 200)] {
            let answer = server.send(Method::HEAD, path, &[("host", host)]).await;
            let want = if path == "/nope" && want == 200 { 404 } else { want };
            assert_eq!(answer.status, want, "{host} {path}");
        }
    }
}

#[tokio::test]
async fn a_loopback_listener_answers_to_the_host_of_the_public_url() {
    let public_url = Some(PublicUrl::new("https://vms.example:8443".parse().unwrap()).unwrap());
    let sign_in = SignInConfig { public_url, ..SignInConfig::default() };
    let http = HttpConfig::default().with_sign_in(sign_in);
    let Server { app, snapshots, .. } = Server::with(vec![vm("shop", "web")], http);
    let app = app.listening_on([127, 0, 0, 1].into());
    let server = Server { router: router(app.clone()), app, snapshots };
    for (host, want) in [("vms.example:8443", 200), ("vms.example", 200), ("evil.example", 421)] {
        let answer = server.send(Method::GET, "/api/vms", &[("host", host)]).await;
        assert_eq!(answer.status, want, "{host}");
    }
}

/// A page of another site cannot read an answer, but its duration would tell whether a VM exists.
#[tokio::test]
async fn a_page_of_another_site_leads_here_and_loads_nothing() {
    let server = Server::new(vec![vm("shop", "web")]);
    for (site, mode, dest, want) in [
        ("cross-site", "no-cors", "image", 403),
        ("cross-site", "cors", "empty", 403),
        ("same-site", "no-cors", "empty", 403),
        ("cross-site", "navigate", "iframe", 403),
        ("cross-site", "navigate", "document", 200),
        ("same-site", "navigate", "document", 200),
        ("Cross-Site", "no-cors", "image", 403),
        ("elsewhere", "cors", "empty", 403),
        ("same-origin", "cors", "empty", 200),
        ("none", "navigate", "document", 200),
    ] {
        let headers = [("sec-fetch-site", site), ("sec-fetch-mode", mode), ("sec-fetch-dest", dest)];
        for path in ["/", "/vms/shop/web", "/vms/shop/web?span=1h", "/api/vms"] {
            assert_eq!(
                server.send(Method::GET, path, &headers).await.status,
                want,
                "{site} {mode} {dest} {path}"
            );
        }
    }
}

/// A WebSocket has no Fetch Metadata, but names the origin of its page.
#[tokio::test]
async fn a_page_of_another_origin_is_refused() {
    let server = Server::new(vec![vm("shop", "web")]);
    for (origin, want) in [
        ("http://localhost:9399", 403),
        ("https://evil.example", 403),
        ("null", 403),
        ("http://127.0.0.1:80811", 403),
        ("x://127.0.0.1:8081", 403),
        ("http://127.0.0.1:8081", 200),
    ] {
        for path in ["/", "/vms/shop/web", "/api/events", "/api/vms"] {
            let headers = [("host", "127.0.0.1:8081"), ("origin", origin), ("upgrade", "websocket")];
            let mut request = axum::http::Request::get(path);
            for (name, value) in headers {
                request = request.header(name, value);
            }
            let request = request.body(axum::body::Body::empty()).unwrap();
            let answer = tower::ServiceExt::oneshot(server.router.clone(), request).await.unwrap();
            assert_eq!(answer.status(), want, "{origin} {path}");
        }
    }
}

#[tokio::test]
async fn the_program_is_ready_once_every_source_was_tried() {
    let server = Server::new(vec![]);
    assert_eq!(server.get("/readyz").await.status, 200);
    server.snapshots.send_replace(std::sync::Arc::default());
    assert_eq!(server.get("/readyz").await.status, 503);
    assert_eq!(server.get("/healthz").await.status, 200);
    assert_eq!(server.get("/api/vms").await.json(), serde_json::json!([]));
}

#[tokio::test]
async fn answers_are_compressed_for_those_who_ask() {
    let server = Server::new((0..40).map(|n| vm("shop", &format!("web-{n}"))).collect());
    for path in ["/api/vms/web-1", "/"] {
        let answer = server.send(Method::GET, path, &[("accept-encoding", "br")]).await;
        let small = answer.body.len() < 32;
        assert!(small || answer.header("content-encoding") == "br", "{path}");
        assert_eq!(server.get(path).await.header("content-encoding"), "", "{path}");
    }
}

fn broken() -> Router {
    let (_, receiver) = tokio::sync::watch::channel(std::sync::Arc::new(Snapshot::default()));
    let identity = Identity { cluster: String::new(), demo: false, refresh: 1000 };
    let app = App::new(Reader::new(receiver, identity, || 0), Assets::default(), &HttpConfig::default());
    let bug = async || -> String { panic!("the secret of the panic") };
    layers::add_layers(Router::new().route("/api/bug", get(bug)).route("/bug", get(bug)), app)
}

#[tokio::test]
async fn a_panic_is_a_500_that_tells_nothing() {
    for (path, kind) in [("/api/bug", "application/problem+json"), ("/bug", "text/html; charset=utf-8")] {
        let answer = answer(broken(), Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (500, kind));
        assert!(!String::from_utf8_lossy(&answer.body).contains("secret"));
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
}

#[tokio::test]
async fn a_body_that_nobody_wants_is_not_read() {
    let server = Server::new(vec![]);
    let answer = server.send(Method::GET, "/api/vms", &[("content-length", "1000000")]).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (413, "application/problem+json"));
}

/// The limit of bodies counts what was decoded: the size of a chunk may have any number of zeros.
#[tokio::test]
async fn a_body_without_a_length_is_refused() {
    let server = Server::new(vec![]);
    let chunked = [("transfer-encoding", "chunked")];
    assert_eq!(server.send(Method::GET, "/api/vms", &chunked).await.status, 411);
    let form = [("transfer-encoding", "chunked"), ("sec-fetch-site", "same-origin")];
    let gated = super::sign_in::fixture::SignInServer::new(vec![]);
    assert_eq!(gated.server.send(Method::POST, "/auth/sign-in", &form).await.status, 411);
}
