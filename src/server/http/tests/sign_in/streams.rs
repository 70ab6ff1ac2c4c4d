//! Event streams of people who are signed in: what ends them, and what a change of rights does to them.

use std::time::Duration;

use axum::{
    body::{Body, BodyDataStream},
    http::Request,
};
use futures::StreamExt;
use tokio::time::{Instant, timeout_at};
use tower::ServiceExt;

use super::fixture::*;
use crate::server::http::tests::fixture::vm;
use wukong_core::access::{BindingHints, Subject};

/// The longest wait for an event, in the test's own time: signs of life come all the time.
const TEST_TIMEOUT: Duration = Duration::from_secs(120);

pub struct Stream {
    body: BodyDataStream,
    text: String,
}

impl Stream {
    pub async fn open(gated: &SignInServer, headers: &[(&str, &str)], url: &str) -> Self {
        let mut request = Request::get(url).header("host", "localhost");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = gated.server.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), 200);
        Self { body: answer.into_body().into_data_stream(), text: String::new() }
    }

    /// Reads until the text since the last call has this, and returns that text.
    pub async fn until(&mut self, wanted: &str) -> String {
        let deadline = Instant::now() + TEST_TIMEOUT;
        while !self.text.contains(wanted) {
            let piece = timeout_at(deadline, self.body.next()).await;
            let piece = piece.unwrap_or_else(|_| panic!("no {wanted:?} after {:?}", self.text));
            let Some(piece) = piece else { panic!("the stream ended without {wanted:?}: {:?}", self.text) };
            self.text.push_str(&String::from_utf8_lossy(&piece.unwrap()));
        }
        std::mem::take(&mut self.text)
    }

    /// Reads until the next whole view is complete, and returns what came since the last call.
    async fn state(&mut self) -> String {
        let begun = self.until("event: state").await;
        let is_whole = begun.split("event: state").last().is_some_and(|event| event.contains("\n\n"));
        begun + &if is_whole { String::new() } else { self.until("\n\n").await }
    }

    /// Reads what is there, and waits for more for a second.
    async fn drain(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(1);
        while timeout_at(deadline, self.body.next()).await.is_ok() {}
        self.text.clear();
    }

    /// Reads to the end.
    pub async fn rest(&mut self) -> String {
        let deadline = Instant::now() + TEST_TIMEOUT;
        while let Ok(Some(Ok(piece))) = timeout_at(deadline, self.body.next()).await {
            self.text.push_str(&String::from_utf8_lossy(&piece));
        }
        std::mem::take(&mut self.text)
    }
}

fn gated() -> SignInServer {
    let gated = SignInServer::new(vec![vm("shop", "web"), vm("bank", "vault")]);
    gated.kubernetes.add_user("ana");
    for namespace in ["shop", "bank"] {
        gated.kubernetes.allow_rows("ana", namespace);
    }
    gated
}

#[tokio::test(start_paused = true)]
async fn a_right_that_is_revoked_in_mid_stream_gives_a_smaller_whole_view() {
    let gated = gated();
    let bearer = [("authorization", "Bearer ana")];
    let mut stream = Stream::open(&gated, &bearer, "/api/events").await;
    assert!(stream.until("web").await.contains("vault"));
    gated.kubernetes.revoke("ana", "bank");
    let begun = Instant::now();
    let smaller = stream.state().await;
    assert!(smaller.contains("web"), "{smaller}");
    assert!(!smaller.contains("vault") && !smaller.contains("bank"), "{smaller}");
    assert!(begun.elapsed() <= Duration::from_secs(61), "{:?}", begun.elapsed());
    gated.server.publish(2, vec![vm("shop", "web"), vm("bank", "vault"), vm("bank", "safe")]);
    gated.server.publish(3, vec![vm("shop", "web"), vm("shop", "new"), vm("bank", "vault")]);
    let later = stream.until("new").await;
    assert!(!later.contains("vault") && !later.contains("safe") && !later.contains("bank"), "{later}");
}

#[tokio::test(start_paused = true)]
async fn with_bindings_to_watch_a_revoked_right_ends_within_two_seconds() {
    let gated = gated();
    let bind = |namespaces: &[&str]| {
        let mut hints = BindingHints::default();
        for namespace in namespaces {
            hints.add(Some((*namespace).into()), [Subject::User("ana".to_owned())], "1");
        }
        gated.hints.send_replace(Some(hints));
    };
    bind(&["shop", "bank"]);
    let mut stream = Stream::open(&gated, &[("authorization", "Bearer ana")], "/api/events").await;
    assert!(stream.until("web").await.contains("vault"));
    stream.drain().await;
    gated.kubernetes.revoke("ana", "bank");
    bind(&["shop"]);
    let begun = Instant::now();
    let smaller = stream.state().await;
    assert!(smaller.contains("web") && !smaller.contains("vault"), "{smaller}");
    assert!(begun.elapsed() <= Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_right_that_is_granted_in_mid_stream_fills_the_view() {
    let gated = gated();
    gated.kubernetes.revoke("ana", "bank");
    let mut stream = Stream::open(&gated, &[("authorization", "Bearer ana")], "/api/events").await;
    assert!(!stream.until("web").await.contains("vault"));
    gated.kubernetes.allow_rows("ana", "bank");
    assert!(stream.until("vault").await.contains("event: state"));
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_with_its_session() {
    let gated = gated();
    let session = gated.sign_in("ana").await;
    let other = gated.sign_in("ana").await;
    let mut streams = [
        Stream::open(&gated, &[("cookie", &session)], "/api/events").await,
        Stream::open(&gated, &[("cookie", &other)], "/api/events").await,
    ];
    streams[0].until("event: state").await;
    streams[1].until("event: state").await;
    gated.submit(&session, "/auth/sign-out", "").await;
    let end = streams[0].rest().await;
    assert!(end.ends_with("event: end\ndata: {\"reason\":\"expired\"}\n\n"), "{end}");
    gated.server.publish(2, vec![vm("shop", "web")]);
    streams[1].until("event:").await;
    gated.kubernetes.end_token("ana");
    assert!(
        streams[1].rest().await.ends_with("event: end\ndata: {\"reason\":\"expired\"}\n\n"),
        "the token has ended"
    );
}

#[tokio::test(start_paused = true)]
async fn an_event_of_another_scope_gives_a_whole_view() {
    let gated = gated();
    gated.kubernetes.add_user("ben");
    gated.kubernetes.allow_rows("ben", "shop");
    // Ben's channel has a change after the event of the same number.
    let mut own = Stream::open(&gated, &[("authorization", "Bearer ben")], "/api/events").await;
    own.until("web").await;
    let mut all = Stream::open(&gated, &[("authorization", "Bearer ana")], "/api/events").await;
    let event = all.until("vault").await;
    let id = event.lines().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned();
    gated.server.publish(2, vec![vm("shop", "web"), vm("shop", "new"), vm("bank", "vault")]);
    own.until("event: change").await;
    let headers = [("authorization", "Bearer ben"), ("last-event-id", id.as_str())];
    let mut some = Stream::open(&gated, &headers, "/api/events").await;
    let first = some.until("new").await;
    assert!(first.contains("event: state") && first.contains("web") && !first.contains("vault"), "{first}");
}

/// What is left of an event is not sent to somebody who may not see it any more.
#[tokio::test(start_paused = true)]
async fn an_event_that_is_read_slowly_ends_where_its_right_ends() {
    let of = |namespace: &str| (0..40).map(|n| vm(namespace, &format!("web-{n}"))).collect::<Vec<_>>();
    let gated = SignInServer::new([of("bank"), of("shop")].concat());
    gated.kubernetes.add_user("ana");
    gated.kubernetes.allow_rows("ana", "shop");
    gated.kubernetes.allow_rows("ana", "bank");
    let mut stream = Stream::open(&gated, &[("authorization", "Bearer ana")], "/api/events").await;
    stream.until("event: state").await;
    gated.kubernetes.revoke("ana", "bank");
    tokio::time::sleep(Duration::from_secs(61)).await;
    let rest = stream.body.next().await.expect("an end");
    assert!(rest.is_err(), "{rest:?}");
}

#[tokio::test(start_paused = true)]
async fn a_download_ends_with_its_session() {
    let gated = SignInServer::new((0..1_000).map(|n| vm("shop", &format!("web-{n}"))).collect());
    gated.kubernetes.add_user("ana");
    gated.kubernetes.allow_rows("ana", "shop");
    let mut download = Stream::open(&gated, &[("authorization", "Bearer ana")], "/api/vms.json").await;
    download.until("web-1").await;
    gated.kubernetes.end_token("ana");
    tokio::time::sleep(Duration::from_secs(60)).await;
    let mut pieces = 0;
    let end = loop {
        match download.body.next().await {
            Some(Ok(_)) => pieces += 1,
            end => break end,
        }
    };
    assert!(end.is_some_and(|end| end.is_err()), "it looks broken");
    assert_eq!(pieces, 0, "what was written ahead does not leave");
}

/// 1,500 namespaces take ten seconds to ask about.
#[tokio::test(start_paused = true)]
async fn rows_appear_while_other_namespaces_are_still_being_checked() {
    let names: Vec<String> = (0..1_500).map(|n| format!("team-{n}")).collect();
    let gated = SignInServer::new(names.iter().map(|namespace| vm(namespace, "web")).collect());
    gated.kubernetes.add_user("ana");
    names.iter().for_each(|namespace| gated.kubernetes.allow_rows("ana", namespace));
    let begun = Instant::now();
    let mut stream = Stream::open(&gated, &[("authorization", "Bearer ana")], "/api/events").await;
    stream.until("\"name\":\"web\"").await;
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}
