//! The guests that share one permission: those of a namespace, or all. Used by the guest agents' poll.

use std::sync::Arc;

use tokio::time::Instant;

use super::ask::Outcome;
use crate::turns::{PollQueue, PollTurn};
use wukong_core::observation::{Key, SourceError};

/// The guests that share one permission, and whether they may be asked.
#[derive(Debug, Default)]
pub struct Scope {
    /// Each guest with its number of failures in a row.
    pub guests: PollQueue<Arc<Key>, u32>,
    pub gate: Option<Gate>,
}

/// No guest of the scope may be asked, except for one now and then that probes whether this has changed.
#[derive(Debug)]
pub struct Gate {
    pub probe_at: Instant,
    pub error: SourceError,
}

impl Scope {
    /// Adds a guest. Returns the error to report at once if it is new and cannot be asked.
    pub fn admit(&mut self, target: &Key, now: Instant) -> Option<(Arc<Key>, SourceError)> {
        let key = Arc::new(target.clone());
        let new = self.guests.admit(&key, || 0, now);
        self.gate.as_ref().filter(|_| new).map(|gate| (key, gate.error.clone()))
    }

    /// The next guest and when it is due. While the gate is closed, this is the probe, one at a time.
    pub fn next(&self, now: Instant, suspects: bool) -> Option<PollTurn<'_, Arc<Key>>> {
        match &self.gate {
            Some(gate) => {
                let key = self.guests.first().filter(|_| self.guests.asked() == 0)?;
                Some(PollTurn { due: gate.probe_at, suspect: false, key })
            }
            None => self.guests.next(now, suspects, |_| true),
        }
    }

    /// Ends a request: counts or resets the guest's failures, and makes it due again.
    pub fn end(&mut self, guest: &Arc<Key>, due: Instant, outcome: &Outcome) {
        if let Some(failures) = self.guests.get_mut(guest) {
            *failures = match outcome {
                Outcome::Failed | Outcome::Late => failures.saturating_add(1),
                _ => 0,
            };
        }
        self.guests.end(guest, due, *outcome == Outcome::Late);
    }
}
