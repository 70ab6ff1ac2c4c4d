//! What peers hold, wait for and leave behind.

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
    assert_eq!((semaphore.held(), semaphore.shares.peers()), (0, 0));
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
    assert_eq!((semaphore.held(), semaphore.shares.peers()), (0, 0));
}

#[test]
fn a_permit_moves_to_a_peer_whose_share_has_room_even_if_all_are_taken() {
    let semaphore = PeerSemaphore::new("test", 4);
    let [one, two] = [peer("203.0.113.5"), peer("203.0.113.6")];
    let mut moved = semaphore.try_acquire_many(one, 2).unwrap();
    let theirs = semaphore.try_acquire(two).unwrap();
    let rest = semaphore.try_acquire(None).unwrap();
    assert_eq!(moved.share_for(two).err(), Some(PermitError::ShareTaken), "only one is left to it");
    drop(theirs);
    let full = semaphore.try_acquire(None).unwrap();
    moved.move_to(moved.share_for(two).unwrap());
    assert_eq!(semaphore.held(), 4);
    drop((rest, full));
    assert_eq!(semaphore.try_acquire(two).err(), Some(PermitError::ShareTaken));
    let again = semaphore.try_acquire_many(one, 2).expect("its share is free");
    moved.move_to(moved.share_for(None).unwrap());
    drop(again);
    drop(semaphore.try_acquire_many(two, 2).expect("its share is free"));
    moved.move_to(moved.share_for(one).unwrap());
    drop(moved);
    assert_eq!((semaphore.held(), semaphore.shares.peers()), (0, 0));
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
fn the_only_permit_can_be_had() {
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
    assert_eq!((semaphore.held(), semaphore.shares.peers()), (0, 0), "those who waited left nothing");
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
    assert_eq!((semaphore.held(), semaphore.shares.peers()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_gives_up_leaves_nothing() {
    let semaphore = PeerSemaphore::new("test", 4);
    let (one, two) = (peer("203.0.113.5"), peer("203.0.113.6"));
    let all: Vec<_> = (0..4).map(|_| semaphore.try_acquire(None).unwrap()).collect();
    assert!(semaphore.acquire_within(Duration::from_secs(1), one).await.is_none());
    assert_eq!(semaphore.shares.peers(), 0);
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
    assert_eq!((semaphore.held(), semaphore.shares.peers()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crowd_leaves_nothing() {
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
    assert_eq!((semaphore.held(), semaphore.shares.peers()), (0, 0));
}
