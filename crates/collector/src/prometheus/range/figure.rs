//! One range query: what its answer is decoded into, and a second attempt if the server refuses that many points.

use std::sync::Arc;

use super::{
    super::{
        api::Api,
        identity::{NameLabel, Scope},
    },
    decode::{SeriesByKey, SeriesFilter, cpu_series, gauge_series, scaled_series},
};
use crate::error::Failure;
use model::Millis;
use wukong_core::long_term::{Names, RecordedSeries, Times};

/// A query, and the objects that it is about.
pub(super) struct Query<'a> {
    pub text: &'a str,
    pub names: Arc<Names>,
}

/// How the answer to a query is decoded.
#[derive(Clone, Copy)]
pub(super) enum Figure {
    Cpu,
    Memory,
    Claim,
    /// An amount of instances, times this.
    Scaled(f64),
}

impl Figure {
    /// The times to request: the growth of a counter needs one more at the beginning.
    fn requested_times(self, times: Times) -> Times {
        match self {
            Self::Cpu => Times { from: times.from - times.step, count: times.count + 1, ..times },
            Self::Memory | Self::Claim | Self::Scaled(_) => times,
        }
    }

    pub fn read(self, answer: &[u8], scope: &Scope, names: &Names, times: Times) -> Option<SeriesByKey> {
        match self {
            Self::Scaled(scale) => scaled_series(
                answer,
                SeriesFilter { scope, names: Some(&names.instances) },
                NameLabel::Instance,
                times,
                scale,
            ),
            Self::Cpu => cpu_series(
                answer,
                SeriesFilter { scope, names: Some(&names.instances) },
                self.requested_times(times),
            ),
            Self::Memory => gauge_series(
                answer,
                SeriesFilter { scope, names: Some(&names.instances) },
                NameLabel::Instance,
                times,
            ),
            Self::Claim => gauge_series(
                answer,
                SeriesFilter { scope, names: Some(&names.claims) },
                NameLabel::Claim,
                times,
            ),
        }
    }

    async fn ask(self, api: &Api, query: &Query<'_>, times: Times) -> Result<SeriesByKey, Failure> {
        let names = query.names.clone();
        let read = move |answer: &[u8], scope: &Scope| self.read(answer, scope, &names, times);
        api.range(query.text, self.requested_times(times), read).await
    }

    /// Asks, and once more with a longer step if the server refuses that many points.
    pub async fn ask_with_finest_step(
        self,
        api: &Api,
        query: &Query<'_>,
        times: Times,
    ) -> Result<SeriesByKey, Failure> {
        match self.ask(api, query, times).await {
            Err(failure) if is_too_fine(&failure) => {
                let coarse = coarser(times);
                let found = self.ask(api, query, coarse).await?;
                Ok(found.into_iter().map(|(key, values)| (key, stretched(&values, coarse, times))).collect())
            }
            result => result,
        }
    }
}

/// The factor by which a step that was too short is lengthened.
const COARSER: Millis = 4;

/// Whether the server refuses that many points. Prometheus returns at most 11,000 per series, VictoriaMetrics
/// `-search.maxPointsPerTimeseries`; an operator may set lower limits.
pub(super) fn is_too_fine(failure: &Failure) -> bool {
    let says_so = |line: &str| {
        ["maximum resolution", "maxPointsPerTimeseries", "too many points"]
            .iter()
            .any(|words| line.contains(words))
    };
    matches!(failure, Failure::Refused { code, says, .. } if code.is_client_error() && says_so(&says.line))
}

/// Fewer times over the same span, with the same last time.
pub(super) fn coarser(times: Times) -> Times {
    let (step, count) = (times.step * COARSER, times.count.div_ceil(COARSER as usize));
    Times { from: times.last() - (count as Millis - 1) * step, step, count }
}

/// Maps the points of a longer step to the requested times: each point stands for the step that ends at its
/// time.
pub(super) fn stretched(values: &RecordedSeries, coarse: Times, times: Times) -> RecordedSeries {
    let value = |index: usize| {
        let behind = (times.last() - times.at(index)).div_euclid(coarse.step);
        let place = usize::try_from(behind).ok().and_then(|behind| coarse.count.checked_sub(behind + 1));
        values.get(place?).copied().flatten()
    };
    (0..times.count).map(value).collect()
}
