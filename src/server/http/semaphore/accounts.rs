//! Who holds the permits of a semaphore, and who waits for them. `semaphore` keeps it behind its lock; `queue` and
//! `transfers` decide who is next and who gives way.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, atomic::AtomicU64},
};

use tokio::{sync::oneshot, time::Instant};
use tokio_util::sync::CancellationToken;

use super::log::LastWarning;
use crate::server::http::peer::Client;

/// Why there is no free permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PermitError {
    /// All of them are taken.
    AllTaken,
    /// The peer has as many permits as one peer may have.
    ShareTaken,
}

/// The account of each peer that holds a permit or waits for one.
pub struct Accounts {
    pub permits: usize,
    /// The most permits that one peer may have.
    pub share: usize,
    pub free: usize,
    pub by_client: HashMap<Option<Client>, Account>,
    pub queue: Queue,
    pub transfers: Transfers,
}

/// What one peer has and wants.
#[derive(Default)]
pub struct Account {
    pub held: usize,
    /// Permits among them of answers that were ended, but whose bytes are not released yet.
    pub leaving: usize,
    /// Its requests that wait, oldest first.
    pub waiting: VecDeque<Waiting>,
}

/// How many requests wait, and for how many permits.
pub struct Queue {
    /// The most permits that more than one request may wait for.
    pub longest: usize,
    pub requests: usize,
    pub permits: usize,
    /// The number of the next request.
    pub next: u64,
}

/// A request in its client's account.
pub struct Waiting {
    pub number: u64,
    pub count: usize,
    pub turn: oneshot::Sender<()>,
}

/// All answers that are sent under permits of one semaphore.
pub struct Transfers {
    /// What the semaphore limits, for the log.
    pub name: &'static str,
    /// In the order in which they began.
    pub by_number: BTreeMap<u64, Transfer>,
    pub next: u64,
    pub looked: Option<Instant>,
    pub warned: LastWarning,
}

/// One of them.
pub struct Transfer {
    pub client: Option<Client>,
    pub count: usize,
    pub begun: Instant,
    pub read: Arc<AtomicU64>,
    pub connection: CancellationToken,
    /// Whether it was ended. Its permits are held until its bytes are released.
    pub is_ending: bool,
}

impl Queue {
    pub fn new(longest: usize) -> Self {
        Self { longest, requests: 0, permits: 0, next: 0 }
    }

    pub fn is_too_long(&self) -> bool {
        self.requests > 1 && self.permits > self.longest
    }

    pub fn remove(&mut self, request: &Waiting) {
        self.requests -= 1;
        self.permits -= request.count;
    }
}

impl Transfers {
    pub fn new(name: &'static str) -> Self {
        Self { name, by_number: BTreeMap::new(), next: 0, looked: None, warned: LastWarning::default() }
    }

    /// Returns the permits of answers that were ended, but whose bytes are not released yet.
    pub fn leaving(&self) -> usize {
        self.by_number.values().filter(|transfer| transfer.is_ending).map(|transfer| transfer.count).sum()
    }
}

impl Accounts {
    pub fn new(name: &'static str, permits: usize, longest_queue: usize) -> Self {
        Self {
            permits,
            share: permits.div_ceil(2),
            free: permits,
            by_client: HashMap::new(),
            queue: Queue::new(longest_queue),
            transfers: Transfers::new(name),
        }
    }

    /// Returns how many peers hold a permit or wait for one.
    pub fn peers(&self) -> usize {
        self.by_client.len()
    }

    pub fn held(&self, client: Option<Client>) -> usize {
        self.by_client.get(&client).map_or(0, |account| account.held)
    }

    /// Returns whether the client may have this many more permits. An unknown one has no share of its own.
    pub fn has_share(&self, client: Option<Client>, count: usize) -> bool {
        client.is_none() || self.held(client) + count <= self.share
    }

    pub fn try_take(&mut self, client: Option<Client>, count: usize) -> Result<(), PermitError> {
        match () {
            () if !self.has_share(client, count) => Err(PermitError::ShareTaken),
            () if self.free < count => Err(PermitError::AllTaken),
            () => {
                self.take_permits(client, count);
                Ok(())
            }
        }
    }

    pub fn take_permits(&mut self, client: Option<Client>, count: usize) {
        self.free -= count;
        self.by_client.entry(client).or_default().held += count;
    }

    /// Releases permits, which others may then have.
    pub fn give_back(&mut self, client: Option<Client>, count: usize) {
        self.free += count;
        if let Some(account) = self.by_client.get_mut(&client) {
            account.held -= count;
        }
        self.forget(client);
        self.hand_out();
    }

    /// Moves permits to the share of another client. Fails, and changes nothing, if it has no room.
    pub fn move_share(
        &mut self,
        from: Option<Client>,
        to: Option<Client>,
        count: usize,
    ) -> Result<(), PermitError> {
        if from == to {
            return Ok(());
        }
        if !self.has_share(to, count) {
            return Err(PermitError::ShareTaken);
        }
        self.by_client.entry(to).or_default().held += count;
        if let Some(account) = self.by_client.get_mut(&from) {
            account.held -= count;
        }
        self.forget(from);
        self.hand_out();
        Ok(())
    }

    /// Removes the account of a client that has and wants nothing.
    pub fn forget(&mut self, client: Option<Client>) {
        let account = self.by_client.get(&client);
        if account.is_some_and(|account| account.held == 0 && account.waiting.is_empty()) {
            self.by_client.remove(&client);
        }
    }
}
