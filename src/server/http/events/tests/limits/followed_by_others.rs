//! Views that several clients follow: for whom they count, and who can end them.

use super::*;

/// A client can guess which views others follow, and join them.
#[tokio::test]
async fn joining_the_views_of_others_does_not_block_their_slots() {
    const THIRD_CLIENT: [u8; 4] = [203, 0, 113, 7];
    let server = sixteen_views();
    let mut held = Vec::new();
    for n in 0..8 {
        held.push(open_from(&server, &view(n), SECOND_CLIENT).await);
    }
    for n in 8..16 {
        let own = open_from(&server, &view(n), FIRST_CLIENT).await;
        assert_eq!(own.status(), 200, "{n}");
        held.push(open_from(&server, &view(n), SECOND_CLIENT).await);
    }
    assert!(held.iter().all(|stream| stream.status() == 200));
    let mut followed = Vec::new();
    for (n, peer) in [FIRST_CLIENT, THIRD_CLIENT, FIRST_CLIENT, THIRD_CLIENT].into_iter().enumerate() {
        let stream = open_from(&server, &view(20 + n), peer).await;
        assert_eq!(stream.status(), 200, "{peer:?} finds a place");
        followed.push(stream);
    }
    assert_eq!(server.app.events.views(), 16);
}

/// A view counts for the client that opened it. If that client leaves, it cannot end the streams of the others
/// by opening more views.
#[tokio::test]
async fn a_view_that_others_follow_goes_on_when_its_first_peer_needs_the_slot() {
    let server = sixteen_views();
    let mut first = Client::of(open_from(&server, &view(0), FIRST_CLIENT).await).await;
    first.event().await;
    let mut others = Vec::new();
    for peer in [SECOND_CLIENT, [203, 0, 113, 7]] {
        let mut client = Client::of(open_from(&server, &view(0), peer).await).await;
        client.event().await;
        others.push(client);
    }
    let mut held = Vec::new();
    for n in 1..8 {
        held.push(open_from(&server, &view(n), FIRST_CLIENT).await);
    }
    drop(first);
    let more = open_from(&server, &view(8), FIRST_CLIENT).await;
    assert_eq!(more.status(), 200);
    assert_eq!(server.app.events.views(), 9);
    assert_eq!(
        open_from(&server, &view(9), FIRST_CLIENT).await.status(),
        503,
        "its share is taken by its own views"
    );
    server.publish(2, vec![busy("view-0", 100)]);
    for client in &mut others {
        assert_eq!(client.event().await.kind, "change");
    }
}

#[tokio::test]
async fn a_view_whose_peer_has_left_takes_a_place_of_its_follower() {
    let server = sixteen_views();
    let first = open_from(&server, &view(0), FIRST_CLIENT).await;
    let _follows = open_from(&server, &view(0), SECOND_CLIENT).await;
    drop(first);
    let mut held = Vec::new();
    for n in 1..9 {
        held.push(open_from(&server, &view(n), FIRST_CLIENT).await);
    }
    for n in 9..16 {
        held.push(open_from(&server, &view(n), SECOND_CLIENT).await);
    }
    assert!(held.iter().all(|stream| stream.status() == 200));
    assert_eq!(open_from(&server, &view(16), SECOND_CLIENT).await.status(), 503);
}

#[tokio::test]
async fn a_view_that_others_follow_goes_on_when_its_first_peer_needs_the_bytes() {
    let names = names_of(20);
    let server = with_bytes(names.iter().map(|name| large(name, "x")).collect(), 4 << 20);
    let mut first = Client::of(open_from(&server, &page("vm-0"), FIRST_CLIENT).await).await;
    first.event().await;
    let mut other = Client::of(open_from(&server, &page("vm-0"), SECOND_CLIENT).await).await;
    other.event().await;
    let mut held = Vec::new();
    let mut left = names[1..].iter();
    for name in left.by_ref() {
        let answer = open_from(&server, &page(name), FIRST_CLIENT).await;
        if answer.status() != 200 {
            break;
        }
        let mut client = Client::of(answer).await;
        if client.event().await.kind == "problem" {
            break;
        }
        held.push(client);
    }
    assert!((5..=7).contains(&held.len()), "{} views of 250 kB", held.len());
    drop(first);
    let more = open_from(&server, &page(left.next().unwrap()), FIRST_CLIENT).await;
    assert!(Client::of(more).await.event().await.data.contains("xxx"));
    assert!(other.is_quiet().await, "its stream does not end");
    server.publish(2, names.iter().map(|name| large(name, "y")).collect());
    assert!(other.event().await.data.contains("yyy"));
}

#[tokio::test]
async fn a_view_that_others_follow_goes_on_when_the_views_of_its_first_peer_grow() {
    let names = names_of(10);
    let server = with_bytes(names.iter().map(|name| vm("shop", name)).collect(), 2 << 20);
    let mut held = Vec::new();
    for name in &names {
        let mut client = Client::of(open_from(&server, &page(name), FIRST_CLIENT).await).await;
        client.event().await;
        held.push(client);
    }
    let mut other = Client::of(open_from(&server, &page("vm-0"), SECOND_CLIENT).await).await;
    other.event().await;
    drop(held.remove(0));
    server.publish(2, names.iter().map(|name| large(name, "y")).collect());
    let mut ended = 0;
    for client in &mut held {
        ended += usize::from(client.event().await.kind == "problem");
    }
    assert!(ended > 0, "the first peer's share was not used up");
    assert!(other.event().await.data.contains("yyy"));
}
