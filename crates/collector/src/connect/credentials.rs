//! The program's credentials, shared by all of its clients and renewed without a restart.
//!
//! One task at a time obtains them for all clients. The current credentials are used until they expire. They
//! are renewed in the background shortly before that, and once a minute if files may have changed. After a
//! 401 they are renewed at once, then at growing intervals if that does not help. A failure never discards
//! credentials that were obtained.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use http::HeaderValue;
use parking_lot::{Mutex, MutexGuard};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use super::{
    CredentialError,
    user::{Identity, ReadyCredentials},
};
use crate::poll::Backoff;

/// How often files are read again, as in client-go (`transport/token_source.go`).
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// How long before their expiry credentials are renewed; a short life is renewed in its last quarter.
const MARGIN: Duration = Duration::from_secs(60);
/// The longest that a request waits for credentials. Requests have deadlines of 5 s or more; a longer wait
/// would make it look as if the API server were late.
const WAIT: Duration = Duration::from_secs(4);
/// The shortest lifetime that is assumed, whatever the source says.
const SHORTEST_LIFE: Duration = Duration::from_secs(5);

/// A source of credentials.
pub trait Obtain: Send + Sync + 'static {
    fn obtain(&self) -> BoxFuture<'_, Result<ReadyCredentials, CredentialError>>;

    fn cost(&self) -> Cost;

    /// Why credentials were refused, if the source knows.
    fn explain_refusal(&self) -> Option<CredentialError> {
        None
    }
}

/// The cost of obtaining credentials, which decides how often that is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// The credentials never change.
    Fixed,
    /// Files are read.
    Files,
    /// A plugin is run.
    Plugin,
}

impl Cost {
    /// The waits between failed attempts.
    fn after_failures(self) -> Backoff {
        match self {
            Self::Plugin => Backoff::between(Duration::from_secs(2), Duration::from_secs(60)),
            _ => Backoff::between(Duration::from_secs(1), Duration::from_secs(5)),
        }
    }

    /// The waits between renewals after a 401, for as long as they do not help.
    fn after_refusals(self) -> Backoff {
        match self {
            Self::Plugin => Backoff::between(Duration::from_secs(5), Duration::from_secs(120)),
            _ => Backoff::between(Duration::from_secs(1), Duration::from_secs(5)),
        }
    }

    /// How long to use credentials that had already expired when they came: a clock is off, and the server
    /// decides.
    fn life_of_ended(self) -> Duration {
        match self {
            Self::Plugin => Duration::from_secs(30),
            _ => SHORTEST_LIFE,
        }
    }
}

/// One set of credentials.
pub struct Credential {
    /// Differs between different credentials.
    pub generation: u64,
    pub authorization: Option<HeaderValue>,
    pub identity: Option<Arc<Identity>>,
}

/// The shared credentials. Clones share one state.
#[derive(Clone)]
pub struct Credentials(Arc<Shared>);

struct Shared {
    source: Box<dyn Obtain>,
    state: Mutex<State>,
    /// How often an attempt to obtain them has ended, in success or failure.
    rounds: watch::Sender<u64>,
}

struct State {
    current: Option<(Arc<Credential>, ReadyCredentials)>,
    /// When the credentials expire.
    ends: Option<Instant>,
    /// When the credentials are renewed in the background.
    renew_at: Option<Instant>,
    running: bool,
    /// The cost at the last attempt; a kubeconfig may name a plugin where it named a token before.
    cost: Cost,
    failure: Option<CredentialError>,
    /// No attempt is made before this.
    retry_at: Instant,
    failures: Backoff,
    /// No 401 starts a renewal before this.
    refusal_at: Instant,
    refusals: Backoff,
}

impl Credentials {
    pub fn new(source: impl Obtain) -> Self {
        let (cost, now) = (source.cost(), Instant::now());
        let state = State {
            current: None,
            ends: None,
            renew_at: None,
            running: false,
            cost,
            failure: None,
            retry_at: now,
            failures: cost.after_failures(),
            refusal_at: now,
            refusals: cost.after_refusals(),
        };
        let shared =
            Shared { source: Box::new(source), state: Mutex::new(state), rounds: watch::Sender::default() };
        Self(Arc::new(shared))
    }

    /// The credentials to send now. Waits up to `WAIT` if there are none yet.
    pub async fn current(&self) -> Result<Arc<Credential>, CredentialError> {
        match timeout(WAIT, self.obtained()).await {
            Ok(credential) => credential,
            Err(_) => Err(CredentialError::Pending),
        }
    }

    /// The credentials to send now; waits as long as it takes.
    pub async fn obtained(&self) -> Result<Arc<Credential>, CredentialError> {
        let round = {
            let (mut state, now) = (self.state(), Instant::now());
            if let Some(credential) = state.usable(now) {
                if state.renew_at.is_some_and(|at| now >= at) {
                    self.start(&mut state, now);
                }
                return Ok(credential);
            }
            if !self.start(&mut state, now) {
                return Err(state.failure.clone().unwrap_or(CredentialError::Pending));
            }
            self.0.rounds.subscribe()
        };
        self.next_round(round).await;
        let state = self.state();
        state.usable(Instant::now()).ok_or_else(|| state.failure.clone().unwrap_or(CredentialError::Pending))
    }

    /// Obtains credentials that only require reading files, so that mistakes show before the first request.
    /// `None` for a plugin.
    pub async fn obtain_cheap(&self) -> Result<Option<Arc<Credential>>, CredentialError> {
        match self.0.source.cost() {
            Cost::Plugin => Ok(None),
            Cost::Fixed | Cost::Files => self.obtained().await.map(Some),
        }
    }

    /// Returns other credentials than those of the `generation` that a server answered with 401, obtaining
    /// them if needed. `None` if there are none.
    pub async fn replace(&self, generation: u64) -> Option<Arc<Credential>> {
        let round = {
            let (mut state, now) = (self.state(), Instant::now());
            if let Some(other) = state.other_than(generation) {
                return Some(other);
            }
            if !state.running {
                if self.0.source.cost() == Cost::Fixed || now < state.refusal_at {
                    return None;
                }
                state.refusal_at = now + state.refusals.wait();
                if !self.start(&mut state, now) {
                    return None;
                }
            }
            self.0.rounds.subscribe()
        };
        // If the wait ends without new credentials, the request returns its 401.
        let _ = timeout(WAIT, self.next_round(round)).await;
        self.state().other_than(generation)
    }

    /// Reports that renewed credentials were accepted: the next 401 may renew them at once.
    pub fn accepted(&self) {
        let mut state = self.state();
        state.refusals.reset();
        state.refusal_at = Instant::now();
    }

    /// Why credentials that cannot be replaced were refused, if more is known than the 401.
    pub fn explain_refusal(&self) -> Option<CredentialError> {
        let failure = self.state().failure.clone();
        failure.or_else(|| self.0.source.explain_refusal())
    }

    /// Starts an attempt unless one is running. Returns false while it is too early after a failure.
    fn start(&self, state: &mut State, now: Instant) -> bool {
        if state.running {
            return true;
        }
        if now < state.retry_at {
            return false;
        }
        state.running = true;
        let this = self.clone();
        // In separate tasks: a request that is cancelled does not end the attempt, and a panic counts as a
        // failure.
        let obtaining = tokio::spawn(async move { this.0.source.obtain().await });
        let this = self.clone();
        tokio::spawn(async move {
            let result = obtaining.await.unwrap_or(Err(CredentialError::Internal));
            this.finish(result);
        });
        true
    }

    fn finish(&self, result: Result<ReadyCredentials, CredentialError>) {
        {
            let (mut state, now, cost) = (self.state(), Instant::now(), self.0.source.cost());
            state.running = false;
            match result {
                Ok(fresh) => state.take(fresh, cost, now),
                Err(failure) => state.fail(failure, now),
            }
        }
        self.0.rounds.send_modify(|round| *round += 1);
    }

    async fn next_round(&self, mut rounds: watch::Receiver<u64>) {
        // The sender lives as long as `self`, so this does not fail.
        let _ = rounds.changed().await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock()
    }
}

impl State {
    fn usable(&self, now: Instant) -> Option<Arc<Credential>> {
        let ended = self.ends.is_some_and(|ends| now >= ends);
        self.current.as_ref().filter(|_| !ended).map(|(credential, _)| credential.clone())
    }

    fn other_than(&self, generation: u64) -> Option<Arc<Credential>> {
        let (credential, _) = self.current.as_ref()?;
        (credential.generation != generation).then(|| credential.clone())
    }

    fn take(&mut self, fresh: ReadyCredentials, cost: Cost, now: Instant) {
        if self.failure.take().is_some() {
            tracing::info!("credentials can be obtained again");
        }
        self.failures.reset();
        if cost != self.cost {
            (self.cost, self.failures, self.refusals) = (cost, cost.after_failures(), cost.after_refusals());
        }
        let life = fresh.lifetime.map(|life| match life {
            Duration::ZERO => cost.life_of_ended(),
            life => life.max(SHORTEST_LIFE),
        });
        self.ends = life.map(|life| now + life);
        let look = (cost == Cost::Files).then_some(LOOK_EVERY);
        let renew = life.map(|life| life - MARGIN.min(life / 4));
        self.renew_at = renew.or(look).map(|wait| now + wait);
        self.retry_at = now;
        let generation = match &self.current {
            Some((credential, known)) if known.is_same(&fresh) => credential.generation,
            Some((credential, _)) => credential.generation + 1,
            None => 0,
        };
        let (authorization, identity) = (fresh.authorization.clone(), fresh.identity.clone());
        self.current = Some((Arc::new(Credential { generation, authorization, identity }), fresh));
    }

    fn fail(&mut self, failure: CredentialError, now: Instant) {
        if self.failure.as_ref() != Some(&failure) {
            tracing::warn!(error = %failure, "cannot obtain credentials");
        }
        self.failure = Some(failure);
        self.retry_at = now + self.failures.wait();
        self.renew_at = self.renew_at.map(|at| at.max(self.retry_at));
    }
}

#[cfg(test)]
mod tests;
