//! Polls guest agents' file systems through KubeVirt's API: a few guests at a time, spread over the interval.
//!
//! Every answer costs virt-api, virt-handler and a guest some work, so no more requests are sent in an
//! interval than there are guests. A denial or a missing API concerns all guests: then only one guest is
//! asked per interval, and the reason is reported for the others.

pub(super) mod answer;
mod ask;
mod scope;

use std::{
    collections::{BTreeMap, HashSet, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::watch,
    task::{JoinError, JoinSet},
    time::{Instant, sleep_until},
};

use self::{
    ask::{Outcome, RESOURCE, ask, send},
    scope::{Gate, Scope},
};
use super::{
    error::Access,
    poll::{BoundedClient, Pace},
    turns::{PollTurn, room_for_suspects},
};
use crate::config::CollectConfig;
use crate::observation_sender::{Closed, ObservationSender};
use wukong_core::observation::{Key, SourceError, Targets};

/// The time between the starts of two requests; less if the interval is too short for that many guests.
const GAP: Duration = Duration::from_millis(100);

/// Asks each new guest as soon as it is its turn, then each guest once per interval, until nobody receives.
pub async fn poll(
    asker: BoundedClient,
    config: &CollectConfig,
    mut targets: watch::Receiver<Targets>,
    outlet: ObservationSender,
) -> Result<(), Closed> {
    let mut round = ScrapeRound::new(asker, config, outlet);
    let mut publishing = true;
    loop {
        let guests = targets.borrow_and_update().guests.clone();
        round.aim(&guests);
        round.tell().await?;
        let due = round.start_due();
        tokio::select! {
            changed = targets.changed(), if publishing => publishing = changed.is_ok(),
            Some(done) = round.asked.join_next() => round.finish(done)?,
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            // There is no guest to ask, and the sender of targets is gone.
            else => return Err(Closed),
        }
    }
}

/// The result of one request.
struct PollOutcome {
    guest: Arc<Key>,
    started: Instant,
    /// `None` if nobody receives any more.
    outcome: Option<Outcome>,
}

/// The next request, and when it may start.
struct Next {
    at: Instant,
    scope: String,
    guest: Arc<Key>,
}

struct ScrapeRound {
    asker: BoundedClient,
    outlet: ObservationSender,
    slots: usize,
    /// Whether permissions are per namespace.
    by_namespace: bool,
    scopes: BTreeMap<String, Scope>,
    aimed: Arc<[Key]>,
    asked: JoinSet<PollOutcome>,
    pace: Pace,
    /// The start of the poll, from which every guest's own moment in the interval is counted.
    begun: Instant,
    /// No request starts before this.
    free: Instant,
    /// Guests that are not asked, with the reason that is still to be reported for them.
    untold: Vec<(Arc<Key>, SourceError)>,
}

impl ScrapeRound {
    fn new(asker: BoundedClient, config: &CollectConfig, outlet: ObservationSender) -> Self {
        Self {
            asker,
            outlet,
            slots: config.guest_concurrency.max(1),
            by_namespace: config.namespaces.is_some(),
            scopes: BTreeMap::new(),
            aimed: Arc::default(),
            asked: JoinSet::new(),
            pace: Pace::new(config.disk_interval),
            begun: Instant::now(),
            free: Instant::now(),
            untold: Vec::new(),
        }
    }

    /// Takes over the targets: new guests are due at once, and guests that are no longer targets are
    /// forgotten.
    fn aim(&mut self, targets: &Arc<[Key]>) {
        if Arc::ptr_eq(targets, &self.aimed) {
            return;
        }
        self.aimed = targets.clone();
        let wanted: HashSet<&Key> = targets.iter().collect();
        self.scopes.values_mut().for_each(|scope| scope.guests.keep(|guest| wanted.contains(&**guest)));
        for target in targets.iter() {
            let scope = self.scope_of(target);
            let scope = self.scopes.entry(scope).or_default();
            self.untold.extend(scope.admit(target, Instant::now()));
        }
    }

    fn scope_of(&self, guest: &Key) -> String {
        if self.by_namespace { guest.namespace.to_string() } else { String::new() }
    }

    async fn tell(&mut self) -> Result<(), Closed> {
        for (guest, error) in std::mem::take(&mut self.untold) {
            send(&self.outlet, &guest, Err(error)).await?;
        }
        Ok(())
    }

    /// Starts all requests that may start now, and returns when the next one may.
    fn start_due(&mut self) -> Option<Instant> {
        loop {
            let now = Instant::now();
            match self.next(now) {
                Some(next) if next.at <= now => self.start(&next.scope, next.guest, now),
                later => return later.map(|next| next.at),
            }
        }
    }

    /// The next request. `None` while every slot is taken, or if there is no guest to ask.
    fn next(&self, now: Instant) -> Option<Next> {
        let slots = if self.pace.probe_at().is_some() { 1 } else { self.slots };
        if self.asked.len() >= slots {
            return None;
        }
        let hanging: usize = self.scopes.values().map(|scope| scope.guests.hanging()).sum();
        let suspects = hanging < room_for_suspects(self.slots);
        let free = self.free.max(self.pace.probe_at().unwrap_or(self.free));
        let heads = self.scopes.iter().filter_map(|(name, scope)| Some((name, scope.next(now, suspects)?)));
        let order = |turn: &PollTurn<_>| (turn.due.max(free).max(now), turn.suspect, turn.due);
        let (scope, turn) = heads.min_by_key(|(_, turn)| order(turn))?;
        Some(Next { at: turn.due.max(free), scope: scope.clone(), guest: turn.key.clone() })
    }

    fn start(&mut self, scope: &str, guest: Arc<Key>, now: Instant) {
        self.free = now + self.gap();
        if let Some(scope) = self.scopes.get_mut(scope) {
            scope.guests.begin(&guest);
        }
        let access = self.access(&guest);
        let (asker, outlet) = (self.asker.clone(), self.outlet.clone());
        self.asked.spawn(async move {
            let outcome = ask(&asker, &guest, &access, &outlet).await.ok();
            PollOutcome { guest, started: now, outcome }
        });
    }

    /// The time between two starts. It keeps the number of requests in an interval below the number of
    /// guests.
    fn gap(&self) -> Duration {
        let guests = u32::try_from(self.aimed.len()).unwrap_or(u32::MAX).max(1);
        (self.pace.interval() / guests).min(GAP)
    }

    fn access(&self, guest: &Key) -> Access {
        let namespace = self.by_namespace.then(|| guest.namespace.to_string());
        Access { resource: RESOURCE.into(), namespace }
    }

    fn finish(&mut self, done: Result<PollOutcome, JoinError>) -> Result<(), Closed> {
        let Ok(PollOutcome { guest, started, outcome }) = done else {
            // A panic while asking: the task was lost, and with it the guest's name, so all guests are asked
            // again.
            tracing::error!("asking a guest agent failed inside this program");
            self.asked = JoinSet::new();
            self.scopes.clear();
            self.aimed = Arc::default();
            return Ok(());
        };
        let outcome = outcome.ok_or(Closed)?;
        let now = Instant::now();
        self.judge(&guest, &outcome, now);
        let due = self.due_again(&guest, &outcome, started, now);
        let scope = self.scope_of(&guest);
        if let Some(scope) = self.scopes.get_mut(&scope) {
            scope.end(&guest, due, &outcome);
        }
        Ok(())
    }

    /// Applies what one answer means for all guests.
    fn judge(&mut self, guest: &Key, outcome: &Outcome, now: Instant) {
        match outcome {
            Outcome::Away(wait) => return self.pace.hold(*wait, now),
            // A guest that hangs looks the same, so this does not prove that the API server is back or that
            // guests may be asked.
            Outcome::Late => return self.put_off_probe(guest, now),
            Outcome::Answered => {
                self.pace.succeeded();
            }
            Outcome::Off | Outcome::Failed | Outcome::Denied(_) => {}
        }
        self.pace.back();
        match outcome {
            Outcome::Denied(error) => self.close(guest, error, now),
            _ => self.open(guest, now),
        }
    }

    /// Stops asking a scope. A kube-apiserver that starts denies everything for a moment; then the probe
    /// comes soon.
    fn close(&mut self, guest: &Key, error: &SourceError, now: Instant) {
        let wait = if self.pace.settling(now) { self.pace.soon() } else { self.pace.interval() };
        let gate = Gate { probe_at: now + wait, error: error.clone() };
        let scope = self.scopes.entry(self.scope_of(guest)).or_default();
        let before = scope.gate.replace(gate);
        if before.is_none_or(|gate| gate.error != *error) {
            let others = scope.guests.keys().filter(|other| ***other != *guest);
            self.untold.extend(others.map(|other| (other.clone(), error.clone())));
        }
    }

    fn put_off_probe(&mut self, guest: &Key, now: Instant) {
        let (scope, interval) = (self.scope_of(guest), self.pace.interval());
        if let Some(gate) = self.scopes.get_mut(&scope).and_then(|scope| scope.gate.as_mut()) {
            gate.probe_at = now + interval;
        }
    }

    /// Starts asking a scope again: guests that were not asked meanwhile are due.
    fn open(&mut self, guest: &Key, now: Instant) {
        let scope = self.scope_of(guest);
        if let Some(scope) = self.scopes.get_mut(&scope).filter(|scope| scope.gate.is_some()) {
            scope.gate = None;
            scope.guests.all_due(now);
        }
    }

    fn due_again(&self, guest: &Arc<Key>, outcome: &Outcome, started: Instant, now: Instant) -> Instant {
        let interval = self.pace.interval();
        let failures = self.scopes.get(&self.scope_of(guest)).and_then(|scope| scope.guests.get(guest));
        let failures = failures.copied().unwrap_or_default();
        match outcome {
            // The request failed for another reason than this guest, so it is due again.
            Outcome::Away(_) => now,
            // The retry comes after an eighth of an interval, then twice that, up to a whole interval.
            Outcome::Failed | Outcome::Late if failures < 3 => now + interval / (8 >> failures),
            _ => self.own_moment(guest, started + interval / 2),
        }
    }

    /// The guest's next own moment after this time. Each guest has its own, so that requests spread over the
    /// interval.
    fn own_moment(&self, guest: &Key, after: Instant) -> Instant {
        let interval = self.pace.interval().as_nanos().max(1);
        let mut hasher = DefaultHasher::new();
        guest.hash(&mut hasher);
        let moment = u128::from(hasher.finish()) % interval;
        let passed = after.duration_since(self.begun).as_nanos();
        let rounds = passed.saturating_sub(moment).div_ceil(interval);
        let nanos = u64::try_from(rounds * interval + moment).unwrap_or(u64::MAX);
        self.begun + Duration::from_nanos(nanos)
    }
}
