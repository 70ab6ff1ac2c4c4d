//! The history of one VM: of its figures, of what its guest does and of its volumes, over one span. The core fills
//! it; charts and REST show it.

use serde::{Deserialize, Serialize};

use super::{
    Millis,
    activity_history::{ActivityFigure, AmountHistory, VolumeHistory},
    bad_param::BadParam,
    figure::Missing,
    params::Params,
};

pub use super::series::{Point, Series, Stats};

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
