//! A semaphore that gives no peer more than half of its permits. All limits of `http` are made of it.

mod share;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};

use super::peer::{Client, Peer};
use share::{Share, Shares};

/// Shortest time between two warnings of one kind, so that clients who cause them cannot fill the log.
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
    shares: Arc<Shares>,
    warned: LastWarning,
    displaced: LastWarning,
    /// When a client last waited in vain although it had less than its share.
    refused: Mutex<Option<Instant>>,
}

/// When something was last logged.
#[derive(Default)]
struct LastWarning(Mutex<Option<Instant>>);

impl LastWarning {
    /// Returns whether it may be logged again, and then counts as logged.
    fn is_due(&self) -> bool {
        let mut last = self.0.lock();
        let due = last.is_none_or(|last| last.elapsed() >= WARNING_INTERVAL);
        if due {
            *last = Some(Instant::now());
        }
        due
    }
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
            shares: Shares::new(permits.div_ceil(2)),
            warned: LastWarning::default(),
            displaced: LastWarning::default(),
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
        let share =
            peer.map(|peer| self.shares.share(peer).try_acquire(count).ok_or(PermitError::ShareTaken));
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
            Some(peer) => Some(self.shares.share(peer).acquire(count).await),
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
        self.shares.size
    }

    /// Returns how many permits are held.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.permits - self.all.available_permits()
    }

    /// Logs that a client with more permits than others has lost one to this peer, at most once in `WARNING_INTERVAL`.
    pub fn warn_displaced(&self, peer: Option<Peer>, loser: Option<Client>, exhausted: PermitError) {
        // A client that replaces what is its own takes nothing from anybody.
        if exhausted == PermitError::ShareTaken || !self.displaced.is_due() {
            return;
        }
        let peer = peer.map(tracing::field::display);
        let loser = loser.map(tracing::field::display);
        let (limit, of) = (self.name, self.permits);
        tracing::warn!(
            limit,
            of,
            peer,
            loser,
            "limit reached, the client with the most gives way to one with fewer (logged at most once a minute)"
        );
    }

    /// Logs that a client was refused, at most once in `WARNING_INTERVAL`.
    pub fn warn_refusal(&self, peer: Option<Peer>, exhausted: PermitError) {
        if !self.warned.is_due() {
            return;
        }
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
