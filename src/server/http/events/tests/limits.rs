//! What clients of the event stream can take, and what cutting their views costs others.

use super::*;
use crate::server::http::{
    peer::Peer,
    tests::fixture::{Gate, server_of},
};
use model::Millis;

#[tokio::test]
async fn head_is_answered_like_get_and_takes_nothing() {
    let http = HttpConfig { max_event_clients: 1, ..HttpConfig::default() };
    let server = Server::with(three(), http);
    for url in ["/api/events", "/at/h1/en/api/events", "/api/events?format=postcard&vm=shop/a"] {
        let views = server.app.events.views();
        let head = server.send(Method::HEAD, url, &[]).await;
        assert_eq!((head.status.as_u16(), head.body.len()), (200, 0), "{url}");
        assert_eq!((server.app.events.clients(), server.app.events.views()), (0, views), "{url}");
        let get = Request::get(url).body(Body::empty()).unwrap();
        let get = server.router.clone().oneshot(get).await.unwrap();
        let names = |headers: &axum::http::HeaderMap| {
            let mut names: Vec<_> = headers.keys().map(ToString::to_string).collect();
            names.sort();
            names
        };
        assert_eq!(names(&head.headers), names(get.headers()), "{url}");
        assert_eq!(server.send(Method::HEAD, url, &[]).await.status, 200, "when every place is taken too");
    }
    assert_eq!(server.send(Method::HEAD, "/api/events?page=0", &[]).await.status, 400);
}

/// As `Client::open` does, from this address.
async fn open_from(server: &Server, url: &str, peer: [u8; 4]) -> Response {
    let mut request = Request::get(url).body(Body::empty()).unwrap();
    request.extensions_mut().insert(Peer::new(peer.into()));
    server.router.clone().oneshot(request).await.unwrap()
}

fn view(n: usize) -> String {
    format!("/api/events?q=view-{n}")
}

const HERE: [u8; 4] = [203, 0, 113, 5];
const THERE: [u8; 4] = [203, 0, 113, 6];

/// 64 clients may follow 16 views, and one peer makes 8 of these.
fn sixteen_views() -> Server {
    let http = HttpConfig { max_event_clients: 64, ..HttpConfig::default() };
    Server::with(three(), http)
}

#[tokio::test(start_paused = true)]
async fn a_new_view_takes_the_place_of_the_one_that_was_left_first() {
    let server = sixteen_views();
    let mut followed = Client::open(&server, &view(0), &[]).await;
    let first = followed.event().await.id;
    for n in 1..200 {
        drop(Client::open(&server, &view(n), &[]).await);
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    assert_eq!(server.app.events.views(), 16);
    server.publish(2, vec![busy("view-0", 100)]);
    assert_eq!(followed.event().await.kind, "change", "one that is followed goes on");
    drop(followed);
    tokio::time::advance(Duration::from_millis(1)).await;
    // Of those that were left the last 15 are there, and the one that was followed is the last of all.
    for n in 200..215 {
        drop(Client::open(&server, &view(n), &[]).await);
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    let mut back = Client::open(&server, &view(0), &[("last-event-id", &first)]).await;
    assert_eq!(back.event().await.kind, "change", "it is remembered");
}

#[tokio::test]
async fn views_that_are_all_followed_are_as_many_as_there_may_be() {
    let server = sixteen_views();
    let mut clients = Vec::new();
    for n in 0..16 {
        clients.push(Client::open(&server, &view(n), &[]).await);
    }
    let refused = server.get(&view(16)).await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, "30"));
    assert_eq!(server.app.events.clients(), 16, "the one that was refused holds no place");
    Client::open(&server, &view(3), &[]).await;
    clients.pop();
    Client::open(&server, &view(16), &[]).await;
    assert_eq!(server.app.events.views(), 16);
}

#[tokio::test]
async fn one_peer_fills_half_of_the_views_and_drives_nobody_s_out() {
    let server = sixteen_views();
    let theirs = open_from(&server, &view(0), THERE).await;
    drop(open_from(&server, &view(1), THERE).await);
    let mut ours = Vec::new();
    for n in 2..10 {
        ours.push(open_from(&server, &view(n), HERE).await);
    }
    assert_eq!(open_from(&server, &view(10), HERE).await.status(), 503);
    assert_eq!(server.app.events.views(), 10, "the view that was left is still there");
    assert_eq!(open_from(&server, &view(0), HERE).await.status(), 200, "a view that is there is shared");
    ours.pop();
    for n in 10..20 {
        assert_eq!(open_from(&server, &view(n), HERE).await.status(), 200, "its own make room");
    }
    assert_eq!(server.app.events.views(), 10);
    assert_eq!(theirs.status(), 200);
}

/// A VM whose page takes some 250 kB, as those of many disks and mounts do.
fn large(name: &str, fill: &str) -> Vm {
    Vm { os_image: fill.repeat(200 << 10), ..vm("shop", name) }
}

fn names_of(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("vm-{n}")).collect()
}

fn page(name: &str) -> String {
    format!("/api/events?vm=shop/{name}")
}

fn with_bytes(vms: Vec<Vm>, bytes: usize) -> Server {
    let http = HttpConfig::default();
    Server::with(vms, http.clone()).with_view_bytes(&http, bytes)
}

#[tokio::test]
async fn the_bytes_of_views_are_shared_by_peers_and_those_that_nobody_follows_make_room() {
    const POOL: usize = 4 << 20;
    let names = names_of(40);
    let server = with_bytes(names.iter().map(|name| large(name, "x")).collect(), POOL);
    let mut followed = Vec::new();
    for name in &names {
        let answer = open_from(&server, &page(name), HERE).await;
        if answer.status() != 200 {
            break;
        }
        let mut client = Client::of(answer).await;
        // The size of a view is known once it is cut.
        if client.event().await.kind == "problem" {
            break;
        }
        followed.push(client);
    }
    assert!((6..=8).contains(&followed.len()), "{} views of 250 kB", followed.len());
    assert!(server.app.events.bytes() <= POOL / 2, "{}", server.app.events.bytes());
    let mut theirs = Client::of(open_from(&server, &page("vm-39"), THERE).await).await;
    theirs.event().await;
    drop(followed);
    for name in &names {
        let answer = open_from(&server, &page(name), HERE).await;
        Client::of(answer).await.event().await;
    }
    assert!(server.app.events.bytes() <= POOL);
    assert!(theirs.is_quiet().await, "another's view goes on");
}

#[tokio::test]
async fn a_view_without_room_is_refused_like_one_too_many() {
    let server = with_bytes(three(), 256 << 10);
    let mut followed = Vec::new();
    let refused = loop {
        let answer = open_from(&server, &view(followed.len()), HERE).await;
        if answer.status() != 200 {
            break answer;
        }
        let mut client = Client::of(answer).await;
        client.event().await;
        followed.push(client);
        assert!(followed.len() < 100, "one peer has half of the bytes");
    };
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (503, &"30".parse().unwrap()));
    assert_eq!(refused.headers()["content-type"], "application/problem+json");
    assert_eq!(server.app.events.clients(), followed.len(), "who is refused holds no place");
    let other = open_from(&server, &view(followed.len()), THERE).await;
    assert_eq!(other.status(), 200, "the other half is another's");
}

#[tokio::test]
async fn views_that_grow_beyond_their_peer_s_share_end_the_newest_first_and_say_why() {
    const POOL: usize = 2 << 20;
    let names = names_of(12);
    let server = with_bytes(names.iter().map(|name| vm("shop", name)).collect(), POOL);
    let mut theirs = Client::of(open_from(&server, &page("vm-11"), THERE).await).await;
    theirs.event().await;
    let mut own = Vec::new();
    for name in &names[..10] {
        let mut client = Client::of(open_from(&server, &page(name), HERE).await).await;
        client.event().await;
        own.push(client);
    }
    // What another follows too is not the first to go.
    let mut shared = Client::of(open_from(&server, &page("vm-9"), THERE).await).await;
    shared.event().await;
    server.publish(2, names.iter().map(|name| large(name, "y")).collect());
    assert!(theirs.event().await.data.contains("yyy"));
    assert!(shared.event().await.data.contains("yyy"));
    let mut ended = Vec::new();
    for (n, client) in own.iter_mut().enumerate() {
        let event = client.event().await;
        if event.kind == "problem" {
            assert_eq!(event.json()["status"], 503);
            assert!(event.json()["detail"].as_str().unwrap().contains("try again in 30 s"));
            assert_eq!(client.block().await, None, "it ends");
            ended.push(n);
        } else {
            assert!(event.data.contains("yyy"), "{}", event.kind);
        }
    }
    assert!((4..=8).contains(&ended.len()), "{ended:?}");
    assert_eq!(ended, (9 - ended.len()..9).collect::<Vec<_>>(), "the newest, but for the shared one");
    assert!(server.app.events.bytes() <= POOL, "{}", server.app.events.bytes());
}

/// A thousand clients of one view are one view.
#[tokio::test]
async fn many_clients_of_one_view_take_its_bytes_once() {
    let server = with_bytes(three(), 256 << 10);
    let mut crowd = Vec::new();
    for _ in 0..1000 {
        crowd.push(Client::of(open_from(&server, "/api/events", HERE).await).await);
    }
    server.publish(2, vec![busy("a", 700)]);
    for client in &mut crowd {
        while !client.event().await.data.contains("700000000") {}
    }
    assert!(server.app.events.bytes() <= 128 << 10);
}

#[tokio::test]
async fn a_view_without_room_for_its_events_is_followed_all_the_same() {
    let room_for_the_view = 320 << 10;
    let server = with_bytes(vec![large("a", "x")], room_for_the_view);
    let mut one = Client::open(&server, &page("a"), &[]).await;
    let mut two = Client::open(&server, &page("a"), &[]).await;
    assert!(one.event().await.data.contains("xxx") && two.event().await.data.contains("xxx"));
    for (seq, fill) in [(2, "y"), (3, "z")] {
        server.publish(seq, vec![large("a", fill)]);
        for client in [&mut one, &mut two] {
            assert!(client.event().await.data.contains(&fill.repeat(3)));
        }
        assert!(server.app.events.bytes() <= room_for_the_view);
    }
}

/// The clock is read once for each view that is cut.
fn gated(clock: fn() -> Millis, pace: Pace) -> Server {
    server_of(clock).at_pace(&HttpConfig::default(), pace)
}

#[tokio::test]
async fn a_crowd_that_comes_at_once_has_its_view_cut_once_and_holds_nobody_up() {
    static GATE: Gate = Gate::new();
    let server = gated(|| GATE.pass(), Pace::default());
    GATE.shut();
    let begun = tokio::time::Instant::now();
    let mut crowd = Vec::new();
    for _ in 0..200 {
        crowd.push(Client::open(&server, "/api/events", &[]).await);
    }
    let other = server.get("/healthz").await;
    assert!(
        begun.elapsed() < SOON && other.status == 200,
        "nothing waits for the cut: {:?}",
        begun.elapsed()
    );
    eventually("somebody cuts", async || GATE.passes() == 1).await;
    assert_ne!(GATE.thread(), Some(std::thread::current().id()), "not on this thread");
    GATE.open();
    for client in &mut crowd {
        assert_eq!(client.event().await.kind, "state");
    }
    assert_eq!(GATE.passes(), 1);
}

#[tokio::test]
async fn who_comes_while_an_older_snapshot_is_cut_is_shown_the_newest() {
    static GATE: Gate = Gate::new();
    let server = gated(|| GATE.pass(), Pace { tick: Duration::from_secs(60), ..Pace::default() });
    GATE.shut();
    let mut first = Client::open(&server, "/api/events", &[]).await;
    eventually("the first snapshot is cut", async || GATE.passes() == 1).await;
    server.publish(2, vec![busy("a", 700)]);
    let mut second = Client::open(&server, "/api/events", &[]).await;
    GATE.open();
    assert_eq!(names(&second.event().await.json()), ["a"]);
    let state = first.event().await;
    if names(&state.json()).len() == 3 {
        assert_eq!(first.event().await.kind, "change");
    }
}

#[tokio::test]
async fn a_client_that_leaves_while_its_view_is_cut_leaves_nothing() {
    static GATE: Gate = Gate::new();
    let server = gated(|| GATE.pass(), impatient());
    GATE.shut();
    let client = Client::open(&server, "/api/events", &[]).await;
    eventually("the view is cut", async || GATE.passes() == 1).await;
    drop(client);
    assert_eq!(server.app.events.clients(), 0, "its place is free at once");
    GATE.open();
    eventually("the channel is forgotten", async || server.app.events.views() == 0).await;
}

#[tokio::test]
async fn views_whose_clients_have_left_are_not_cut_at_all() {
    static GATE: Gate = Gate::new();
    let server = gated(|| GATE.pass(), Pace::default());
    GATE.shut();
    let turns = std::thread::available_parallelism().unwrap().get().div_ceil(2);
    let mut first = Vec::new();
    for n in 0..turns {
        first.push(Client::open(&server, &view(n), &[]).await);
    }
    eventually("every turn is taken", async || GATE.passes() == turns).await;
    for n in turns..turns + 50 {
        drop(Client::open(&server, &view(n), &[]).await);
    }
    GATE.open();
    for client in &mut first {
        client.event().await;
    }
    Client::open(&server, "/api/events?only=sources", &[]).await.event().await;
    assert!(GATE.passes() <= turns + 1, "{} cuts", GATE.passes());
}

/// 5 ms a view: a clock is read once for each that is cut.
#[tokio::test]
async fn one_peer_s_many_views_delay_another_s_view_by_one_of_them() {
    static GATE: Gate = Gate::new();
    let slowly = || {
        std::thread::sleep(Duration::from_millis(5));
        GATE.pass()
    };
    let server = gated(slowly, Pace::default());
    GATE.open();
    let mut theirs = Vec::new();
    for n in 0..80 {
        theirs.push(open_from(&server, &view(n), THERE).await);
    }
    let mut own = Client::of(open_from(&server, "/api/events?sort=cpu", HERE).await).await;
    own.event().await;
    eventually("every view is cut", async || server.app.events.uncut() == 0).await;
    for seq in 2..=6 {
        // Snapshots come no faster; the other's views take longer.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let before = GATE.passes();
        server.publish(seq, vec![busy("a", seq)]);
        own.event().await;
        let cut = GATE.passes() - before;
        assert!(cut <= 6, "{cut} views were cut before it for snapshot {seq}");
    }
    eventually("every view comes to the newest snapshot", async || server.app.events.uncut() == 0).await;
    drop(theirs);
}

#[tokio::test]
async fn changes_that_are_kept_for_those_who_come_back_are_no_more_than_a_view() {
    let server = server(Pace::default());
    let large = |seq: u64| (0..50).map(|n| busy(&format!("vm-{n:02}"), seq)).collect::<Vec<_>>();
    server.publish(2, large(2));
    let mut stays = Client::open(&server, "/api/events", &[]).await;
    let first = stays.event().await.id;
    let mut bytes = 0;
    for seq in 3..=7 {
        server.publish(seq, large(seq));
        bytes += stays.event().await.data.len();
    }
    assert!(bytes > 256 << 10, "{bytes} bytes are no test");
    let mut back = Client::open(&server, "/api/events", &[("last-event-id", &first)]).await;
    assert_eq!(back.event().await.kind, "state");
}

/// Each is in the middle of an event of its own: as many as there may be clients, the program would hold as many views.
#[tokio::test]
async fn clients_that_take_their_event_at_a_crawl_hold_no_more_than_the_buffer() {
    const CLIENTS: u64 = 600;
    let server = server(Pace::default());
    let mut crawling = Vec::new();
    let mut bytes = 0;
    for seq in 2..CLIENTS + 2 {
        server.publish(seq, many(seq));
        let mut client = Client::open(&server, "/api/events", &[]).await;
        let begun = timeout(SOON, client.body.next()).await.unwrap().unwrap().unwrap();
        bytes += begun.len();
        crawling.push(client);
    }
    assert!(bytes <= CLIENTS as usize * (16 << 10), "{bytes} bytes are at once with the clients");
    let mut whole = 0;
    for client in &mut crawling {
        // An error is the end of one that was disconnected.
        while let Some(Ok(piece)) = timeout(SOON, client.body.next()).await.unwrap() {
            client.rest.push_str(std::str::from_utf8(&piece).unwrap());
            if client.rest.ends_with("\n\n") {
                whole += client.rest.len();
                break;
            }
        }
    }
    assert!(whole > 8 << 20, "those that came last have their event");
    assert!(whole <= 32 << 20, "{whole} bytes were held for clients that crawl");
}

/// A client can find out which views are followed, and join them.
#[tokio::test]
async fn who_joins_the_views_of_others_keeps_none_of_their_places() {
    const ELSEWHERE: [u8; 4] = [203, 0, 113, 7];
    let server = sixteen_views();
    let mut held = Vec::new();
    for n in 0..8 {
        held.push(open_from(&server, &view(n), THERE).await);
    }
    for n in 8..16 {
        let own = open_from(&server, &view(n), HERE).await;
        assert_eq!(own.status(), 200, "{n}");
        held.push(open_from(&server, &view(n), THERE).await);
    }
    assert!(held.iter().all(|stream| stream.status() == 200));
    let mut followed = Vec::new();
    for (n, peer) in [HERE, ELSEWHERE, HERE, ELSEWHERE].into_iter().enumerate() {
        let stream = open_from(&server, &view(20 + n), peer).await;
        assert_eq!(stream.status(), 200, "{peer:?} finds a place");
        followed.push(stream);
    }
    assert_eq!(server.app.events.views(), 16);
}
