//! Notes what one row is joined from while it is joined: the names that it looks up, and the next moment at
//! which it changes by the clock alone. `rows` joins it again when one of them changed, or at that moment.
//!
//! Code that looks something up for a row notes its name, and compares times only by the methods here. The test
//! `tests/incremental` finds what is forgotten.

use std::cell::{Cell, RefCell};

use super::{
    MISSING_AFTER, STALE_AFTER,
    receipt::{Age, Receipt},
    touched::Name,
};
use model::Millis;

/// What one row depends on.
#[derive(Debug)]
pub(super) struct Dependencies {
    now: Millis,
    /// By how much the wall clock, and the clocks of the cluster, are ahead of the steady clock.
    wall_ahead: Millis,
    cluster_ahead: Millis,
    until: Cell<Millis>,
    names: RefCell<Vec<u32>>,
}

impl Dependencies {
    pub fn new(now: Millis, wall_ahead: Millis, cluster_ahead: Millis) -> Self {
        Self { now, wall_ahead, cluster_ahead, until: Cell::new(Millis::MAX), names: RefCell::default() }
    }

    /// Notes that the row depends on what is known under this name.
    pub fn note(&self, name: Name) {
        self.names.borrow_mut().push(name.short_hash());
    }

    /// Returns the age of what was known at `at`, by the steady clock.
    pub fn age(&self, at: Millis, interval: Millis) -> Age {
        self.watch(at, interval.saturating_mul(STALE_AFTER));
        self.watch(at, interval.saturating_mul(MISSING_AFTER));
        Age::new(self.now, at, interval)
    }

    /// Returns the age of a sample.
    pub fn age_of(&self, receipt: &Receipt, interval: Millis) -> Age {
        self.age(receipt.first, interval);
        if let Some(at) = receipt.at.filter(|_| !receipt.changes) {
            self.age(at.saturating_sub(self.wall_ahead), interval);
        }
        receipt.age(self.now, self.now.saturating_add(self.wall_ahead), interval)
    }

    /// Whether less than `limit` milliseconds lie between now and a time of the cluster's clocks. A time far in the
    /// future does not count: the clock that set it is off.
    pub fn is_within(&self, at: Millis, limit: Millis) -> bool {
        self.watch(at.saturating_sub(self.cluster_ahead), limit - 1);
        self.now.saturating_add(self.cluster_ahead).saturating_sub(at).saturating_abs() < limit
    }

    /// Notes the next moment at which the distance between now and `at` exceeds `limit`, or no longer does.
    fn watch(&self, at: Millis, limit: Millis) {
        let begin = at.saturating_sub(limit);
        let end = at.saturating_add(limit).saturating_add(1);
        if let Some(next) = [begin, end].into_iter().find(|moment| *moment > self.now) {
            self.until.set(self.until.get().min(next));
        }
    }

    /// Returns the names, each once, and the moment.
    pub fn finish(self) -> (Box<[u32]>, Millis) {
        let mut names = self.names.into_inner();
        names.sort_unstable();
        names.dedup();
        (names.into(), self.until.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_moment_is_the_first_at_which_an_age_changes() {
        for at in [-500, -50, 0, 7, 80] {
            for now in -300..300 {
                let dependencies = Dependencies::new(now, 0, 0);
                let age = dependencies.age(at, 4);
                let changes = (now + 1..2000).find(|later| Age::new(*later, at, 4) != age);
                assert_eq!(dependencies.until.get(), changes.unwrap_or(Millis::MAX), "{at} at {now}");
            }
        }
    }
}
