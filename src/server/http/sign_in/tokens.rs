//! Whose tokens these are: asks the API server once a minute for each, however often it is presented.

use std::{num::NonZero, sync::Arc, time::Duration};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use moka::sync::Cache;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::server::{
    access::Reviews,
    http::peer::{Client, Peer},
};
use collector::access::TokenError;
use wukong_core::access::UserInfo;

/// How long an answer is valid: that a token is good, and that it is not.
const GOOD: Duration = Duration::from_secs(55);
const BAD: Duration = Duration::from_secs(10);
/// How long a token that was good stays good while the API server does not answer.
const GOOD_UNANSWERED: Duration = Duration::from_secs(300);
/// Pause after a review that was not answered.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// Most tokens that are remembered.
const MOST: u64 = 10_000;
/// Tokens of one peer in a minute that nobody knows yet. Junk costs the API server no more than this.
const UNKNOWN_A_MINUTE: NonZero<u32> = NonZero::new(30).unwrap();

/// What is known about a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    User(Arc<UserInfo>),
    Rejected,
    /// The API server did not say whose token it is. The log says why.
    Unanswered,
    /// The peer presented too many tokens that nobody knows.
    TooMany,
}

/// The tokens of the last minutes, by their hashes.
pub struct Tokens {
    reviews: Arc<dyn Reviews>,
    known: Cache<[u8; 32], Arc<Entry>>,
    unknown: DefaultKeyedRateLimiter<Option<Client>>,
}

#[derive(Default)]
struct Entry {
    /// Held while the token is reviewed: requests with the same token wait for one review.
    turn: Arc<tokio::sync::Mutex<()>>,
    state: Mutex<State>,
}

#[derive(Clone, Default)]
struct State {
    last: Option<Known>,
    /// When the last review was not answered.
    failed: Option<Instant>,
}

/// The last answer about a token.
#[derive(Clone)]
struct Known {
    at: Instant,
    /// `None` if the API server does not know the token.
    user: Option<Arc<UserInfo>>,
}

impl State {
    /// Returns what is known without another review; `None` if it must be reviewed.
    fn identity(&self) -> Option<Identity> {
        if let Some(identity) = self.stands(GOOD) {
            return Some(identity);
        }
        let waits = self.failed?.elapsed() < RETRY_AFTER;
        waits.then(|| self.late().unwrap_or(Identity::Unanswered))
    }

    /// Returns whose token it was a moment ago, if the API server did not answer since.
    fn late(&self) -> Option<Identity> {
        self.failed.and_then(|_| self.stands(GOOD_UNANSWERED))
    }

    fn was_good(&self) -> bool {
        self.last.as_ref().is_some_and(|last| last.user.is_some())
    }

    fn stands(&self, good: Duration) -> Option<Identity> {
        self.last.as_ref().filter(|known| known.stands(good)).map(Known::identity)
    }
}

impl Known {
    fn stands(&self, good: Duration) -> bool {
        self.at.elapsed() < if self.user.is_some() { good } else { BAD }
    }

    fn identity(&self) -> Identity {
        self.user.clone().map_or(Identity::Rejected, Identity::User)
    }
}

impl Tokens {
    pub fn new(reviews: Arc<dyn Reviews>) -> Self {
        Self {
            reviews,
            known: Cache::builder().max_capacity(MOST).time_to_idle(2 * GOOD_UNANSWERED).build(),
            unknown: RateLimiter::keyed(Quota::per_minute(UNKNOWN_A_MINUTE)),
        }
    }

    /// Returns whose token it is. `is_proven` says that the token was good before: it comes from a sealed
    /// session, and counts for no limit.
    pub async fn identify(&self, token: &str, peer: Option<Peer>, is_proven: bool) -> Identity {
        if !is_token(token) {
            return Identity::Rejected;
        }
        let key: [u8; 32] = Sha256::digest(token).into();
        let entry = self.known.get(&key).unwrap_or_default();
        let known = || entry.state.lock().identity();
        if let Some(identity) = known() {
            return identity;
        }
        // A peer pays for the review of a token that was not good the last time.
        let is_unknown = !is_proven && !entry.state.lock().was_good();
        if is_unknown && self.unknown.check_key(&peer.map(Peer::client)).is_err() {
            return Identity::TooMany;
        }
        let entry = self.known.get_with(key, || entry);
        let known = || entry.state.lock().identity();
        // While the API server does not answer, nobody waits for it whose token was good a moment ago.
        if let Some(identity) = { entry.state.lock().late() } {
            if let Ok(turn) = entry.turn.clone().try_lock_owned() {
                let answer = self.reviews.review_token(token.to_owned());
                let entry = entry.clone();
                tokio::spawn(async move {
                    entry.take(answer.await);
                    drop(turn);
                });
            }
            return identity;
        }
        let _turn = entry.turn.lock().await;
        if let Some(identity) = known() {
            return identity;
        }
        entry.take(self.reviews.review_token(token.to_owned()).await);
        known().unwrap_or(Identity::Rejected)
    }

    /// Forgets peers that have not presented an unknown token for a while.
    pub fn tidy(&self) {
        self.unknown.retain_recent();
        self.unknown.shrink_to_fit();
    }
}

/// Returns whether it can be a token (RFC 6750, 2.1): the API server would ignore what follows a blank, so that one token
/// could pass for many.
fn is_token(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    !body.is_empty() && body.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte))
}

impl Entry {
    fn take(&self, answer: Result<UserInfo, TokenError>) {
        let mut state = self.state.lock();
        match answer {
            Ok(user) => *state = State::known(Some(Arc::new(user))),
            Err(TokenError::Rejected) => *state = State::known(None),
            Err(TokenError::Unanswered(_)) => state.failed = Some(Instant::now()),
        }
    }
}

impl State {
    fn known(user: Option<Arc<UserInfo>>) -> Self {
        Self { last: Some(Known { at: Instant::now(), user }), failed: None }
    }
}
