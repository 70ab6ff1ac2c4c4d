//! A semaphore that gives no peer more than half of its permits, and free permits first to the peer that has least. All
//! limits of `http` are made of it.

mod accounts;
mod log;
mod queue;
#[cfg(test)]
mod tests;
mod transfers;

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::peer::{Client, Peer};
use accounts::Accounts;
use log::LastWarning;
use transfers::CHECK_INTERVAL;

pub use accounts::PermitError;

/// A semaphore that also counts its permits by peer. An unknown peer (`None`) is bounded by the total only.
pub struct PeerSemaphore {
    /// What it limits, for the log.
    name: &'static str,
    permits: usize,
    accounts: Mutex<Accounts>,
    warned: LastWarning,
    displaced: LastWarning,
}

/// Permits of one peer. They are released when this is dropped.
pub struct PeerPermit {
    semaphore: Arc<PeerSemaphore>,
    client: Option<Client>,
    count: usize,
    /// The number of the answer that is sent under these permits.
    transfer: Option<u64>,
}

impl PeerPermit {
    /// Counts from now on for another peer. Fails, and changes nothing, if its share has no room. All peers together
    /// hold as many permits as before.
    pub fn move_to(&mut self, peer: Option<Peer>) -> Result<(), PermitError> {
        let client = peer.map(Peer::client);
        self.semaphore.accounts.lock().move_share(self.client, client, self.count)?;
        self.client = client;
        Ok(())
    }

    /// Adds the permits of another value of the same semaphore and peer.
    pub fn merge(&mut self, mut other: Self) {
        self.count += std::mem::take(&mut other.count);
    }

    /// Releases this many permits, or all if it has fewer.
    pub fn release(&mut self, count: usize) {
        let count = count.min(self.count);
        self.count -= count;
        self.semaphore.accounts.lock().give_back(self.client, count);
    }

    /// Tells that the permits are for an answer that is sent on this connection. If it is read slowly while others wait,
    /// the connection is cancelled. Returns the counter of the bytes that were read.
    pub fn send_on(&mut self, connection: CancellationToken) -> Arc<AtomicU64> {
        let mut accounts = self.semaphore.accounts.lock();
        let (number, read) = accounts.begin_transfer(self.client, self.count, connection);
        self.transfer = Some(number);
        read
    }
}

impl Drop for PeerPermit {
    fn drop(&mut self) {
        let mut accounts = self.semaphore.accounts.lock();
        if let Some(number) = self.transfer {
            accounts.end_transfer(number);
        }
        accounts.give_back(self.client, self.count);
    }
}

/// A request that waits for its turn, and leaves the queue when this is dropped.
struct WaitingRequest {
    semaphore: Arc<PeerSemaphore>,
    client: Option<Client>,
    count: usize,
    number: u64,
    /// Fails if the request is refused.
    turn: oneshot::Receiver<()>,
}

impl WaitingRequest {
    fn new(semaphore: &Arc<PeerSemaphore>, client: Option<Client>, count: usize) -> Self {
        let (number, turn) = semaphore.accounts.lock().enqueue(client, count);
        Self { semaphore: semaphore.clone(), client, count, number, turn }
    }
}

impl Drop for WaitingRequest {
    fn drop(&mut self) {
        let mut accounts = self.semaphore.accounts.lock();
        let has_waited = accounts.withdraw(self.client, self.number);
        // It was its turn, but nobody has taken the permits.
        if !has_waited && self.turn.try_recv().is_ok() {
            accounts.give_back(self.client, self.count);
        }
    }
}

impl PeerSemaphore {
    /// Returns a semaphore with this many permits. `name` is what it limits, for the log.
    pub fn new(name: &'static str, permits: usize) -> Arc<Self> {
        Self::with_longest_queue(name, permits, usize::MAX)
    }

    /// Returns a semaphore for which requests wait that want this many permits together, or one that wants more. Beyond
    /// that, requests of the peer that has and wants most are refused.
    pub fn with_longest_queue(name: &'static str, permits: usize, longest_queue: usize) -> Arc<Self> {
        Arc::new(Self {
            name,
            permits,
            accounts: Mutex::new(Accounts::new(name, permits, longest_queue)),
            warned: LastWarning::default(),
            displaced: LastWarning::default(),
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
        let client = peer.map(Peer::client);
        self.accounts.lock().try_take(client, count)?;
        Ok(self.permit(client, count))
    }

    /// Returns a permit that becomes free within `time`, else `None`.
    pub async fn acquire_within(self: &Arc<Self>, time: Duration, peer: Option<Peer>) -> Option<PeerPermit> {
        self.acquire_many_within(time, peer, 1).await
    }

    /// Returns this many permits. `None` if they do not become free within `time`, if one peer may not have that many,
    /// or if too many requests wait already.
    pub async fn acquire_many_within(
        self: &Arc<Self>,
        time: Duration,
        peer: Option<Peer>,
        count: usize,
    ) -> Option<PeerPermit> {
        let permit = timeout(time, self.acquire_many(peer, count)).await.ok().flatten();
        if permit.is_none() {
            let is_short = self.accounts.lock().free < count;
            self.warn_refusal(peer, if is_short { PermitError::AllTaken } else { PermitError::ShareTaken });
        }
        permit
    }

    /// Waits for a permit without a deadline. `None` if too many requests wait already.
    pub async fn acquire(self: &Arc<Self>, peer: Option<Peer>) -> Option<PeerPermit> {
        self.acquire_many(peer, 1).await
    }

    /// Waits for its turn: that of the peer that has least with what it wants. A peer that waits for its own share delays
    /// nobody else.
    async fn acquire_many(self: &Arc<Self>, peer: Option<Peer>, count: usize) -> Option<PeerPermit> {
        let client = peer.map(Peer::client);
        let mut request = WaitingRequest::new(self, client, count);
        loop {
            tokio::select! {
                biased;
                turn = &mut request.turn => return turn.is_ok().then(|| self.permit(client, count)),
                () = sleep(CHECK_INTERVAL) => self.accounts.lock().end_slow_transfers(),
            }
        }
    }

    fn permit(self: &Arc<Self>, client: Option<Client>, count: usize) -> PeerPermit {
        PeerPermit { semaphore: self.clone(), client, count, transfer: None }
    }

    /// Returns the most permits that one peer may have.
    pub fn share_size(&self) -> usize {
        self.accounts.lock().share
    }

    /// Returns how many permits are held.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.permits - self.accounts.lock().free
    }

    /// Returns how many peers hold a permit or wait for one.
    #[cfg(test)]
    fn peers(&self) -> usize {
        self.accounts.lock().peers()
    }

    /// Logs that a client with more permits than others has lost one to this peer.
    pub fn warn_displaced(&self, peer: Option<Peer>, loser: Option<Client>, exhausted: PermitError) {
        // A client that replaces what is its own takes nothing from anybody.
        if exhausted == PermitError::ShareTaken || !self.displaced.is_due() {
            return;
        }
        let (peer, loser) = (peer.map(tracing::field::display), loser.map(tracing::field::display));
        let (limit, of) = (self.name, self.permits);
        tracing::warn!(
            limit,
            of,
            peer,
            loser,
            "limit reached, the client with the most gives way to one with fewer (logged at most once a minute)"
        );
    }

    /// Logs that a client was refused.
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
