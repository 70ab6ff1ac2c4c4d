//! Signed assertions, genuine and forged.

use axum::{
    body::Body,
    http::{HeaderName, Method, Request},
};
use serde_json::json;

use super::*;
use crate::server::http::{
    peer::Peer,
    tests::{
        fixture::answer,
        sign_in::{oidc::provider::Signature, streams::Stream},
    },
};
use collector::clock;

const POMERIUM: HeaderName = HeaderName::from_static("x-pomerium-jwt-assertion");

fn now() -> i64 {
    clock::now() / 1000
}

#[tokio::test(start_paused = true)]
async fn who_comes_with_an_assertion_sees_what_they_may_and_gets_no_session() {
    let behind = ProxiedServer::new();
    let ana = behind.token(&[]);
    let list = behind.get(&ana, "/api/vms").await;
    assert_eq!(list.status, 200, "{}", text(&list));
    assert!(text(&list).contains("web") && !text(&list).contains("vault"), "{}", text(&list));
    let page = behind.get(&ana, "/").await;
    assert_eq!((page.status.as_u16(), page.header("set-cookie")), (200, ""));
    let html = text(&page);
    assert!(html.contains("oidc:ana") && html.contains("Signed in by the proxy"), "{html}");
    assert!(html.contains("/auth/sign-out") && !html.contains("data-renew"), "{html}");
    let board = behind.token(&[("sub", json!("bo")), ("groups", json!(["board"]))]);
    let list = behind.get(&board, "/api/vms").await;
    assert!(text(&list).contains("vault") && !text(&list).contains("web"), "of the same connection");
    let vary: Vec<_> = list.headers.get_all("vary").iter().map(|value| value.to_str().unwrap()).collect();
    assert!(vary.join(",").contains("authorization"), "{vary:?}");
}

#[tokio::test(start_paused = true)]
async fn an_assertion_that_is_not_genuine_or_not_for_us_is_refused_with_the_fix() {
    for (claim, value, want) in [
        ("iss", json!("https://sso.example/realms/two"), "--proxy-issuer"),
        ("iss", json!("vms.example"), "must be a URL"),
        ("aud", json!("other"), "--proxy-audience"),
        ("aud", json!([CLIENT, "other"]), "for several audiences"),
        ("azp", json!("other"), "--proxy-audience"),
        ("exp", json!(now() - 120), "--cookie-refresh"),
        ("exp", json!(null), "exp and iat"),
        ("iat", json!(now() + 120), "in the future"),
        ("nbf", json!(now() + 120), "in the future"),
        ("sub", json!(null), "exp and iat"),
        ("sub", json!("a\u{7}b"), "--proxy-username-claim"),
        ("groups", json!({"a": 1}), "--proxy-groups-claim"),
        ("hasgroups", json!(true), "so many groups"),
    ] {
        let behind = ProxiedServer::new();
        let token = behind.token(&[(claim, value.clone())]);
        let (problem, page) = behind.refusal(&token).await;
        assert_eq!((problem.status.as_u16(), page.status.as_u16()), (401, 403), "{claim}={value}");
        assert!(
            problem.json()["detail"].as_str().unwrap().contains(want),
            "{claim}={value}: {problem:?}",
            problem = text(&problem)
        );
        assert!(text(&page).contains(want), "{claim}={value}: {}", text(&page));
        assert!(!text(&page).contains(&token) && !text(&problem).contains(&token));
    }
}

#[tokio::test(start_paused = true)]
async fn an_assertion_is_signed_by_a_key_of_its_issuer_alone() {
    for (signature, key, want) in [
        (Signature::None, SigningKey::rsa(), "not signed, or by an algorithm"),
        (Signature::PublicKeyAsSecret, SigningKey::rsa(), "not signed, or by an algorithm"),
        (Signature::Forged, SigningKey::ecdsa(), "signature of the proxy"),
    ] {
        let provider = FakeProvider::new(key);
        let behind = ProxiedServer::of(provider.clone(), header::AUTHORIZATION, &[SignInMode::Proxy]);
        provider.change(|state| state.signature = signature);
        let (problem, page) = behind.refusal(&behind.token(&[])).await;
        assert_eq!((problem.status.as_u16(), page.status.as_u16()), (401, 403), "{signature:?}");
        assert!(text(&page).contains(want), "{signature:?}: {}", text(&page));
        provider.change(|state| state.signature = Signature::Genuine);
        assert_eq!(behind.get(&behind.token(&[]), "/api/vms").await.status, 200);
    }
}

/// Sends a request with an assertion from this address.
async fn from(behind: &ProxiedServer, address: u8, token: &str, url: &str) -> Answer {
    let mut request = Request::get(url).body(Body::empty()).unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request.headers_mut().insert("host", "vms.example".parse().unwrap());
    request.extensions_mut().insert(Peer::new([10, 42, 0, address].into()));
    answer(behind.gated.server.router.clone(), request).await
}

/// Sends many forged assertions that name this person, and returns an answer to one that was not looked at.
async fn flood(behind: &ProxiedServer, address: u8, person: &str) -> Answer {
    behind.provider.change(|state| state.signature = Signature::Forged);
    let mut unchecked = None;
    for at in 0..200 {
        let forged = behind.token(&[("sub", json!(person)), ("jti", json!(at))]);
        let answer = from(behind, address, &forged, "/api/stats").await;
        assert!([401, 429].contains(&answer.status.as_u16()), "{}", text(&answer));
        unchecked = Some(answer).filter(|answer| answer.status == 429).or(unchecked);
    }
    behind.provider.change(|state| state.signature = Signature::Genuine);
    unchecked.expect("some are not looked at")
}

/// Checking a signature is what costs: 1,000 forged ones a second took a core.
#[tokio::test(start_paused = true)]
async fn forged_assertions_beyond_the_limit_are_not_looked_at_and_keep_out_nobody_who_is_known() {
    let behind = ProxiedServer::new();
    let (ana, bo) = (behind.token(&[]), behind.token(&[("sub", json!("bo"))]));
    let status =
        async |address, token: &str| from(&behind, address, token, "/api/stats").await.status.as_u16();
    assert_eq!(status(1, &ana).await, 200);
    let refused = flood(&behind, 1, "mallory").await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (429, "10"));
    assert_eq!(status(1, &bo).await, 429, "nobody knows Bo, so that the assertion is not looked at");
    std::thread::sleep(std::time::Duration::from_millis(200));
    let page = from(&behind, 1, &bo, "/auth/sign-in").await;
    assert!(page.status == 429 && text(&page).contains("Too many"), "{}", text(&page));
    assert_eq!(status(1, &ana).await, 200, "it was genuine before");
    let next = behind.token(&[("jti", json!("next"))]);
    assert_eq!(status(1, &next).await, 200, "the next assertion of somebody who is known");
    assert_eq!(status(2, &bo).await, 200, "another address has sent nothing that is forged");
    assert_eq!(status(1, &bo).await, 200, "and since then Bo is known");
    // One who knows Ana's name can refuse her next assertion alone, and only with more than ten forged ones a second.
    assert_eq!(flood(&behind, 1, "ana").await.status, 429);
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(status(1, &behind.token(&[("jti", json!("later"))])).await, 200);
    assert_eq!(status(1, &behind.token(&[("sub", json!("bo")), ("jti", json!("later"))])).await, 200);
    assert_eq!((status(1, &ana).await, status(1, &next).await), (200, 200));
}

#[tokio::test(start_paused = true)]
async fn without_an_assertion_nobody_is_known_whatever_other_headers_say() {
    let behind = ProxiedServer::new();
    let named =
        [("x-forwarded-user", "ana"), ("x-forwarded-email", "ana"), ("x-pomerium-jwt-assertion", "x")];
    let list = behind.gated.server.send(Method::GET, "/api/vms", &named).await;
    assert_eq!(list.status, 401);
    assert!(list.json()["detail"].as_str().unwrap().contains("did not come through"), "{}", text(&list));
    let page = behind.gated.server.send(Method::GET, "/auth/sign-in", &named).await;
    assert_eq!(page.status, 403);
    assert!(text(&page).contains("did not come through the authenticating proxy"), "{}", text(&page));
    assert!(text(&page).contains("--pass-authorization-header"), "{}", text(&page));
    assert!(text(&page).contains("Authorization") && !text(&page).contains("type=\"password\""));
    let empty = behind.gated.server.send(Method::GET, "/api/vms", &[("authorization", "")]).await;
    assert!(text(&empty).contains("did not come through"), "{}", text(&empty));
    // A scheme that is no token's.
    let basic = [("authorization", "Basic YW5hOmFuYQ==")];
    let list = behind.gated.server.send(Method::GET, "/api/vms", &basic).await;
    let detail = list.json()["detail"].as_str().unwrap().to_owned();
    assert_eq!(list.status, 401);
    assert!(
        detail.contains("does not begin with Bearer") && detail.contains("--pass-authorization-header"),
        "{detail}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_header_that_two_programs_could_read_differently_is_refused_everywhere_but_for_probes() {
    let behind = ProxiedServer::of(FakeProvider::new(SigningKey::ecdsa()), POMERIUM, &[SignInMode::Proxy]);
    let (ana, bo) = (behind.token(&[]), behind.token(&[("sub", json!("bo"))]));
    let header = POMERIUM;
    let name = header.as_str();
    let joined = [ana.as_str(), ", ", &bo].concat();
    let get =
        async |url: &str, headers: &[(&str, &str)]| behind.gated.server.send(Method::GET, url, headers).await;
    assert_eq!(get("/api/vms", &[(name, &ana)]).await.status, 200);
    for headers in [
        &[(name, ana.as_str()), (name, ana.as_str())][..],
        &[(name, ana.as_str()), (name, bo.as_str())],
        &[(name, joined.as_str())],
        &[(name, ana.as_str()), ("x_pomerium_jwt_assertion", bo.as_str())],
        &[("x-pomerium_jwt-assertion", bo.as_str())],
    ] {
        for url in ["/", "/api/vms", "/api/events", "/fn/sources", "/auth/sign-in", "/at/x/en/api/events"] {
            let answer = get(url, headers).await;
            assert_eq!(answer.status, 400, "{url} {headers:?}");
            assert!(text(&answer).contains("there more than once"), "{}", text(&answer));
        }
        assert_eq!(get("/healthz", headers).await.status, 200);
        assert_eq!(get("/readyz", headers).await.status, 200);
    }
    let behind = ProxiedServer::new();
    let ana = ["Bearer ", &behind.token(&[])].concat();
    let twice = [ana.as_str(), ", ", &ana].concat();
    for headers in [&[("authorization", ana.as_str()); 2][..], &[("authorization", &twice)]] {
        assert_eq!(behind.gated.server.send(Method::GET, "/api/vms", headers).await.status, 400);
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_of_kubernetes_go_to_the_api_server_and_assertions_never_do() {
    let modes = [SignInMode::Proxy, SignInMode::Token];
    let behind = ProxiedServer::of(FakeProvider::new(SigningKey::ecdsa()), header::AUTHORIZATION, &modes);
    behind.gated.kubernetes.add_user("script");
    behind.gated.kubernetes.allow_rows("script", "bank");
    let list = behind.get("script", "/api/vms").await;
    assert!(text(&list).contains("vault"), "{}", text(&list));
    assert_eq!(behind.gated.kubernetes.token_reviews(), 1);
    assert!(text(&behind.get(&behind.token(&[]), "/api/vms").await).contains("web"));
    let expired = behind.token(&[("exp", json!(now() - 120))]);
    assert_eq!(behind.get(&expired, "/api/vms").await.status, 401);
    assert_eq!(behind.gated.kubernetes.token_reviews(), 1, "no assertion leaves this program");
    // People may still paste a token.
    let page = behind.gated.server.send(Method::GET, "/auth/sign-in", &[]).await;
    assert!(page.status == 200 && text(&page).contains("type=\"password\""), "{}", text(&page));
}

#[tokio::test(start_paused = true)]
async fn while_the_keys_cannot_be_fetched_nobody_is_refused_for_good() {
    let behind = ProxiedServer::new();
    behind.provider.change(|state| state.is_away = true);
    let ana = behind.token(&[]);
    let (problem, page) = behind.refusal(&ana).await;
    assert_eq!((problem.status.as_u16(), page.status.as_u16()), (503, 503));
    assert!(text(&page).contains("keys of the proxy"), "{}", text(&page));
    behind.provider.change(|state| state.is_away = false);
    tokio::time::advance(std::time::Duration::from_secs(3)).await;
    assert_eq!(behind.get(&ana, "/api/vms").await.status, 200);
    behind.provider.change(|state| state.is_away = true);
    tokio::time::advance(std::time::Duration::from_secs(2 * 3600)).await;
    assert_eq!(behind.get(&ana, "/api/vms").await.status, 200, "the keys of before stay in use");
}

#[tokio::test(start_paused = true)]
async fn a_new_key_is_found() {
    let behind = ProxiedServer::new();
    assert_eq!(behind.get(&behind.token(&[]), "/api/vms").await.status, 200);
    behind.provider.rotate("k2");
    assert_eq!(behind.get(&behind.token(&[]), "/api/vms").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_in_silence_a_minute_after_its_assertion_and_the_next_one_goes_on() {
    let behind = ProxiedServer::new();
    let ends = now() - 60 + 2;
    let short = ["Bearer ", &behind.token(&[("exp", json!(ends))])].concat();
    let mut stream = Stream::open(&behind.gated, &[("authorization", &short)], "/api/events").await;
    let begun = stream.until("event: state").await;
    while now() <= ends + 60 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let rest = stream.rest().await;
    assert!(!rest.contains("event: end") && !rest.contains("problem"), "{rest}");
    let id = begun.lines().find_map(|line| line.strip_prefix("id: ")).map(str::to_owned);
    assert_eq!(behind.get(short.trim_start_matches("Bearer "), "/api/vms").await.status, 401);
    let fresh = ["Bearer ", &behind.token(&[])].concat();
    let id = id.or_else(|| rest.lines().find_map(|line| line.strip_prefix("id: ")).map(str::to_owned));
    let headers = [("authorization", fresh.as_str()), ("last-event-id", id.as_deref().unwrap_or_default())];
    let mut next = Stream::open(&behind.gated, &headers, "/api/events").await;
    behind.gated.server.publish(2, vec![vm("shop", "web"), vm("shop", "new")]);
    next.until("new").await;
}

#[tokio::test(start_paused = true)]
async fn a_sign_out_leads_to_the_proxy_s_and_ends_the_assertion() {
    let behind = ProxiedServer::new();
    let (ana, other) = (behind.token(&[]), behind.token(&[("jti", json!("2"))]));
    let mut stream =
        Stream::open(&behind.gated, &[("authorization", &["Bearer ", &ana].concat())], "/api/events").await;
    let post = |site: &'static str| {
        Request::post("/auth/sign-out")
            .header("host", "vms.example")
            .header("authorization", ["Bearer ", &ana].concat())
            .header("sec-fetch-site", site)
            .body(Body::empty())
            .unwrap()
    };
    let router = &behind.gated.server.router;
    assert_eq!(answer(router.clone(), post("cross-site")).await.status, 403, "another site signs nobody out");
    assert_eq!(behind.get(&ana, "/api/vms").await.status, 200);
    let page = answer(router.clone(), post("same-origin")).await;
    assert_eq!(page.status, 200);
    let html = text(&page);
    assert!(html.contains("url=https://vms.example/oauth2/sign_out?rd=%2F"), "{html}");
    assert!(html.contains("Continue to vms.example"), "{html}");
    assert_eq!(behind.get(&ana, "/api/vms").await.status, 401);
    assert!(stream.rest().await.contains("event: end"));
    assert_eq!(behind.get(&other, "/api/vms").await.status, 200, "who has signed in again");
}
