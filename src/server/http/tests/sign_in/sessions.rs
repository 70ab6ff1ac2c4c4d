//! Tokens and sessions: who is let in, and for how long.

use std::time::Duration;

use axum::http::Method;

use super::fixture::*;
use crate::server::config::HttpConfig;
use crate::server::http::sign_in::{Proof, Session, SessionKeys};
use crate::server::http::tests::fixture::{Server, eventually, vm};

fn gated() -> SignInServer {
    let gated = SignInServer::new(vec![vm("shop", "web"), vm("bank", "vault")]);
    gated.kubernetes.add_user("ana");
    gated.kubernetes.allow_rows("ana", "shop");
    gated
}

#[tokio::test(start_paused = true)]
async fn without_a_token_pages_lead_to_the_sign_in_and_programs_get_401() {
    let gated = gated();
    for (path, next) in [
        ("/", "/auth/sign-in"),
        ("/vms/shop/web?span=7d", "/auth/sign-in?next=%2Fvms%2Fshop%2Fweb%3Fspan%3D7d"),
        ("/sources", "/auth/sign-in?next=%2Fsources"),
        ("/nothing/here", "/auth/sign-in?next=%2Fnothing%2Fhere"),
    ] {
        let answer = gated.browse("", path).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (303, next), "{path}");
        assert_eq!(answer.body.len(), 0, "{path}");
    }
    for path in [
        "/api/vms",
        "/api/vms.csv",
        "/api/vms/web",
        "/api/stats",
        "/api/events",
        "/api",
        "/api/nothing",
        "/fn/home",
        "/at/h1/en/fn/home",
        "/at/h1/en/api/events",
    ] {
        let answer = gated.browse("", path).await;
        assert_eq!(answer.status, 401, "{path}");
        assert!(!String::from_utf8_lossy(&answer.body).contains("web"), "{path}");
    }
    assert_eq!(gated.browse("", "/api/vms").await.header("www-authenticate"), "Bearer");
    for open in ["/healthz", "/readyz", "/pkg/h1/app.css", "/robots.txt", "/auth/sign-in"] {
        assert_eq!(gated.browse("", open).await.status, 200, "{open}");
    }
}

/// Everybody who comes back after a minute is reviewed again, and their page waits for it.
#[tokio::test(start_paused = true)]
async fn a_page_waits_for_the_last_review_and_no_longer() {
    let gated = gated();
    for _ in 0..2 {
        let begun = tokio::time::Instant::now();
        let vms = gated.get_as("ana", "/api/vms").await;
        assert_eq!((vms.status.as_u16(), vms.json().as_array().unwrap().len()), (200, 1));
        assert!(begun.elapsed() < Duration::from_millis(20), "{:?}", begun.elapsed());
        tokio::time::sleep(Duration::from_secs(200)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_shows_the_vms_of_its_user_and_no_others() {
    let gated = gated();
    let vms = gated.get_as("ana", "/api/vms").await;
    assert_eq!(vms.status, 200);
    assert_eq!(vms.json().as_array().unwrap().len(), 1);
    assert_eq!(vms.json()[0]["name"], "web");
    assert_eq!(gated.get_as("ana", "/api/stats").await.json()["total"], 1);
    let [hidden, absent] =
        [gated.get_as("ana", "/api/vms/vault").await, gated.get_as("ana", "/api/vms/none").await];
    assert_eq!((hidden.status.as_u16(), &hidden.body), (404, &absent.body), "as if it did not exist");
    let stranger = gated.get_as("nobody", "/api/vms").await;
    assert_eq!(stranger.status, 401);
    assert_eq!(stranger.header("www-authenticate"), "Bearer error=\"invalid_token\"");
}

#[tokio::test(start_paused = true)]
async fn a_session_lasts_until_sign_out_or_the_token_s_end() {
    let gated = gated();
    let session = gated.sign_in("ana").await;
    let page = gated.browse(&session, "/").await;
    let html = String::from_utf8_lossy(&page.body).into_owned();
    assert_eq!(page.status, 200);
    assert!(html.contains("web") && !html.contains("vault") && !html.contains("bank"), "{html}");
    let other = gated.sign_in("ana").await;
    let out = gated.submit(&session, "/auth/sign-out", "").await;
    assert_eq!((out.status.as_u16(), cookies(&out).as_str()), (303, ""));
    assert_eq!(gated.browse(&session, "/").await.status, 303, "even if the browser kept the cookie");
    assert_eq!(gated.browse(&other, "/").await.status, 200, "another browser");
    gated.kubernetes.end_token("ana");
    tokio::time::advance(Duration::from_secs(60)).await;
    let ended = gated.browse(&other, "/").await;
    assert_eq!(ended.header("location"), "/auth/sign-in?ended=1");
    assert!(ended.header("set-cookie").contains("Max-Age=0"), "the browser drops it");
    for (lead, want) in
        [(ended.header("location"), "session has ended"), (out.header("location"), "are signed out")]
    {
        let page = gated.browse("", lead).await;
        assert!(String::from_utf8_lossy(&page.body).contains(want), "{lead}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_form_comes_from_a_page_of_this_server() {
    let gated = gated();
    let send = async |headers: &[(&str, &str)]| {
        let mut all = vec![("host", "localhost"), ("content-type", "application/x-www-form-urlencoded")];
        all.extend_from_slice(headers);
        gated.server.send(Method::POST, "/auth/sign-out", &all).await.status.as_u16()
    };
    assert_eq!(send(&[("sec-fetch-site", "same-origin")]).await, 303);
    assert_eq!(send(&[("origin", "http://localhost")]).await, 303, "a browser without Fetch Metadata");
    assert_eq!(send(&[("origin", "null"), ("sec-fetch-site", "same-origin")]).await, 303, "no referrer");
    for foreign in [
        &[][..],
        &[("origin", "null")],
        &[("origin", "http://evil.example")],
        &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "none")],
        &[("origin", "http://localhost"), ("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
    ] {
        assert_eq!(send(foreign).await, 403, "{foreign:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_form_without_a_host_comes_from_nowhere() {
    let answer = gated().server.send(Method::POST, "/auth/sign-out", &[("origin", "null")]).await;
    assert_eq!(answer.status, 403);
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_leads_back_to_this_server_only() {
    let gated = gated();
    for (next, want) in [
        ("%2Fvms%2Fshop%2Fweb%3Fspan%3D7d", "/vms/shop/web?span=7d"),
        ("", "/"),
        ("%2F%2Fevil.example", "/"),
        ("%2F%5Cevil.example", "/"),
        ("https%3A%2F%2Fevil.example", "/"),
        ("%2Fauth%2Fsign-out", "/"),
        ("%2F%0D%0Aset-cookie%3A+x", "/"),
    ] {
        let answer = gated.submit("", "/auth/sign-in", &format!("token=ana&next={next}")).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (303, want), "{next}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_not_accepted_is_said_on_the_page() {
    let gated = gated();
    for (form, status, want) in [
        ("token=nobody", 403, "does not accept"),
        ("token=", 400, "Enter a token"),
        ("", 400, "Enter a token"),
        ("token=%3Cscript%3E&next=%22%3E%3Cscript%3E", 403, "does not accept"),
    ] {
        let answer = gated.submit("", "/auth/sign-in", form).await;
        let html = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status, status, "{form}");
        assert!(html.contains(want) && !html.contains("<script>"), "{html}");
    }
    gated.kubernetes.set_away(true);
    assert_eq!(gated.submit("", "/auth/sign-in", "token=other").await.status, 503);
}

#[tokio::test(start_paused = true)]
async fn a_session_crosses_no_network_without_tls() {
    let gated = gated();
    let send = async |host: &str| {
        let headers = [("host", host), ("sec-fetch-site", "same-origin")];
        let form = [("content-type", "application/x-www-form-urlencoded")];
        gated.server.send(Method::POST, "/auth/sign-in", &[&headers[..], &form].concat()).await
    };
    for far in ["vms.example", "10.0.0.7:8081", "localhost.evil.example"] {
        let answer = send(far).await;
        assert!(String::from_utf8_lossy(&answer.body).contains("--public-url"), "{far}");
        assert!(answer.headers.get("set-cookie").is_none(), "{far}");
    }
    for proxied in ["x-forwarded-for", "x-forwarded-proto", "forwarded"] {
        let headers = [("host", "localhost"), ("sec-fetch-site", "same-origin"), (proxied, "203.0.113.5")];
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let answer = gated.server.send(Method::POST, "/auth/sign-in", &[&headers[..], &form].concat()).await;
        assert!(String::from_utf8_lossy(&answer.body).contains("--public-url"), "{proxied}");
    }
    let secure = SignInServer::at(vec![], Some("https://vms.example"));
    secure.kubernetes.add_user("ana");
    let answer = secure.submit("", "/auth/sign-in", "token=ana").await;
    let set = answer.header("set-cookie");
    assert!(set.starts_with("__Host-") && set.contains("Secure"), "{set}");
}

#[tokio::test(start_paused = true)]
async fn a_listener_with_tls_protects_a_session_unless_browsers_come_another_way() {
    for (public_url, is_protected) in
        [(None, true), (Some("https://vms.example"), true), (Some("http://vms.example"), false)]
    {
        let server = Server::with(vec![], HttpConfig::default());
        let keys = SessionKeys::of_this_process();
        let gated = SignInServer::over(server, public_url, keys, |sign_in| sign_in.over_tls(true));
        gated.kubernetes.add_user("ana");
        let answer = gated.submit_to("vms.example", "", "/auth/sign-in", "token=ana").await;
        let set = answer.headers.get("set-cookie").map(|set| set.to_str().unwrap()).unwrap_or_default();
        assert_eq!(
            set.starts_with("__Host-") && set.contains("Secure"),
            is_protected,
            "{public_url:?}: {set}"
        );
    }
}

/// A user who comes back after minutes has rights that ended: a program must not take them for none.
#[tokio::test(start_paused = true)]
async fn a_program_that_asks_every_ten_minutes_gets_the_whole_list_each_time() {
    let gated = gated();
    for _ in 0..4 {
        let vms = gated.get_as("ana", "/api/vms").await;
        assert_eq!((vms.status.as_u16(), vms.json().as_array().unwrap().len()), (200, 1));
        tokio::time::sleep(Duration::from_secs(300)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn page_views_within_a_minute_cost_no_review() {
    let gated = gated();
    let session = gated.sign_in("ana").await;
    gated.browse(&session, "/").await;
    let before = (gated.kubernetes.token_reviews(), gated.kubernetes.access_reviews());
    for _ in 0..50 {
        assert_eq!(gated.browse(&session, "/sources").await.status, 200);
    }
    assert_eq!((gated.kubernetes.token_reviews(), gated.kubernetes.access_reviews()), before);
}

#[tokio::test(start_paused = true)]
async fn while_the_api_server_is_away_the_last_answers_stand_for_five_minutes() {
    let gated = gated();
    let session = gated.sign_in("ana").await;
    let rows = async || {
        let page = gated.browse(&session, "/").await;
        (page.status.as_u16(), String::from_utf8_lossy(&page.body).contains("/vms/shop/web"))
    };
    assert_eq!(rows().await, (200, true));
    gated.kubernetes.set_away(true);
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(rows().await, (200, true));
    }
    tokio::time::sleep(Duration::from_secs(90)).await;
    assert_eq!(rows().await, (503, false));
    gated.kubernetes.set_away(false);
    eventually("the page is back", async || {
        tokio::time::sleep(Duration::from_secs(1)).await;
        rows().await == (200, true)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_ten_hours_after_its_sign_in() {
    let keys = || SessionKeys::new(&[[7; 32]]).unwrap();
    let gated = SignInServer::with_keys(vec![vm("shop", "web")], None, keys());
    gated.kubernetes.add_user("ana");
    let session = |began| Session { id: [1; 16], began, proof: Proof::Token("ana".into()) };
    let hours_ago = async |hours: i64| {
        let began = collector::clock::now() / 1000 - hours * 3600;
        let sealed = keys().seal(&session(began)).unwrap();
        gated.browse(&format!("wukong-session-0={sealed}"), "/").await.status
    };
    assert_eq!(hours_ago(9).await, 200);
    assert_eq!(hours_ago(10).await, 303);
    let forged = SessionKeys::of_this_process();
    let sealed = forged.seal(&session(i64::MAX)).unwrap();
    assert_eq!(gated.browse(&format!("wukong-session-0={sealed}"), "/").await.status, 303, "another key");
}

/// A thousand namespaces take seven seconds to ask about: no list is silently incomplete meanwhile.
#[tokio::test(start_paused = true)]
async fn a_list_for_programs_is_whole_or_not_there() {
    let names: Vec<String> = (0..1_500).map(|n| format!("team-{n}")).collect();
    let gated = SignInServer::new(names.iter().map(|namespace| vm(namespace, "web")).collect());
    gated.kubernetes.add_user("ana");
    names.iter().for_each(|namespace| gated.kubernetes.allow_rows("ana", namespace));
    let first = gated.get_as("ana", "/api/vms").await;
    assert_eq!((first.status.as_u16(), first.header("retry-after")), (503, "2"));
    assert_eq!(gated.get_as("ana", "/").await.status, 303, "a token in a header is for programs");
    let page = gated.browse(&gated.sign_in("ana").await, "/").await;
    assert_eq!(page.status, 200, "a page shows what is known");
    eventually("the list is whole", async || {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let list = gated.get_as("ana", "/api/vms").await;
        assert!(
            list.status == 503 || list.json().as_array().unwrap().len() == names.len(),
            "{}",
            list.status
        );
        list.status == 200
    })
    .await;
}
