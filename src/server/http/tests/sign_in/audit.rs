//! What the audit log says of sessions and of refusals.

use serde_json::{Value, json};

use super::{
    auth_proxy::ProxiedServer,
    fixture::*,
    oidc::{provider::ISSUER, realm::Realm},
};
use crate::server::{
    config::HttpConfig,
    http::{
        sign_in::{SessionKeys, SignIn},
        tests::{
            fixture::{Server, vm},
            log::Lines,
        },
    },
};
use model::hidden::is_hidden;

fn gated() -> SignInServer {
    let gated = SignInServer::new(vec![vm("shop", "web")]);
    gated.kubernetes.add_user("ana");
    gated.kubernetes.allow_rows("ana", "shop");
    gated
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_session_names_its_user_and_the_session() {
    let (lines, gated) = (Lines::default(), gated());
    let _log = lines.record();
    let (one, two) = (gated.sign_in("ana").await, gated.sign_in("ana").await);
    gated.submit(&one, "/auth/sign-out", "").await;
    gated.kubernetes.end_token("ana");
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    assert_eq!(gated.browse(&two, "/").await.status, 303);
    let (begun, out, expired) = (lines.events("sign_in"), lines.events("sign_out"), lines.events("expired"));
    assert_eq!((begun.len(), out.len(), expired.len()), (2, 1, 1), "{out:?} {expired:?}");
    for (begun, ended) in begun.iter().zip([&out[0], &expired[0]]) {
        assert_eq!((&ended["user"], &ended["session"]), (&Value::from("ana"), &begun["session"]));
    }
}

#[tokio::test(start_paused = true)]
async fn every_guess_is_noted_whatever_limits_are_reached_and_nothing_else_is_a_guess() {
    let (lines, gated) = (Lines::default(), gated());
    let _log = lines.record();
    gated.browse("wukong-session-0=junk", "/").await;
    gated.submit("", "/auth/sign-in", "token=").await;
    assert!(lines.events("expired").is_empty() && lines.events("refused").is_empty());
    for _ in 0..100 {
        gated.browse("", "/nothing").await;
    }
    for at in 0..15 {
        gated.get_as(&format!("junk-{at}"), "/api/vms").await;
    }
    let refused = lines.events("refused");
    assert_eq!(refused.len(), 10, "{refused:?}");
    assert!(refused.iter().any(|line| line["why"] == "limit"), "{refused:?}");
}

/// A person who sets a proxy up sees in the log what is wrong with its assertions.
#[tokio::test(start_paused = true)]
async fn the_log_says_why_an_assertion_is_refused_and_what_it_names() {
    let (lines, behind) = (Lines::default(), ProxiedServer::new());
    let _log = lines.record();
    let spoiled = [("aud", json!(["other", "x\u{1b}[2J\u{202e}y"])), ("azp", json!("other"))];
    for _ in 0..15 {
        assert_eq!(behind.get(&behind.token(&spoiled), "/api/vms").await.status, 401);
    }
    let refused = lines.messages("an assertion of the proxy was refused");
    assert_eq!(refused.len(), 10, "as many as audited lines about one client: {refused:?}");
    assert!(refused[0]["why"].as_str().unwrap().contains("--proxy-audience"), "{refused:?}");
    assert_eq!(
        (&refused[0]["iss"], &refused[0]["aud"]),
        (&json!(ISSUER), &json!(r#"["other","x\u001b[2J\u{202e}y"]"#))
    );
    let named = lines.messages("a user whom the proxy names");
    assert!(named.is_empty(), "{named:?}");
}

/// Such a name looked like that of another user, to its owner's reader as to the auditor.
#[tokio::test(start_paused = true)]
async fn a_name_with_hidden_characters_is_shown_with_them_and_reviewed_as_it_is() {
    const NAME: &str = "a\u{200b}na\u{e0041}";
    const SHOWN: &str = r"oidc:a\u{200b}na\u{e0041}";
    let (lines, behind) = (Lines::default(), ProxiedServer::new());
    let _log = lines.record();
    behind.gated.kubernetes.allow_rows(&["oidc:", NAME].concat(), "bank");
    let claims = [("sub", json!(NAME)), ("groups", json!(["o\u{fe0f}ps"]))];
    let token = behind.token(&claims);
    let list = String::from_utf8(behind.get(&token, "/api/vms").await.body.to_vec()).unwrap();
    assert!(list.contains("vault") && !list.contains("web"), "the rights of this name: {list}");
    let page = String::from_utf8(behind.get(&token, "/").await.body.to_vec()).unwrap();
    assert!(page.contains(SHOWN) && page.contains(r"oidc:o\u{fe0f}ps"), "{page}");
    assert!(!page.contains(is_hidden_but_for_lines), "{page}");
    let requests = lines.events("api");
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0]["user"], json!(SHOWN));
    let text = String::from_utf8(lines.0.lock().clone()).unwrap();
    assert!(!text.contains(is_hidden_but_for_lines), "{text}");
}

fn is_hidden_but_for_lines(c: char) -> bool {
    c != '\n' && is_hidden(c)
}

#[tokio::test(start_paused = true)]
async fn the_log_says_once_that_an_assertion_has_no_groups_claim() {
    let (lines, behind) = (Lines::default(), ProxiedServer::new());
    let _log = lines.record();
    behind.provider.change(|state| state.claims = json!({"sub": "ana"}));
    for _ in 0..3 {
        assert_eq!(behind.get(&behind.token(&[]), "/api/vms").await.status, 200);
    }
    let said = lines.messages("the proxy's assertion has no groups claim");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0]["message"].as_str().unwrap().contains("--proxy-groups-claim"), "{said:?}");
    assert_eq!((&said[0]["claim"], &said[0]["user"]), (&json!("groups"), &json!("oidc:ana")));
}

/// A person who sets a proxy up sees in the log that it sends nothing, and a flood fills no log.
#[tokio::test(start_paused = true)]
async fn the_log_says_once_a_minute_that_requests_have_no_assertion() {
    let (lines, behind) = (Lines::default(), ProxiedServer::new());
    let _log = lines.record();
    for _ in 0..3 {
        assert_eq!(behind.gated.server.get("/api/vms").await.status, 401);
        assert_eq!(behind.gated.server.get("/sources").await.status, 303);
    }
    let said = lines.messages("a request was refused");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0]["why"].as_str().unwrap().contains("--pass-authorization-header"), "{said:?}");
    assert_eq!(behind.get(&behind.token(&[]), "/api/vms").await.status, 200);
    assert_eq!(behind.gated.server.get("/healthz").await.status, 200);
    assert_eq!(lines.messages("a request was refused").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_log_repeats_what_the_token_endpoint_says() {
    let (lines, realm) = (Lines::default(), Realm::new());
    std::fs::write(realm.config.client_secret_file.as_ref().unwrap(), "another").unwrap();
    let _log = lines.record();
    let (status, page) = realm.refusal().await;
    let said = lines.messages("the token endpoint refused a code");
    assert_eq!((status, said.len()), (403, 1), "{said:?}");
    assert_eq!(said[0]["error"], json!("invalid_client"));
    assert_eq!(said[0]["error_description"], json!(r"the secret\u{202e} is another"));
    assert!(!page.contains("is another"), "it stands on no page: {page}");
}

/// One user, or one tenant with many accounts, could push everything else out of a log that is kept to a size.
#[tokio::test(start_paused = true)]
async fn a_user_fills_no_log_and_what_is_left_out_is_counted() {
    const ACCOUNTS: [&str; 2] = ["system:serviceaccount:lab:a", "system:serviceaccount:lab:b"];
    const TOKENS: [&str; 2] = ["token-a", "token-b"];
    let lines = Lines::default();
    let server = Server::with(vec![vm("shop", "web")], HttpConfig::default());
    let gated = SignInServer::over(server, None, SessionKeys::of_this_process(), SignIn::without_limits);
    let _log = lines.record();
    for user in ["ana", ACCOUNTS[0], ACCOUNTS[1]] {
        gated.kubernetes.add_user(user);
        gated.kubernetes.allow_rows(user, "shop");
    }
    // The names of accounts are no tokens.
    for (user, token) in ACCOUNTS.into_iter().zip(TOKENS) {
        gated.kubernetes.add_token(user, token);
    }
    let ask = async |users: &[&str], url: &str| {
        for at in 0..90 {
            let answer = gated.get_as(users[at % users.len()], url).await;
            assert_eq!(answer.status, 200);
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    ask(&["ana"], "/api/stats").await;
    ask(&["ana"], "/api/vms.csv").await;
    ask(&TOKENS, "/api/stats").await;
    let written = |event: &str, user: &str| {
        let events = lines.events(event);
        events.iter().filter(|event| event["user"].as_str().is_some_and(|of| of.starts_with(user))).count()
    };
    assert_eq!(
        (written("api", "ana"), written("download", "ana"), written("api", ACCOUNTS[0])),
        (60, 60, 30)
    );
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    gated.server.app.sign_in.as_ref().unwrap().requests.tidy();
    let left_out = |event: &str, user: &str| {
        let events = lines.events(event).into_iter().filter(|line| line["user"] == user);
        events.filter_map(|line| line["left_out"].as_u64()).collect::<Vec<_>>()
    };
    assert_eq!((left_out("api", "ana"), left_out("download", "ana")), (vec![30], vec![30]));
    assert_eq!(left_out("api", "system:serviceaccounts:lab"), [30]);
}
