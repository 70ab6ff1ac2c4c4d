//! Cutting the views of new clients and new snapshots delays nobody else. The clock is a gate: the test says when a cut
//! goes on.

use super::{
    limits::{FIRST_CLIENT, SECOND_CLIENT, open_from, view},
    *,
};
use crate::server::http::tests::fixture::{Gate, server_of};
use model::Millis;

/// The clock is read once for each view that is cut.
fn gated(clock: fn() -> Millis, pace: Pace) -> Server {
    server_of(clock).at_pace(&HttpConfig::default(), pace)
}

#[tokio::test]
async fn many_new_clients_share_one_cut_and_delay_nobody() {
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
async fn a_client_that_comes_during_a_cut_gets_the_newest_snapshot() {
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
async fn a_client_that_leaves_during_a_cut_frees_everything() {
    static GATE: Gate = Gate::new();
    let server = gated(|| GATE.pass(), short_pace());
    GATE.shut();
    let client = Client::open(&server, "/api/events", &[]).await;
    eventually("the view is cut", async || GATE.passes() == 1).await;
    drop(client);
    assert_eq!(server.app.events.clients(), 0, "its place is free at once");
    GATE.open();
    eventually("the channel is forgotten", async || server.app.events.views() == 0).await;
}

#[tokio::test]
async fn views_without_clients_are_not_cut() {
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

/// Each cut takes 5 ms: the clock is read once for each view.
#[tokio::test]
async fn many_views_of_one_peer_delay_the_view_of_another_by_one_cut() {
    static GATE: Gate = Gate::new();
    let slowly = || {
        std::thread::sleep(Duration::from_millis(5));
        GATE.pass()
    };
    let server = gated(slowly, Pace::default());
    GATE.open();
    let mut theirs = Vec::new();
    for n in 0..80 {
        theirs.push(open_from(&server, &view(n), SECOND_CLIENT).await);
    }
    let mut own = Client::of(open_from(&server, "/api/events?sort=cpu", FIRST_CLIENT).await).await;
    own.event().await;
    eventually("every view is cut", async || server.app.events.uncut() == 0).await;
    for seq in 2..=6 {
        // Snapshots do not come faster in production. Cutting the other peer's views takes longer.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let before = GATE.passes();
        server.publish(seq, vec![busy("a", seq)]);
        own.event().await;
        let cut = GATE.passes() - before;
        assert!(cut <= 16, "{cut} views were cut before it for snapshot {seq}");
    }
    eventually("every view comes to the newest snapshot", async || server.app.events.uncut() == 0).await;
    drop(theirs);
}
