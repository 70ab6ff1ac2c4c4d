//! How a figure went over time: points on a fixed grid, in percent of what was allocated then. A gap stays a gap.

use serde::{Deserialize, Serialize};

use super::{
    Millis,
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

    /// As in addresses: `1h`, `24h`, `7d`, `30d`.
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

    /// The span that an address names; an hour where it names none.
    pub fn of_address(query: &str) -> Result<Self, BadParam> {
        Self::of_text(Params::parse(query)?.get("span").as_deref().unwrap_or_default())
    }

    /// The same out of the parameter's value, which may be empty.
    pub fn of_text(code: &str) -> Result<Self, BadParam> {
        match code {
            "" => Ok(Self::default()),
            code => Self::parse(code).ok_or_else(|| BadParam::new("span", "1h, 24h, 7d or 30d")),
        }
    }

    /// Whether it reaches further back than this program remembers by itself.
    pub fn is_long(self) -> bool {
        matches!(self, Self::Week | Self::Month)
    }

    pub fn millis(self) -> Millis {
        const HOUR: Millis = 3_600_000;
        match self {
            Self::Hour => HOUR,
            Self::Day => 24 * HOUR,
            Self::Week => 7 * 24 * HOUR,
            Self::Month => 30 * 24 * HOUR,
        }
    }

    /// Distance of two points: 240 to 360 points a chart.
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

/// No sample.
const GAP: u16 = u16::MAX;

/// Tenths of a percent of the allocation, held to 6,553.4 %; or a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point(u16);

impl Point {
    pub const GAP: Self = Self(GAP);

    /// Rounded half up: a long line of truncated points would sit below the truth.
    pub fn of(used: u64, of: u64) -> Self {
        if of == 0 {
            return Self::GAP;
        }
        Self::from_tenths(ratio(used, of, 2000).div_ceil(2))
    }

    pub fn from_tenths(tenths: u64) -> Self {
        Self(tenths.min(u64::from(GAP) - 1) as u16)
    }

    /// Tenths of a percent.
    pub fn tenths(self) -> Option<u32> {
        (self.0 != GAP).then_some(self.0.into())
    }
}

/// Points at `start`, `start + step` and so on; the last is the newest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series {
    pub start: Millis,
    /// In milliseconds.
    pub step: u32,
    pub points: Vec<Point>,
}

/// Of the points that are there, in tenths of a percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    pub min: u32,
    pub avg: u32,
    pub max: u32,
    /// By nearest rank.
    pub p95: u32,
    /// How many points there are, of how many.
    pub known: u32,
    pub all: u32,
}

impl Series {
    pub fn at(&self, index: usize) -> Millis {
        self.start + index as Millis * Millis::from(self.step)
    }

    /// None where all is gap.
    pub fn stats(&self) -> Option<Stats> {
        let mut known: Vec<u32> = self.points.iter().filter_map(|point| point.tenths()).collect();
        known.sort_unstable();
        let sum: u64 = known.iter().copied().map(u64::from).sum();
        let rank = (known.len() * 95).div_ceil(100);
        Some(Stats {
            min: *known.first()?,
            avg: ((sum + known.len() as u64 / 2) / known.len() as u64) as u32,
            max: *known.last()?,
            p95: *known.get(rank.checked_sub(1)?)?,
            known: known.len() as u32,
            all: self.points.len() as u32,
        })
    }
}

/// Where a history was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HistoryOrigin {
    /// This program's memory: it begins when the program does.
    Memory,
    Prometheus,
    /// Prometheus where the memory has gaps.
    Both,
}

/// The three figures of one VM over one span, on one grid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    pub span: Span,
    pub cpu: Series,
    pub memory: Series,
    pub disk: Series,
    pub keeper: HistoryOrigin,
    /// Why a part is not there: no Prometheus for a span longer than the memory, or it does not answer.
    pub lacks: Option<Missing>,
}

/// The last hour of one figure for a card: whole percent, 30 points of two minutes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sparkline(pub Vec<u8>);

impl Sparkline {
    /// Two-minute means of the last hour.
    pub const POINTS: usize = 30;
    pub const GAP: u8 = u8::MAX;
    /// Where the scale ends; more is drawn there.
    pub const TOP: u8 = 125;
}

/// The three of one VM; each is empty where nothing of the hour is known.
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
    fn statistics_are_of_what_is_known() {
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
