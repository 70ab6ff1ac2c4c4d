//! Records when a sample was received, and computes its age from that. All samples of pods, volumes and
//! instances have a [`Receipt`].
//!
//! The time in a sample comes from another clock, which may be wrong or lie. So once a source has shown that
//! its answers change, a sample's age is the time since this very sample was first received, by this
//! program's steady clock, which is never set. A wrong clock therefore hides no figures, and a repeated
//! sample does not become younger, whatever time it carries.

use super::{MISSING_AFTER, STALE_AFTER};
use model::Millis;

/// The time of a sample, and when it was first received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Receipt {
    /// By the clock of the source; `None` if it gives no time: then each answer is a new sample.
    pub at: Option<Millis>,
    /// When this very sample was first received, by this program's steady clock.
    pub first: Millis,
    /// Whether the source has reported a different sample before, which shows that it is not stuck.
    pub changes: bool,
}

impl Receipt {
    pub fn new(at: Option<Millis>, received: Millis) -> Self {
        Self { at, first: received, changes: false }
    }

    /// Returns the receipt of the next answer about the same thing.
    pub fn next(self, at: Option<Millis>, received: Millis) -> Self {
        match at {
            Some(_) if at == self.at => self,
            _ => Self { at, first: received, changes: true },
        }
    }

    /// Returns the receipt of an answer that follows `last`, if there is one.
    pub fn after(last: Option<Self>, at: Option<Millis>, received: Millis) -> Self {
        last.map_or_else(|| Self::new(at, received), |last| last.next(at, received))
    }

    /// Returns the time of a sample that was just received and differs from the one before. Such a time shows
    /// how far the source's clock is off.
    pub fn fresh_time(&self, received: Millis) -> Option<Millis> {
        self.at.filter(|_| self.changes && self.first == received)
    }

    /// Returns the sample's age at `now` on the steady clock, which is `wall` on the wall clock.
    ///
    /// For the first sample ever received it is not known whether the source changes. So the sample's own
    /// time counts too, and the figure does not expire before the source had a chance to change.
    pub fn age(&self, now: Millis, wall: Millis, interval: Millis) -> Age {
        let since = Age::new(now, self.first, interval);
        match self.at.filter(|_| !self.changes) {
            None => since,
            Some(at) => {
                let lag = Age::new(wall.max(at), at, interval);
                Age { stale: since.stale || lag.stale, expired: since.expired || lag.expired && since.stale }
            }
        }
    }
}

/// The age of a figure, compared with its interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Age {
    pub stale: bool,
    pub expired: bool,
}

impl Age {
    /// Compares the distance of two times with [`STALE_AFTER`] and [`MISSING_AFTER`] intervals.
    pub fn new(now: Millis, at: Millis, interval: Millis) -> Self {
        let age = now.saturating_sub(at).saturating_abs();
        Self {
            stale: age > interval.saturating_mul(STALE_AFTER),
            expired: age > interval.saturating_mul(MISSING_AFTER),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Millis = 1_000;
    const MINUTE: Millis = 60 * SECOND;
    const HOUR: Millis = 60 * MINUTE;
    /// The steady clock and the wall clock start equal.
    const NOW: Millis = 1_800_000_000_000;
    const FRESH: &str = "fresh";
    const STALE: &str = "stale";
    const EXPIRED: &str = "expired";

    /// Judges a sample after answers that were received at these times after [`NOW`], each with its own time.
    fn judge(
        answers: &[(Millis, Option<Millis>)],
        after: Millis,
        interval: Millis,
        wall_step: Millis,
    ) -> &'static str {
        let mut receipt = None;
        for (received, at) in answers {
            receipt = Some(Receipt::after(receipt, *at, NOW + received));
        }
        let now = NOW + after;
        match receipt.map(|receipt| receipt.age(now, now + wall_step, interval)) {
            Some(Age { expired: true, .. }) | None => EXPIRED,
            Some(Age { stale: true, .. }) => STALE,
            Some(_) => FRESH,
        }
    }

    /// Returns one answer per interval, `count` in all; `at` maps the time of receipt to the answer's time.
    fn each(
        count: Millis,
        interval: Millis,
        at: impl Fn(Millis) -> Option<Millis>,
    ) -> Vec<(Millis, Option<Millis>)> {
        (0..count).map(|n| (n * interval, at(NOW + n * interval))).collect()
    }

    /// A source that repeats its first sample may stand still, and a sample received before is already old.
    #[test]
    fn only_a_change_that_was_received_just_now_tells_a_clock() {
        let first = Receipt::new(Some(NOW - HOUR), NOW);
        assert_eq!(first.fresh_time(NOW), None);
        let repeated = first.next(Some(NOW - HOUR), NOW + MINUTE);
        assert_eq!(repeated.fresh_time(NOW + MINUTE), None);
        let changed = repeated.next(Some(NOW - 58 * MINUTE), NOW + 2 * MINUTE);
        assert_eq!(changed.fresh_time(NOW + 2 * MINUTE), Some(NOW - 58 * MINUTE));
        assert_eq!(changed.fresh_time(NOW + 3 * MINUTE), None);
        assert_eq!(Receipt::new(None, NOW).next(None, NOW + 1).fresh_time(NOW + 1), None, "it tells no time");
    }

    #[test]
    fn what_changes_is_alive_whatever_its_clock_says() {
        let (i, far) = (15 * SECOND, 4_070_908_800_000);
        for (what, answers, after, interval, step, want) in [
            ("7 minutes behind, and advances", each(4, i, |now| Some(now - 7 * MINUTE)), 4 * i, i, 0, FRESH),
            ("7 minutes behind, the first answer", each(1, i, |now| Some(now - 7 * MINUTE)), 0, i, 0, STALE),
            (
                "the same until it had its chance",
                each(3, i, |_| Some(NOW - 7 * MINUTE)),
                45 * SECOND,
                i,
                0,
                STALE,
            ),
            (
                "7 minutes behind, and stands",
                each(4, i, |_| Some(NOW - 7 * MINUTE)),
                46 * SECOND,
                i,
                0,
                EXPIRED,
            ),
            (
                "was alive, and repeats itself for 6 minutes",
                [each(2, i, Some), each(24, i, |_| Some(NOW + i))].concat(),
                15 * SECOND + 6 * MINUTE,
                i,
                0,
                EXPIRED,
            ),
            ("2099, and stands: 3 minutes", each(4, MINUTE, |_| Some(far)), 3 * MINUTE, MINUTE, 0, FRESH),
            ("2099, and stands: more", each(4, MINUTE, |_| Some(far)), 3 * MINUTE + 1, MINUTE, 0, STALE),
            (
                "2099, and stands: 20 minutes",
                each(21, MINUTE, |_| Some(far)),
                20 * MINUTE + 1,
                MINUTE,
                0,
                EXPIRED,
            ),
            (
                "2099, and advances",
                each(60, MINUTE, |now| Some(now + far - NOW)),
                60 * MINUTE,
                MINUTE,
                0,
                FRESH,
            ),
            ("our clock is an hour ahead", each(2, i, |now| Some(now - HOUR)), i, i, 0, FRESH),
            ("our clock steps 2 hours", each(2, i, Some), 2 * i, i, 2 * HOUR, FRESH),
            ("our clock steps back 2 hours", each(2, i, Some), 2 * i, i, -2 * HOUR, FRESH),
            (
                "its clock is set back, and goes on",
                [
                    each(4, i, Some),
                    (4..16).map(|n| (n * i, Some(NOW + n * i - 5 * MINUTE))).collect::<Vec<_>>(),
                ]
                .concat(),
                16 * i,
                i,
                0,
                FRESH,
            ),
            ("it tells no time", each(60, i, |_| None), 60 * i, i, 0, FRESH),
            ("it tells no time, and falls silent", each(2, i, |_| None), 61 * SECOND, i, 0, STALE),
            ("30 s ahead", each(2, i, |now| Some(now + 30 * SECOND)), i, i, 0, FRESH),
        ] {
            assert_eq!(judge(&answers, after, interval, step), want, "{what}");
        }
    }
}
