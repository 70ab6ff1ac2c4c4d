//! Beside the writer: fills the memory's gaps out of an archive after a start, and draws findings every few minutes.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    Snapshot,
    archive::{Answer, Archive, Names, Of, Recording, Requester, Times, created, points},
    facts::SourceError,
    history::{COARSE, FINE, Store},
    insight::{self, Drawn},
};
use crate::model::{Millis, insight::Resource, message::Message, reason::Reason};

/// Findings are of a day: minutes change nothing. The first are drawn as soon as the memory is filled.
const DRAW_EVERY: Duration = Duration::from_secs(120);
const FORGET_EVERY: Duration = Duration::from_secs(60);
/// Of the fine hour: an archive is rarely finer, and each value fills four points.
const MINUTE: Millis = FINE.step * 4;
/// Values of one figure in one answer, about 3 MB of JSON.
const BUDGET: usize = 120_000;
/// Values that are always asked for at once, and never more than: CPU needs the one before its first.
const FEWEST: usize = 4;
const MOST: usize = 96;
/// No question is waited for any longer.
const PATIENCE: Duration = Duration::from_secs(60);
/// After a failure, doubled with each.
const PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// What the keeper works with.
pub struct Keeper {
    pub store: Arc<Store>,
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    pub archive: Option<Archive>,
    pub drawn: watch::Sender<Arc<Drawn>>,
    pub clock: fn() -> Millis,
}

impl Keeper {
    /// Runs until shut down.
    pub async fn run(mut self, shutdown: CancellationToken) {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.keep() => {}
        }
    }

    async fn keep(&mut self) {
        if self.snapshots.wait_for(|snapshot| snapshot.ready).await.is_err() {
            return;
        }
        self.draw().await;
        tokio::join!(self.fill(), self.tend());
    }

    async fn tend(&self) {
        let (mut draw, mut forget) = (interval(DRAW_EVERY), interval(FORGET_EVERY));
        draw.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = draw.tick() => self.draw().await,
                _ = forget.tick() => self.store.forget((self.clock)()),
            }
        }
    }

    /// Apart from the tasks that answer: it takes half a second of 10,000 VMs.
    async fn draw(&self) {
        let (store, now) = (self.store.clone(), (self.clock)());
        let snapshot = self.snapshots.borrow().clone();
        let drawn = tokio::task::spawn_blocking(move || insight::draw(&snapshot.vms, &store, now));
        if let Ok(drawn) = drawn.await {
            self.drawn.send_replace(Arc::new(drawn));
        }
    }

    /// The newest hour first, then the day. A part that fails is asked for again, in smaller pieces should it have
    /// been too much.
    async fn fill(&self) {
        let Some(archive) = &self.archive else { return };
        let mut plan = Plan::new((self.clock)(), self.snapshots.borrow().vms.len());
        let mut pause = PAUSE;
        while let Some(times) = plan.next() {
            let started = Instant::now();
            let all = Of::All(Arc::new(Names::of_all(&self.snapshots.borrow().vms)));
            let answer = timeout(PATIENCE, archive.answer(Requester::Backfill, all, times)).await;
            let answer = answer.unwrap_or_else(|_| Arc::new(Err(late())));
            match &*answer {
                Ok(recording) => {
                    let retry = too_much(&recording.failures) && plan.is_divisible();
                    self.take(answer.clone(), times).await;
                    // What is there fills its gaps; what was too much is asked for again, in smaller pieces.
                    if retry {
                        plan.again(times, true);
                    }
                    pause = PAUSE;
                    // As long again: Prometheus has others to answer too.
                    sleep(started.elapsed()).await;
                }
                Err(error) => {
                    plan.again(times, matches!(error.reason, Reason::BadAnswer | Reason::TooLarge));
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
        self.draw().await;
    }

    async fn take(&self, answer: Arc<Answer>, times: Times) {
        let (store, snapshot) = (self.store.clone(), self.snapshots.borrow().clone());
        let task = tokio::task::spawn_blocking(move || {
            if let Ok(recording) = &*answer {
                fill(&store, &snapshot, recording, times);
            }
        });
        // A panic is logged by its own hook; what was filled stays.
        let _ = task.await;
    }
}

fn too_much(failures: &[SourceError]) -> bool {
    failures
        .iter()
        .any(|error| matches!(error.reason, Reason::BadAnswer | Reason::TooLarge | Reason::TimedOut))
}

fn late() -> SourceError {
    SourceError { reason: Reason::TimedOut, detail: Message::default() }
}

/// Puts what an archive has of all VMs where they have gaps.
pub(super) fn fill(store: &Store, snapshot: &Snapshot, recording: &Recording, times: Times) {
    for vm in &snapshot.vms {
        for resource in Resource::ALL {
            let points = points(vm, created(vm, snapshot.at), recording, times, resource);
            let points = points.into_iter().enumerate();
            let points: Vec<_> = points.map(|(index, point)| (times.at(index), point)).collect();
            store.fill(&vm.uid, resource, times.step, &points);
        }
    }
}

/// What is still to be asked for, in pieces whose answers are of a bounded size.
#[derive(Debug)]
pub(super) struct Plan {
    /// End (not before which nothing is wanted) and step of what is left, the next first.
    left: Vec<(Millis, Millis, Millis)>,
    count: usize,
}

impl Plan {
    pub fn new(now: Millis, vms: usize) -> Self {
        let end = now.div_euclid(COARSE.step) * COARSE.step;
        let day = end - COARSE.step * COARSE.len as Millis;
        let fresh = now.div_euclid(MINUTE) * MINUTE;
        let hour = end - FINE.step * FINE.len as Millis;
        Self {
            left: vec![(day, hour, COARSE.step), (hour, fresh, MINUTE)],
            count: (BUDGET / vms.max(1)).clamp(FEWEST, MOST),
        }
    }

    /// The newest piece that is left.
    pub fn next(&mut self) -> Option<Times> {
        let (from, to, step) = self.left.pop()?;
        let count = (((to - from) / step) as usize).min(self.count);
        if count == 0 {
            return self.next();
        }
        let first = to - (count as Millis - 1) * step;
        self.left.push((from, first - step, step));
        Some(Times { from: first, step, count })
    }

    /// Whether pieces can still be made smaller.
    pub fn is_divisible(&self) -> bool {
        self.count > FEWEST
    }

    /// Puts a piece back; smaller, should its answer have been too large.
    pub fn again(&mut self, times: Times, smaller: bool) {
        self.left.push((times.from - times.step, times.last(), times.step));
        if smaller {
            self.count = (self.count / 2).max(FEWEST);
        }
    }
}
