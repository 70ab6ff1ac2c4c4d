//! Limits how often a warning is logged, so that clients who cause it cannot fill the log.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Shortest time between two warnings of one kind.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// When a warning was last logged.
#[derive(Default)]
pub struct LastWarning(Mutex<Option<Instant>>);

impl LastWarning {
    /// Returns whether it may be logged again, and then counts as logged.
    pub fn is_due(&self) -> bool {
        let mut last = self.0.lock();
        let is_due = last.is_none_or(|last| last.elapsed() >= WARNING_INTERVAL);
        if is_due {
            *last = Some(Instant::now());
        }
        is_due
    }
}
