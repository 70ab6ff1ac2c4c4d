//! Polls the targets of a source, each in a task of its own. Used for kubelets and guest agents.
//!
//! A request takes one of the source's slots. A target that hangs keeps its slot until the deadline of its
//! request and is then a suspect; so is one that answers slowly, since it may do so on purpose. Suspects together take at most half of the slots, so that the others always
//! have the rest. Requests that are held back by a [`Gate`] take no slot.

mod gate;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use futures::FutureExt;
use parking_lot::Mutex;
use tokio::{
    sync::{Semaphore, SemaphorePermit, watch},
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep_until},
};

pub use self::gate::{ApiServer, Gate, next_refusal};
use crate::observation_sender::Closed;
use wukong_core::observation::Targets;

/// A target of a source, with what is known of it.
pub trait Target: Send + 'static {
    /// Decides how the next request is sent, and returns the gates that it must pass. Called before the
    /// target waits for its turn, and again when it has it.
    fn gates(&mut self) -> Vec<Arc<Gate>>;

    /// Sends one request and its observation. The request has a deadline.
    fn poll(&mut self) -> impl Future<Output = Result<Next, Closed>> + Send;

    /// Waits until a gate is closed for a reason that concerns this target, and reports the reason. May be
    /// dropped at any time. The target is due as soon as the gate is open again.
    fn refused(&mut self) -> impl Future<Output = Result<(), Closed>> + Send {
        std::future::pending()
    }
}

/// When a target is polled next.
#[derive(Clone, Copy, Debug)]
pub struct Next {
    pub due: Instant,
    /// Whether the target did not answer in time.
    pub suspect: bool,
}

/// The limits of a source's requests.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many requests may be under way.
    pub slots: usize,
    /// How often each target is polled.
    pub interval: Duration,
    /// The time between the starts of two requests; less if the interval is too short for that many targets.
    pub gap: Duration,
    /// A target that takes this long is a suspect, even if it answers.
    pub slow: Duration,
}

/// Polls the targets with these keys until nobody receives observations: new targets are due at once, the
/// tasks of targets that are gone are aborted.
pub async fn poll<K: Clone + Eq + Hash, T: Target>(
    mut targets: watch::Receiver<Targets>,
    keys: impl Fn(&Targets) -> Vec<K>,
    mut make: impl FnMut(&K) -> T,
    limits: Limits,
) -> Result<(), Closed> {
    let slots = Arc::new(Slots::new(limits));
    let mut tasks = JoinSet::new();
    let mut running: HashMap<K, AbortHandle> = HashMap::new();
    let mut set_targets = |keys: Vec<K>, tasks: &mut JoinSet<Closed>| {
        let wanted: HashSet<&K> = keys.iter().collect();
        slots.spread(wanted.len());
        running.extract_if(|key, _| !wanted.contains(key)).for_each(|(_, task)| task.abort());
        for key in keys {
            running.entry(key).or_insert_with_key(|key| tasks.spawn(follow(make(key), slots.clone())));
        }
    };
    let mut publishing = true;
    targets.mark_changed();
    loop {
        tokio::select! {
            changed = targets.changed(), if publishing => match changed {
                Ok(()) => set_targets(keys(&targets.borrow_and_update()), &mut tasks),
                Err(_) => publishing = false,
            },
            // A task that was aborted ends with an error.
            Some(ended) = tasks.join_next() => if let Ok(Closed) = ended { return Err(Closed) },
            // There is no target, and the sender of targets is gone.
            else => return Err(Closed),
        }
    }
}

/// Polls one target again and again until nobody receives observations. A panic costs the target one
/// interval.
async fn follow<T: Target>(mut target: T, slots: Arc<Slots>) -> Closed {
    let mut next = Next { due: Instant::now(), suspect: false };
    loop {
        match AssertUnwindSafe(poll_once(&mut target, &slots, next)).catch_unwind().await {
            Ok(Ok(then)) => next = then,
            Ok(Err(closed)) => return closed,
            Err(_) => {
                tracing::error!("poll task panicked");
                next = Next { due: Instant::now() + slots.limits.interval, suspect: false };
            }
        }
    }
}

/// Waits until the target is due and has its turn, and polls it. What follows the first wait is boxed, since
/// many thousands of tasks are in the first wait.
async fn poll_once(target: &mut impl Target, slots: &Slots, next: Next) -> Result<Next, Closed> {
    tokio::select! {
        () = sleep_until(next.due) => {}
        refused = target.refused() => refused?,
    }
    loop {
        let gates = target.gates();
        let turn = tokio::select! {
            turn = Box::pin(slots.turn(&gates, next.suspect)) => turn,
            refused = target.refused() => {
                refused?;
                continue;
            }
        };
        // A gate may have been closed meanwhile.
        if target.gates().iter().all(|gate| turn.passes(gate)) {
            let started = Instant::now();
            let next = Box::pin(target.poll()).await?;
            return Ok(Next { suspect: next.suspect || started.elapsed() >= slots.limits.slow, ..next });
        }
    }
}

/// Limits how many requests are under way, and how soon one starts after another.
struct Slots {
    limits: Limits,
    all: Semaphore,
    suspects: Semaphore,
    starts: Mutex<Starts>,
}

/// No request starts before `free`; each puts that off by `gap`.
struct Starts {
    free: Instant,
    gap: Duration,
}

/// The right to send one request. The slot is free again when this is dropped.
struct Permit<'a> {
    probes: Vec<(&'a Arc<Gate>, SemaphorePermit<'a>)>,
    _suspects: Option<SemaphorePermit<'a>>,
    _all: Option<SemaphorePermit<'a>>,
}

impl Permit<'_> {
    fn passes(&self, gate: &Arc<Gate>) -> bool {
        gate.is_open() || self.probes.iter().any(|(probed, _)| Arc::ptr_eq(probed, gate))
    }
}

impl Slots {
    fn new(limits: Limits) -> Self {
        let slots = limits.slots.max(1);
        let starts = Starts { free: Instant::now(), gap: limits.gap };
        Self {
            limits,
            all: Semaphore::new(slots),
            suspects: Semaphore::new((slots / 2).max(1)),
            starts: Mutex::new(starts),
        }
    }

    async fn turn<'a>(&'a self, gates: &'a [Arc<Gate>], suspect: bool) -> Permit<'a> {
        let mut probes = Vec::new();
        for gate in gates {
            probes.extend(gate.pass().await.map(|probe| (gate, probe)));
        }
        let suspects = if suspect { self.suspects.acquire().await.ok() } else { None };
        let all = self.all.acquire().await.ok();
        sleep_until(self.next_start()).await;
        Permit { probes, _suspects: suspects, _all: all }
    }

    fn next_start(&self) -> Instant {
        let mut starts = self.starts.lock();
        let start = starts.free.max(Instant::now());
        starts.free = start + starts.gap;
        start
    }

    /// Adapts the gap to the number of targets, so that each can be polled once per interval.
    fn spread(&self, targets: usize) {
        let targets = u32::try_from(targets).unwrap_or(u32::MAX).max(1);
        self.starts.lock().gap = self.limits.gap.min(self.limits.interval / targets);
    }
}
