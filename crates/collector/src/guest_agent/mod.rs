//! Guest agents' file systems, through KubeVirt's API: a few guests at a time, spread over the interval.
//!
//! Every answer costs virt-api, virt-handler and a guest some work, so no more guests are asked in an interval than
//! there are. A denial, or an API that is not there, is the same for all guests: then one of them is asked an
//! interval, and the others are told why they are not.

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

/// Between the starts of two requests, or less where an interval has not that much for each guest.
const GAP: Duration = Duration::from_millis(100);

/// Asks new guests as soon as it is their turn, then each once an interval, until nobody listens.
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
            // No guest to ask, and nobody who could name one any more.
            else => return Err(Closed),
        }
    }
}

/// The end of one request.
struct PollOutcome {
    guest: Arc<Key>,
    started: Instant,
    /// None: nobody listens any more.
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
    /// Permissions are asked for by namespace.
    by_namespace: bool,
    scopes: BTreeMap<String, Scope>,
    aimed: Arc<[Key]>,
    asked: JoinSet<PollOutcome>,
    pace: Pace,
    /// What every guest's own moment in the interval is counted from.
    begun: Instant,
    /// Nothing starts before this.
    free: Instant,
    /// Who is to be told why nobody asks them.
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

    /// New guests are due at once; those that are no target any more are forgotten.
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

    /// Starts what may start now, and says when the next may.
    fn start_due(&mut self) -> Option<Instant> {
        loop {
            let now = Instant::now();
            match self.next(now) {
                Some(next) if next.at <= now => self.start(&next.scope, next.guest, now),
                later => return later.map(|next| next.at),
            }
        }
    }

    /// None while every slot is taken, or there is nobody to ask.
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

    /// So that no more are asked in an interval than there are.
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
            // A panic while asking: which guest it was is lost with the task, so all are asked anew.
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

    /// What one answer means for all.
    fn judge(&mut self, guest: &Key, outcome: &Outcome, now: Instant) {
        match outcome {
            Outcome::Away(wait) => return self.pace.hold(*wait, now),
            // No proof that the API server is back, or that anybody may be asked: a guest that hangs looks the same.
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

    /// A kube-apiserver that starts denies everything for a moment: then the probe comes soon.
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

    /// Whoever was not asked meanwhile is due.
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
            // It was not its turn that failed.
            Outcome::Away(_) => now,
            // An eighth of an interval, then twice that, up to all of it.
            Outcome::Failed | Outcome::Late if failures < 3 => now + interval / (8 >> failures),
            _ => self.own_moment(guest, started + interval / 2),
        }
    }

    /// Each guest has its own moment in the interval, so that they spread over all of it. The first after this.
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
