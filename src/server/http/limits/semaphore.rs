//! A semaphore that gives no peer more than half of its permits. All limits of `http` are made of it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::{Mutex, MutexGuard};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};

use crate::server::http::peer::{Client, Peer};

/// Shortest time between two logged refusals of a semaphore, so that clients who cause them cannot fill the
/// log.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);
/// How long permits count as short after a client waited for them in vain.
const SHORTAGE: Duration = Duration::from_secs(60);

/// Why there is no free permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PermitError {
    /// All of them are taken.
    AllTaken,
    /// The peer has as many permits as one peer may have.
    ShareTaken,
}

/// A semaphore that also counts its permits by peer. An unknown peer (`None`) is bounded by the total only.
pub struct PeerSemaphore {
    /// What it limits, for the log.
    name: &'static str,
    permits: usize,
    all: Arc<Semaphore>,
    /// The free permits of each peer that holds a permit or waits for one.
    shares: Mutex<HashMap<Client, Arc<Semaphore>>>,
    warned: Mutex<Option<Instant>>,
    /// When a client last waited in vain although it had less than its share.
    refused: Mutex<Option<Instant>>,
}

/// One or more permits. They are released when this is dropped.
pub struct PeerPermit {
    semaphore: Arc<PeerSemaphore>,
    /// `None` only if the semaphore was closed, which never happens.
    all: Option<OwnedSemaphorePermit>,
    share: Option<Share>,
}

impl PeerPermit {
    /// Takes as many permits of another peer's share, for [`Self::move_to`]. Fails if the share has fewer.
    pub fn share_for(&self, peer: Option<Peer>) -> Result<Option<Share>, PermitError> {
        let held = self.all.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        self.semaphore.try_share(peer, u32::try_from(held).unwrap_or(u32::MAX))
    }

    /// Counts from now on for the peer of this share, which [`Self::share_for`] gave. The share of the peer
    /// before is free again. All peers together hold as many permits as before.
    pub fn move_to(&mut self, share: Option<Share>) {
        self.share = share;
    }

    /// Adds the permits of another value of the same semaphore and peer.
    pub fn merge(&mut self, mut other: Self) {
        if let (Some(all), Some(more)) = (&mut self.all, other.all.take()) {
            all.merge(more);
        }
        if let (Some(share), Some(more)) = (&mut self.share, &mut other.share) {
            share.held += std::mem::take(&mut more.held);
        }
    }

    /// Releases this many permits, or all if it has fewer.
    pub fn release(&mut self, count: usize) {
        let held = self.all.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let count = count.min(held);
        drop(self.all.as_mut().and_then(|all| all.split(count)));
        if let Some(share) = &mut self.share {
            share.release(count);
        }
    }
}

impl PeerSemaphore {
    /// Returns a semaphore with this many permits. `name` is what it limits, for the log.
    pub fn new(name: &'static str, permits: usize) -> Arc<Self> {
        let all = Arc::new(Semaphore::new(permits));
        Arc::new(Self {
            name,
            permits,
            all,
            shares: Mutex::default(),
            warned: Mutex::default(),
            refused: Mutex::default(),
        })
    }

    /// Returns a permit that is free now. Fails if there is none.
    pub fn try_acquire(self: &Arc<Self>, peer: Option<Peer>) -> Result<PeerPermit, PermitError> {
        self.try_acquire_many(peer, 1)
    }

    /// Returns this many permits that are free now. Fails if there are fewer.
    pub fn try_acquire_many(
        self: &Arc<Self>,
        peer: Option<Peer>,
        count: usize,
    ) -> Result<PeerPermit, PermitError> {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let share = self.try_share(peer, count)?;
        let all = self.all.clone().try_acquire_many_owned(count).map_err(|_| PermitError::AllTaken)?;
        Ok(PeerPermit { semaphore: self.clone(), all: Some(all), share })
    }

    /// Takes this many permits of the peer's share only; `None` for an unknown peer, which has no share.
    fn try_share(self: &Arc<Self>, peer: Option<Peer>, count: u32) -> Result<Option<Share>, PermitError> {
        let share = peer.map(|peer| self.share(peer).try_acquire(count).ok_or(PermitError::ShareTaken));
        share.transpose()
    }

    /// Returns a permit that becomes free within `time`, else `None`. Waiting requests are served in the
    /// order in which they came.
    pub async fn acquire_within(self: &Arc<Self>, time: Duration, peer: Option<Peer>) -> Option<PeerPermit> {
        self.acquire_many_within(time, peer, 1).await
    }

    /// Returns this many permits. `None` if they do not become free within `time`, or if one peer may not have
    /// that many.
    pub async fn acquire_many_within(
        self: &Arc<Self>,
        time: Duration,
        peer: Option<Peer>,
        count: usize,
    ) -> Option<PeerPermit> {
        let permit = timeout(time, self.acquire_many(peer, count)).await.ok();
        if permit.is_none() {
            let short = self.all.available_permits() < count;
            if short {
                *self.refused.lock() = Some(Instant::now());
            }
            self.warn_refusal(peer, if short { PermitError::AllTaken } else { PermitError::ShareTaken });
        }
        permit
    }

    /// Waits for a permit without a deadline.
    pub async fn acquire(self: &Arc<Self>, peer: Option<Peer>) -> PeerPermit {
        self.acquire_many(peer, 1).await
    }

    async fn acquire_many(self: &Arc<Self>, peer: Option<Peer>, count: usize) -> PeerPermit {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        // A peer that waits for its own share does not delay others.
        let share = match peer {
            Some(peer) => Some(self.share(peer).acquire(count).await),
            None => None,
        };
        let all = self.all.clone().acquire_many_owned(count).await.ok();
        PeerPermit { semaphore: self.clone(), all, share }
    }

    /// Whether clients wait for permits that others have.
    pub fn was_short(&self) -> bool {
        self.refused.lock().is_some_and(|refused| refused.elapsed() < SHORTAGE)
    }

    /// Returns the most permits that one peer may have.
    pub fn share_size(&self) -> usize {
        self.permits.div_ceil(2)
    }

    /// Returns how many permits are held.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.permits - self.all.available_permits()
    }

    fn share(self: &Arc<Self>, peer: Peer) -> Share {
        let client = peer.client();
        let new = || Arc::new(Semaphore::new(self.share_size()));
        let permits = self.shares().entry(client).or_insert_with(new).clone();
        Share { semaphore: self.clone(), client, permits: Some(permits), held: 0 }
    }

    fn shares(&self) -> MutexGuard<'_, HashMap<Client, Arc<Semaphore>>> {
        self.shares.lock()
    }

    /// Logs that a client was refused, at most once in `WARNING_INTERVAL`.
    pub fn warn_refusal(&self, peer: Option<Peer>, exhausted: PermitError) {
        let mut warned = self.warned.lock();
        if warned.is_some_and(|warned| warned.elapsed() < WARNING_INTERVAL) {
            return;
        }
        *warned = Some(Instant::now());
        let peer = peer.map(tracing::field::display);
        let (limit, of, share) = (self.name, self.permits, exhausted == PermitError::ShareTaken);
        tracing::warn!(
            limit,
            of,
            share,
            peer,
            "limit reached, rejecting clients (logged at most once a minute)"
        );
    }
}

/// The free permits of one peer, and how many of its permits are held here.
pub struct Share {
    semaphore: Arc<PeerSemaphore>,
    client: Client,
    /// `None` only during the drop.
    permits: Option<Arc<Semaphore>>,
    held: u32,
}

impl Share {
    fn try_acquire(mut self, count: u32) -> Option<Self> {
        self.permits.as_ref()?.try_acquire_many(count).ok()?.forget();
        self.held = count;
        Some(self)
    }

    fn release(&mut self, count: usize) {
        if let Some(permits) = &self.permits {
            permits.add_permits(count);
        }
        self.held = self.held.saturating_sub(u32::try_from(count).unwrap_or(u32::MAX));
    }

    async fn acquire(mut self, count: u32) -> Self {
        if let Some(permits) = &self.permits
            && let Ok(permit) = permits.acquire_many(count).await
        {
            permit.forget();
            self.held = count;
        }
        self
    }
}

impl Drop for Share {
    /// The last share of a peer removes the peer from the map, under the lock that gives out shares.
    fn drop(&mut self) {
        let mut shares = self.semaphore.shares();
        if let Some(permits) = self.permits.take() {
            permits.add_permits(self.held as usize);
        }
        if shares.get(&self.client).is_some_and(|permits| Arc::strong_count(permits) == 1) {
            shares.remove(&self.client);
        }
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!((semaphore.held(), semaphore.shares().len()), (0, 0));
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
        assert_eq!((semaphore.held(), semaphore.shares().len()), (0, 0));
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
        assert_eq!((semaphore.held(), semaphore.shares().len()), (0, 0));
    }

    #[test]
    fn the_addresses_of_one_network_are_one_peer() {
        let semaphore = PeerSemaphore::new("test", 4);
        let _held =
            ["2001:db8::1", "2001:db8::2"].map(|address| semaphore.try_acquire(peer(address)).unwrap());
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
        assert_eq!((semaphore.held(), semaphore.shares().len()), (0, 0), "those who waited left nothing");
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
        assert_eq!((semaphore.held(), semaphore.shares().len()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiter_that_gives_up_leaves_nothing() {
        let semaphore = PeerSemaphore::new("test", 4);
        let (one, two) = (peer("203.0.113.5"), peer("203.0.113.6"));
        let all: Vec<_> = (0..4).map(|_| semaphore.try_acquire(None).unwrap()).collect();
        assert!(semaphore.acquire_within(Duration::from_secs(1), one).await.is_none());
        assert_eq!(semaphore.shares().len(), 0);
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
        assert_eq!((semaphore.held(), semaphore.shares().len()), (0, 0));
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
        assert_eq!((semaphore.held(), semaphore.shares().len()), (0, 0));
    }
}
