//! Reviews: what is asked of the API server, and what is made of its answers.

use super::*;
use crate::access::{AUDIENCE, LONGEST_TOKEN, Reviewer, TokenError};
use model::{reason::Reason, vm::Kind};
use serde_json::{Value, json};
use wukong_core::access::{Decision, Question, Review, ReviewedResource, UserInfo};

const TOKENS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
const EVERYWHERE: &str = "/apis/authorization.k8s.io/v1/subjectaccessreviews";

async fn reviewer(server: &Server, namespaced: bool) -> Reviewer {
    let kubeconfig = format!(
        r#"{{"current-context": "test", "clusters": [{{"name": "c", "cluster": {{"server": "{}"}}}}],
        "users": [{{"name": "u", "user": {{"token": "t"}}}}], "contexts": [{{"name": "test", "context": {{"cluster": "c", "user": "u"}}}}]}}"#,
        server.url
    );
    let cluster = crate::from_kubeconfig_text(&kubeconfig, None, &config()).await.unwrap();
    Reviewer::new(&cluster, namespaced)
}

/// The review that was sent, with this status as its answer.
fn reviewed(asked: &RecordedRequest, status: Value) -> Response {
    let mut review: Value = serde_json::from_str(&asked.body).unwrap();
    review["status"] = status;
    (StatusCode::CREATED, json(review.to_string())).into_response()
}

fn body(asked: &RecordedRequest) -> Value {
    serde_json::from_str(&asked.body).unwrap()
}

fn ann() -> Value {
    json!({"username": "ann", "uid": "7", "groups": ["team"], "extra": {"scopes": ["view"], "authentication.kubernetes.io/credential-id": ["JTI=1"]}})
}

fn user() -> UserInfo {
    UserInfo {
        name: "ann".into(),
        uid: "7".into(),
        groups: vec!["team".into()],
        extra: [("scopes".to_owned(), vec!["view".to_owned()])].into(),
    }
}

#[tokio::test]
async fn a_token_for_the_dashboard_is_known_by_one_review() {
    let server = Server::start(|asked, _| {
        reviewed(asked, json!({"authenticated": true, "user": ann(), "audiences": [AUDIENCE]}))
    });
    assert_eq!(reviewer(&server, false).await.review_token("secret").await, Ok(user()));
    let asked = server.asked(TOKENS);
    assert_eq!(asked.len(), 1);
    assert_eq!(body(&asked[0])["spec"], json!({"token": "secret", "audiences": [AUDIENCE]}));
}

#[tokio::test]
async fn a_token_for_the_api_server_is_known_by_a_second_review() {
    let server = Server::start(|asked, n| match n {
        0 => reviewed(asked, json!({"authenticated": false, "error": "invalid audience"})),
        _ => reviewed(asked, json!({"authenticated": true, "user": ann()})),
    });
    assert_eq!(reviewer(&server, false).await.review_token("secret").await, Ok(user()));
    assert_eq!(body(&server.asked(TOKENS)[1])["spec"], json!({"token": "secret"}));
}

#[tokio::test]
async fn a_token_for_another_audience_and_a_user_without_a_name_are_rejected() {
    for status in [
        json!({"authenticated": true, "user": ann(), "audiences": ["vault"]}),
        json!({"authenticated": true, "user": {"username": ""}, "audiences": [AUDIENCE]}),
        json!({"authenticated": true, "audiences": [AUDIENCE]}),
        json!({"user": ann(), "audiences": [AUDIENCE]}),
        json!({}),
    ] {
        // The second review, for the API server's own audience, knows nobody.
        let server = Server::start({
            let status = status.clone();
            move |asked, n| {
                reviewed(asked, if n == 0 { status.clone() } else { json!({"authenticated": false}) })
            }
        });
        assert_eq!(
            reviewer(&server, false).await.review_token("secret").await,
            Err(TokenError::Rejected),
            "{status}"
        );
    }
}

#[tokio::test]
async fn a_token_that_is_too_long_is_rejected_without_a_request() {
    let server = Server::start(|asked, _| reviewed(asked, json!({"authenticated": true, "user": ann()})));
    let long = "x".repeat(LONGEST_TOKEN + 1);
    assert_eq!(reviewer(&server, false).await.review_token(&long).await, Err(TokenError::Rejected));
    assert!(server.asked(TOKENS).is_empty());
}

#[tokio::test]
async fn an_api_server_that_does_not_answer_rejects_nobody() {
    let server = Server::start(|_, _| StatusCode::FORBIDDEN.into_response());
    let Err(TokenError::Unanswered(error)) = reviewer(&server, false).await.review_token("secret").await
    else {
        panic!("it says nothing about the token")
    };
    assert_eq!(error.reason, Reason::Forbidden);
    let words = format!("{error:?}");
    assert!(
        words.contains("create") && words.contains("tokenreviews") && !words.contains("secret"),
        "{words}"
    );
}

fn review(namespace: Option<&str>, resource: ReviewedResource) -> Review {
    let question = Question { namespace: namespace.map(Into::into), resource };
    Review { user: Arc::new(user()), question }
}

#[tokio::test]
async fn a_review_asks_with_the_whole_identity_for_the_list_of_the_rows_own_kind() {
    let server = Server::start(|asked, _| reviewed(asked, json!({"allowed": true})));
    let reviewer = reviewer(&server, false).await;
    for (resource, group, name) in [
        (ReviewedResource::Rows(Kind::Wukong), "vm.novasphere.dev", "wukongs"),
        (ReviewedResource::Rows(Kind::VirtualMachine), "kubevirt.io", "virtualmachines"),
        (ReviewedResource::Rows(Kind::VirtualMachineInstance), "kubevirt.io", "virtualmachineinstances"),
    ] {
        assert_eq!(reviewer.review_access(&review(Some("shop"), resource)).await, Decision::Allowed);
        let spec = body(server.asked(EVERYWHERE).last().unwrap())["spec"].clone();
        let attributes = json!({"verb": "list", "group": group, "resource": name, "namespace": "shop"});
        assert_eq!(
            spec,
            json!({"user": "ann", "uid": "7", "groups": ["team"], "extra": {"scopes": ["view"]}, "resourceAttributes": attributes})
        );
    }
    reviewer.review_access(&review(None, ReviewedResource::Nodes)).await;
    let attributes = &body(server.asked(EVERYWHERE).last().unwrap())["spec"]["resourceAttributes"];
    assert_eq!(*attributes, json!({"verb": "list", "group": "", "resource": "nodes"}));
}

#[tokio::test]
async fn only_an_allow_that_nobody_denies_is_an_allow() {
    for (status, decision) in [
        (json!({"allowed": true}), Decision::Allowed),
        (json!({"allowed": false}), Decision::Denied),
        (json!({"allowed": false, "evaluationError": "a webhook is away"}), Decision::Denied),
        (json!({"allowed": true, "denied": true}), Decision::Denied),
    ] {
        let server = Server::start({
            let status = status.clone();
            move |asked, _| reviewed(asked, status.clone())
        });
        let asked = review(None, ReviewedResource::Rows(Kind::Wukong));
        assert_eq!(reviewer(&server, false).await.review_access(&asked).await, decision, "{status}");
    }
    for answer in [StatusCode::FORBIDDEN, StatusCode::INTERNAL_SERVER_ERROR, StatusCode::OK] {
        let server = Server::start(move |_, _| (answer, "nonsense").into_response());
        let asked = review(None, ReviewedResource::Rows(Kind::Wukong));
        assert_eq!(reviewer(&server, false).await.review_access(&asked).await, Decision::Failed, "{answer}");
    }
}

#[tokio::test]
async fn where_only_some_namespaces_are_served_access_is_reviewed_in_these() {
    let server = Server::start(|asked, _| reviewed(asked, json!({"allowed": true})));
    let asked = review(Some("shop"), ReviewedResource::Rows(Kind::Wukong));
    assert_eq!(reviewer(&server, true).await.review_access(&asked).await, Decision::Allowed);
    let path = "/apis/authorization.k8s.io/v1/namespaces/shop/localsubjectaccessreviews";
    assert_eq!(body(&server.asked(path)[0])["metadata"]["namespace"], "shop");
    assert!(server.asked(EVERYWHERE).is_empty());
}
