//! Events of VMs: what is listed of the API server, how often, and what is made of its answers.

use super::*;
use crate::{
    events::{EventLists, EventsAnswer, LISTS_A_SECOND, VmEventsAsker, events_queue},
    queue::Requester,
};
use model::events::VmEvents;
use serde_json::{Value, json};
use wukong_core::events::{EventsQuery, ObjectKind};

const VIEWER: Requester = Requester::Viewer(1);

/// The answering end, which runs as long as this.
struct Lists {
    asker: VmEventsAsker,
    shutdown: CancellationToken,
}

impl Lists {
    async fn of(server: &Server, deadline: Duration) -> Self {
        let kubeconfig = format!(
            r#"{{"current-context": "test", "clusters": [{{"name": "c", "cluster": {{"server": "{}"}}}}],
            "users": [{{"name": "u", "user": {{"token": "t"}}}}], "contexts": [{{"name": "test", "context": {{"cluster": "c", "user": "u"}}}}]}}"#,
            server.url
        );
        let cluster = crate::from_kubeconfig_text(&kubeconfig, None, &config()).await.unwrap();
        let (asker, questions) = events_queue();
        let shutdown = CancellationToken::new();
        tokio::spawn(EventLists::new(&cluster).within(deadline).run(questions, shutdown.clone()));
        Self { asker, shutdown }
    }

    async fn ask(&self, query: EventsQuery) -> EventsAnswer {
        let mut ticket = self.asker.ask(VIEWER, query).unwrap();
        let answer = timeout(LONG, ticket.answer()).await.expect("no answer").unwrap();
        EventsAnswer::clone(&answer)
    }
}

impl Drop for Lists {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// The VM `prod/web` with its instance and its pod.
fn web() -> EventsQuery {
    EventsQuery {
        namespace: "prod".into(),
        vm_name: "web".into(),
        objects: vec![
            (ObjectKind::VirtualMachine, "web".into()),
            (ObjectKind::Instance, "web".into()),
            (ObjectKind::Pod, "virt-launcher-web-abcde".into()),
        ],
        had_former_pod: false,
    }
}

fn one(name: &str) -> EventsQuery {
    let objects = vec![(ObjectKind::VirtualMachine, name.into())];
    EventsQuery { namespace: "prod".into(), vm_name: name.into(), objects, had_former_pod: false }
}

/// An Event of KubeVirt or of a kubelet.
fn event(kind: &str, name: &str, reason: &str, message: &str) -> Value {
    json!({
        "metadata": {"name": format!("{name}.17a"), "namespace": "prod", "creationTimestamp": "2026-03-04T09:00:00Z", "managedFields": [{}]},
        "involvedObject": {"kind": kind, "namespace": "prod", "name": name, "apiVersion": "kubevirt.io/v1", "uid": "u"},
        "reason": reason, "message": message, "source": {"component": "virt-handler", "host": "n1"},
        "firstTimestamp": "2026-03-04T09:10:00Z", "lastTimestamp": "2026-03-04T09:12:00Z", "count": 3, "type": "Warning",
        "eventTime": null, "reportingComponent": "", "reportingInstance": ""
    })
}

fn list_of(events: &[Value]) -> Response {
    super::json(json!({"kind": "EventList", "apiVersion": "v1", "metadata": {}, "items": events}).to_string())
}

fn events_of(path: &str) -> String {
    format!("/api/v1/namespaces/{path}/events")
}

fn messages(events: &VmEvents) -> Vec<&str> {
    events.events.iter().map(|event| &*event.message).collect()
}

#[tokio::test]
async fn one_list_per_name_is_asked_for_and_no_other() {
    let server = Server::start(|asked, _| match asked.query.contains("launcher") {
        true => list_of(&[event("Pod", "virt-launcher-web-abcde", "Killing", "of the core group")]),
        false => list_of(&[
            event("VirtualMachineInstance", "web", "Stopped", "shut down"),
            event("VirtualMachine", "web2", "Stopped", "of another VM"),
        ]),
    });
    let events = Lists::of(&server, LONG).await.ask(web()).await.unwrap();
    // The pod's Event names the group of KubeVirt, in which there are no pods.
    assert_eq!(messages(&events), ["shut down"]);
    assert!(events.gap.is_none() && events.read.is_some());
    let asked: Vec<_> = server.asked(&events_of("prod")).into_iter().map(|asked| asked.query).collect();
    let of = |name: &str| format!("fieldSelector=involvedObject.name%3D{name}&limit=500");
    assert_eq!(asked, [of("web"), of("virt-launcher-web-abcde")]);
}

#[tokio::test]
async fn the_times_and_counts_of_both_apis_are_read() {
    let with = |changes: Value| {
        let mut event = event("VirtualMachine", "web", "Why", &changes.to_string());
        for (field, value) in changes.as_object().unwrap() {
            event[field] = value.clone();
        }
        event
    };
    let newer = json!({"firstTimestamp": null, "lastTimestamp": null, "count": null, "source": {}, "eventTime": "2026-03-04T10:00:00.250000Z",
        "reportingComponent": "default-scheduler"});
    let mut series = newer.clone();
    series["series"] = json!({"count": 36, "lastObservedTime": "2026-03-04T11:00:00.000000Z"});
    let odd = json!({"firstTimestamp": "0001-01-01T00:00:00Z", "lastTimestamp": "yesterday", "count": -1, "type": 7});
    let mut none = odd.clone();
    none["metadata"] = json!({"name": "x"});
    let all = [with(json!({"type": "Normal"})), with(newer), with(series), with(odd), with(none)];
    let server = Server::start(move |_, _| list_of(&all));
    let events = Lists::of(&server, LONG).await.ask(one("web")).await.unwrap();
    let time = |text: &str| crate::k8s::time::rfc3339(text);
    let found: Vec<_> =
        events.events.iter().map(|of| (of.warning, of.count, of.first, of.last, &*of.component)).collect();
    let at = |text: &str| time(&format!("2026-03-04T{text}Z"));
    assert_eq!(
        found,
        [
            (true, 36, at("10:00:00.25"), at("11:00:00"), "default-scheduler"),
            (true, 1, at("10:00:00.25"), at("10:00:00.25"), "default-scheduler"),
            (false, 3, at("09:10:00"), at("09:12:00"), "virt-handler"),
            (false, 1, at("09:00:00"), at("09:00:00"), "virt-handler"),
            (false, 1, None, None, "virt-handler"),
        ]
    );
}

#[tokio::test]
async fn the_pod_that_was_killed_before_is_asked_about_too() {
    let pod_event = |pod: &str, reason: &str, last: &str| {
        let mut event = event("Pod", pod, reason, &format!("{reason} of {pod}"));
        event["involvedObject"]["apiVersion"] = "v1".into();
        event["lastTimestamp"] = last.into();
        event
    };
    let killed = |pod: &str, last: &str| pod_event(pod, "Killing", last);
    let kills = [
        killed("virt-launcher-web-older", "2026-03-04T09:00:00Z"),
        killed("virt-launcher-web-xxxxx", "2026-03-04T09:30:00Z"),
        killed("virt-launcher-web-abcde", "2026-03-04T10:00:00Z"),
        killed("virt-launcher-web2-xxxxx", "2026-03-04T10:00:00Z"),
        killed("web-proxy", "2026-03-04T10:00:00Z"),
    ];
    let of_pod = [
        killed("virt-launcher-web-xxxxx", "2026-03-04T09:30:00Z"),
        pod_event("virt-launcher-web-xxxxx", "Unhealthy", "2026-03-04T09:29:50Z"),
    ];
    let server = Server::start(move |asked, _| match asked.query.as_str() {
        of if of.contains("reason%3DKilling") => list_of(&kills),
        of if of.contains("virt-launcher-web-xxxxx&") => list_of(&of_pod),
        _ => list_of(&[]),
    });
    let lists = Lists::of(&server, LONG).await;
    let events = lists.ask(EventsQuery { had_former_pod: true, ..web() }).await.unwrap();
    assert_eq!(
        messages(&events),
        ["Killing of virt-launcher-web-xxxxx", "Unhealthy of virt-launcher-web-xxxxx"]
    );
    assert_eq!(server.asked(&events_of("prod")).len(), 4);
    lists.ask(web()).await.unwrap();
    assert_eq!(server.asked(&events_of("prod")).len(), 6, "a guest that runs for long has none");
}

#[tokio::test]
async fn whatever_is_asked_at_most_five_lists_begin_in_a_second() {
    let server = Server::start(|_, _| list_of(&[]));
    let lists = Lists::of(&server, LONG).await;
    let asked = (0..16).map(|n| {
        let mut ticket = lists.asker.ask(Requester::Viewer(n), one(&format!("vm-{n}"))).unwrap();
        async move { ticket.answer().await.unwrap().is_ok() }
    });
    let begun = Instant::now();
    let answered = timeout(LONG, futures::future::join_all(asked)).await.unwrap();
    assert!(answered.iter().all(|is_ok| *is_ok));
    assert!(begun.elapsed() >= Duration::from_secs(3), "{:?}", begun.elapsed());
    let times: Vec<_> = server.asked(&events_of("prod")).into_iter().map(|asked| asked.at).collect();
    assert_eq!(times.len(), 16);
    // A request arrives a little later than it was sent.
    let second = Duration::from_millis(900);
    let most =
        times.iter().map(|from| times.iter().filter(|at| **at >= *from && **at < *from + second).count());
    assert!(most.max().unwrap() <= LISTS_A_SECOND, "{times:?}");
}

#[tokio::test]
async fn a_refusal_is_told_after_one_list_with_the_permission() {
    let server = Server::start(|_, _| status(403, "Forbidden"));
    let error = Lists::of(&server, LONG).await.ask(web()).await.unwrap_err();
    assert_eq!(
        (error.reason, error.detail.english()),
        (Reason::Forbidden, "list events in namespace prod".into())
    );
    assert_eq!(server.asked(&events_of("prod")).len(), 1);
}

#[tokio::test]
async fn an_api_server_that_hangs_or_answers_nonsense_ends_the_wait() {
    let hanging = Server::start(|_, _| hang());
    let begun = Instant::now();
    let error = Lists::of(&hanging, Duration::from_millis(200)).await.ask(one("web")).await.unwrap_err();
    assert_eq!(error.reason, Reason::TimedOut);
    assert!(begun.elapsed() < Duration::from_secs(5));
    for (body, reason) in [
        ("nonsense", Reason::BadAnswer),
        ("[]", Reason::BadAnswer),
        (r#"{"items": [{"reason": "#, Reason::BadAnswer),
    ] {
        let server = Server::start(move |_, _| super::json(body));
        let error = Lists::of(&server, LONG).await.ask(one("web")).await.unwrap_err();
        assert_eq!(error.reason, reason, "{body}");
    }
}

#[tokio::test]
async fn what_was_read_before_a_list_failed_is_kept_and_the_failure_told() {
    let server = Server::start(|asked, _| match asked.query.contains("launcher") {
        true => status(500, "InternalError"),
        false => list_of(&[event("VirtualMachine", "web", "Why", "read")]),
    });
    let events = Lists::of(&server, LONG).await.ask(web()).await.unwrap();
    assert_eq!(messages(&events), ["read"]);
    assert_eq!(events.gap.map(|gap| gap.reason), Some(Reason::Unreachable));
}

#[tokio::test]
async fn a_huge_message_is_cut_and_odd_items_are_counted() {
    let long = "é".repeat(500_000);
    let mut shouting = event("VirtualMachine", "web", "Why", &format!("a\u{1b}[2J\u{202e}b\n{long}"));
    shouting["lastTimestamp"] = "2026-03-04T10:00:00Z".into();
    let oversized = event("VirtualMachine", "web", "Why", &"x".repeat(3 << 20));
    let items = [shouting, event("VirtualMachine", "web", "Why", "small"), json!([1]), oversized];
    let server = Server::start(move |_, _| list_of(&items));
    let events = Lists::of(&server, LONG).await.ask(one("web")).await.unwrap();
    let [first, second] = messages(&events)[..] else { panic!("{events:?}") };
    assert_eq!((first.chars().count(), second), (300, "small"));
    assert!(first.starts_with("a\u{fffd}[2J\u{fffd}b éé") && first.ends_with('…'), "{first}");
    let gap = events.gap.unwrap();
    assert_eq!(
        (gap.reason, gap.detail.english().as_str()),
        (Reason::TooLarge, "events that are left out because they cannot be read: 1")
    );
}

#[tokio::test]
async fn more_events_than_are_read_cost_one_list_and_say_so() {
    let item = |n: usize| event("VirtualMachine", "web", "Why", &format!("message {n}"));
    let first: Vec<Value> = (0..500).map(item).collect();
    let page = json!({"metadata": {"continue": "more"}, "items": first}).to_string();
    let server = Server::start(move |_, _| super::json(page.clone()));
    let events = Lists::of(&server, LONG).await.ask(one("web")).await.unwrap();
    assert_eq!((events.events.len(), events.left_out), (50, 450));
    assert_eq!(events.gap.map(|gap| gap.reason), Some(Reason::TooLarge));
    assert_eq!(server.asked(&events_of("prod")).len(), 1);
    // One that does not keep to the limit, and sends 8 MiB and more.
    let all: Vec<Value> = (0..20_000).map(item).collect();
    let page = json!({"metadata": {}, "items": all}).to_string();
    assert!(page.len() > 8 << 20, "{}", page.len());
    let server = Server::start(move |_, _| super::json(page.clone()));
    let events = Lists::of(&server, LONG).await.ask(one("web")).await.unwrap();
    assert_eq!((events.events.len(), events.left_out), (50, 450));
    assert_eq!(events.gap.map(|gap| gap.reason), Some(Reason::TooLarge));
}

#[tokio::test]
async fn no_name_becomes_another_selector() {
    let server = Server::start(|_, _| list_of(&[]));
    let lists = Lists::of(&server, LONG).await;
    for name in ["web,involvedObject.kind=Secret", "web&limit=9", "Web", ""] {
        let error = lists.ask(one(name)).await.unwrap_err();
        assert_eq!(error.reason, Reason::BadAnswer, "{name}");
    }
    let elsewhere = EventsQuery { namespace: "../../x".into(), ..one("web") };
    assert_eq!(lists.ask(elsewhere).await.unwrap_err().reason, Reason::BadAnswer);
    assert!(server.asked.lock().unwrap().is_empty());
}
