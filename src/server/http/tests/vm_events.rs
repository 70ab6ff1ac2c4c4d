//! Events of a VM through the router: who sees them, how often they are listed, and that no page waits for them.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{body::Body, http::Request};
use futures::future::join_all;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{fixture::*, sign_in::fixture::SignInServer};
use crate::server::http::{
    peer::Peer,
    sign_in::SessionKeys,
    vm_events::{EventsReader, PAGE_WAITS},
};
use collector::{
    events::{EventsAnswer, events_queue},
    queue::{PLACES, Question},
};
use model::{
    events::{Event, EventObject, VmEvents},
    figure::Missing,
    reason::Reason,
    view::TimelineView,
};
use wukong_core::{access::ReviewedResource, observation::SourceError};

/// How long Events are kept.
const KEPT: Duration = Duration::from_secs(30);

fn event(message: &str) -> Event {
    Event {
        warning: true,
        reason: "Unhealthy".into(),
        message: message.into(),
        count: 3,
        first: Some(1_772_615_400_000),
        last: Some(1_772_615_520_000),
        object: EventObject { kind: "Pod".into(), name: "virt-launcher-web-vm-abcde".into() },
        component: "kubelet".into(),
    }
}

fn known(message: &str) -> EventsAnswer {
    Ok(VmEvents { events: vec![event(message)], left_out: 2, gap: None, read: Some(5) })
}

/// Counts the questions, and how many of them are under way at once.
#[derive(Default)]
struct Counts {
    asked: AtomicUsize,
    under_way: AtomicUsize,
    most: AtomicUsize,
}

/// Returns a reader of Events that come after `latency`, and what is counted.
fn source(latency: Duration, answer: EventsAnswer) -> (EventsReader, Arc<Counts>) {
    let (asker, mut questions) = events_queue();
    let counts = Arc::<Counts>::default();
    let counted = counts.clone();
    tokio::spawn(async move {
        loop {
            let Question { reply, .. } = questions.next().await;
            counted.asked.fetch_add(1, Ordering::SeqCst);
            let under_way = counted.under_way.fetch_add(1, Ordering::SeqCst) + 1;
            counted.most.fetch_max(under_way, Ordering::SeqCst);
            let (answer, counted) = (answer.clone(), counted.clone());
            tokio::spawn(async move {
                sleep(latency).await;
                counted.under_way.fetch_sub(1, Ordering::SeqCst);
                reply.send(answer);
            });
        }
    });
    (EventsReader::new(asker), counts)
}

fn server(latency: Duration, answer: EventsAnswer) -> (Server, Arc<Counts>) {
    let (events, counts) = source(latency, answer);
    (
        Server::new(vec![vm("shop", "web"), vm("shop", "web2"), vm("bank", "vault")]).with_events(events),
        counts,
    )
}

async fn page(server: &Server, url: &str) -> String {
    let answer = server.get(url).await;
    assert_eq!(answer.status, 200, "{url}");
    String::from_utf8_lossy(&answer.body).into_owned()
}

/// The HTML of the timeline on a page.
fn timeline(html: &str) -> &str {
    let from = html.find(r#"id="timeline""#).expect("a timeline");
    let section = &html[from..];
    &section[..section[1..].find("<h2").map_or(section.len(), |end| end + 1)]
}

#[tokio::test(start_paused = true)]
async fn the_page_and_the_api_show_the_events_of_a_vm() {
    let (server, _) = server(Duration::ZERO, known("Liveness probe failed: <b>"));
    let html = page(&server, "/vms/shop/web").await;
    let shown = timeline(&html);
    for text in [
        "Liveness probe failed: &lt;b&gt;",
        "Unhealthy · Pod virt-launcher-web-vm-abcde · kubelet · 3 times since 2026-03-04 09:10 UTC",
        "2026-03-04 09:12 UTC",
        "Older events that are not listed: 2.",
    ] {
        assert!(shown.contains(text), "{text}: {shown}");
    }
    let one = server.get("/api/vms/web?namespace=shop").await.json();
    assert_eq!(
        one["events"],
        json!([{
            "type": "Warning", "reason": "Unhealthy", "message": "Liveness probe failed: <b>", "count": 3,
            "firstAt": 1_772_615_400_000_i64, "lastAt": 1_772_615_520_000_i64,
            "object": {"kind": "Pod", "name": "virt-launcher-web-vm-abcde"}, "component": "kubelet"
        }])
    );
    assert_eq!(
        (&one["eventsMissing"], &one["eventsReadAt"], &one["eventsLeftOut"]),
        (&Value::Null, &json!(5), &json!(2))
    );
    assert_eq!(server.get("/api/vms").await.json()[0]["events"], Value::Null, "a list has no Events");
    let chinese = page(&server, "/vms/shop/web?lang=zh-CN").await;
    assert!(timeline(&chinese).contains("自 2026-03-04 09:10 UTC 起 3 次"), "{}", timeline(&chinese));
}

#[tokio::test(start_paused = true)]
async fn all_viewers_of_a_vm_cost_one_set_of_lists_in_half_a_minute() {
    let (server, counts) = server(Duration::from_millis(50), known("x"));
    let looks =
        ["/vms/shop/web", "/api/vms/web", "/fn/timeline?namespace=shop&name=web&wait=true", "/vms/shop/web"];
    for answer in join_all(looks.iter().map(|url| server.get(url))).await {
        assert_eq!(answer.status, 200);
    }
    assert_eq!(counts.asked.load(Ordering::SeqCst), 1);
    sleep(KEPT - Duration::from_secs(1)).await;
    server.get("/api/vms/web").await;
    assert_eq!(counts.asked.load(Ordering::SeqCst), 1);
    sleep(Duration::from_secs(2)).await;
    server.get("/api/vms/web").await;
    assert_eq!(counts.asked.load(Ordering::SeqCst), 2);
    server.get("/api/vms/web2").await;
    assert_eq!(counts.asked.load(Ordering::SeqCst), 3, "of another VM");
    for url in
        ["/", "/api/vms", "/api/vms.csv", "/groups", "/fn/vm?namespace=shop&name=vault", "/vms/shop/nobody"]
    {
        server.get(url).await;
    }
    assert_eq!(counts.asked.load(Ordering::SeqCst), 3, "nobody looks at a VM");
}

#[tokio::test(start_paused = true)]
async fn a_page_waits_a_moment_for_events_and_shows_them_the_next_time() {
    let (server, counts) = server(Duration::from_secs(20), known("late news"));
    let begun = Instant::now();
    let html = page(&server, "/vms/shop/web").await;
    assert!(begun.elapsed() <= PAGE_WAITS + Duration::from_millis(10), "{:?}", begun.elapsed());
    assert!(timeline(&html).contains("the events of this VM are being read"), "{}", timeline(&html));
    let one = server.get("/api/vms/web").await.json();
    assert_eq!((&one["events"], &one["eventsMissing"]["reason"]), (&json!([]), &json!("starting")));
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    let view = server.get("/fn/timeline?namespace=shop&name=web").await;
    let view: TimelineView = postcard::from_bytes(&view.body).unwrap();
    assert!(view.timeline.unwrap().pending && view.frame.refresh <= 5_000, "the page asks again soon");
    sleep(Duration::from_secs(20)).await;
    assert!(timeline(&page(&server, "/vms/shop/web").await).contains("late news"));
    assert_eq!(counts.asked.load(Ordering::SeqCst), 1, "what nobody waited for is kept");
}

#[tokio::test(start_paused = true)]
async fn a_hundred_vms_that_are_opened_at_once_are_read_in_turn_and_no_page_waits() {
    let (events, counts) = source(Duration::from_secs(1), known("x"));
    let names: Vec<String> = (0..100).map(|n| format!("vm-{n}")).collect();
    let server = Server::new(names.iter().map(|name| vm("shop", name)).collect()).with_events(events);
    let look = async |name: &str, peer: u8| {
        let peer = Peer::new(Ipv4Addr::new(10, 0, 0, peer).into());
        let request = Request::get(format!("/vms/shop/{name}")).extension(peer).body(Body::empty()).unwrap();
        let begun = Instant::now();
        let answer = answer(server.router.clone(), request).await;
        assert_eq!(answer.status, 200);
        (begun.elapsed(), String::from_utf8_lossy(&answer.body).into_owned())
    };
    let looks = names.iter().enumerate().map(|(n, name)| look(name, (n % 10) as u8));
    for (waited, html) in join_all(looks).await {
        assert!(waited < Duration::from_secs(3), "{waited:?}");
        let shown = timeline(&html);
        let is_told =
            ["are being read", "too many requests for events"].iter().any(|text| shown.contains(text));
        assert!(is_told || shown.contains("Unhealthy"), "{shown}");
    }
    assert!(counts.most.load(Ordering::SeqCst) <= PLACES);
    sleep(Duration::from_secs(30)).await;
    assert!(counts.asked.load(Ordering::SeqCst) >= 60, "those that were accepted are read");
}

#[tokio::test(start_paused = true)]
async fn a_failure_says_why_and_how_to_fix_it_and_is_not_asked_again_at_once() {
    let refused = SourceError { reason: Reason::Forbidden, detail: "list events in namespace shop".into() };
    let (server, counts) = server(Duration::ZERO, Err(refused));
    let missing = server.get("/api/vms/web").await.json()["eventsMissing"].clone();
    assert_eq!(
        (&missing["reason"], &missing["detail"]),
        (&json!("forbidden"), &json!("list events in namespace shop"))
    );
    assert!(missing["fix"].as_str().unwrap().contains("kubectl apply -f deploy/cluster/rbac.yaml"));
    let html = page(&server, "/vms/shop/web").await;
    let shown = timeline(&html);
    assert!(shown.contains("list events in namespace shop"), "{shown}");
    assert!(shown.contains("<code>kubectl apply -f deploy/cluster/rbac.yaml<"), "{shown}");
    assert_eq!(counts.asked.load(Ordering::SeqCst), 1);
    let partial = Missing { detail: "half".into(), ..Reason::TooLarge.into() };
    let events = VmEvents { gap: Some(Box::new(partial)), ..known("read").unwrap() };
    let (server, _) = super::vm_events::server(Duration::ZERO, Ok(events));
    let one = server.get("/api/vms/web").await.json();
    assert_eq!(
        (one["events"].as_array().unwrap().len(), &one["eventsMissing"]["reason"]),
        (1, &json!("too-large"))
    );
}

/// A server of the VMs `shop/web` and `bank/vault`. Ana may list the VMs of both namespaces, and Events of one.
fn gated() -> (SignInServer, Arc<Counts>) {
    let (events, counts) = source(Duration::from_millis(10), known("what happened"));
    let server = Server::new(vec![vm("shop", "web"), vm("bank", "vault")]).with_events(events);
    let gated = SignInServer::over(server, None, SessionKeys::of_this_process(), |sign_in| sign_in);
    for user in ["ana", "bob"] {
        gated.kubernetes.add_user(user);
        gated.kubernetes.allow_rows(user, "shop");
    }
    gated.kubernetes.allow_rows("ana", "bank");
    gated.kubernetes.allow("ana", "shop", ReviewedResource::Events);
    (gated, counts)
}

#[tokio::test(start_paused = true)]
async fn events_are_for_viewers_who_may_list_them_in_the_namespace_of_the_vm() {
    let (gated, counts) = gated();
    let own = gated.get_as("ana", "/api/vms/web").await.json();
    assert_eq!(own["events"][0]["message"], "what happened");
    for (user, name, namespace) in [("ana", "vault", "bank"), ("bob", "web", "shop")] {
        let answer = gated.get_as(user, &format!("/api/vms/{name}")).await;
        let one = answer.json();
        assert_eq!(
            (&one["events"], &one["eventsMissing"]["reason"]),
            (&json!([]), &json!("forbidden")),
            "{user}"
        );
        let detail = format!("you may not list events in namespace {namespace}");
        assert_eq!(one["eventsMissing"]["detail"], json!(detail));
        assert_eq!((&one["eventsReadAt"], &one["eventsLeftOut"]), (&Value::Null, &json!(0)), "{user}");
        assert!(!String::from_utf8_lossy(&answer.body).contains("what happened"));
        let session = gated.sign_in(user).await;
        let html = gated.browse(&session, &format!("/vms/{namespace}/{name}")).await;
        let html = String::from_utf8_lossy(&html.body).into_owned();
        assert!(timeline(&html).contains(&detail) && !html.contains("what happened"), "{}", timeline(&html));
        let view = gated
            .browse(&session, &format!("/fn/timeline?namespace={namespace}&name={name}&wait=true"))
            .await;
        assert!(!String::from_utf8_lossy(&view.body).contains("what happened"));
    }
    assert_eq!(counts.asked.load(Ordering::SeqCst), 1, "nothing is listed for those who may not see it");
    assert_eq!(gated.get_as("bob", "/api/vms/vault").await.status, 404);
    assert_eq!(counts.asked.load(Ordering::SeqCst), 1, "a VM that they may not see");
}

#[tokio::test(start_paused = true)]
async fn a_right_to_list_events_that_was_revoked_ends_within_a_minute() {
    let (gated, _) = gated();
    assert_eq!(gated.get_as("ana", "/api/vms/web").await.json()["events"].as_array().unwrap().len(), 1);
    gated.kubernetes.revoke("ana", "shop");
    gated.kubernetes.allow_rows("ana", "shop");
    sleep(Duration::from_secs(61)).await;
    let one = gated.get_as("ana", "/api/vms/web").await.json();
    assert_eq!((&one["events"], &one["eventsMissing"]["reason"]), (&json!([]), &json!("forbidden")));
}

#[tokio::test(start_paused = true)]
async fn while_the_right_is_not_known_nothing_is_shown_and_the_page_does_not_wait() {
    let (gated, _) = gated();
    let session = gated.sign_in("ana").await;
    gated.kubernetes.set_away(true);
    let begun = Instant::now();
    let html = gated.browse(&session, "/vms/shop/web").await;
    assert!(begun.elapsed() <= PAGE_WAITS + Duration::from_millis(300), "{:?}", begun.elapsed());
    let html = String::from_utf8_lossy(&html.body).into_owned();
    assert!(
        timeline(&html).contains("are being read") && !html.contains("what happened"),
        "{}",
        timeline(&html)
    );
}
