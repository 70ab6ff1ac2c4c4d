//! How many requests one user may send, and one address of which no user is known.

use std::{collections::HashMap, num::NonZero, sync::Arc};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use parking_lot::Mutex;

use crate::server::http::peer::{Client, Peer};

/// Requests a second of one user: a page sends some when it opens, and one for each event of another view.
const SIGNED_A_SECOND: NonZero<u32> = NonZero::new(50).unwrap();
/// Requests a second of one address that nobody is known for.
const UNSIGNED_A_SECOND: NonZero<u32> = NonZero::new(20).unwrap();
/// Sign-ins a minute from one address.
const SIGN_INS_A_MINUTE: NonZero<u32> = NonZero::new(10).unwrap();
/// Answers of a provider a minute that one address brings back: each is a request to the provider.
const EXCHANGES_A_MINUTE: NonZero<u32> = NonZero::new(60).unwrap();
/// Event streams and downloads of one user at once: that many windows of a browser.
const STREAMS: usize = 8;
const DOWNLOADS: usize = 2;

/// The limits of everybody. Each counts by user, or by address for those who are not signed in.
pub struct Limits {
    signed: DefaultKeyedRateLimiter<Option<Client>>,
    unsigned: DefaultKeyedRateLimiter<Option<Client>>,
    sign_ins: DefaultKeyedRateLimiter<Option<Client>>,
    exchanges: DefaultKeyedRateLimiter<Option<Client>>,
    pub streams: Arc<ConcurrencyLimit>,
    pub downloads: Arc<ConcurrencyLimit>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            signed: RateLimiter::keyed(Quota::per_second(SIGNED_A_SECOND)),
            unsigned: RateLimiter::keyed(Quota::per_second(UNSIGNED_A_SECOND)),
            sign_ins: RateLimiter::keyed(Quota::per_minute(SIGN_INS_A_MINUTE)),
            exchanges: RateLimiter::keyed(Quota::per_minute(EXCHANGES_A_MINUTE)),
            streams: ConcurrencyLimit::new(STREAMS),
            downloads: ConcurrencyLimit::new(DOWNLOADS),
        }
    }
}

impl Limits {
    /// Returns limits that nobody reaches, for tests that ask more than a person does.
    #[cfg(test)]
    pub fn lifted() -> Self {
        let quota = || RateLimiter::keyed(Quota::per_second(NonZero::<u32>::MAX));
        let [signed, unsigned, sign_ins, exchanges] = [quota(), quota(), quota(), quota()];
        let unlimited = || ConcurrencyLimit::new(usize::MAX);
        Self { signed, unsigned, sign_ins, exchanges, streams: unlimited(), downloads: unlimited() }
    }

    /// Returns whether somebody who is signed in may send another request.
    pub fn allow_signed(&self, peer: Option<Peer>) -> bool {
        self.signed.check_key(&peer.map(Peer::client)).is_ok()
    }

    /// Returns whether somebody who is not signed in may send another request.
    pub fn allow_unsigned(&self, peer: Option<Peer>) -> bool {
        self.unsigned.check_key(&peer.map(Peer::client)).is_ok()
    }

    /// Returns whether an address may try another token.
    pub fn allow_sign_in(&self, peer: Option<Peer>) -> bool {
        self.sign_ins.check_key(&peer.map(Peer::client)).is_ok()
    }

    /// Returns whether an address may bring back another answer of a provider.
    pub fn allow_exchange(&self, peer: Option<Peer>) -> bool {
        self.exchanges.check_key(&peer.map(Peer::client)).is_ok()
    }

    /// Forgets those who have sent nothing for a while.
    pub fn tidy(&self) {
        for limiter in [&self.signed, &self.unsigned, &self.sign_ins, &self.exchanges] {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }
}

/// Counts what each client has at once.
pub struct ConcurrencyLimit {
    most: usize,
    counts: Mutex<HashMap<Client, usize>>,
}

/// One of the things that a client has at once, until it is dropped.
pub struct UserPermit {
    of: Arc<ConcurrencyLimit>,
    client: Client,
}

impl ConcurrencyLimit {
    fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, counts: Mutex::default() })
    }

    /// Returns one more for the client; `None` if it has as many as it may.
    pub fn begin(self: &Arc<Self>, client: Client) -> Option<UserPermit> {
        let mut counts = self.counts.lock();
        let count = counts.entry(client).or_default();
        (*count < self.most).then(|| {
            *count += 1;
            UserPermit { of: self.clone(), client }
        })
    }
}

impl Drop for UserPermit {
    fn drop(&mut self) {
        let mut counts = self.of.counts.lock();
        if let Some(count) = counts.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.client);
            }
        }
    }
}
