//! Gates hold requests back that would fail for a common reason, except for one at a time that probes whether
//! it has passed.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    sync::{Semaphore, SemaphorePermit, watch},
    time::{Instant, sleep_until},
};

use crate::poll::Pace;
use wukong_core::observation::SourceError;

/// Open, or closed until a probe succeeds.
#[derive(Debug)]
pub struct Gate {
    /// When the next probe may be sent; `None` while the gate is open.
    probe_at: watch::Sender<Option<Instant>>,
    probe: Semaphore,
    /// The reason to report for targets that are held back, if there is one.
    refusal: watch::Sender<Option<SourceError>>,
}

impl Default for Gate {
    fn default() -> Self {
        let (probe_at, refusal) = (watch::Sender::default(), watch::Sender::default());
        Self { probe_at, probe: Semaphore::new(1), refusal }
    }
}

impl Gate {
    /// Waits until the gate is open. Returns a permit if this is the probe, to be kept until its request has
    /// ended.
    pub async fn pass(&self) -> Option<SemaphorePermit<'_>> {
        let mut state = self.probe_at.subscribe();
        loop {
            let probe_at = (*state.borrow_and_update())?;
            let turn = async {
                let permit = self.probe.acquire().await;
                sleep_until(probe_at).await;
                permit.ok()
            };
            // A probe that has just failed has put the next one off, before it returned its permit.
            tokio::select! {
                biased;
                _ = state.changed() => {}
                permit = turn => return permit,
            }
        }
    }

    pub fn is_open(&self) -> bool {
        self.probe_at.borrow().is_none()
    }

    pub fn open(&self) {
        self.probe_at.send_if_modified(|probe_at| probe_at.take().is_some());
        self.refusal.send_if_modified(|refusal| refusal.take().is_some());
    }

    /// Closes the gate, or puts off the probe of a closed one.
    pub fn close(&self, probe_at: Instant) {
        self.probe_at.send_replace(Some(probe_at));
    }

    /// Closes the gate for a reason that is reported for every target.
    pub fn refuse(&self, probe_at: Instant, error: &SourceError) {
        self.close(probe_at);
        self.refusal.send_if_modified(|refusal| refusal.replace(error.clone()).as_ref() != Some(error));
    }

    /// The reasons for [`next_refusal`], the current one included.
    pub fn refusals(&self) -> watch::Receiver<Option<SourceError>> {
        let mut refusals = self.refusal.subscribe();
        refusals.mark_changed();
        refusals
    }
}

/// Waits for the next reason to be reported.
pub async fn next_refusal(refusals: &mut watch::Receiver<Option<SourceError>>) -> SourceError {
    loop {
        if refusals.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        if let Some(error) = refusals.borrow_and_update().clone() {
            return error;
        }
    }
}

/// Whether the API server answers, as far as the requests of one source tell.
#[derive(Debug)]
pub struct ApiServer {
    /// Closed while the API server is away.
    pub gate: Arc<Gate>,
    pace: Mutex<Pace>,
}

impl ApiServer {
    /// `interval` is the longest wait before a probe.
    pub fn new(interval: Duration) -> Self {
        Self { gate: Arc::default(), pace: Mutex::new(Pace::new(interval)) }
    }

    /// Records that the API server could not be reached, or demands a pause of `wait`. Of many requests that
    /// fail together, the first decides when the probe is sent.
    pub fn is_away(&self, wait: Duration) {
        let (mut pace, now) = (self.pace.lock(), Instant::now());
        pace.peer_is_away(now);
        if self.gate.probe_at.borrow().is_none_or(|at| at <= now) {
            self.gate.close(now + pace.next_backoff().max(wait));
        }
    }

    /// Records an answer, which may be an error.
    pub fn answers(&self) {
        self.gate.open();
    }

    /// Records an answer without an error.
    pub fn answers_well(&self) {
        self.gate.open();
        self.pace.lock().succeeded();
    }

    /// The wait before an error is retried, if it may pass because the API server was away a moment ago.
    pub fn settling_wait(&self) -> Option<Duration> {
        let mut pace = self.pace.lock();
        pace.is_settling(Instant::now()).then(|| pace.next_backoff())
    }
}
