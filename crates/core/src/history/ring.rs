//! The newest points of one grid, with several figures side by side.

use std::{collections::VecDeque, ops::RangeInclusive};

use model::{
    Millis,
    activity_history::AmountPoint,
    history::{Point, Series},
};

/// Points by which a ring grows, up to the length of its grid: doubling would waste a third.
const GROWTH: usize = 48;

/// Points at whole multiples of `step` milliseconds; the newest `len` are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Grid {
    pub step: Millis,
    pub len: usize,
}

impl Grid {
    pub fn slot(self, at: Millis) -> i64 {
        at.div_euclid(self.step)
    }
}

/// A value of a ring, or a gap.
pub(super) trait Slot: Copy + PartialEq {
    const GAP: Self;

    /// Returns the mean of the points that are not gaps, rounded half up; a gap if there are none.
    fn mean(points: impl Iterator<Item = Self>) -> Self;
}

impl Slot for Point {
    const GAP: Self = Self::GAP;

    fn mean(points: impl Iterator<Item = Self>) -> Self {
        let tenths = points.filter_map(Self::tenths).map(u64::from);
        mean(tenths).map_or(Self::GAP, Self::from_tenths)
    }
}

impl Slot for AmountPoint {
    const GAP: Self = Self::GAP;

    fn mean(points: impl Iterator<Item = Self>) -> Self {
        mean(points.filter_map(Self::amount)).map_or(Self::GAP, Self::of)
    }
}

fn mean(values: impl Iterator<Item = u64>) -> Option<u64> {
    let add = |(sum, count), value| (sum + u128::from(value), count + 1);
    let (sum, count) = values.fold((0u128, 0u128), add);
    u64::try_from((sum + count / 2).checked_div(count)?).ok()
}

#[derive(Debug)]
pub(super) struct Ring<P, const N: usize> {
    /// The slot after the newest point.
    end: i64,
    points: VecDeque<[P; N]>,
}

impl<P, const N: usize> Default for Ring<P, N> {
    fn default() -> Self {
        Self { end: 0, points: VecDeque::new() }
    }
}

impl<P: Slot, const N: usize> Ring<P, N> {
    pub fn get(&self, slot: i64, figure: usize) -> P {
        let from_end = self.end - slot;
        let index = self.points.len() as i64 - from_end;
        if from_end < 1 || index < 0 {
            return P::GAP;
        }
        self.points.get(index as usize).map_or(P::GAP, |points| points[figure])
    }

    /// Writes a point. Returns false if the slot is older than what is kept.
    pub fn put(&mut self, grid: Grid, slot: i64, figure: usize, point: P) -> bool {
        if self.points.is_empty() || slot - self.end >= grid.len as i64 {
            self.points.clear();
            self.end = slot;
        }
        if slot < self.end - grid.len as i64 {
            return false;
        }
        while self.end <= slot {
            if self.points.len() == grid.len {
                self.points.pop_front();
            }
            self.reserve(grid);
            self.points.push_back([P::GAP; N]);
            self.end += 1;
        }
        while slot < self.end - self.points.len() as i64 {
            self.reserve(grid);
            self.points.push_front([P::GAP; N]);
        }
        let index = self.points.len() as i64 - (self.end - slot);
        self.points[index as usize][figure] = point;
        true
    }

    pub fn drop_after(&mut self, slot: i64) {
        while self.end > slot + 1 && self.points.pop_back().is_some() {
            self.end -= 1;
        }
    }

    fn reserve(&mut self, grid: Grid) {
        if self.points.len() == self.points.capacity() {
            self.points.reserve_exact(GROWTH.min(grid.len - self.points.len()));
        }
    }

    /// Returns the mean of the points in these slots.
    pub fn mean(&self, slots: RangeInclusive<i64>, figure: usize) -> P {
        P::mean(slots.map(|slot| self.get(slot, figure)))
    }

    /// Returns the whole grid up to `now`.
    pub fn series(&self, grid: Grid, figure: usize, now: Millis) -> Series<P> {
        let last = grid.slot(now);
        let first = last + 1 - grid.len as i64;
        let points = (first..=last).map(|slot| self.get(slot, figure)).collect();
        Series { start: first * grid.step, step: grid.step as u32, points }
    }

    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.points.capacity() * size_of::<[P; N]>()
    }
}

/// A fine ring and a coarse ring of means of the same figures.
#[derive(Debug)]
pub(super) struct Rings<P, const N: usize> {
    grids: &'static [Grid; 2],
    pub fine: Ring<P, N>,
    pub coarse: Ring<P, N>,
}

impl<P: Slot, const N: usize> Rings<P, N> {
    /// Empty rings on a fine and a coarse grid.
    pub fn new(grids: &'static [Grid; 2]) -> Self {
        Self { grids, fine: Ring::default(), coarse: Ring::default() }
    }

    /// Writes the same point to these slots of the fine grid, and the means that contain them.
    pub fn put(&mut self, slots: RangeInclusive<i64>, figure: usize, point: P) {
        let [grid, _] = *self.grids;
        for slot in slots.clone() {
            self.fine.put(grid, slot, figure, point);
        }
        self.roll_up(slots, figure, true);
    }

    /// Writes the means of the coarse slots that contain these slots of the fine grid.
    pub fn roll_up(&mut self, slots: RangeInclusive<i64>, figure: usize, over: bool) {
        let [fine, coarse] = *self.grids;
        let each = coarse.step / fine.step;
        for slot in slots.start().div_euclid(each)..=slots.end().div_euclid(each) {
            let mean = self.fine.mean(slot * each..=(slot + 1) * each - 1, figure);
            if mean != P::GAP && (over || self.coarse.get(slot, figure) == P::GAP) {
                self.coarse.put(coarse, slot, figure, mean);
            }
        }
    }

    /// Drops points after `now`, in case the clock was set back: points in the future would block later ones.
    pub fn drop_after(&mut self, now: Millis) {
        let [fine, coarse] = *self.grids;
        self.fine.drop_after(fine.slot(now));
        self.coarse.drop_after(coarse.slot(now));
    }

    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.fine.bytes() + self.coarse.bytes()
    }
}
