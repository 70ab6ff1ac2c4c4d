//! An identity is asked for again after an hour, without a question.

use std::sync::Arc;

use serde_json::json;

use super::realm::*;
use crate::server::http::sign_in::{ClaimedIdentity, Proof, Session};
use collector::clock;
use wukong_core::access::UserInfo;

const MINUTE: i64 = 60;

/// Returns the browser of Ana, who signed in and was last renewed so many minutes ago.
fn browser_of_ana(began: i64, renewed: i64) -> Browser {
    let now = clock::now() / 1000;
    let user = UserInfo {
        name: "oidc:ana".into(),
        groups: vec!["oidc:ops".into(), "system:authenticated".into()],
        ..UserInfo::default()
    };
    let renewed = now - renewed * MINUTE;
    let identity = ClaimedIdentity { user: Arc::new(user), renewed, tried: renewed, id_token: None };
    let session = Session { id: [1; 16], began: now - began * MINUTE, proof: Proof::Identity(identity) };
    let browser = Browser::default();
    browser.set("__Host-wukong-session-0", &keys().seal(&session).unwrap());
    browser
}

fn session_of(browser: &Browser) -> Session {
    let parts: String = browser.named("session").into_iter().map(|(_, value)| value).collect();
    keys().open(&parts).unwrap()
}

/// Follows a page to the renewal, and lets the provider answer without a question.
async fn renew(realm: &Realm, browser: &Browser) -> String {
    let page = browser.get(&realm.gated, "/sources").await;
    assert_eq!(page.header("location"), "/auth/oidc?renew=&next=%2Fsources");
    let start = browser.get(&realm.gated, page.header("location")).await;
    let location = start.header("location").to_owned();
    assert!(location.contains("&prompt=none"), "{location}");
    location
}

#[tokio::test(start_paused = true)]
async fn a_page_renews_an_identity_that_is_an_hour_old() {
    let realm = Realm::new();
    let young = browser_of_ana(50, 50);
    let page = young.get(&realm.gated, "/").await;
    assert_eq!(page.status, 200);
    assert!(text(&page).contains(r#"data-renew="600""#) || text(&page).contains(r#"data-renew="599""#));
    let browser = browser_of_ana(61, 61);
    for path in ["/api/vms", "/fn/home"] {
        assert_eq!(browser.get(&realm.gated, path).await.status, 200, "{path}: not for programs");
    }
    realm.provider.change(|state| state.claims = json!({"sub": "ana", "groups": ["board"]}));
    let location = renew(&realm, &browser).await;
    let back = browser.get(&realm.gated, &realm.provider.authorize(&location)).await;
    assert_eq!((back.status.as_u16(), back.header("location")), (303, "/sources"), "{}", text(&back));
    let session = session_of(&browser);
    assert_eq!(session.id, [1; 16], "the same session");
    assert!(session.began < clock::now() / 1000 - 60 * MINUTE, "which does not last longer");
    let home = text(&browser.get(&realm.gated, "/").await);
    assert!(home.contains("vault") && home.contains("web"), "with other groups: {home}");
}

#[tokio::test(start_paused = true)]
async fn an_identity_stands_a_while_if_the_provider_is_away() {
    let realm = Realm::new();
    realm.provider.change(|state| state.is_away = true);
    let browser = browser_of_ana(70, 70);
    let page = browser.get(&realm.gated, "/sources").await;
    let start = browser.get(&realm.gated, page.header("location")).await;
    assert_eq!((start.status.as_u16(), start.header("location")), (303, "/sources"));
    let page = browser.get(&realm.gated, "/sources").await;
    assert_eq!(page.status, 200, "and is not asked again at once");
    assert!(text(&page).contains("data-renew=\"60\"") || text(&page).contains("data-renew=\"59\""));
    let late = browser_of_ana(75, 75);
    for path in ["/sources", "/"] {
        assert!(late.get(&realm.gated, path).await.header("location").starts_with("/auth/sign-in"), "{path}");
    }
    assert_eq!(browser_of_ana(76, 76).get(&realm.gated, "/api/vms").await.status, 401);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_fails_between_the_two_changes_nothing() {
    let realm = Realm::new();
    let browser = browser_of_ana(61, 61);
    let location = renew(&realm, &browser).await;
    let back = realm.provider.authorize(&location);
    realm.provider.change(|state| state.is_away = true);
    let answer = browser.get(&realm.gated, &back).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (303, "/sources"));
    assert_eq!(browser.get(&realm.gated, "/sources").await.status, 200);
    // So does one that says that it cannot now.
    realm.provider.change(|state| state.is_away = false);
    let browser = browser_of_ana(61, 61);
    let location = renew(&realm, &browser).await;
    let answer = refuse(&realm, &browser, &location, "temporarily_unavailable").await;
    assert_eq!(answer.header("location"), "/sources");
    assert!(browser.has_session());
}

async fn refuse(
    realm: &Realm,
    browser: &Browser,
    location: &str,
    error: &str,
) -> super::super::super::fixture::Answer {
    let back = realm.provider.authorize(location);
    let state = back.split_once("state=").unwrap().1;
    browser.get(&realm.gated, &format!("/auth/oidc/callback?error={error}&state={state}")).await
}

#[tokio::test(start_paused = true)]
async fn a_person_who_is_signed_out_at_the_provider_is_signed_out_here() {
    for error in ["login_required", "interaction_required"] {
        let realm = Realm::new();
        let browser = browser_of_ana(61, 61);
        let location = renew(&realm, &browser).await;
        let answer = refuse(&realm, &browser, &location, error).await;
        assert_eq!(answer.header("location"), "/auth/sign-in?next=%2Fsources&ended=1", "{error}");
        assert!(!browser.has_session(), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn claims_that_make_no_user_any_more_end_the_session() {
    let realm = Realm::new();
    let browser = browser_of_ana(61, 61);
    let location = renew(&realm, &browser).await;
    realm.provider.change(|state| state.claims = json!({"sub": "ana", "hasgroups": true}));
    let answer = browser.get(&realm.gated, &realm.provider.authorize(&location)).await;
    assert_eq!((answer.status.as_u16(), browser.has_session()), (403, false), "{}", text(&answer));
}

#[tokio::test(start_paused = true)]
async fn somebody_else_gets_a_session_of_their_own() {
    let realm = Realm::new();
    let browser = browser_of_ana(61, 61);
    let kept = browser.copy();
    let location = renew(&realm, &browser).await;
    realm.provider.change(|state| state.claims = json!({"sub": "bob"}));
    browser.get(&realm.gated, &realm.provider.authorize(&location)).await;
    assert_ne!(session_of(&browser).id, [1; 16]);
    assert_eq!(kept.get(&realm.gated, "/api/vms").await.status, 401, "Ana's has ended");
}

#[tokio::test(start_paused = true)]
async fn nothing_renews_a_session_that_is_over() {
    let realm = Realm::new();
    let over = browser_of_ana(600, 5);
    assert!(over.get(&realm.gated, "/").await.header("location").starts_with("/auth/sign-in"));
    let browser = browser_of_ana(61, 61);
    let location = renew(&realm, &browser).await;
    let back = realm.provider.authorize(&location);
    // Signed out in another tab meanwhile, and the cookie is back, or not.
    let kept = browser.copy();
    browser.copy().post(&realm.gated, "/auth/sign-out", "").await;
    let answer = kept.get(&realm.gated, &back).await;
    assert_eq!(answer.header("location"), "/auth/sign-in?next=%2Fsources&ended=1");
    assert!(!kept.has_session());
}

#[tokio::test(start_paused = true)]
async fn tabs_that_renew_at_once_agree() {
    let realm = Realm::new();
    let browser = browser_of_ana(61, 61);
    let [one, two] = [browser.copy(), browser.copy()];
    let first = renew(&realm, &one).await;
    let second = renew(&realm, &two).await;
    // Both begin before either has an answer; the browser keeps the cookies of both, or of one.
    for (name, value) in one.named("login").into_iter().chain(two.named("login")) {
        browser.set(&name, &value);
    }
    for location in [&first, &second] {
        let answer = browser.get(&realm.gated, &realm.provider.authorize(location)).await;
        assert_eq!(answer.header("location"), "/sources", "{}", text(&answer));
    }
    assert_eq!(browser.get(&realm.gated, "/sources").await.status, 200);
    assert_eq!(session_of(&browser).id, [1; 16]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_when_its_identity_does() {
    use crate::server::http::tests::sign_in::streams::Stream;
    let realm = Realm::new();
    // A minute before its end by the wall clock, which a test cannot move: it is over as the test begins to wait.
    let session = |seconds: i64| {
        let browser = browser_of_ana(0, 0);
        let mut session = session_of(&browser);
        if let Proof::Identity(identity) = &mut session.proof {
            identity.renewed = clock::now() / 1000 - 75 * MINUTE + seconds;
        }
        browser.set("__Host-wukong-session-0", &keys().seal(&session).unwrap());
        browser.cookies()
    };
    let cookies = session(2);
    let mut stream = Stream::open(&realm.gated, &[("cookie", &cookies)], "/api/events").await;
    stream.until("event: state").await;
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert!(stream.rest().await.contains("event: end\ndata: {\"reason\":\"expired\"}"));
}
