//! Who gives up a stream when all slots of event clients are taken.

use super::{
    limits::{FIRST_CLIENT, SECOND_CLIENT, open_from},
    *,
};

const THIRD_CLIENT: [u8; 4] = [203, 0, 113, 7];

/// Returns a server for 8 clients, of which one peer may have 4, and all of them, which two peers have.
async fn eight_taken(url: &str) -> (Server, Vec<Client>) {
    let http = HttpConfig { max_event_clients: 8, ..HttpConfig::default() };
    let server = Server::with(three(), http);
    let mut clients = Vec::new();
    for n in 0..8 {
        let peer = if n % 2 == 0 { FIRST_CLIENT } else { SECOND_CLIENT };
        clients.push(Client::of(open_from(&server, url, peer).await).await);
    }
    for client in &mut clients {
        client.event().await;
    }
    (server, clients)
}

#[tokio::test(start_paused = true)]
async fn two_peers_that_take_all_streams_give_way_to_a_third() {
    let (server, mut taken) = eight_taken("/api/events").await;
    let mut others = Vec::new();
    for n in 0..2 {
        let stream = open_from(&server, "/api/events", THIRD_CLIENT).await;
        assert_eq!(stream.status(), 200, "{n}");
        others.push(Client::of(stream).await);
    }
    assert_eq!(open_from(&server, "/api/events", THIRD_CLIENT).await.status(), 503, "equal shares are kept");
    assert_eq!(server.app.events.clients(), 8);
    for client in &mut taken[6..] {
        let event = client.event().await;
        assert_eq!((event.kind.as_str(), &event.json()["status"]), ("problem", &503.into()));
        assert_eq!(client.block().await, None, "it ends");
    }
    server.publish(2, vec![busy("a", 700)]);
    for client in taken[..6].iter_mut().chain(&mut others) {
        while !client.event().await.data.contains("700000000") {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_a_page_that_gives_way_ends() {
    let (server, mut taken) = eight_taken("/api/events?format=postcard").await;
    assert_eq!(open_from(&server, "/api/events", THIRD_CLIENT).await.status(), 200);
    let mut ended = 0;
    for client in &mut taken[6..] {
        ended += usize::from(!client.is_quiet().await && client.block().await.is_none());
    }
    assert_eq!(ended, 1, "the newest of one of the two");
}

#[tokio::test(start_paused = true)]
async fn a_peer_with_all_it_may_have_takes_no_stream_from_another() {
    let (server, mut taken) = eight_taken("/api/events").await;
    for peer in [FIRST_CLIENT, SECOND_CLIENT] {
        assert_eq!(open_from(&server, "/api/events", peer).await.status(), 503);
    }
    for client in &mut taken {
        assert!(client.is_quiet().await);
    }
}
