//! The history of a figure: points on a fixed grid, in percent of the allocation at that time. A gap stays a
//! gap. The core fills it; charts and REST show it.

use serde::{Deserialize, Serialize};

use super::{
    Millis,
    activity_history::{ActivityFigure, AmountHistory, VolumeHistory},
    bad_param::BadParam,
    figure::{Missing, ratio},
    params::Params,
};

/// How far back a chart reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Span {
    #[default]
    Hour,
    Day,
    Week,
    Month,
}

impl Span {
    pub const ALL: [Self; 4] = [Self::Hour, Self::Day, Self::Week, Self::Month];

    /// The code in addresses: `1h`, `24h`, `7d`, `30d`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Month => "30d",
        }
    }

    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|span| span.code() == code)
    }

    /// Returns the span that an address names; an hour if it names none. Fails if the code is not known.
    pub fn of_address(query: &str) -> Result<Self, BadParam> {
        Self::of_text(Params::parse(query)?.get("span").as_deref().unwrap_or_default())
    }

    /// Returns the span of a parameter's value, which may be empty.
    pub fn of_text(code: &str) -> Result<Self, BadParam> {
        match code {
            "" => Ok(Self::default()),
            code => Self::parse(code).ok_or_else(|| BadParam::new("span", "1h, 24h, 7d or 30d")),
        }
    }

    /// Whether the span reaches further back than this program's memory.
    pub fn is_long(self) -> bool {
        matches!(self, Self::Week | Self::Month)
    }

    /// The length in milliseconds.
    pub fn millis(self) -> Millis {
        const HOUR: Millis = 3_600_000;
        match self {
            Self::Hour => HOUR,
            Self::Day => 24 * HOUR,
            Self::Week => 7 * 24 * HOUR,
            Self::Month => 30 * 24 * HOUR,
        }
    }

    /// Milliseconds between two points: 240 to 360 points per chart.
    pub fn step(self) -> Millis {
        const MINUTE: Millis = 60_000;
        match self {
            Self::Hour => MINUTE / 4,
            Self::Day => 5 * MINUTE,
            Self::Week => 30 * MINUTE,
            Self::Month => 120 * MINUTE,
        }
    }
}

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

/// Where a history comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HistoryOrigin {
    /// This program's memory, which begins when the program starts.
    Memory,
    Prometheus,
    /// This program's memory, with its gaps filled from Prometheus.
    Both,
}

/// The history of one VM over one span. CPU, memory and disk are on one grid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    pub span: Span,
    pub cpu: Series,
    pub memory: Series,
    pub disk: Series,
    /// In the order of [`ActivityFigure::ALL`].
    pub activity: [AmountHistory; ActivityFigure::COUNT],
    /// In the order of the spec.
    pub volumes: Vec<VolumeHistory>,
    pub origin: HistoryOrigin,
    /// Why a part is missing: the span is longer than memory and there is no Prometheus, or it does not
    /// answer.
    pub lacks: Option<Missing>,
}

/// The last hour of one figure for a card: whole percent, 30 points of two minutes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sparkline(pub Vec<u8>);

impl Sparkline {
    /// Two-minute means of the last hour.
    pub const POINTS: usize = 30;
    pub const GAP: u8 = u8::MAX;
    /// The end of the scale in percent; larger values are drawn there.
    pub const TOP: u8 = 125;
}

/// The three sparklines of one VM; each is empty if nothing of the hour is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sparklines {
    pub cpu: Sparkline,
    pub memory: Sparkline,
    pub disk: Sparkline,
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

    #[test]
    fn a_span_is_read_from_its_code() {
        assert!(Span::ALL.into_iter().all(|span| Span::parse(span.code()) == Some(span)));
        assert_eq!(Span::parse("1y"), None);
        assert_eq!(Span::of_address("a=b&span=%37d"), Ok(Span::Week));
        assert_eq!(Span::of_address("span="), Ok(Span::Hour));
        for bad in ["span=1y", "span=7d&span=7d", "span=7d%00", "span=%2537d"] {
            assert_eq!(Span::of_address(bad).unwrap_err().field, "span", "{bad}");
        }
        assert!(Span::ALL.into_iter().all(|span| span.millis() % span.step() == 0));
    }
}
