//! Points on a fixed grid, and their statistics. A point of a figure is in percent of the allocation at that time. A
//! gap stays a gap.

use serde::{Deserialize, Serialize};

use super::{Millis, figure::ratio};

/// The value of a point without a sample.
const GAP: u16 = u16::MAX;

/// Tenths of a percent of the allocation, limited to 6,553.4 %; or a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point(u16);

impl Point {
    pub const GAP: Self = Self(GAP);

    /// Returns the point for a used amount, rounded half up: a long line of truncated points would lie below
    /// the true values. A gap if `of` is 0.
    pub fn of(used: u64, of: u64) -> Self {
        if of == 0 {
            return Self::GAP;
        }
        Self::from_tenths(ratio(used, of, 2000).div_ceil(2))
    }

    /// Returns the point for tenths of a percent, limited to the highest that a point can hold.
    pub fn from_tenths(tenths: u64) -> Self {
        Self(tenths.min(u64::from(GAP) - 1) as u16)
    }

    /// Tenths of a percent; `None` for a gap.
    pub fn tenths(self) -> Option<u32> {
        (self.0 != GAP).then_some(self.0.into())
    }
}

/// Points at `start`, `start + step` and so on; the last is the newest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series<P = Point> {
    pub start: Millis,
    /// In milliseconds.
    pub step: u32,
    pub points: Vec<P>,
}

/// Statistics of the points that are not gaps: tenths of a percent, or amounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats<T = u32> {
    pub min: T,
    pub avg: T,
    pub max: T,
    /// By nearest rank.
    pub p95: T,
    /// Points that are not gaps, and all points.
    pub known: u32,
    pub all: u32,
}

impl<P> Default for Series<P> {
    fn default() -> Self {
        Self { start: 0, step: 0, points: Vec::new() }
    }
}

impl<P> Series<P> {
    pub fn at(&self, index: usize) -> Millis {
        self.start + index as Millis * Millis::from(self.step)
    }
}

impl Series {
    /// Returns the statistics; `None` if all points are gaps.
    pub fn stats(&self) -> Option<Stats> {
        let known = self.points.iter().filter_map(|point| point.tenths()).map(u64::from).collect();
        let Stats { min, avg, max, p95, known, all } = Stats::of(known, self.points.len())?;
        let [min, avg, max, p95] = [min, avg, max, p95].map(|tenths| tenths as u32);
        Some(Stats { min, avg, max, p95, known, all })
    }
}

impl Stats<u64> {
    /// Returns the statistics of the known values of `all` points; `None` if there are none.
    pub fn of(mut known: Vec<u64>, all: usize) -> Option<Self> {
        known.sort_unstable();
        let sum: u128 = known.iter().copied().map(u128::from).sum();
        let count = known.len() as u128;
        let rank = (known.len() * 95).div_ceil(100);
        Some(Self {
            min: *known.first()?,
            avg: ((sum + count / 2) / count) as u64,
            max: *known.last()?,
            p95: *known.get(rank.checked_sub(1)?)?,
            known: known.len() as u32,
            all: all as u32,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_round_and_keep_gaps_apart_from_zero() {
        assert_eq!(Point::of(0, 7).tenths(), Some(0));
        assert_eq!(Point::of(1, 3).tenths(), Some(333));
        assert_eq!(Point::of(2, 3).tenths(), Some(667));
        assert_eq!(Point::of(5, 4).tenths(), Some(1_250));
        assert_eq!(Point::of(u64::MAX, 1).tenths(), Some(65_534), "absurd, and still no gap");
        assert_eq!(Point::of(1, 0).tenths(), None);
    }

    #[test]
    fn statistics_ignore_gaps() {
        let series = |points: &[Point]| Series { start: 0, step: 1, points: points.to_vec() };
        assert_eq!(series(&[Point::GAP]).stats(), None);
        let mut points: Vec<Point> = (1..=100).map(|n| Point::from_tenths(n * 10)).collect();
        points.push(Point::GAP);
        let stats = series(&points).stats().unwrap();
        assert_eq!((stats.min, stats.avg, stats.max, stats.p95), (10, 505, 1000, 950));
        assert_eq!((stats.known, stats.all), (100, 101));
    }
}
