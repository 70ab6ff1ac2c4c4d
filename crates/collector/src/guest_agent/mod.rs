//! Polls guest agents' file systems through KubeVirt's API: a few guests at a time, spread over the interval.
//!
//! Every answer costs virt-api, virt-handler and a guest some work, so no more requests are sent in an
//! interval than there are guests. A denial or a missing API concerns all guests: then only one guest is
//! asked per interval, and the reason is reported for the others.

pub(super) mod answer;
mod ask;

use std::{
    collections::{BTreeMap, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

use self::ask::{Outcome, RESOURCE, ask, send};
use crate::{
    config::CollectConfig,
    error::Access,
    observation_sender::{Closed, ObservationSender},
    poll::BoundedClient,
    targets::{self, ApiServer, Gate, Limits, Next, Target, next_refusal},
};
use wukong_core::observation::{Key, SourceError, Targets};

/// The time between the starts of two requests; less if the interval is too short for that many guests.
const GAP: Duration = Duration::from_millis(100);

/// Asks each new guest as soon as it is its turn, then each guest once per interval, until nobody receives.
pub async fn poll(
    client: BoundedClient,
    config: &CollectConfig,
    targets: watch::Receiver<Targets>,
    sender: ObservationSender,
) -> Result<(), Closed> {
    let guests = Arc::new(Guests {
        client,
        sender,
        by_namespace: config.namespaces.is_some(),
        interval: config.disk_interval,
        begun: Instant::now(),
        api_server: ApiServer::new(config.disk_interval),
    });
    // The guests that share one permission: those of a namespace, or all.
    let mut scopes = BTreeMap::<Option<String>, Arc<Gate>>::new();
    let guest = |key: &Key| {
        let namespace = guests.by_namespace.then(|| key.namespace.to_string());
        let scope = scopes.entry(namespace).or_default().clone();
        Guest { guests: guests.clone(), key: key.clone(), refusals: scope.refusals(), scope, failures: 0 }
    };
    let limits = Limits {
        slots: config.guest_concurrency,
        interval: config.disk_interval,
        gap: GAP,
        // virt-handler answers from memory. A node that delays the answers of all its guests would take the slots.
        slow: config.guest_deadline / 5,
    };
    targets::poll(targets, |targets| targets.guests.to_vec(), guest, limits).await
}

/// What all guests share.
struct Guests {
    client: BoundedClient,
    sender: ObservationSender,
    by_namespace: bool,
    interval: Duration,
    /// The start of the poll, from which every guest's own moment in the interval is counted.
    begun: Instant,
    api_server: ApiServer,
}

/// A guest that is polled.
struct Guest {
    guests: Arc<Guests>,
    key: Key,
    /// Closed while the guests that share this one's permission may not be asked.
    scope: Arc<Gate>,
    refusals: watch::Receiver<Option<SourceError>>,
    /// How many requests in a row failed or were late.
    failures: u32,
}

impl Target for Guest {
    fn gates(&mut self) -> Vec<Arc<Gate>> {
        vec![self.scope.clone(), self.guests.api_server.gate.clone()]
    }

    async fn poll(&mut self) -> Result<Next, Closed> {
        let (started, guests) = (Instant::now(), &self.guests);
        let outcome = ask(&guests.client, &self.key, &self.access(), &guests.sender).await?;
        self.judge(&outcome);
        let due = self.due_again(&outcome, started);
        self.failures = match outcome {
            Outcome::Failed | Outcome::Late => self.failures.saturating_add(1),
            _ => 0,
        };
        Ok(Next { due, suspect: outcome == Outcome::Late })
    }

    async fn refused(&mut self) -> Result<(), Closed> {
        // A copy, so that the reason is not lost if this is dropped before it is sent.
        let mut refusals = self.refusals.clone();
        let error = next_refusal(&mut refusals).await;
        Box::pin(send(&self.guests.sender, &self.key, Err(error))).await?;
        self.refusals = refusals;
        Ok(())
    }
}

impl Guest {
    fn access(&self) -> Access {
        let namespace = self.guests.by_namespace.then(|| self.key.namespace.to_string());
        Access { resource: RESOURCE.into(), namespace }
    }

    /// Applies what one answer means for other guests.
    fn judge(&mut self, outcome: &Outcome) {
        let api_server = &self.guests.api_server;
        match outcome {
            Outcome::Away(wait) => api_server.is_away(*wait),
            // A guest that hangs looks the same, so this does not prove that the API server is back or that
            // guests may be asked.
            Outcome::Late if self.scope.is_open() => {}
            Outcome::Late => self.scope.close(Instant::now() + self.guests.interval),
            Outcome::Denied(error) => {
                api_server.answers();
                // A kube-apiserver that starts denies everything for a moment; then the probe comes soon.
                let wait = api_server.settling_wait().unwrap_or(self.guests.interval);
                self.scope.refuse(Instant::now() + wait, error);
                self.refusals.mark_unchanged();
            }
            Outcome::Off | Outcome::Failed => {
                api_server.answers();
                self.scope.open();
            }
            Outcome::Answered => {
                api_server.answers_well();
                self.scope.open();
            }
        }
    }

    fn due_again(&self, outcome: &Outcome, started: Instant) -> Instant {
        let (interval, now) = (self.guests.interval, Instant::now());
        match outcome {
            // The request failed for another reason than this guest, so it is due again, and waits at a gate.
            Outcome::Away(_) | Outcome::Denied(_) => now,
            // The retry comes after an eighth of an interval, then twice that, up to a whole interval.
            Outcome::Failed | Outcome::Late if self.failures < 3 => now + interval / (8 >> self.failures),
            _ => self.next_poll_time(started + interval / 2),
        }
    }

    /// When the guest is polled next after this time. Each guest has its own time within the interval, so that
    /// requests spread over it.
    fn next_poll_time(&self, after: Instant) -> Instant {
        let interval = self.guests.interval.as_nanos().max(1);
        let mut hasher = DefaultHasher::new();
        self.key.hash(&mut hasher);
        let moment = u128::from(hasher.finish()) % interval;
        let passed = after.duration_since(self.guests.begun).as_nanos();
        let rounds = passed.saturating_sub(moment).div_ceil(interval);
        let nanos = u64::try_from(rounds * interval + moment).unwrap_or(u64::MAX);
        self.guests.begun + Duration::from_nanos(nanos)
    }
}
