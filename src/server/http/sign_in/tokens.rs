//! Whose tokens these are: asks the API server once a minute for each, however often it is presented.

use std::{num::NonZero, sync::Arc, time::Duration};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use moka::sync::Cache;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep_until};

use crate::server::{
    access::Reviews,
    http::{
        peer::{Client, Peer},
        semaphore::PeerSemaphore,
    },
};
use collector::access::TokenError;
use wukong_core::access::UserInfo;

/// How long an answer is valid: that a token is good, and that it is not.
const GOOD_VALID_FOR: Duration = Duration::from_secs(55);
const BAD_VALID_FOR: Duration = Duration::from_secs(10);
/// How long a token that was good stays good while the API server does not answer.
const GOOD_UNANSWERED: Duration = Duration::from_secs(300);
/// Pause after a review that was not answered.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// Reviews at once of tokens that were good, and of all others. Each permit is held for a while, so that these are 128
/// and 32 a second. Many addresses with unknown tokens delay nobody who is signed in.
const GOOD_AT_ONCE: usize = 32;
const UNKNOWN_AT_ONCE: usize = 8;
const PERMIT_HELD_FOR: Duration = Duration::from_millis(250);
/// Longest wait for a permit.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Most tokens that are remembered.
const MOST_TOKENS: u64 = 10_000;
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
    good_permits: Arc<PeerSemaphore>,
    unknown_permits: Arc<PeerSemaphore>,
}

#[derive(Default)]
struct Entry {
    /// Held while the token is reviewed: requests with the same token wait for one review.
    turn: Arc<tokio::sync::Mutex<()>>,
    state: Mutex<State>,
}

#[derive(Clone, Default)]
struct State {
    last: Option<LastReview>,
    /// Whose token it was before it was rejected, for the audit log.
    was: Option<Arc<UserInfo>>,
    /// When the last review was not answered.
    failed: Option<Instant>,
}

/// The last answer about a token.
#[derive(Clone)]
struct LastReview {
    at: Instant,
    /// `None` if the API server does not know the token.
    user: Option<Arc<UserInfo>>,
}

impl State {
    /// Returns what is known without another review; `None` if it must be reviewed.
    fn identity(&self) -> Option<Identity> {
        if let Some(identity) = self.stands(GOOD_VALID_FOR) {
            return Some(identity);
        }
        let waits = self.failed?.elapsed() < RETRY_AFTER;
        waits.then(|| self.late().unwrap_or(Identity::Unanswered))
    }

    /// Returns whose token it was a moment ago, if the API server did not answer since.
    fn late(&self) -> Option<Identity> {
        self.failed.and_then(|_| self.stands(GOOD_UNANSWERED))
    }

    /// Returns whether a peer pays for the review: the token was rejected the last time, or nobody has seen it.
    fn is_unknown(&self, is_proven: bool) -> bool {
        self.last.as_ref().map_or(!is_proven, |last| last.user.is_none())
    }

    fn last_user(&self) -> Option<Arc<UserInfo>> {
        self.last.as_ref().and_then(|last| last.user.clone()).or_else(|| self.was.clone())
    }

    fn stands(&self, good: Duration) -> Option<Identity> {
        self.last.as_ref().filter(|known| known.stands(good)).map(LastReview::identity)
    }
}

impl LastReview {
    fn stands(&self, good: Duration) -> bool {
        self.at.elapsed() < if self.user.is_some() { good } else { BAD_VALID_FOR }
    }

    fn identity(&self) -> Identity {
        self.user.clone().map_or(Identity::Rejected, Identity::User)
    }
}

impl Tokens {
    pub fn new(reviews: Arc<dyn Reviews>) -> Self {
        Self {
            reviews,
            known: Cache::builder().max_capacity(MOST_TOKENS).time_to_idle(2 * GOOD_UNANSWERED).build(),
            unknown: RateLimiter::keyed(Quota::per_minute(UNKNOWN_A_MINUTE)),
            good_permits: PeerSemaphore::new("token reviews", GOOD_AT_ONCE),
            unknown_permits: PeerSemaphore::new("reviews of unknown tokens", UNKNOWN_AT_ONCE),
        }
    }

    /// Returns whose token it is. `is_proven` says that the token was good before: it comes from a sealed
    /// session, and counts for no limit.
    pub async fn identify(&self, token: &str, peer: Option<Peer>, is_proven: bool) -> Identity {
        if !is_token(token) {
            return Identity::Rejected;
        }
        let key = hash(token);
        let entry = self.known.get(&key).unwrap_or_default();
        let known = || entry.state.lock().identity();
        if let Some(identity) = known() {
            return identity;
        }
        let is_unknown = entry.state.lock().is_unknown(is_proven);
        if is_unknown && self.unknown.check_key(&peer.map(Peer::client)).is_err() {
            return Identity::TooMany;
        }
        let entry = self.known.get_with(key, || entry);
        let known = || entry.state.lock().identity();
        // While the API server does not answer, nobody waits for it whose token was good a moment ago.
        if let Some(identity) = { entry.state.lock().late() } {
            if let Ok(turn) = entry.turn.clone().try_lock_owned()
                && let Ok(permit) = self.good_permits.try_acquire(peer)
            {
                let answer = self.reviews.review_token(token.to_owned());
                let entry = entry.clone();
                tokio::spawn(async move {
                    entry.store_answer(answer.await);
                    drop((turn, permit));
                });
            }
            return identity;
        }
        let _turn = entry.turn.lock().await;
        if let Some(identity) = known() {
            return identity;
        }
        let permits = if is_unknown { &self.unknown_permits } else { &self.good_permits };
        let Some(permit) = permits.acquire_within(LONGEST_WAIT, peer).await else { return Identity::TooMany };
        let free_at = Instant::now() + PERMIT_HELD_FOR;
        entry.store_answer(self.reviews.review_token(token.to_owned()).await);
        tokio::spawn(async move {
            sleep_until(free_at).await;
            drop(permit);
        });
        known().unwrap_or(Identity::Rejected)
    }

    /// Returns whose token it is or was. `None` if it was never good here.
    pub fn last_user(&self, token: &str) -> Option<Arc<UserInfo>> {
        let entry = self.known.get(&hash(token))?;
        entry.state.lock().last_user()
    }

    /// Returns whether a peer pays for the review of this token.
    pub fn is_unknown(&self, token: &str) -> bool {
        self.known.get(&hash(token)).is_none_or(|entry| entry.state.lock().is_unknown(false))
    }

    /// Forgets peers that have not presented an unknown token for a while.
    pub fn tidy(&self) {
        self.unknown.retain_recent();
        self.unknown.shrink_to_fit();
    }
}

/// Returns the token of an `Authorization` header (RFC 6750, 2.1).
pub fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// Returns whether it can be a token (RFC 6750, 2.1): the API server would ignore what follows a blank, so that one token
/// could pass for many.
fn is_token(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    !body.is_empty() && body.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte))
}

impl Entry {
    fn store_answer(&self, answer: Result<UserInfo, TokenError>) {
        let mut state = self.state.lock();
        match answer {
            Ok(user) => *state = State::known(Some(Arc::new(user))),
            Err(TokenError::Rejected) => {
                let was = state.last_user();
                *state = State { was, ..State::known(None) };
            }
            Err(TokenError::Unanswered(_)) => state.failed = Some(Instant::now()),
        }
    }
}

impl State {
    fn known(user: Option<Arc<UserInfo>>) -> Self {
        Self { last: Some(LastReview { at: Instant::now(), user }), was: None, failed: None }
    }
}
