//! What peers hold, wait for and leave behind.

use std::sync::atomic::Ordering;

use tokio::{task::JoinHandle, time::Instant};

use super::*;

fn peer(address: &str) -> Option<Peer> {
    Some(Peer::new(address.parse().unwrap()))
}

#[test]
fn one_peer_has_half_and_all_peers_have_all() {
    let semaphore = PeerSemaphore::new("test", 5);
    let [one, two] = [peer("203.0.113.5"), peer("203.0.113.6")];
    let mut held: Vec<_> = (0..3).map(|_| semaphore.try_acquire(one).unwrap()).collect();
    assert_eq!(semaphore.try_acquire(one).err(), Some(PermitError::ShareTaken));
    held.extend((0..2).map(|_| semaphore.try_acquire(two).unwrap()));
    assert_eq!(semaphore.try_acquire(two).err(), Some(PermitError::AllTaken));
    assert_eq!(semaphore.try_acquire(None).err(), Some(PermitError::AllTaken));
    held.remove(0);
    semaphore.try_acquire(one).expect("what is dropped is free again");
    drop(held);
    assert_eq!((semaphore.held(), semaphore.peers()), (0, 0));
}

#[test]
fn a_permit_grows_and_shrinks_and_leaves_nothing() {
    let semaphore = PeerSemaphore::new("test", 10);
    let one = peer("203.0.113.5");
    let mut held = semaphore.try_acquire_many(one, 2).unwrap();
    held.merge(semaphore.try_acquire_many(one, 3).unwrap());
    assert_eq!(semaphore.try_acquire_many(one, 1).err(), Some(PermitError::ShareTaken));
    held.release(4);
    assert_eq!(semaphore.held(), 1);
    let more = semaphore.try_acquire_many(one, 4).expect("what was released is free again");
    held.release(100);
    drop((held, more));
    assert_eq!((semaphore.held(), semaphore.peers()), (0, 0));
}

#[test]
fn a_permit_moves_to_a_peer_whose_share_has_room_even_if_all_are_taken() {
    let semaphore = PeerSemaphore::new("test", 4);
    let [one, two] = [peer("203.0.113.5"), peer("203.0.113.6")];
    let mut moved = semaphore.try_acquire_many(one, 2).unwrap();
    let theirs = semaphore.try_acquire(two).unwrap();
    let rest = semaphore.try_acquire(None).unwrap();
    assert_eq!(moved.move_to(two), Err(PermitError::ShareTaken), "only one is left to it");
    drop(theirs);
    let full = semaphore.try_acquire(None).unwrap();
    moved.move_to(two).unwrap();
    assert_eq!(semaphore.held(), 4);
    drop((rest, full));
    assert_eq!(semaphore.try_acquire(two).err(), Some(PermitError::ShareTaken));
    let again = semaphore.try_acquire_many(one, 2).expect("its share is free");
    moved.move_to(None).unwrap();
    drop(again);
    drop(semaphore.try_acquire_many(two, 2).expect("its share is free"));
    moved.move_to(one).unwrap();
    drop(moved);
    assert_eq!((semaphore.held(), semaphore.peers()), (0, 0));
}

#[test]
fn the_addresses_of_one_network_are_one_peer() {
    let semaphore = PeerSemaphore::new("test", 4);
    let _held = ["2001:db8::1", "2001:db8::2"].map(|address| semaphore.try_acquire(peer(address)).unwrap());
    assert_eq!(semaphore.try_acquire(peer("2001:db8::3")).err(), Some(PermitError::ShareTaken));
    assert!(semaphore.try_acquire(peer("2001:db8:0:1::1")).is_ok());
}

#[test]
fn a_peer_that_is_not_known_has_no_share_of_its_own() {
    let semaphore = PeerSemaphore::new("test", 2);
    let _held = [None, None].map(|peer| semaphore.try_acquire(peer).unwrap());
    assert_eq!(semaphore.try_acquire(None).err(), Some(PermitError::AllTaken));
}

#[test]
fn a_single_permit_can_be_acquired() {
    assert!(PeerSemaphore::new("test", 1).try_acquire(peer("203.0.113.5")).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_permit_is_waited_for_as_long_as_one_says() {
    let semaphore = PeerSemaphore::new("test", 2);
    let one = peer("203.0.113.5");
    let first = semaphore.try_acquire(one).unwrap();
    let wait = Duration::from_secs(2);
    assert!(semaphore.acquire_within(wait, one).await.is_none(), "its share");
    let other = semaphore.acquire_within(wait, peer("203.0.113.6")).await.expect("the other half");
    assert!(semaphore.acquire_within(wait, peer("203.0.113.7")).await.is_none(), "everything");
    let waiting = tokio::spawn({
        let semaphore = semaphore.clone();
        async move { semaphore.acquire_within(wait, one).await.is_some() }
    });
    tokio::time::sleep(wait / 2).await;
    drop(first);
    assert!(waiting.await.unwrap());
    drop(other);
    assert_eq!((semaphore.held(), semaphore.peers()), (0, 0), "those who waited left nothing");
}

#[tokio::test(start_paused = true)]
async fn many_permits_are_had_at_once_and_more_than_half_by_nobody() {
    let semaphore = PeerSemaphore::new("test", 10);
    let wait = Duration::from_secs(1);
    let (one, two) = (peer("203.0.113.5"), peer("203.0.113.6"));
    let some = semaphore.acquire_many_within(wait, one, 3).await.unwrap();
    assert!(semaphore.acquire_many_within(wait, one, 3).await.is_none(), "two are left to it");
    assert!(semaphore.acquire_many_within(wait, two, 6).await.is_none(), "more than one peer may have");
    assert_eq!(semaphore.held(), 3);
    let large = semaphore.acquire_many_within(wait, two, 5).await.expect("what one peer may have");
    assert_eq!(semaphore.held(), 8);
    drop((some, large));
    assert_eq!((semaphore.held(), semaphore.peers()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_gives_up_leaves_nothing() {
    let semaphore = PeerSemaphore::new("test", 4);
    let (one, two) = (peer("203.0.113.5"), peer("203.0.113.6"));
    let all: Vec<_> = (0..4).map(|_| semaphore.try_acquire(None).unwrap()).collect();
    assert!(semaphore.acquire_within(Duration::from_secs(1), one).await.is_none());
    assert_eq!(semaphore.peers(), 1, "the unknown one");
    drop(all);
    let share: Vec<_> = (0..2).map(|_| semaphore.try_acquire(two).unwrap()).collect();
    let waiting = tokio::spawn({
        let semaphore = semaphore.clone();
        async move { semaphore.acquire(two).await }
    });
    tokio::task::yield_now().await;
    drop(share);
    waiting.abort();
    drop(waiting.await);
    assert_eq!((semaphore.held(), semaphore.peers()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn waiters_leave_no_accounts_behind() {
    let semaphore = PeerSemaphore::new("test", 6);
    let client = |n: usize| {
        let semaphore = semaphore.clone();
        tokio::spawn(async move {
            let peer = peer(&format!("203.0.113.{}", n % 3));
            for _ in 0..50 {
                let permit = semaphore.acquire_within(Duration::from_micros(50 * n as u64), peer).await;
                tokio::task::yield_now().await;
                drop(permit);
            }
        })
    };
    for client in (0..24).map(client).collect::<Vec<_>>() {
        client.await.unwrap();
    }
    assert_eq!((semaphore.held(), semaphore.peers()), (0, 0));
}

/// Asks for permits in a task of its own, which waits by the time this returns.
async fn wait_for(
    semaphore: &Arc<PeerSemaphore>,
    peer: Option<Peer>,
    count: usize,
) -> JoinHandle<Option<PeerPermit>> {
    let semaphore = semaphore.clone();
    let task = tokio::spawn(async move { semaphore.acquire_many_within(WAIT, peer, count).await });
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
    task
}

const WAIT: Duration = Duration::from_secs(2);

#[tokio::test(start_paused = true)]
async fn the_peer_that_has_least_is_first_and_then_who_waits_longest() {
    let semaphore = PeerSemaphore::new("test", 8);
    let [one, two, new] = [5, 6, 7].map(|n| peer(&format!("203.0.113.{n}")));
    let _theirs = [semaphore.try_acquire_many(one, 2).unwrap(), semaphore.try_acquire(two).unwrap()];
    let mut rest: Vec<_> = (0..5).map(|_| semaphore.try_acquire(None).unwrap()).collect();
    let mut waiting = Vec::new();
    for peer in [one, two, two, new] {
        waiting.push(wait_for(&semaphore, peer, 1).await);
    }
    for first in [3, 1, 0, 2] {
        rest.pop();
        tokio::task::yield_now().await;
        let done: Vec<_> = waiting.iter().map(JoinHandle::is_finished).collect();
        assert!(done[first], "{first}: {done:?}");
        assert_eq!(done.iter().filter(|done| **done).count(), 5 - rest.len(), "{done:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_too_long_refuses_the_peer_that_wants_most() {
    let semaphore = PeerSemaphore::with_longest_queue("test", 8, 3);
    let [one, two] = [peer("203.0.113.5"), peer("203.0.113.6")];
    let all = semaphore.try_acquire_many(None, 8).unwrap();
    let mut waiting = Vec::new();
    for peer in [one, one, one, two] {
        waiting.push(wait_for(&semaphore, peer, 1).await);
    }
    let done: Vec<_> = waiting.iter().map(JoinHandle::is_finished).collect();
    assert_eq!(done, [false, false, true, false], "the newest of the first");
    assert!(waiting.remove(2).await.unwrap().is_none());
    drop(all);
    for waiting in waiting {
        assert!(waiting.await.unwrap().is_some());
    }
    let all = semaphore.try_acquire_many(None, 8).unwrap();
    let large = wait_for(&semaphore, one, 4).await;
    assert!(!large.is_finished(), "a large one may wait alone");
    drop(all);
    assert!(large.await.unwrap().is_some());
    assert_eq!((semaphore.held(), semaphore.peers()), (0, 0));
}

/// An answer that is sent until its connection is ended.
struct Sent {
    read: Arc<AtomicU64>,
    connection: JoinHandle<()>,
}

fn send(semaphore: &Arc<PeerSemaphore>, peer: Option<Peer>, count: usize) -> Sent {
    let end = CancellationToken::new();
    let mut permit = semaphore.try_acquire_many(peer, count).unwrap();
    let read = permit.send_on(end.clone());
    let connection = tokio::spawn(async move {
        end.cancelled().await;
        drop(permit);
    });
    Sent { read, connection }
}

fn ended(sent: &[Sent]) -> Vec<usize> {
    let ended = sent.iter().enumerate().filter(|(_, sent)| sent.connection.is_finished());
    ended.map(|(n, _)| n).collect()
}

#[tokio::test(start_paused = true)]
async fn the_slowest_answers_of_the_peer_with_most_give_way_and_no_more_than_needed() {
    let semaphore = PeerSemaphore::new("test", 12);
    let [one, two, new] = [5, 6, 7].map(|n| peer(&format!("203.0.113.{n}")));
    let sent: Vec<_> = [(one, 2), (one, 2), (one, 2), (two, 4), (two, 1)]
        .map(|(peer, count)| send(&semaphore, peer, count))
        .into();
    let _rest = semaphore.try_acquire(None).unwrap();
    sent[0].read.store(10 << 20, Ordering::Relaxed);
    sent[1].read.store(30 << 10, Ordering::Relaxed);
    tokio::time::sleep(WAIT).await;
    assert!(ended(&sent).is_empty(), "nobody waits");
    let first = wait_for(&semaphore, new, 1).await.await.unwrap();
    assert!(first.is_some());
    assert_eq!(ended(&sent), [2]);
    let second = wait_for(&semaphore, new, 3).await.await.unwrap();
    assert!(second.is_some(), "one is free of the two that gave way before");
    assert_eq!(ended(&sent), [2, 3], "the one that has most now");
    assert!(semaphore.held() <= 12);
    drop((first, second));
    assert_eq!(semaphore.accounts.lock().transfers.leaving(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_quick_reader_and_one_that_has_just_begun_keep_their_answers() {
    let semaphore = PeerSemaphore::new("test", 4);
    let [one, two, new] = [5, 6, 7].map(|n| peer(&format!("203.0.113.{n}")));
    let sent = [send(&semaphore, one, 2), send(&semaphore, two, 2)];
    sent[0].read.store(1 << 20, Ordering::Relaxed);
    let begun = Instant::now();
    assert!(wait_for(&semaphore, new, 1).await.await.unwrap().is_some());
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(1) && took < WAIT, "every answer has a second: {took:?}");
    assert_eq!(ended(&sent), [1]);
}

#[tokio::test(start_paused = true)]
async fn an_equal_share_may_be_read_slowly_for_half_a_minute() {
    let semaphore = PeerSemaphore::new("test", 8);
    let [one, two, new] = [5, 6, 7].map(|n| peer(&format!("203.0.113.{n}")));
    let sent = [send(&semaphore, one, 2), send(&semaphore, two, 2)];
    let mut rest: Vec<_> = (0..4).map(|_| semaphore.try_acquire(None).unwrap()).collect();
    for pause in [20, 5] {
        tokio::time::sleep(Duration::from_secs(pause)).await;
        assert!(wait_for(&semaphore, new, 2).await.await.unwrap().is_none(), "{pause}");
        assert!(ended(&sent).is_empty());
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let _own = wait_for(&semaphore, new, 2).await.await.unwrap().expect("the oldest gives way");
    assert_eq!(ended(&sent), [0]);
    rest.pop();
    let _more = semaphore.try_acquire(new).unwrap();
    assert!(wait_for(&semaphore, new, 1).await.await.unwrap().is_none());
    assert_eq!(ended(&sent), [0], "one that has more takes nothing from one that has less");
}
