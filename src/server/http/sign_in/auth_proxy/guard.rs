//! Which assertions are looked at. A forged one costs a check of its signature, so one of an address that has sent too many is
//! refused before. What was genuine is remembered: a flood keeps out nobody of the same address who is known.

use std::{num::NonZero, time::Duration};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use moka::sync::Cache;
use sha2::{Digest, Sha256};

use super::super::claims::unverified_claims;
use crate::server::http::peer::{Client, Peer};

/// Refused assertions of one sender in a minute.
const REFUSED_A_MINUTE: NonZero<u32> = NonZero::new(60).unwrap();
/// How long no unknown assertion is looked at of a sender that has reached the limit.
const PAUSE: Duration = Duration::from_secs(10);
/// Assertions that name a known person and are looked at in each second of such a pause: anybody at their address can name
/// them, and their next assertion is genuine.
const CHECKED_IN_PAUSE: NonZero<u32> = NonZero::new(10).unwrap();
/// How long an assertion that was genuine is remembered after its last request, and its person.
const GENUINE: Duration = Duration::from_secs(60 * 60);
const PERSON: Duration = Duration::from_secs(12 * 60 * 60);
/// Most assertions, people and senders that are remembered, of each.
const MOST: u64 = 10_000;

type Hash = [u8; 32];

/// An assertion, before anything of it is checked.
pub struct PresentedAssertion {
    hash: Hash,
    /// The hash of its claim `sub`.
    person: Option<Hash>,
    client: Option<Client>,
}

/// Who pays for an assertion that is refused: its address, but apart from others one that names a person who is known.
/// Otherwise the next assertion of that person would be refused during a flood.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Sender {
    client: Option<Client>,
    person: Option<Hash>,
}

/// The assertions and people of the last hours, and who was refused too often.
pub struct AssertionGuard {
    genuine: Cache<Hash, ()>,
    people: Cache<Hash, ()>,
    refused: DefaultKeyedRateLimiter<Sender>,
    paused: Cache<Sender, ()>,
    checked_in_pause: DefaultKeyedRateLimiter<Sender>,
}

impl PresentedAssertion {
    pub fn new(token: &str, peer: Option<Peer>) -> Self {
        let person = unverified_claims(token).and_then(|claims| Some(hash(claims.get("sub")?.as_str()?)));
        Self { hash: hash(token), person, client: peer.map(Peer::client) }
    }
}

impl Default for AssertionGuard {
    fn default() -> Self {
        Self {
            genuine: Cache::builder().max_capacity(MOST).time_to_idle(GENUINE).build(),
            people: Cache::builder().max_capacity(MOST).time_to_idle(PERSON).build(),
            refused: RateLimiter::keyed(Quota::per_minute(REFUSED_A_MINUTE)),
            paused: Cache::builder().max_capacity(MOST).time_to_live(PAUSE).build(),
            checked_in_pause: RateLimiter::keyed(Quota::per_second(CHECKED_IN_PAUSE)),
        }
    }
}

impl AssertionGuard {
    /// Returns whether to check the assertion: it was genuine before, or its sender is not paused, or it is one of the few
    /// that are checked in a pause.
    pub fn admits(&self, assertion: &PresentedAssertion) -> bool {
        if self.genuine.contains_key(&assertion.hash) {
            return true;
        }
        let sender = self.sender(assertion);
        !self.paused.contains_key(&sender)
            || sender.person.is_some() && self.checked_in_pause.check_key(&sender).is_ok()
    }

    /// Remembers that the assertion was genuine.
    pub fn note_genuine(&self, assertion: &PresentedAssertion) {
        self.genuine.insert(assertion.hash, ());
        if let Some(person) = assertion.person {
            self.people.insert(person, ());
        }
    }

    /// Counts that the assertion was refused. One that was genuine once, such as one that has expired, is forgotten.
    pub fn note_refused(&self, assertion: &PresentedAssertion) {
        self.genuine.invalidate(&assertion.hash);
        let sender = self.sender(assertion);
        if self.refused.check_key(&sender).is_err() {
            self.paused.insert(sender, ());
        }
    }

    fn sender(&self, assertion: &PresentedAssertion) -> Sender {
        let person = assertion.person.filter(|person| self.people.contains_key(person));
        Sender { client: assertion.client, person }
    }

    /// Forgets senders that were not refused for a while.
    pub fn tidy(&self) {
        for limiter in [&self.refused, &self.checked_in_pause] {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }
}

fn hash(text: &str) -> Hash {
    Sha256::digest(text).into()
}
