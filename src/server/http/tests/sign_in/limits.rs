//! What one session may take, and what a flood of junk costs.

use std::time::{Duration, Instant};

use axum::{
    body::Body,
    http::{Method, Request},
};
use tower::ServiceExt;

use super::fixture::*;
use crate::server::{
    config::HttpConfig,
    http::{
        peer::Peer,
        sign_in::SessionKeys,
        tests::fixture::{Answer, Server, answer, eventually, vm},
    },
};

fn gated() -> SignInServer {
    let gated = SignInServer::new(vec![vm("shop", "web")]);
    for user in ["ana", "ben"] {
        gated.kubernetes.add_user(user);
        gated.kubernetes.allow_rows(user, "shop");
    }
    gated
}

/// Sends a request through an ingress: everybody has its address.
async fn through_ingress(gated: &SignInServer, token: &str, url: &str) -> Answer {
    let mut request = Request::get(url).body(Body::empty()).unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request.extensions_mut().insert(Peer::new([10, 42, 0, 1].into()));
    answer(gated.server.router.clone(), request).await
}

#[tokio::test]
async fn one_session_sends_fifty_requests_a_second_and_takes_nothing_from_another() {
    let gated = gated();
    let begun = Instant::now();
    let mut refused = 0;
    for _ in 0..120 {
        let answer = through_ingress(&gated, "ana", "/api/stats").await;
        if answer.status == 429 {
            assert_eq!(answer.header("retry-after"), "1");
            refused += 1;
        }
    }
    // The rate limiter reads the machine's clock: more are allowed if the requests took long.
    let allowed_meanwhile = 50 * (begun.elapsed().as_millis() / 1000 + 1);
    let allowed = 120 - refused;
    assert!((50..=50 + allowed_meanwhile).contains(&allowed), "{allowed} allowed");
    assert_eq!(through_ingress(&gated, "ben", "/api/stats").await.status, 200);
    eventually("the first session may ask again", async || {
        through_ingress(&gated, "ana", "/api/stats").await.status == 200
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn one_session_has_eight_streams_and_two_downloads() {
    let gated = gated();
    for (url, most) in [("/api/events", 8), ("/api/vms.csv", 2)] {
        let mut open = Vec::new();
        let ask = async |user: &str| {
            let request = Request::get(url).header("authorization", format!("Bearer {user}"));
            gated.server.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
        };
        for at in 0..most + 1 {
            let answer = ask("ana").await;
            assert_eq!(answer.status(), if at < most { 200 } else { 429 }, "{url} {at}");
            open.push(answer);
        }
        assert_eq!(ask("ben").await.status(), 200, "{url} of another session");
        open.remove(0);
        assert_eq!(ask("ana").await.status(), 200, "{url} once one has ended");
    }
}

/// Returns a server with three service accounts of two namespaces, whose tokens these are, and room for 8 streams, of which
/// one client may have 4.
fn with_accounts() -> (SignInServer, [&'static str; 3]) {
    let http = HttpConfig { max_event_clients: 8, ..HttpConfig::default() };
    let server = Server::with(vec![vm("shop", "web")], http);
    let gated = SignInServer::over(server, None, SessionKeys::of_this_process(), |sign_in| sign_in);
    let tokens = ["shop-a", "shop-b", "bank-a"];
    for token in tokens {
        let name = format!("system:serviceaccount:{}", token.replace('-', ":"));
        gated.kubernetes.add_user(&name);
        gated.kubernetes.add_token(&name, token);
        gated.kubernetes.allow_rows(&name, "shop");
    }
    (gated, tokens)
}

async fn open_stream(gated: &SignInServer, token: &str) -> axum::response::Response {
    let mut request = Request::get("/api/events").body(Body::empty()).unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request.extensions_mut().insert(Peer::new([10, 42, 0, 1].into()));
    gated.server.router.clone().oneshot(request).await.unwrap()
}

/// One tenant creates as many service accounts as they like.
#[tokio::test(start_paused = true)]
async fn service_accounts_of_one_namespace_share_what_one_client_may_have() {
    let (gated, [one, two, other]) = with_accounts();
    let mut open = Vec::new();
    for (token, status) in
        [(one, 200), (two, 200), (one, 200), (two, 200), (one, 503), (two, 503), (other, 200)]
    {
        let stream = open_stream(&gated, token).await;
        assert_eq!(stream.status(), status, "{token} after {}", open.len());
        open.push(stream);
    }
}

#[tokio::test]
async fn each_service_account_has_the_requests_of_a_user() {
    let (gated, [one, two, _]) = with_accounts();
    let mut refused = 0;
    for _ in 0..120 {
        refused += usize::from(through_ingress(&gated, one, "/api/stats").await.status == 429);
    }
    assert!(refused > 0);
    assert_eq!(through_ingress(&gated, two, "/api/stats").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_bad_tokens_costs_the_api_server_little_and_good_users_nothing() {
    let gated = gated();
    let session = gated.sign_in("ana").await;
    assert_eq!(through_ingress(&gated, "ben", "/api/vms").await.status, 200);
    let before = gated.kubernetes.token_reviews();
    for at in 0..500 {
        let status = through_ingress(&gated, &format!("junk-{at}"), "/api/vms").await.status.as_u16();
        assert!([401, 429].contains(&status), "{status}");
        if at % 25 == 0 {
            assert_eq!(
                through_ingress(&gated, "ben", "/api/stats").await.status,
                200,
                "after {at} bad tokens"
            );
        }
    }
    let asked = gated.kubernetes.token_reviews() - before;
    assert!(asked <= 30, "{asked} reviews for 500 bad tokens");
    assert_eq!(through_ingress(&gated, "ben", "/api/vms").await.status, 200);
    assert_eq!(gated.browse(&session, "/").await.status, 200);
}

/// Cookies that nobody sealed, and cookies of a session that one letter was changed in.
#[tokio::test(start_paused = true)]
async fn a_flood_of_bad_cookies_costs_the_api_server_nothing_and_good_users_nothing() {
    let gated = gated();
    let session = gated.sign_in("ana").await;
    let (name, sealed) = session.split_once('=').unwrap();
    let bad = |at: usize| {
        let at = at % sealed.len();
        let other = if sealed[at..].starts_with('A') { "B" } else { "A" };
        format!("{name}={}{other}{}", &sealed[..at], &sealed[at + 1..])
    };
    let before = (gated.kubernetes.token_reviews(), gated.kubernetes.access_reviews());
    for at in 0..500 {
        let cookie = if at % 2 == 0 { bad(at) } else { format!("{name}=junk-{at}") };
        let status = gated.browse(&cookie, "/").await.status.as_u16();
        assert!([303, 429].contains(&status), "{status} for {cookie}");
        if at % 25 == 0 {
            assert_eq!(gated.browse(&session, "/api/stats").await.status, 200, "after {at} bad cookies");
        }
    }
    assert_eq!((gated.kubernetes.token_reviews(), gated.kubernetes.access_reviews()), before);
}

#[tokio::test(start_paused = true)]
async fn one_address_tries_ten_tokens_a_minute() {
    let gated = gated();
    let mut statuses = Vec::new();
    for at in 0..12 {
        statuses.push(gated.submit("", "/auth/sign-in", &format!("token=junk-{at}")).await.status.as_u16());
    }
    assert_eq!(statuses[..10], [403; 10]);
    assert_eq!(statuses[10..], [429; 2]);
}

#[tokio::test(start_paused = true)]
async fn a_form_without_a_sign_in_is_no_route() {
    let server = crate::server::http::tests::fixture::Server::new(vec![]);
    for path in ["/auth/sign-in", "/auth/sign-out"] {
        assert_eq!(server.get(path).await.status, if path.ends_with("out") { 405 } else { 404 }, "{path}");
        let headers = [("sec-fetch-site", "same-origin")];
        assert_eq!(server.send(Method::POST, path, &headers).await.status, 405, "{path}");
    }
}

#[tokio::test]
async fn further_tokens_give_a_user_no_further_share() {
    let gated = gated();
    let mut refused = 0;
    for token in ["ana-1", "ana-2", "ana-3"] {
        gated.kubernetes.add_token("ana", token);
        for _ in 0..60 {
            refused += usize::from(through_ingress(&gated, token, "/api/stats").await.status == 429);
        }
    }
    assert!(refused > 60, "{refused} of 180");
    for spelling in ["ana x", "ana,x", "ana x y", "a\u{e4}"] {
        let answer = through_ingress(&gated, spelling, "/api/stats").await;
        assert_eq!(answer.status, 401, "{spelling}: the API server reads no more than the first word");
    }
}

/// A bad token is reviewed again after ten seconds, since it may have become good.
#[tokio::test(start_paused = true)]
async fn bad_tokens_that_come_again_count_again() {
    let gated = gated();
    for _ in 0..20 {
        for at in 0..10 {
            through_ingress(&gated, &format!("junk-{at}"), "/api/vms").await;
        }
        tokio::time::sleep(Duration::from_secs(11)).await;
    }
    // The limit counts in real time, in which this takes a moment.
    assert!(gated.kubernetes.token_reviews() <= 35, "{}", gated.kubernetes.token_reviews());
    assert_eq!(through_ingress(&gated, "junk", "/api/vms").await.status, 429);
}

#[tokio::test(start_paused = true)]
async fn a_flood_keeps_nobody_from_signing_out() {
    let gated = gated();
    let session = gated.sign_in("ana").await;
    let mut last = 0;
    for _ in 0..100 {
        last = gated.browse("", "/auth/nothing").await.status.as_u16();
    }
    assert_eq!(last, 429);
    assert_eq!(gated.submit(&session, "/auth/sign-out", "").await.status, 303);
    assert_eq!(gated.submit(&session, "/auth/sign-out", "").await.status, 429, "it is signed out");
    assert_eq!(gated.submit("", "/auth/sign-out", "").await.status, 429);
}

/// The limit counts in real time, in which this takes a moment.
#[tokio::test(start_paused = true)]
async fn guesses_beyond_the_limit_of_an_address_do_not_reach_the_api_server() {
    let gated = gated();
    for at in 0..40 {
        for _ in 0..4 {
            gated.browse("", "/nothing").await;
        }
        gated.get_as(&format!("junk-{at}"), "/api/vms").await;
    }
    assert!(gated.kubernetes.token_reviews() <= 12, "{}", gated.kubernetes.token_reviews());
}

#[tokio::test(start_paused = true)]
async fn sessions_whose_tokens_were_revoked_cost_the_api_server_little() {
    let gated = gated();
    let mut sessions = Vec::new();
    for at in 0..8 {
        let token = format!("ana-{at}");
        gated.kubernetes.add_token("ana", &token);
        sessions.push(gated.sign_in(&token).await);
    }
    (0..8).for_each(|at| gated.kubernetes.end_token(&format!("ana-{at}")));
    tokio::time::sleep(Duration::from_secs(60)).await;
    let before = gated.kubernetes.token_reviews();
    for _ in 0..15 {
        for session in &sessions {
            gated.browse(session, "/api/vms").await;
        }
        tokio::time::sleep(Duration::from_secs(11)).await;
    }
    let asked = gated.kubernetes.token_reviews() - before;
    assert!((8..=35).contains(&asked), "{asked} reviews of 8 tokens");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_token_in_a_header_leaves_the_session_in_the_browser() {
    let gated = gated();
    let session = gated.sign_in("ana").await;
    let headers = [("host", "localhost"), ("cookie", session.as_str()), ("authorization", "Bearer junk")];
    let answer = gated.server.send(Method::GET, "/api/vms", &headers).await;
    assert_eq!(answer.status, 401);
    assert!(answer.headers.get("set-cookie").is_none(), "{:?}", answer.headers);
}
