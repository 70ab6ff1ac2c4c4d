//! Decodes the answer to a range query into series: the values of each object at the requested times.

use std::collections::{HashMap, HashSet};

#[cfg(any(test, feature = "fuzzing"))]
use crate::prometheus::activity_metrics::{ActivityMetric, figures};
use crate::{
    k8s::prometheus::{Answer, Labels},
    prometheus::identity::{Foreign, NameLabel, Scope},
};
use model::Millis;
use wukong_core::{
    long_term::{RecordedSeries, Times},
    observation::Key,
};

/// Values from here on are not possible amounts.
const ABSURD: f64 = (1u64 << 63) as f64;
/// The maximum number of points per answer; each takes 16 bytes. More series than requested come from a
/// matcher that is too wide, or from an exporter that invents them.
const MOST_POINTS: usize = 1 << 21;
/// The memory of a series besides its points, as a number of points.
const SERIES_OVERHEAD: usize = 16;

/// Selects the series to keep: only what was requested, whatever the server made of the query.
#[derive(Clone, Copy)]
pub(super) struct SeriesFilter<'a> {
    pub scope: &'a Scope,
    /// `None` means all.
    pub names: Option<&'a HashSet<Key>>,
}

impl SeriesFilter<'_> {
    /// The key of a wanted series. Series that are not trusted are not counted here, but by the queries of
    /// each round.
    fn key(self, labels: &Labels<'_>, label: NameLabel) -> Option<Key> {
        self.scope
            .key(labels, label, &mut Foreign::new())
            .filter(|key| self.names.is_none_or(|names| names.contains(key)))
    }
}

pub(super) type SeriesByKey = HashMap<Key, RecordedSeries>;

/// Nanocores from the growth of each node's counter. Where two nodes report on a guest, the counter that
/// began later counts.
pub(super) fn cpu_series(answer: &[u8], wanted: SeriesFilter<'_>, times: Times) -> Option<SeriesByKey> {
    let answer = Answer::parse(answer)?;
    let mut found: HashMap<Key, (usize, RecordedSeries)> = HashMap::new();
    for series in answer.series() {
        if found.len() * (times.count + SERIES_OVERHEAD) > MOST_POINTS {
            return None;
        }
        let Some(key) = wanted.key(&series.metric, NameLabel::Instance) else { continue };
        let counted = at_times(series.amounts(), times);
        let Some(began) = counted.iter().position(Option::is_some) else { continue };
        let values = growth(&counted, times.step);
        match found.get_mut(&key) {
            None => drop(found.insert(key, (began, values))),
            Some((other, into)) if *other <= began => {
                *into = fill_gaps(values, into);
                *other = began;
            }
            Some((_, into)) => *into = fill_gaps(std::mem::take(into), &values),
        }
    }
    Some(found.into_iter().map(|(key, (_, values))| (key, values)).collect())
}

/// `first`, with the gaps filled from `second`.
fn fill_gaps(first: RecordedSeries, second: &RecordedSeries) -> RecordedSeries {
    first.into_iter().zip(second).map(|(first, second)| first.or(*second)).collect()
}

/// Mean nanocores between each two values. A counter that fell was reset to 0.
fn growth(counted: &[Option<f64>], step: Millis) -> RecordedSeries {
    let grown = |pair: &[Option<f64>]| {
        let (before, after) = (pair[0]?, pair[1]?);
        let seconds = if after < before { after } else { after - before };
        amount(seconds * 1e12 / step as f64)
    };
    counted.windows(2).map(grown).collect()
}

/// The values of each object. If an object has two series, such as from a scrape that honours labels and one
/// that does not, the one with more values counts.
pub(super) fn gauge_series(
    answer: &[u8],
    wanted: SeriesFilter<'_>,
    label: NameLabel,
    times: Times,
) -> Option<SeriesByKey> {
    scaled_series(answer, wanted, label, times, 1.0)
}

/// The values of each object, times `scale`.
pub(super) fn scaled_series(
    answer: &[u8],
    wanted: SeriesFilter<'_>,
    label: NameLabel,
    times: Times,
    scale: f64,
) -> Option<SeriesByKey> {
    let answer = Answer::parse(answer)?;
    let mut found = SeriesByKey::new();
    for series in answer.series() {
        if found.len() * (times.count + SERIES_OVERHEAD) > MOST_POINTS {
            return None;
        }
        let Some(key) = wanted.key(&series.metric, label) else { continue };
        let values = at_times(series.amounts(), times).into_iter();
        let values: RecordedSeries = values.map(|value| amount(value? * scale)).collect();
        let known = |values: &RecordedSeries| values.iter().flatten().count();
        if found.get(&key).is_none_or(|other| known(other) < known(&values)) {
            found.insert(key, values);
        }
    }
    Some(found)
}

/// Places values at the requested times; values outside of them are dropped.
fn at_times(values: impl Iterator<Item = (Millis, Option<f64>)>, times: Times) -> Vec<Option<f64>> {
    let mut slots = vec![None; times.count];
    for (at, value) in values {
        let index = (at - times.from).div_euclid(times.step);
        if let Some(slot) = usize::try_from(index).ok().and_then(|index| slots.get_mut(index)) {
            *slot = value;
        }
    }
    slots
}

fn amount(value: f64) -> Option<u64> {
    (value < ABSURD).then(|| value.round() as u64)
}

/// Decodes one answer as the answer to each query.
#[cfg(any(test, feature = "fuzzing"))]
pub fn decode_all(answer: &[u8], times: Times) -> Option<wukong_core::long_term::LongTermAnswer> {
    let all = SeriesFilter { scope: &Scope::default(), names: None };
    let claims = || gauge_series(answer, all, NameLabel::Claim, times);
    let activity: Option<Vec<_>> = ActivityMetric::ALL
        .iter()
        .map(|metric| scaled_series(answer, all, NameLabel::Instance, times, metric.scale))
        .collect();
    Some(wukong_core::long_term::LongTermAnswer {
        cpu: cpu_series(answer, all, times)?,
        memory: gauge_series(answer, all, NameLabel::Instance, times)?,
        used: claims()?,
        capacity: claims()?,
        activity: figures(activity?.try_into().ok()?),
        failures: Vec::new(),
    })
}
