//! Answers that no provider gave to this browser, and tokens that it must not believe.

use serde_json::json;

use super::realm::*;
use crate::server::config::ClaimMappings;
use collector::clock;

#[tokio::test(start_paused = true)]
async fn a_token_that_is_not_genuine_or_not_for_us_is_refused() {
    let now = clock::now() / 1000;
    for (claim, value, want) in [
        ("nonce", json!("another"), "belongs to another sign-in"),
        ("nonce", json!(null), "belongs to another sign-in"),
        ("iss", json!("https://sso.example/realms/two"), "another issuer"),
        ("aud", json!("other"), "another client"),
        ("aud", json!(["other", "more"]), "another client"),
        ("aud", json!([CLIENT, "other"]), "for several clients"),
        ("azp", json!("other"), "another client"),
        ("exp", json!(now - 120), "has expired"),
        ("iat", json!(now + 120), "in the future"),
        ("nbf", json!(now + 120), "in the future"),
        ("nbf", json!(now as f64 + 120.5), "in the future"),
        ("nbf", json!(u64::MAX), "in the future"),
        ("nbf", json!((now + 120).to_string()), "ID token that can be read"),
        ("sub", json!(null), "ID token that can be read"),
    ] {
        let realm = Realm::new();
        realm.provider.change(|state| drop(state.spoiled.insert(claim.into(), value.clone())));
        let (status, page) = realm.refusal().await;
        assert_eq!(status, 403, "{claim}={value}");
        assert!(page.contains(want), "{claim}={value}: {page}");
    }
}

#[tokio::test(start_paused = true)]
async fn clocks_may_differ_by_a_minute_and_other_audiences_be_named() {
    let now = clock::now() / 1000;
    for (claim, value) in [
        ("exp", json!(now - 50)),
        ("iat", json!(now + 50)),
        ("nbf", json!(now + 50)),
        ("aud", json!([CLIENT])),
    ] {
        let realm = Realm::new();
        realm.provider.change(|state| drop(state.spoiled.insert(claim.into(), value.clone())));
        let browser = Browser::default();
        realm.sign_in(&browser, "%2F").await;
        assert!(browser.has_session(), "{claim}={value}");
    }
    let realm = Realm::new();
    realm.provider.change(|state| {
        state.spoiled = [("aud".into(), json!([CLIENT, "api"])), ("azp".into(), json!(CLIENT))].into();
    });
    let browser = Browser::default();
    realm.sign_in(&browser, "%2F").await;
    assert!(browser.has_session(), "issued to this client, for others too");
}

#[tokio::test(start_paused = true)]
async fn a_token_is_signed_by_a_key_of_the_provider_alone() {
    for (signature, want) in [
        (Signature::None, "not signed, or by an algorithm"),
        (Signature::PublicKeyAsSecret, "not signed, or by an algorithm"),
        (Signature::ClientSecret, "not signed, or by an algorithm"),
    ] {
        let realm = Realm::of(FakeProvider::new(SigningKey::rsa()), keys(), ClaimMappings::default());
        realm.provider.change(|state| state.signature = signature);
        let (status, page) = realm.refusal().await;
        assert_eq!(status, 403, "{signature:?}");
        assert!(page.contains(want), "{signature:?}: {page}");
    }
    let realm = Realm::new();
    realm.provider.change(|state| state.signature = Signature::Forged);
    let (status, page) = realm.refusal().await;
    assert_eq!(status, 403);
    assert!(page.contains("signature of the ID token is wrong"), "{page}");
}

#[tokio::test(start_paused = true)]
async fn unknown_keys_are_looked_up_once_a_minute() {
    let realm = Realm::new();
    let browser = Browser::default();
    realm.sign_in(&browser, "%2F").await;
    assert_eq!(realm.provider.asked("/keys"), 1);
    realm.provider.rotate("k2");
    realm.sign_in(&browser, "%2F").await;
    assert_eq!(realm.provider.asked("/keys"), 2, "the new key is found");
    // One that is published nowhere.
    realm.provider.change(|state| state.key = ("k3".into(), SigningKey::ecdsa()));
    for _ in 0..3 {
        let (status, page) = realm.refusal().await;
        assert_eq!(status, 403);
        assert!(page.contains("does not publish"), "{page}");
    }
    assert_eq!(realm.provider.asked("/keys"), 2, "asked a moment ago");
    tokio::time::advance(std::time::Duration::from_secs(61)).await;
    realm.refusal().await;
    realm.refusal().await;
    assert_eq!(realm.provider.asked("/keys"), 3);
    realm.provider.rotate("k4");
    tokio::time::advance(std::time::Duration::from_secs(61)).await;
    realm.sign_in(&browser, "%2F").await;
    assert_eq!(realm.provider.asked("/keys"), 4);
}

#[tokio::test(start_paused = true)]
async fn a_code_is_good_once_and_for_the_browser_that_asked() {
    let realm = Realm::new();
    let browser = Browser::default();
    let start = browser.get(&realm.gated, "/auth/oidc?next=%2Fsources").await;
    let back = realm.provider.authorize(start.header("location"));
    let before = browser.copy();
    // Another browser has no cookie of it.
    let other = Browser::default();
    let stolen = other.get(&realm.gated, &back).await;
    assert_eq!((stolen.status.as_u16(), other.has_session()), (400, false));
    assert_eq!(realm.provider.asked("/token"), 0);
    assert_eq!(browser.get(&realm.gated, &back).await.status, 303);
    // The same browser, with the cookie of before: the provider knows the code no more.
    let replayed = before.get(&realm.gated, &back).await;
    assert_eq!((replayed.status.as_u16(), before.has_session()), (403, false));
    assert!(text(&replayed).contains("it was used"), "{}", text(&replayed));
    // Loading the page again is no attack.
    assert_eq!(browser.get(&realm.gated, &back).await.header("location"), "/sources");
}

#[tokio::test(start_paused = true)]
async fn a_code_of_another_sign_in_is_not_redeemed() {
    let realm = Realm::new();
    let [mine, other] = [Browser::default(), Browser::default()];
    let start = mine.get(&realm.gated, "/auth/oidc").await;
    let own = realm.provider.authorize(start.header("location"));
    let start = other.get(&realm.gated, "/auth/oidc").await;
    let foreign = realm.provider.authorize(start.header("location"));
    let part = |url: &str, name: &str| {
        let query = url.split_once('?').unwrap().1;
        query.split('&').find_map(|pair| pair.strip_prefix(name)).unwrap().to_owned()
    };
    // The attacker's code with the victim's state: its PKCE verifier is another.
    let mixed =
        format!("/auth/oidc/callback?code={}&state={}", part(&foreign, "code="), part(&own, "state="));
    let answer = mine.get(&realm.gated, &mixed).await;
    assert_eq!((answer.status.as_u16(), mine.has_session()), (403, false), "{}", text(&answer));
}

#[tokio::test(start_paused = true)]
async fn a_state_that_was_not_given_out_is_refused() {
    let realm = Realm::new();
    let browser = Browser::default();
    let start = browser.get(&realm.gated, "/auth/oidc").await;
    let back = realm.provider.authorize(start.header("location"));
    let (path, state) = back.split_once("&state=").unwrap();
    let mut changed = state.to_owned();
    let last = if changed.pop() == Some('A') { 'B' } else { 'A' };
    changed.push(last);
    for wrong in [
        format!("{path}&state={changed}"),
        format!("{path}&state="),
        path.to_owned(),
        format!("{path}&state={}", browser.named("login")[0].1),
        "/auth/oidc/callback".to_owned(),
        format!("/auth/oidc/callback?state={state}"),
    ] {
        let answer = browser.copy().get(&realm.gated, &wrong).await;
        assert_eq!(answer.status, 400, "{wrong}");
        assert!(text(&answer).contains("belongs to no sign-in"), "{wrong}: {}", text(&answer));
    }
    let twice = format!("{back}&state={state}");
    assert_eq!(browser.copy().get(&realm.gated, &twice).await.status, 400);
    assert_eq!(realm.provider.asked("/token"), 0);
    assert_eq!(browser.get(&realm.gated, &back).await.status, 303);
}

#[tokio::test(start_paused = true)]
async fn a_cookie_that_was_changed_is_none() {
    let realm = Realm::new();
    let browser = Browser::default();
    realm.sign_in(&browser, "%2F").await;
    let start = browser.get(&realm.gated, "/auth/oidc").await;
    let back = realm.provider.authorize(start.header("location"));
    let (name, login) = browser.named("login").remove(0);
    let (session_name, session) = browser.named("session").remove(0);
    for value in ["", "x", &login[1..], &[&login, "A"].concat(), &"x".repeat(5_000), &session] {
        let spoiled = browser.copy();
        spoiled.forget("session");
        spoiled.set(&name, value);
        let answer = spoiled.get(&realm.gated, &back).await;
        assert_eq!((answer.status.as_u16(), spoiled.has_session()), (400, false), "{value}");
    }
    for value in ["x", &session[1..], &"x".repeat(3_900), &login] {
        let spoiled = browser.copy();
        spoiled.set(&session_name, value);
        assert_eq!(spoiled.get(&realm.gated, "/").await.status, 303, "{value}");
    }
    assert_eq!(realm.provider.asked("/token"), 1);
}

#[tokio::test(start_paused = true)]
async fn the_answer_comes_from_the_provider_that_was_asked() {
    for (announces, issuer, fine) in [
        (false, None, true),
        (false, Some(ISSUER), true),
        (false, Some("https://evil.example"), false),
        (true, None, false),
        (true, Some(ISSUER), true),
        (true, Some("https://evil.example"), false),
    ] {
        let realm = Realm::new();
        realm.provider.change(|state| {
            let name = "authorization_response_iss_parameter_supported".to_owned();
            state.configuration.insert(name, json!(announces));
        });
        let browser = Browser::default();
        let start = browser.get(&realm.gated, "/auth/oidc").await;
        let mut back = realm.provider.authorize(start.header("location"));
        if let Some(issuer) = issuer {
            back.push_str("&iss=");
            back.push_str(&issuer.replace(':', "%3A").replace('/', "%2F"));
        }
        let answer = browser.get(&realm.gated, &back).await;
        assert_eq!((answer.status == 303, browser.has_session()), (fine, fine), "{announces} {issuer:?}");
        assert_eq!(realm.provider.asked("/token"), usize::from(fine), "the code is not sent elsewhere");
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_provider_is_shown_as_text() {
    let realm = Realm::new();
    for (error, want) in [
        ("access_denied", "did not let you in"),
        ("server_error", "the error server_error"),
        ("%3Cscript%3Ex", "the error &lt;script&gt;x"),
    ] {
        let browser = Browser::default();
        let start = browser.get(&realm.gated, "/auth/oidc").await;
        let back = realm.provider.authorize(start.header("location"));
        let state = back.split_once("state=").unwrap().1;
        let answer =
            browser.get(&realm.gated, &format!("/auth/oidc/callback?error={error}&state={state}")).await;
        assert_eq!(answer.status, 403, "{error}");
        assert!(text(&answer).contains(want), "{error}: {}", text(&answer));
        assert!(browser.named("login").is_empty());
    }
    // An error without a sign-in of this browser says nothing that its author chose.
    let answer =
        Browser::default().get(&realm.gated, "/auth/oidc/callback?error=call_0900_now&state=x").await;
    assert!(!text(&answer).contains("call_0900"), "{}", text(&answer));
}
