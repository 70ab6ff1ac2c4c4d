//! Tests of event streams through the real router: what is sent, to whom, and when a stream ends.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{Method, Request},
    response::Response,
};
use futures::StreamExt;
use serde_json::Value;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpSocket},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

mod client;
mod cutting;
mod displaced;
mod limits;

use super::Pace;
use crate::server::{
    config::HttpConfig,
    http::{
        ConnectionConfig, Timeouts, listen,
        tests::fixture::{Server, eventually, known, vm},
    },
};
use client::Client;
use i18n::Render;
use i18n::{Lang, msg};
use model::{
    delta::Update,
    figure::{Figure, Missing, Unit},
    query::ViewKind,
    reason::Reason,
    vm::Vm,
};

const SOON: Duration = Duration::from_secs(10);
/// How long a test waits before it says that nothing arrives.
const QUIET: Duration = Duration::from_millis(300);

/// Returns a VM that uses this many millicores.
fn busy(name: &str, millis: u64) -> Vm {
    let mut vm = vm("shop", name);
    vm.summary.usage.cpu = known(Unit::Nanocores, millis * 1_000_000, 2_000_000_000);
    vm
}

fn three() -> Vec<Vm> {
    ["a", "b", "c"].map(|name| busy(name, 100)).to_vec()
}

fn server(pace: Pace) -> Server {
    Server::new(three()).at_pace(&HttpConfig::default(), pace)
}

fn short_pace() -> Pace {
    let millis = Duration::from_millis;
    Pace { heartbeat: millis(100), tick: millis(20), keep: millis(100) }
}

fn names(event: &Value) -> Vec<&str> {
    event["vms"].as_array().unwrap().iter().map(|vm| vm["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn pages_get_events_in_their_language_and_programs_in_english() {
    let mut broken = vm("shop", "a");
    let detail = msg!(error.no_serial);
    broken.summary.usage.disk =
        Figure::Missing(Missing { detail: detail.clone(), ..Reason::NotReported.into() });
    let server = Server::new(vec![broken]);
    let [english, chinese] = [Lang::English, Lang::Chinese].map(|lang| detail.render(lang));
    for (lang, words, others) in [("en", &english, &chinese), ("zh-CN", &chinese, &english)] {
        let url = format!("/at/h1/{lang}/api/events?format=postcard");
        let event = Client::open(&server, &url, &[]).await.event().await.bytes();
        let text = String::from_utf8_lossy(&event);
        assert!(text.contains(words) && !text.contains(others), "{lang}: {text}");
    }
    assert_eq!(server.app.events.views(), 2, "what is written otherwise is another view");
    let event = Client::open(&server, "/at/h1/zh-CN/api/events", &[]).await.event().await;
    assert!(event.data.contains(&english) && !event.data.contains(&chinese), "{}", event.data);
}

#[tokio::test]
async fn a_stream_starts_with_the_whole_view_and_continues_with_changes() {
    let server = server(Pace::default());
    let mut client = Client::open(&server, "/api/events?q=shop", &[]).await;
    let state = client.event().await;
    let (kind, state) = (state.kind.clone(), state.json());
    assert_eq!((kind.as_str(), names(&state)), ("state", vec!["a", "b", "c"]));
    assert_eq!(
        (&state["matching"], &state["stats"]["total"], &state["cluster"]),
        (&3.into(), &3.into(), &"test".into())
    );
    assert_eq!(state["vms"][0], server.get("/api/vms").await.json()[0], "the fields of the rest of the API");
    server.publish(2, vec![busy("a", 100), busy("b", 700), busy("d", 100)]);
    let change = client.event().await;
    let (kind, change) = (change.kind.clone(), change.json());
    assert_eq!((kind.as_str(), names(&change)), ("change", vec!["b", "d"]));
    assert_eq!(change["order"], serde_json::json!(["uid-shop-a", "uid-shop-b", "uid-shop-d"]));
    assert_eq!(change["vms"][0]["usage"]["cpu"]["used"], 700_000_000);
    assert!(
        change["stats"].is_object() && change.get("matching").is_none() && change.get("cluster").is_none()
    );
}

#[tokio::test]
async fn a_snapshot_that_does_not_change_the_view_sends_no_event() {
    let server = server(Pace::default());
    let mut one = Client::open(&server, "/api/events?vm=shop/a", &[]).await;
    let mut list = Client::open(&server, "/api/events", &[]).await;
    let state = one.event().await.json();
    assert_eq!(state["vm"]["name"], "a");
    list.event().await;
    server.publish(2, three());
    assert!(list.is_quiet().await, "nothing is different");
    server.publish(3, vec![busy("a", 100), busy("b", 700), busy("c", 100)]);
    assert_eq!(names(&list.event().await.json()), ["b"]);
    assert!(one.is_quiet().await, "another VM is nothing to this view");
    server.publish(4, vec![busy("b", 700), busy("c", 100)]);
    assert_eq!(one.event().await.json()["vm"], Value::Null);
}

#[tokio::test]
async fn pages_get_the_same_events_in_postcard() {
    let server = server(Pace::default());
    let mut client = Client::open(&server, "/api/events?format=postcard&sort=cpu", &[]).await;
    let Update::State(mut view) = client.event().await.update() else { panic!("first the whole") };
    server.publish(2, vec![busy("a", 100), busy("c", 700)]);
    let Update::Change(change) = client.event().await.update() else { panic!("then what changes") };
    view.apply(change).expect("it is a change of this view");
    let names: Vec<_> = view.vms.iter().map(|vm| vm.name.as_str()).collect();
    assert_eq!((names, view.totals.counts.total), (vec!["c", "a"], 2));
}

/// The default view is no part of the address, so the streams of two readers had the same key.
#[tokio::test]
async fn a_reader_who_has_chosen_another_view_has_a_stream_of_it() {
    let server = server(Pace::default());
    let mut shown = Vec::new();
    for cookie in ["lang=en", "lang=en; view=table"] {
        let mut client = Client::open(&server, "/api/events?format=postcard", &[("cookie", cookie)]).await;
        let Update::State(view) = client.event().await.update() else { panic!("first the whole") };
        shown.push((view.query.view(), !view.activity.is_empty()));
    }
    assert_eq!(shown, [(ViewKind::Cards, false), (ViewKind::Table, true)]);
}

#[tokio::test]
async fn the_sources_can_be_followed_alone() {
    let server = server(Pace::default());
    let mut client = Client::open(&server, "/api/events?only=sources", &[]).await;
    let state = client.event().await.json();
    assert!(state["sources"].is_array() && state.get("vms").is_none());
    server.publish(2, vec![]);
    assert!(client.is_quiet().await);
    let snapshot = wukong_core::Snapshot {
        last_seen: Some(9),
        ..crate::server::http::tests::fixture::snapshot(3, vec![])
    };
    server.snapshots.send_replace(Arc::new(snapshot));
    assert_eq!(client.event().await.json()["lastSeen"], 9);
}

#[tokio::test]
async fn equal_views_share_every_byte() {
    let server = server(Pace::default());
    let open = async |url| Client::open(&server, url, &[]).await;
    let (mut one, mut two) =
        (open("/api/events?sort=cpu&q=").await, open("/api/events?order=desc&sort=cpu").await);
    assert_eq!(server.app.events.views(), 1, "one view, written in two ways");
    let _other = open("/api/events?sort=cpu&format=postcard").await;
    assert_eq!(server.app.events.views(), 2);
    let raw = async |client: &mut Client| timeout(SOON, client.body.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(raw(&mut one).await.as_ptr(), raw(&mut two).await.as_ptr());
    server.publish(2, vec![busy("a", 5)]);
    assert_eq!(raw(&mut one).await.as_ptr(), raw(&mut two).await.as_ptr());
}

#[tokio::test]
async fn a_returning_client_gets_only_the_events_that_it_missed() {
    let server = server(Pace::default());
    let mut stays = Client::open(&server, "/api/events", &[]).await;
    let first = stays.event().await;
    for (seq, millis) in [(2, 200), (3, 300)] {
        server.publish(seq, vec![busy("a", millis), busy("b", 100), busy("c", 100)]);
        stays.event().await;
    }
    let by_parameter = format!("/api/events?last={}", first.id);
    for (url, headers) in
        [("/api/events", vec![("last-event-id", first.id.as_str())]), (&by_parameter, vec![])]
    {
        let mut back = Client::open(&server, url, &headers).await;
        for millis in [200, 300] {
            let event = back.event().await;
            assert_eq!(event.kind, "change", "{url}");
            assert_eq!(event.json()["vms"][0]["usage"]["cpu"]["used"], millis * 1_000_000, "{url}");
        }
        assert!(back.is_quiet().await);
    }
}

/// Else an id would tell how much happens in the rest of the cluster, of which its reader may see a part.
#[tokio::test]
async fn an_event_id_counts_the_changes_of_its_own_view_alone() {
    let server = server(Pace::default());
    let mut client = Client::open(&server, "/api/events?vm=shop/a", &[]).await;
    let number = |id: &str| id.split_once('-').unwrap().1.parse::<u64>().unwrap();
    let first = number(&client.event().await.id);
    for seq in 2..9 {
        server.publish(seq, vec![busy("a", 100), busy("b", seq * 100), busy("c", 100)]);
        assert!(client.is_quiet().await, "{seq}");
    }
    server.publish(9, vec![busy("a", 200), busy("b", 800), busy("c", 100)]);
    assert_eq!(number(&client.event().await.id), first + 1);
}

#[tokio::test]
async fn an_unknown_or_old_event_id_gets_the_whole_view() {
    let server = server(Pace::default());
    let mut stays = Client::open(&server, "/api/events", &[]).await;
    let first = stays.event().await.id;
    let (channel, _) = first.split_once('-').unwrap();
    let stranger = format!("{:08x}-1", u32::from_str_radix(channel, 16).unwrap() ^ 1);
    let unheard_of = format!("{channel}-99");
    for seq in 2..40 {
        server.publish(seq, vec![busy("a", seq)]);
        stays.event().await;
    }
    for last in [first.as_str(), &stranger, &unheard_of, "nonsense"] {
        let mut back = Client::open(&server, "/api/events", &[("last-event-id", last)]).await;
        assert_eq!(back.event().await.kind, "state", "{last}");
    }
}

#[tokio::test]
async fn a_view_without_followers_is_not_updated_and_is_removed() {
    let server = server(short_pace());
    let mut client = Client::open(&server, "/api/events", &[]).await;
    let first = client.event().await.id;
    drop(client);
    server.publish(2, vec![busy("a", 100), busy("b", 700), busy("c", 100)]);
    let mut back = Client::open(&server, "/api/events", &[("last-event-id", &first)]).await;
    let event = back.event().await;
    assert_eq!(
        (event.kind.as_str(), names(&event.json())),
        ("change", vec!["b"]),
        "compared with what it was left at"
    );
    drop(back);
    eventually("the view is forgotten", async || server.app.events.views() == 0).await;
}

#[tokio::test]
async fn a_slow_client_skips_changes() {
    let server = server(Pace::default());
    let mut slow = Client::open(&server, "/api/events", &[]).await;
    let mut quick = Client::open(&server, "/api/events", &[]).await;
    slow.event().await;
    quick.event().await;
    for seq in 2..=40 {
        server.publish(seq, vec![busy("a", seq)]);
        quick.event().await;
    }
    let event = slow.event().await;
    assert_eq!(event.kind, "state", "39 changes are not kept for it");
    assert_eq!(event.json()["vms"][0]["usage"]["cpu"]["used"], 40_000_000);
    assert!(slow.is_quiet().await);
}

#[tokio::test]
async fn snapshots_that_come_too_fast_are_merged_into_few_events() {
    let server = server(Pace::default());
    let mut client = Client::open(&server, "/api/events", &[]).await;
    client.event().await;
    for seq in 2..=500 {
        server.publish(seq, vec![busy("a", seq)]);
    }
    let mut events = 0;
    loop {
        events += 1;
        if client.event().await.json()["vms"][0]["usage"]["cpu"]["used"] == 500_000_000 {
            break;
        }
    }
    assert!(events < 10, "{events} events");
}

#[tokio::test]
async fn a_silent_stream_sends_signs_of_life() {
    let server = server(short_pace());
    let mut json = Client::open(&server, "/api/events", &[]).await;
    let mut page = Client::open(&server, "/api/events?format=postcard", &[]).await;
    json.event().await;
    page.event().await;
    for _ in 0..3 {
        assert_eq!(json.block().await.as_deref(), Some(":"), "a comment, for anyone who can read it");
        assert_eq!(page.event().await.data, "-", "a browser's own reader hears no comments");
    }
    let quiet = self::server(Pace::default());
    let mut client = Client::open(&quiet, "/api/events", &[]).await;
    client.event().await;
    assert!(client.is_quiet().await, "not before its time");
}

#[tokio::test]
async fn a_client_beyond_the_limit_is_refused_until_another_leaves() {
    let http = HttpConfig { max_event_clients: 2, ..HttpConfig::default() };
    let server = Server::with(three(), http.clone()).at_pace(&http, Pace::default());
    let first = Client::open(&server, "/api/events", &[]).await;
    let _second = Client::open(&server, "/api/events?vm=shop/a", &[]).await;
    let refused = server.get("/api/events").await;
    assert_eq!((refused.status.as_u16(), refused.header("content-type")), (503, "application/problem+json"));
    assert_eq!(refused.header("retry-after"), "30");
    assert!(refused.json()["detail"].as_str().unwrap().contains("try again"));
    assert_eq!(server.get("/api/vms").await.status, 200, "nobody else is refused");
    drop(first);
    Client::open(&server, "/api/events", &[]).await;
}

#[tokio::test]
async fn a_bad_parameter_of_events_names_its_field() {
    let server = server(Pace::default());
    for (url, field) in
        [("/api/events?page=0", "page"), ("/api/events?vm=x", "vm"), ("/api/events?format=xml", "format")]
    {
        let answer = server.get(url).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["field"]), (400, &field.into()), "{url}");
    }
    assert_eq!(server.send(Method::POST, "/api/events", &[]).await.status, 405);
}

#[tokio::test]
async fn a_stream_is_neither_compressed_nor_stored_and_carries_the_security_headers() {
    let server = server(Pace::default());
    let request =
        Request::get("/api/events").header("accept-encoding", "br, gzip").body(Body::empty()).unwrap();
    let response = server.router.clone().oneshot(request).await.unwrap();
    let header = |name: &str| response.headers().get(name).map_or("", |value| value.to_str().unwrap());
    assert_eq!(header("content-encoding"), "");
    assert_eq!(header("cache-control"), "no-store");
    assert_eq!(header("x-accel-buffering"), "no");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert!(header("content-security-policy").contains("frame-ancestors 'none'"));
}

#[tokio::test]
async fn streams_end_with_the_program_and_no_new_stream_starts() {
    let Server { router, app, snapshots } = server(short_pace());
    let server = Server { router, app, snapshots };
    let mut client = Client::open(&server, "/api/events", &[]).await;
    client.event().await;
    let Server { router, app, snapshots } = server;
    drop(snapshots);
    while let Some(block) = client.block().await {
        assert_eq!(block, ":");
    }
    let late = router.oneshot(Request::get("/api/events").body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!((late.status().as_u16(), app.events.views()), (503, 0));
}

/// Uses a real socket, whose buffers fill up.
#[tokio::test]
async fn a_client_that_reads_nothing_is_disconnected_and_delays_nobody() {
    let http = HttpConfig::default();
    let server = Server::with(many(0), http.clone()).at_pace(&http, short_pace());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, shutdown) = (listener.local_addr().unwrap(), CancellationToken::new());
    let timeouts = Timeouts { stall: Duration::from_millis(500), ..Timeouts::default() };
    let config = ConnectionConfig { timeouts, ..ConnectionConfig::default() };
    let serving = tokio::spawn(listen(listener, server.router.clone(), config, shutdown.clone()));
    let stalled = TcpSocket::new_v4().unwrap();
    stalled.set_recv_buffer_size(4096).unwrap();
    let mut stalled = stalled.connect(address).await.unwrap();
    stalled.write_all(b"GET /api/events HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut client = Client::open(&server, "/api/events", &[]).await;
    client.event().await;
    let clients = || server.app.events.clients();
    eventually("the stalled client is there", async || clients() == 2).await;
    let begun = tokio::time::Instant::now();
    let mut seq = 1;
    while clients() == 2 {
        assert!(begun.elapsed() < 3 * SOON, "the stalled client is still there after {seq} events");
        seq += 1;
        server.publish(seq, many(seq));
        let published = tokio::time::Instant::now();
        client.event().await;
        assert!(published.elapsed() < Duration::from_secs(2), "event {seq} took {:?}", published.elapsed());
    }
    assert!(seq > 2, "it was ended for what it did not take");
    drop(stalled);
    shutdown.cancel();
    drop((client, server.snapshots));
    timeout(SOON, serving).await.expect("nothing is left to wait for").unwrap();
}

fn many(millis: u64) -> Vec<Vm> {
    (0..50).map(|n| busy(&format!("vm-{n:02}"), millis)).collect()
}
