//! Fills gaps in the `HistoryStore` from a long-term store, and plans the questions in pieces of a bounded
//! size. The history task of `pipeline` uses both.

use super::{
    Snapshot,
    history::{COARSE, FINE, HistoryStore},
    long_term::{LongTermAnswer, Times, created, points},
};
use model::{Millis, insight::Resource};

/// Step of the fine hour in a question: a long-term store is rarely finer, and each value fills four points.
const MINUTE: Millis = FINE.step * 4;
/// Values of one figure in one answer; about 3 MB of JSON.
const BUDGET: usize = 120_000;
/// The fewest values in a question, since CPU needs the value before its first, and the most.
const FEWEST: usize = 4;
const MOST: usize = 96;

/// Fills the gaps of all VMs with the points of a recording.
pub fn fill(store: &HistoryStore, snapshot: &Snapshot, recording: &LongTermAnswer, times: Times) {
    for vm in &snapshot.vms {
        for resource in Resource::ALL {
            let points = points(vm, created(vm, snapshot.at), recording, times, resource);
            let points = points.into_iter().enumerate();
            let points: Vec<_> = points.map(|(index, point)| (times.at(index), point)).collect();
            store.fill(&vm.uid, resource, times.step, &points);
        }
    }
}

/// The questions that are left to ask, in pieces whose answers are of a bounded size.
#[derive(Debug)]
pub struct BackfillPlan {
    /// Start, end and step of each range that is left, the next range last.
    left: Vec<(Millis, Millis, Millis)>,
    count: usize,
}

impl BackfillPlan {
    /// Plans the last day in five-minute steps and the last hour in minutes, for this many VMs.
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

    /// Returns the newest piece that is left, or `None` when all were asked for.
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

    /// Whether pieces can be made smaller.
    pub fn is_divisible(&self) -> bool {
        self.count > FEWEST
    }

    /// Puts a piece back. With `smaller`, the pieces from now on are half as large, because the answer was
    /// too large.
    pub fn again(&mut self, times: Times, smaller: bool) {
        self.left.push((times.from - times.step, times.last(), times.step));
        if smaller {
            self.count = (self.count / 2).max(FEWEST);
        }
    }
}
