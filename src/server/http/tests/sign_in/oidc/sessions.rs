//! From the sign-in page to the provider and back, and out again.

use axum::http::Method;
use serde_json::json;

use super::realm::*;
use crate::server::{
    config::{ClaimMappings, SignInMode},
    http::{
        sign_in::SessionKeys,
        tests::{
            fixture::{Server, vm},
            sign_in::fixture::SignInServer,
        },
    },
};

#[tokio::test(start_paused = true)]
async fn a_person_signs_in_at_the_provider_and_sees_what_their_claims_allow() {
    for key in [SigningKey::rsa(), SigningKey::ecdsa()] {
        let realm = Realm::of(FakeProvider::new(key), keys(), ClaimMappings::default());
        let browser = Browser::default();
        let page = browser.get(&realm.gated, "/vms/shop/web?span=7d").await;
        let page = browser.get(&realm.gated, page.header("location")).await;
        let html = text(&page);
        let link = r#"href="/auth/oidc?next=%2Fvms%2Fshop%2Fweb%3Fspan%3D7d""#;
        assert!(html.contains(link) && html.contains("Continue to sso.example"), "{html}");
        assert_eq!(page.header("referrer-policy"), "same-origin");
        let back = realm.sign_in(&browser, "%2Fvms%2Fshop%2Fweb%3Fspan%3D7d").await;
        let found = (back.status.as_u16(), back.header("location"), back.header("referrer-policy"));
        assert_eq!(found, (303, "/vms/shop/web?span=7d", "same-origin"));
        assert!(browser.named("login").is_empty(), "its cookie is used up");
        let home = text(&browser.get(&realm.gated, "/").await);
        assert!(home.contains("web") && !home.contains("vault"), "{home}");
        assert!(home.contains("oidc:ana") && home.contains("oidc:ops, system:authenticated"), "{home}");
    }
}

#[tokio::test(start_paused = true)]
async fn groups_of_the_claims_give_rights() {
    let realm = Realm::new();
    realm.provider.change(|state| state.claims = json!({"sub": "bob", "groups": ["board", "ops"]}));
    let browser = Browser::default();
    realm.sign_in(&browser, "%2F").await;
    let home = text(&browser.get(&realm.gated, "/").await);
    assert!(home.contains("vault") && !home.contains("shop"), "{home}");
}

#[tokio::test(start_paused = true)]
async fn five_tabs_sign_in_at_once() {
    let realm = Realm::new();
    let browser = Browser::default();
    let mut backs = Vec::new();
    for tab in 0..5 {
        let start = browser.get(&realm.gated, &format!("/auth/oidc?next=%2Fvms%2Fshop%2Ftab-{tab}")).await;
        backs.push(realm.provider.authorize(start.header("location")));
        assert!(browser.named("login").len() <= 3, "{:?}", browser.named("login"));
    }
    // The last ones come first: the others find a session.
    for (tab, back) in backs.iter().enumerate().rev() {
        let answer = browser.get(&realm.gated, back).await;
        let found = (answer.status.as_u16(), answer.header("location").to_owned());
        assert_eq!(found, (303, format!("/vms/shop/tab-{tab}")), "{}", text(&answer));
    }
    assert_eq!(realm.provider.asked("/token"), 3);
    assert!(browser.has_session() && browser.named("login").is_empty());
}

#[tokio::test(start_paused = true)]
async fn another_replica_with_the_same_keys_takes_over_anywhere() {
    let one = Realm::new();
    let two = one.replica(keys());
    let browser = Browser::default();
    let start = browser.get(&one.gated, "/auth/oidc?next=%2Fsources").await;
    let back = one.provider.authorize(start.header("location"));
    let answer = browser.get(&two.gated, &back).await;
    assert_eq!(answer.header("location"), "/sources", "{}", text(&answer));
    for replica in [&one, &two] {
        assert_eq!(browser.get(&replica.gated, "/").await.status, 200);
    }
    let stranger = one.replica(SessionKeys::of_this_process());
    assert_eq!(browser.get(&stranger.gated, "/").await.status, 303);
}

#[tokio::test(start_paused = true)]
async fn keys_that_are_rotated_during_a_sign_in_do_not_end_it() {
    let old = Realm::new();
    let browser = Browser::default();
    let start = browser.get(&old.gated, "/auth/oidc?next=%2Fsources").await;
    let back = old.provider.authorize(start.header("location"));
    let rotated = old.replica(SessionKeys::new(&[[8; 32], KEY]).unwrap());
    let answer = browser.get(&rotated.gated, &back).await;
    assert_eq!(answer.header("location"), "/sources", "{}", text(&answer));
    // Without the old key the sign-in is unknown, and says so.
    let start = browser.get(&old.gated, "/auth/oidc?next=%2Fsources").await;
    let back = old.provider.authorize(start.header("location"));
    let changed = old.replica(SessionKeys::new(&[[9; 32]]).unwrap());
    let answer = browser.get(&changed.gated, &back).await;
    assert_eq!(answer.status, 400);
    assert!(text(&answer).contains("belongs to no sign-in"), "{}", text(&answer));
}

#[tokio::test(start_paused = true)]
async fn a_sign_out_ends_the_session_here_and_leads_to_the_provider_s() {
    let realm = Realm::new();
    let browser = Browser::default();
    realm.sign_in(&browser, "%2F").await;
    let kept = browser.copy();
    let out = browser.post(&realm.gated, "/auth/sign-out", "").await;
    assert!(!browser.has_session());
    let html = text(&out);
    assert_eq!(out.status, 200, "no redirect, which form-action would block");
    let leave = r#"<meta http-equiv="refresh" content="0; url=https://sso.example/realms/one/leave?client_id=vms&amp;post_logout_redirect_uri=https%3A%2F%2Fvms.example%2Fauth%2Fsign-in%3Fsigned-out%3D1&amp;id_token_hint=ey"#;
    assert!(html.contains(leave) && html.contains("Sign out at sso.example too"), "{html}");
    assert_eq!(kept.get(&realm.gated, "/").await.status, 303, "even if the browser kept the cookie");
    // A provider without such an address is left alone.
    let realm = Realm::new();
    realm.provider.change(|state| {
        state.configuration.insert("end_session_endpoint".into(), json!(null));
    });
    realm.sign_in(&browser, "%2F").await;
    let out = browser.post(&realm.gated, "/auth/sign-out", "").await;
    assert_eq!(out.header("location"), "/auth/sign-in?signed-out=1");
}

#[tokio::test(start_paused = true)]
async fn a_session_takes_two_cookies_at_most_and_no_group_is_cut() {
    let groups = |count: usize| (0..count).map(|n| format!("department-{n:04}")).collect::<Vec<_>>();
    let realm = Realm::new();
    for (count, cookies) in [(1, 1), (100, 1), (200, 2)] {
        realm.provider.change(|state| state.claims = json!({"sub": "ana", "groups": groups(count)}));
        let browser = Browser::default();
        realm.sign_in(&browser, "%2F").await;
        assert_eq!(browser.named("session").len(), cookies, "{count}");
        assert!(browser.named("session").iter().all(|(_, value)| value.len() <= 3_800));
        let home = text(&browser.get(&realm.gated, "/").await);
        assert!(home.contains("oidc:department-0000"), "{home}");
    }
    realm.provider.change(|state| state.claims = json!({"sub": "ana", "groups": groups(2_000)}));
    let (status, page) = realm.refusal().await;
    assert_eq!(status, 403);
    assert!(page.contains("Your 2001 groups") && page.contains("--oidc-groups-filter"), "{page}");
    let filtered = ClaimMappings {
        groups_filter: Some("department-00[0-4].".parse().unwrap()),
        ..ClaimMappings::default()
    };
    let realm = Realm::of(realm.provider.clone(), keys(), filtered);
    let browser = Browser::default();
    let back = realm.sign_in(&browser, "%2F").await;
    assert_eq!((back.status.as_u16(), browser.named("session").len()), (303, 1));
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_is_away_is_said_and_ends_nothing_but_the_sign_in() {
    let realm = Realm::new();
    realm.provider.change(|state| state.is_away = true);
    let browser = Browser::default();
    let start = browser.get(&realm.gated, "/auth/oidc?next=%2Fsources").await;
    assert_eq!(start.status, 503);
    let html = text(&start);
    assert!(
        html.contains("OIDC provider (--oidc-issuer) refuses connections")
            && html.contains("next=%2Fsources"),
        "{html}"
    );
    let page = text(&browser.get(&realm.gated, "/auth/sign-in").await);
    assert!(page.contains("refuses connections"), "known from the last attempt: {page}");
    realm.provider.change(|state| state.is_away = false);
    tokio::time::advance(std::time::Duration::from_secs(2)).await;
    let start = browser.get(&realm.gated, "/auth/oidc?next=%2Fsources").await;
    let back = realm.provider.authorize(start.header("location"));
    realm.provider.change(|state| state.is_away = true);
    let answer = browser.get(&realm.gated, &back).await;
    assert_eq!(answer.status, 503, "and between the two");
    assert!(text(&answer).contains("Nobody can sign in at the identity provider now"), "{}", text(&answer));
}

/// Everybody can open the page that says what is wrong.
#[tokio::test(start_paused = true)]
async fn an_answer_that_cannot_be_read_is_not_repeated() {
    let realm = Realm::new();
    let long = json!("x".repeat(200_000));
    realm.provider.change(|state| drop(state.configuration.insert("response_types_supported".into(), long)));
    let browser = Browser::default();
    let start = browser.get(&realm.gated, "/auth/oidc?next=%2Fsources").await;
    assert!(text(&start).contains("cannot be read (invalid type"), "{}", text(&start).len());
    assert!(start.body.len() < 20_000, "{} bytes", start.body.len());
}

#[tokio::test(start_paused = true)]
async fn what_is_configured_wrongly_is_said_with_its_fix() {
    for (name, value, want) in [
        ("issuer", json!("https://sso.example/realms/one/"), "set --oidc-issuer to exactly that"),
        ("response_types_supported", json!(["id_token"]), "authorization code flow"),
        ("code_challenge_methods_supported", json!(["plain"]), "PKCE with S256"),
        ("token_endpoint", json!(null), "no token endpoint"),
        ("token_endpoint", json!("http://sso.example/token"), "not an https:// address"),
        ("jwks_uri", json!("http://sso.example/keys"), "jwks_uri"),
        ("authorization_endpoint", json!("nonsense"), "cannot be read"),
    ] {
        let realm = Realm::new();
        realm.provider.change(|state| drop(state.configuration.insert(name.into(), value)));
        let start = Browser::default().get(&realm.gated, "/auth/oidc").await;
        assert_eq!(start.status, 503, "{name}");
        assert!(text(&start).contains(want), "{name}: {}", text(&start));
    }
    let realm = Realm::new();
    std::fs::write(realm.config.client_secret_file.as_ref().unwrap(), "another").unwrap();
    let (status, page) = realm.refusal().await;
    assert_eq!(status, 403);
    assert!(page.contains("Check --oidc-client-id and --oidc-client-secret-file"), "{page}");
    std::fs::remove_file(realm.config.client_secret_file.as_ref().unwrap()).unwrap();
    let (status, page) = realm.refusal().await;
    assert_eq!(status, 503);
    assert!(
        page.contains("The file of --oidc-client-secret-file cannot be read: the file does not exist"),
        "{page}"
    );
    std::fs::write(realm.config.client_secret_file.as_ref().unwrap(), " \n").unwrap();
    let (status, page) = realm.refusal().await;
    assert_eq!(status, 503);
    assert!(page.contains("cannot be read: the file is empty"), "{page}");
}

#[tokio::test(start_paused = true)]
async fn claims_that_make_no_user_are_said_with_their_fix() {
    for (claims, want) in [
        (json!({"sub": "ana", "groups": [7]}), "--oidc-groups-claim"),
        (json!({"sub": "ana", "hasgroups": true}), "assigned to this application"),
        (json!({"sub": "a\u{7}b"}), "--oidc-username-claim"),
    ] {
        let realm = Realm::new();
        realm.provider.change(|state| state.claims = claims.clone());
        let (status, page) = realm.refusal().await;
        assert_eq!(status, 403, "{claims}");
        assert!(page.contains(want), "{claims}: {page}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_begins_at_the_public_address() {
    let realm = Realm::new();
    let browser = Browser::default();
    for host in ["10.0.0.7:8081", "vms", "vms.example.com"] {
        let start = browser.get_at(host, &realm.gated, "/auth/oidc?next=%2Fsources").await;
        let want = "https://vms.example/auth/oidc?moved=&next=%2Fsources";
        assert_eq!((start.status.as_u16(), start.header("location")), (303, want), "{host}");
        assert!(browser.named("login").is_empty(), "{host}");
    }
    for host in ["vms.example", "VMS.example:443"] {
        let start = browser.get_at(host, &realm.gated, "/auth/oidc?next=%2Fsources").await;
        assert!(start.header("location").starts_with(ISSUER), "{host}: {}", start.header("location"));
    }
    // A proxy that asks for another host leads nobody in a circle.
    let url = "/auth/oidc?moved=&next=%2Fsources";
    let start = browser.get_at("wukong-dashboard:8081", &realm.gated, url).await;
    assert!(start.header("location").starts_with(ISSUER), "{}", start.header("location"));
    browser.forget("login");
    let lost = browser.get(&realm.gated, &realm.provider.authorize(start.header("location"))).await;
    assert!(text(&lost).contains("Sign in again at https://vms.example/"), "{}", text(&lost));
}

#[tokio::test(start_paused = true)]
async fn where_people_sign_in_at_a_provider_alone_programs_are_told_so() {
    let provider = FakeProvider::new(SigningKey::ecdsa());
    let (config, _secret) = config(ClaimMappings::default());
    let server = Server::new(vec![vm("shop", "web")]);
    let modes = [SignInMode::Oidc].into_iter().collect();
    let gated = SignInServer::by(modes, server, Some(PUBLIC), keys(), at(&provider, &config));
    for headers in [&[][..], &[("authorization", "Bearer x")], &[("authorization", "Basic eA==")]] {
        let answer = gated.server.send(Method::GET, "/api/vms", headers).await;
        assert_eq!(answer.status, 401, "{headers:?}");
        let want = "sign in in a browser; programs cannot sign in here, since --sign-in has no token";
        assert_eq!(answer.json()["detail"], want, "{headers:?}");
    }
    assert_eq!(gated.kubernetes.token_reviews(), 0);
}
