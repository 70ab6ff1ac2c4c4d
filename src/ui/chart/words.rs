//! The texts of charts: captions, readouts, and descriptions for screen readers.

use super::{axis::moment, path};
use i18n::t;
use model::{
    Millis, format,
    history::{History, HistoryOrigin, Series, Span, Stats},
};

/// Up to this many gaps are listed one by one; more are only counted.
const MAX_LISTED_GAPS: usize = 2;
/// A gap at the end that is shorter than this (in milliseconds) is not reported yet.
const MIN_END_GAP: Millis = 120_000;

/// The name of a span in a sentence: `Last hour`.
pub fn span(span: Span) -> &'static str {
    match span {
        Span::Hour => t!(chart.last_hour),
        Span::Day => t!(chart.last_day),
        Span::Week => t!(chart.last_week),
        Span::Month => t!(chart.last_month),
    }
}

/// The short name of a span: `1 h`.
pub fn span_short(span: Span) -> &'static str {
    match span {
        Span::Hour => t!(chart.hour),
        Span::Day => t!(chart.day),
        Span::Week => t!(chart.week),
        Span::Month => t!(chart.month),
    }
}

/// Formats tenths of a percent: `25.8 %`.
pub fn percent(tenths: u32) -> String {
    format::percent(u64::from(tenths) * 100) + " %"
}

/// Example: `09:12 UTC: 25.8 %`.
pub fn reading(span: Span, series: &Series, index: usize) -> String {
    let tenths = series.points.get(index).and_then(|point| point.tenths());
    let value = tenths.map_or_else(|| t!(chart.no_sample).to_owned(), percent);
    t!(chart.reading, at = at(span, series.at(index)), value = value)
}

/// Example: `09:12`, or `09:12:15` in a span of an hour, where points are less than a minute apart.
fn at(span: Span, at: Millis) -> String {
    let mut out = moment(span, at);
    if span == Span::Hour {
        let seconds = at.div_euclid(1000).rem_euclid(60);
        out.push_str(if seconds < 10 { ":0" } else { ":" });
        out.push_str(&seconds.to_string());
    }
    out
}

/// Names and values of the four statistics under a chart: minimum, average, 95th percentile, maximum.
pub fn stats(stats: &Stats) -> [(&'static str, String); 4] {
    [
        (t!(chart.min), percent(stats.min)),
        (t!(chart.average), percent(stats.avg)),
        (t!(chart.p95), percent(stats.p95)),
        (t!(chart.max), percent(stats.max)),
    ]
}

/// Example: `Last hour: samples for 92 % of it. No samples from 14:18 to 14:24.`
pub fn caption(time_span: Span, series: &Series) -> String {
    let Some(stats) = series.stats() else { return t!(chart.unknown, span = span(time_span)) };
    let share = (u64::from(stats.known) * 100 / u64::from(stats.all)).to_string();
    let mut sentences = vec![t!(chart.known, span = span(time_span), share = share)];
    sentences.extend(gaps(time_span, series));
    sentences.join(" ")
}

/// Describes the chart in a sentence or two for screen readers.
pub fn description(name: &str, time_span: Span, series: &Series) -> String {
    let caption = caption(time_span, series);
    let Some(stats) = series.stats() else {
        return t!(chart.description_unknown, name = name, caption = caption);
    };
    let [min, average, p95, max] = [stats.min, stats.avg, stats.p95, stats.max].map(percent);
    t!(chart.description, name = name, caption = caption, min = min, average = average, p95 = p95, max = max)
}

/// Describes gaps of more than one point; a gap of one point only lowers the known share. A short gap at the
/// end is left out, because its sample may still be on its way: disks are measured once a minute.
fn gaps(span: Span, series: &Series) -> Vec<String> {
    let known: Vec<_> = series.points.iter().map(|point| point.tenths().map(|_| 0)).collect();
    let all: Vec<_> = path::gaps(&known).into_iter().filter(|(from, to)| to - from > 2).collect();
    let expected = (MIN_END_GAP / Millis::from(series.step).max(1)) as usize;
    let all: Vec<_> =
        all.into_iter().filter(|(from, to)| known[*to].is_some() || to - from > expected).collect();
    if all.len() > MAX_LISTED_GAPS {
        return vec![t!(chart.gaps, count = all.len().to_string())];
    }
    let at = |index| moment(span, series.at(index));
    let sentence = |(from, to): (usize, usize)| match (known[from], known[to]) {
        (None, _) => t!(chart.gap_before, at = at(to)),
        (_, None) => t!(chart.gap_after, at = at(from)),
        _ => t!(chart.gap, start = at(from), end = at(to)),
    };
    all.into_iter().map(sentence).collect()
}

/// The text shown while there is no history to draw.
pub fn fetching(failed: bool) -> &'static str {
    if failed { t!(page.no_answer) } else { t!(chart.fetching) }
}

/// Says where the history comes from and how to read the axes.
pub fn origin(history: &History) -> &'static str {
    match history.origin {
        HistoryOrigin::Memory => t!(chart.from_memory),
        HistoryOrigin::Prometheus => t!(chart.from_prometheus),
        HistoryOrigin::Both => t!(chart.from_both),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use i18n::{Lang, within};
    use model::history::Point;

    const AT: Millis = 1_772_615_520_000; // 2026-03-04 09:12 UTC

    fn series(points: &[Option<u64>]) -> Series {
        let point = |tenths: &Option<u64>| tenths.map_or(Point::GAP, Point::from_tenths);
        Series { start: AT, step: 60_000, points: points.iter().map(point).collect() }
    }

    #[test]
    fn a_reading_has_time_and_value() {
        let series = series(&[Some(258), None, Some(1_804)]);
        assert_eq!(reading(Span::Day, &series, 0), "09:12 UTC: 25.8 %");
        assert_eq!(reading(Span::Day, &series, 1), "09:13 UTC: no sample");
        assert_eq!(
            reading(Span::Month, &series, 2),
            "03-04 09:14 UTC: 180.4 %",
            "the exact figure, above the axis too"
        );
        assert_eq!(reading(Span::Hour, &Series { start: AT + 5_000, ..series }, 0), "09:12:05 UTC: 25.8 %");
    }

    #[test]
    fn gaps_are_described_in_chinese() {
        let caption = within(Lang::Chinese, || caption(Span::Hour, &series(&[None, None, None, Some(1)])));
        assert_eq!(caption, "最近 1 小时：采样覆盖 25 %。 09:15 之前无采样。");
    }

    #[test]
    fn a_caption_describes_gaps() {
        let x = Some(100);
        let caption = |points: &[Option<u64>]| caption(Span::Hour, &series(points));
        assert_eq!(caption(&[x, x]), "Last hour: samples for 100 % of it.");
        assert_eq!(caption(&[None, None]), "Last hour: no samples.");
        assert_eq!(caption(&[x, None, x]), "Last hour: samples for 66 % of it.");
        assert_eq!(
            caption(&[None, None, None, x, None, None, x]),
            "Last hour: samples for 28 % of it. No samples before 09:15. No samples from 09:15 to 09:18."
        );
        assert_eq!(
            caption(&[x, None, None, None]),
            "Last hour: samples for 25 % of it. No samples after 09:12."
        );
        let dense = Series { step: 15_000, ..series(&[[x].as_slice(), &[None; 8]].concat()) };
        assert_eq!(
            super::caption(Span::Hour, &dense),
            "Last hour: samples for 11 % of it.",
            "the next sample may still come"
        );
        let dense = Series { step: 15_000, ..series(&[[x].as_slice(), &[None; 9]].concat()) };
        assert!(super::caption(Span::Hour, &dense).ends_with("No samples after 09:12."));
        let holes = [x, None, None, x, None, None, x, None, None, x];
        assert_eq!(caption(&holes), "Last hour: samples for 40 % of it. 3 gaps.");
    }

    #[test]
    fn a_share_below_100_percent_is_not_rounded_up() {
        let mut points = vec![Some(1); 240];
        points[7] = None;
        assert!(caption(Span::Hour, &series(&points)).contains("99 %"));
    }

    #[test]
    fn a_description_has_the_statistics() {
        assert_eq!(
            description("CPU", Span::Day, &series(&[Some(100), Some(300)])),
            "CPU. Last 24 hours: samples for 100 % of it. Minimum 10.0 %, average 20.0 %, 95th percentile 30.0 %, maximum 30.0 %."
        );
    }
}
