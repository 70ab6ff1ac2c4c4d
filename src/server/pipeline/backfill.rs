//! Fills the gaps of the history from Prometheus after a start, forgets old samples, and computes findings
//! every two minutes. Runs as a task beside the writer of snapshots.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use collector::long_term::{LongTermHistory, Requester};
use model::{Millis, message::Message, reason::Reason};
use wukong_core::{
    Snapshot,
    backfill::{BackfillPlan, fill},
    history::HistoryStore,
    insight::{self, Findings},
    long_term::{Answer, Names, Times, VmSelection},
    observation::SourceError,
};

/// Time between two computations of findings. Findings are of a whole day, so minutes change nothing. The
/// first follow as soon as the history is filled.
const COMPUTE_FINDINGS_EVERY: Duration = Duration::from_secs(120);
const FORGET_EVERY: Duration = Duration::from_secs(60);
/// Longest wait for one answer of Prometheus.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// Pause after the first failure; it doubles with each further failure.
const PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// The task that fills the history and computes findings, with everything that it reads and writes.
pub struct HistoryBackfill {
    pub store: Arc<HistoryStore>,
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    pub long_term: Option<LongTermHistory>,
    pub findings: watch::Sender<Arc<Findings>>,
    pub clock: fn() -> Millis,
}

impl HistoryBackfill {
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
        self.compute_findings().await;
        tokio::join!(self.fill(), self.tend());
    }

    async fn tend(&self) {
        let (mut compute, mut forget) = (interval(COMPUTE_FINDINGS_EVERY), interval(FORGET_EVERY));
        compute.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = compute.tick() => self.compute_findings().await,
                _ = forget.tick() => self.store.forget((self.clock)()),
            }
        }
    }

    /// Computes findings on a blocking thread: with 10,000 VMs it takes half a second.
    async fn compute_findings(&self) {
        let (store, now) = (self.store.clone(), (self.clock)());
        let snapshot = self.snapshots.borrow().clone();
        let findings =
            tokio::task::spawn_blocking(move || insight::compute_findings(&snapshot.vms, &store, now));
        if let Ok(findings) = findings.await {
            self.findings.send_replace(Arc::new(findings));
        }
    }

    /// Fills the newest hour first, then the day. A part that failed is asked for again, in smaller pieces
    /// if it may have been too large.
    async fn fill(&self) {
        let Some(long_term) = &self.long_term else { return };
        let mut plan = BackfillPlan::new((self.clock)(), self.snapshots.borrow().vms.len());
        let mut pause = PAUSE;
        while let Some(times) = plan.next_piece() {
            let started = Instant::now();
            let all = VmSelection::All(Arc::new(Names::of_all(&self.snapshots.borrow().vms)));
            let answer = timeout(ANSWER_TIMEOUT, long_term.answer(Requester::Backfill, all, times)).await;
            let answer = answer.unwrap_or_else(|_| Arc::new(Err(late())));
            match &*answer {
                Ok(recording) => {
                    let retry = too_much(&recording.failures) && plan.is_divisible();
                    self.fill_history(answer.clone(), times).await;
                    // The answer's samples are kept; the part that was too large is asked for again in
                    // smaller pieces.
                    if retry {
                        plan.again(times, true);
                    }
                    pause = PAUSE;
                    // Pauses for as long as the answer took, since Prometheus has other clients.
                    sleep(started.elapsed()).await;
                }
                Err(error) => {
                    plan.again(times, matches!(error.reason, Reason::BadAnswer | Reason::TooLarge));
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
        self.compute_findings().await;
    }

    async fn fill_history(&self, answer: Arc<Answer>, times: Times) {
        let (store, snapshot) = (self.store.clone(), self.snapshots.borrow().clone());
        let task = tokio::task::spawn_blocking(move || {
            if let Ok(recording) = &*answer {
                fill(&store, &snapshot, recording, times);
            }
        });
        // A panic is logged by the panic hook. What was filled stays.
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
