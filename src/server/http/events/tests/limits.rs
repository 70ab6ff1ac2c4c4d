//! How many views, bytes and clients the event stream has room for.

mod followed_by_others;

use super::*;
use crate::server::http::peer::Peer;

#[tokio::test]
async fn head_gets_the_headers_of_get_and_takes_no_slot() {
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

/// Opens a stream as `Client::open` does, from this address.
pub async fn open_from(server: &Server, url: &str, peer: [u8; 4]) -> Response {
    let mut request = Request::get(url).body(Body::empty()).unwrap();
    request.extensions_mut().insert(Peer::new(peer.into()));
    server.router.clone().oneshot(request).await.unwrap()
}

pub fn view(n: usize) -> String {
    format!("/api/events?q=view-{n}")
}

pub const FIRST_CLIENT: [u8; 4] = [203, 0, 113, 5];
pub const SECOND_CLIENT: [u8; 4] = [203, 0, 113, 6];

/// Returns a server for 32 clients and 16 views, of which one peer may have 8.
fn sixteen_views() -> Server {
    let http = HttpConfig { max_event_clients: 32, ..HttpConfig::default() };
    Server::with(three(), http)
}

#[tokio::test(start_paused = true)]
async fn a_new_view_replaces_the_view_that_was_unused_longest() {
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
    // The last 15 unused views are kept, and the one that was followed was left last.
    for n in 200..215 {
        drop(Client::open(&server, &view(n), &[]).await);
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    let mut back = Client::open(&server, &view(0), &[("last-event-id", &first)]).await;
    assert_eq!(back.event().await.kind, "change", "it is remembered");
}

#[tokio::test]
async fn followed_views_are_limited() {
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
async fn clients_with_many_views_leave_room_for_the_first_view_of_others() {
    let server = sixteen_views();
    let mut held = Vec::new();
    for n in 0..16 {
        let stream = open_from(&server, &view(n), [203, 0, 113, 10 + n as u8 / 4]).await;
        assert_eq!(stream.status(), 200, "{n}");
        held.push(stream);
    }
    for (n, peer) in [(16, FIRST_CLIENT), (17, SECOND_CLIENT)] {
        let first = open_from(&server, &view(n), peer).await;
        assert_eq!(first.status(), 200, "{peer:?} has no view yet");
        held.push(first);
        assert_eq!(
            open_from(&server, &view(20 + n), peer).await.status(),
            503,
            "its second displaces nobody"
        );
    }
    assert_eq!(
        open_from(&server, &view(0), [203, 0, 113, 10]).await.status(),
        200,
        "the first clients have theirs"
    );
    assert_eq!(server.app.events.views(), 16);
}

#[tokio::test]
async fn one_peer_gets_half_of_the_views_and_displaces_no_other_peer() {
    let server = sixteen_views();
    let theirs = open_from(&server, &view(0), SECOND_CLIENT).await;
    drop(open_from(&server, &view(1), SECOND_CLIENT).await);
    let mut ours = Vec::new();
    for n in 2..10 {
        ours.push(open_from(&server, &view(n), FIRST_CLIENT).await);
    }
    assert_eq!(open_from(&server, &view(10), FIRST_CLIENT).await.status(), 503);
    assert_eq!(server.app.events.views(), 10, "the view that was left is still there");
    assert_eq!(
        open_from(&server, &view(0), FIRST_CLIENT).await.status(),
        200,
        "a view that is there is shared"
    );
    ours.pop();
    for n in 10..20 {
        assert_eq!(open_from(&server, &view(n), FIRST_CLIENT).await.status(), 200, "its own make room");
    }
    assert_eq!(server.app.events.views(), 10);
    assert_eq!(theirs.status(), 200);
}

/// Returns a VM whose page takes about 250 kB, like a VM with many disks and mounts.
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
async fn peers_share_the_bytes_of_views_and_unused_views_make_room() {
    const POOL: usize = 4 << 20;
    let names = names_of(40);
    let server = with_bytes(names.iter().map(|name| large(name, "x")).collect(), POOL);
    let mut followed = Vec::new();
    for name in &names {
        let answer = open_from(&server, &page(name), FIRST_CLIENT).await;
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
    let mut theirs = Client::of(open_from(&server, &page("vm-39"), SECOND_CLIENT).await).await;
    theirs.event().await;
    drop(followed);
    for name in &names {
        let answer = open_from(&server, &page(name), FIRST_CLIENT).await;
        Client::of(answer).await.event().await;
    }
    assert!(server.app.events.bytes() <= POOL);
    assert!(theirs.is_quiet().await, "another's view goes on");
}

#[tokio::test]
async fn a_view_without_room_is_refused_with_503() {
    let server = with_bytes(three(), 256 << 10);
    let mut followed = Vec::new();
    let refused = loop {
        let answer = open_from(&server, &view(followed.len()), FIRST_CLIENT).await;
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
    let other = open_from(&server, &view(followed.len()), SECOND_CLIENT).await;
    assert_eq!(other.status(), 200, "the other half is another's");
}

#[tokio::test]
async fn when_views_outgrow_the_share_of_their_peer_the_newest_end_first_with_a_problem() {
    const POOL: usize = 2 << 20;
    let names = names_of(12);
    let server = with_bytes(names.iter().map(|name| vm("shop", name)).collect(), POOL);
    let mut theirs = Client::of(open_from(&server, &page("vm-11"), SECOND_CLIENT).await).await;
    theirs.event().await;
    let mut own = Vec::new();
    for name in &names[..10] {
        let mut client = Client::of(open_from(&server, &page(name), FIRST_CLIENT).await).await;
        client.event().await;
        own.push(client);
    }
    // A view that another peer follows too is not the first to end.
    let mut shared = Client::of(open_from(&server, &page("vm-9"), SECOND_CLIENT).await).await;
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

/// A thousand clients of one view count as one view.
#[tokio::test]
async fn many_clients_of_one_view_take_its_bytes_once() {
    let server = with_bytes(three(), 256 << 10);
    let mut crowd = Vec::new();
    for _ in 0..1000 {
        crowd.push(Client::of(open_from(&server, "/api/events", FIRST_CLIENT).await).await);
    }
    server.publish(2, vec![busy("a", 700)]);
    for client in &mut crowd {
        while !client.event().await.data.contains("700000000") {}
    }
    assert!(server.app.events.bytes() <= 128 << 10);
}

#[tokio::test]
async fn a_view_without_room_for_its_events_can_still_be_followed() {
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

#[tokio::test]
async fn kept_changes_take_no_more_than_a_whole_view() {
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

/// Each client is in the middle of a different event. Without the limit, the program would hold one view for each client.
#[tokio::test]
async fn slow_clients_hold_no_more_than_the_event_buffer() {
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
        // An error means that the client was disconnected.
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
