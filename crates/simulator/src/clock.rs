//! The clock of the simulated cluster: the system's, or a fixed one that a test advances.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Milliseconds since the Unix epoch.
pub type Millis = i64;

pub const SECOND: Millis = 1_000;
pub const MINUTE: Millis = 60 * SECOND;
pub const HOUR: Millis = 60 * MINUTE;
pub const DAY: Millis = 24 * HOUR;

/// The system's clock, or a fixed one that its clones share.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    pub fn system() -> Self {
        Self(None)
    }

    /// Returns a clock that stands still until [`Clock::advance`] moves it.
    pub fn fixed(now: Millis) -> Self {
        Self(Some(Arc::new(AtomicI64::new(now))))
    }

    pub fn now(&self) -> Millis {
        match &self.0 {
            Some(held) => held.load(Ordering::Relaxed),
            None => millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()),
        }
    }

    /// Moves a fixed clock forward; has no effect on the system's clock.
    pub fn advance(&self, by: Duration) {
        if let Some(held) = &self.0 {
            held.fetch_add(millis(by), Ordering::Relaxed);
        }
    }
}

/// Converts a duration to milliseconds; the largest value if it is too long.
pub fn millis(duration: Duration) -> Millis {
    duration.as_millis().try_into().unwrap_or(Millis::MAX)
}

/// Formats a time as RFC 3339 in whole seconds, as Kubernetes writes `metav1.Time`.
pub fn rfc3339(at: Millis) -> String {
    jiff::Timestamp::from_second(at.div_euclid(SECOND)).unwrap_or_default().to_string()
}

/// Formats a time as RFC 3339 with microseconds, as Kubernetes writes `metav1.MicroTime`.
pub fn rfc3339_micros(at: Millis) -> String {
    format!("{:.6}", jiff::Timestamp::from_millisecond(at).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_whole_seconds_in_utc() {
        assert_eq!(rfc3339(1_700_000_000_999), "2023-11-14T22:13:20Z");
        assert_eq!(rfc3339(Millis::MAX), "1970-01-01T00:00:00Z");
    }

    #[test]
    fn micro_times_have_six_digits() {
        assert_eq!(rfc3339_micros(1_700_000_000_050), "2023-11-14T22:13:20.050000Z");
    }

    #[test]
    fn a_fixed_clock_moves_only_when_told() {
        let clock = Clock::fixed(5);
        clock.clone().advance(Duration::from_secs(1));
        assert_eq!(clock.now(), 1_005);
    }
}
