//! The part of a semaphore's permits that one peer may have.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::server::http::peer::{Client, Peer};

/// The free permits of each peer that holds a permit or waits for one.
pub struct Shares {
    /// The most permits that one peer may have.
    pub size: usize,
    free: Mutex<HashMap<Client, Arc<Semaphore>>>,
}

/// The free permits of one peer, and how many of its permits are held here.
pub struct Share {
    of: Arc<Shares>,
    client: Client,
    /// `None` only during the drop.
    permits: Option<Arc<Semaphore>>,
    pub held: u32,
}

impl Shares {
    pub fn new(size: usize) -> Arc<Self> {
        Arc::new(Self { size, free: Mutex::default() })
    }

    /// Returns the share of a peer, of which nothing is held yet.
    pub fn share(self: &Arc<Self>, peer: Peer) -> Share {
        let client = peer.client();
        let new = || Arc::new(Semaphore::new(self.size));
        let permits = self.free.lock().entry(client).or_insert_with(new).clone();
        Share { of: self.clone(), client, permits: Some(permits), held: 0 }
    }

    /// Returns how many peers hold a permit or wait for one.
    #[cfg(test)]
    pub fn peers(&self) -> usize {
        self.free.lock().len()
    }
}

impl Share {
    pub fn try_acquire(mut self, count: u32) -> Option<Self> {
        self.permits.as_ref()?.try_acquire_many(count).ok()?.forget();
        self.held = count;
        Some(self)
    }

    pub fn release(&mut self, count: usize) {
        if let Some(permits) = &self.permits {
            permits.add_permits(count);
        }
        self.held = self.held.saturating_sub(u32::try_from(count).unwrap_or(u32::MAX));
    }

    pub async fn acquire(mut self, count: u32) -> Self {
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
        let mut free = self.of.free.lock();
        if let Some(permits) = self.permits.take() {
            permits.add_permits(self.held as usize);
        }
        if free.get(&self.client).is_some_and(|permits| Arc::strong_count(permits) == 1) {
            free.remove(&self.client);
        }
    }
}
