//! Positions and texts of the labels along a chart's time axis. Times are in UTC, as in the cluster's logs,
//! so that the server and every browser render the same.

use model::{Millis, format::utc_minute, history::Span};

const MINUTE: Millis = 60_000;
pub const HOUR: Millis = 60 * MINUTE;
const DAY: Millis = 24 * HOUR;

/// One label of the axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tick {
    /// Distance from the left edge, as a percentage of the width: `12.5%`.
    pub x: String,
    /// SVG `text-anchor`. Near an edge a centred text would stick out.
    pub anchor: &'static str,
    pub text: String,
}

/// Returns labels at the round times between `start` and `end`, both included.
pub fn ticks(span: Span, start: Millis, end: Millis) -> Vec<Tick> {
    let distance = distance(span);
    let first = start.div_euclid(distance) + Millis::from(start.rem_euclid(distance) > 0);
    let moments = (first..).map(|n| n * distance).take_while(|at| *at <= end);
    moments.map(|at| tick(span, at - start, (end - start).max(1), at)).collect()
}

fn tick(span: Span, from_start: Millis, of: Millis, at: Millis) -> Tick {
    let permille = from_start * 1000 / of;
    let anchor = match permille {
        0..40 => "start",
        961.. => "end",
        _ => "middle",
    };
    let text = if span_is_long(span) { day(at) } else { clock(at) };
    Tick { x: percent(permille), anchor, text }
}

/// Returns the time between two labels. It gives three to seven labels, which fit on a phone, where an edge
/// may push two together.
fn distance(span: Span) -> Millis {
    match span {
        Span::Hour => 15 * MINUTE,
        Span::Day => 4 * HOUR,
        Span::Week => 2 * DAY,
        Span::Month => 7 * DAY,
    }
}

/// Whether the time of day alone is ambiguous because the span is longer than a day.
pub fn span_is_long(span: Span) -> bool {
    matches!(span, Span::Week | Span::Month)
}

/// Formats permille as a percentage: `12.5%`.
pub fn percent(permille: Millis) -> String {
    [&(permille / 10).to_string(), ".", &(permille % 10).to_string(), "%"].concat()
}

/// Formats the time of day in UTC: `09:12`.
pub fn clock(at: Millis) -> String {
    cut(at, 11, 16)
}

/// Formats the month and day in UTC: `03-04`.
pub fn day(at: Millis) -> String {
    cut(at, 5, 10)
}

/// Formats a time in UTC: `09:12`, or `03-04 09:12` on a long span.
pub fn moment(span: Span, at: Millis) -> String {
    if span_is_long(span) { cut(at, 5, 16) } else { clock(at) }
}

/// Cuts bytes `from..to` out of a text such as `2026-03-04 09:12 UTC`.
fn cut(at: Millis, from: usize, to: usize) -> String {
    utc_minute(at).get(from..to).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Millis = 1_772_615_520_000; // 2026-03-04 09:12 UTC

    fn texts(span: Span) -> Vec<String> {
        ticks(span, AT - span.millis(), AT).into_iter().map(|tick| tick.text).collect()
    }

    #[test]
    fn labels_are_at_round_times() {
        assert_eq!(texts(Span::Hour), ["08:15", "08:30", "08:45", "09:00"]);
        assert_eq!(texts(Span::Day), ["12:00", "16:00", "20:00", "00:00", "04:00", "08:00"]);
        assert_eq!(texts(Span::Week), ["02-26", "02-28", "03-02", "03-04"]);
        assert_eq!(texts(Span::Month), ["02-05", "02-12", "02-19", "02-26"]);
        let first = &ticks(Span::Hour, AT - 3_600_000, AT)[0];
        assert_eq!((first.x.as_str(), first.anchor), ("5.0%", "middle"), "3 of 60 minutes");
    }

    #[test]
    fn labels_at_the_edges_stay_inside() {
        let round = AT - 12 * MINUTE;
        let ticks = ticks(Span::Hour, round - HOUR, round);
        let ends = |tick: &Tick| (tick.x.clone(), tick.anchor);
        assert_eq!(ends(&ticks[0]), ("0.0%".to_owned(), "start"));
        assert_eq!(ends(&ticks[4]), ("100.0%".to_owned(), "end"));
    }

    #[test]
    fn a_long_span_names_the_day() {
        assert_eq!(moment(Span::Hour, AT), "09:12");
        assert_eq!(moment(Span::Month, AT), "03-04 09:12");
    }

    #[test]
    fn an_invalid_span_neither_panics_nor_loops() {
        for (start, end) in [(0, 0), (5, 4), (-DAY, DAY)] {
            assert!(ticks(Span::Hour, start, end).len() < 200);
        }
    }
}
