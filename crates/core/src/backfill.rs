//! What of an archive's past fills a memory's gaps, and in which pieces it is asked for.

use super::{
    Snapshot,
    archive::{Recording, Times, created, points},
    history::{COARSE, FINE, HistoryStore},
};
use model::{Millis, insight::Resource};

/// Of the fine hour: an archive is rarely finer, and each value fills four points.
const MINUTE: Millis = FINE.step * 4;
/// Values of one figure in one answer, about 3 MB of JSON.
const BUDGET: usize = 120_000;
/// Values that are always asked for at once, and never more than: CPU needs the one before its first.
const FEWEST: usize = 4;
const MOST: usize = 96;

/// Puts what an archive has of all VMs where they have gaps.
pub fn fill(store: &HistoryStore, snapshot: &Snapshot, recording: &Recording, times: Times) {
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
pub struct BackfillPlan {
    /// End (not before which nothing is wanted) and step of what is left, the next first.
    left: Vec<(Millis, Millis, Millis)>,
    count: usize,
}

impl BackfillPlan {
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
    pub fn next_piece(&mut self) -> Option<Times> {
        let (from, to, step) = self.left.pop()?;
        let count = (((to - from) / step) as usize).min(self.count);
        if count == 0 {
            return self.next_piece();
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
