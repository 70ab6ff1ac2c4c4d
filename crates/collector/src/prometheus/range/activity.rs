//! Asks for what one guest did. Many queries: a few at a time, and not for longer than a page waits.

use std::time::Duration;

use futures::{StreamExt, stream};
use tokio::time::{Instant, timeout_at};

use super::{
    decode::SeriesByKey,
    figure::{Figure, Query},
};
use crate::{
    error::Failure,
    prometheus::{
        activity_metrics::{ActivityMetric, figures},
        api::Api,
    },
};
use model::activity_history::ActivityFigure;
use wukong_core::long_term::{Times, VmSelection};

/// The series of each figure of what a guest does.
pub(super) type SeriesByFigure = [SeriesByKey; ActivityFigure::COUNT];

/// Queries that run at the same time.
const AT_ONCE: usize = 4;
/// Pages wait for at most 6 s: what is slower is left out, and the other figures of the answer are shown.
const DEADLINE: Duration = Duration::from_secs(4);

/// Returns the figures, and why some of them are not known. Nothing is asked without queries.
pub(super) async fn ask_activity(
    api: &Api,
    queries: &[String],
    of: &VmSelection,
    times: Times,
) -> (SeriesByFigure, Vec<Failure>) {
    let (names, deadline) = (of.names(), Instant::now() + DEADLINE);
    let ask = |(index, text): (usize, String)| {
        let names = names.clone();
        async move {
            let query = Query { text: &text, names };
            let answer =
                Figure::Scaled(ActivityMetric::ALL[index].scale).ask_with_finest_step(api, &query, times);
            let answer = timeout_at(deadline, answer).await;
            (index, answer.unwrap_or_else(|_| Err(Failure::Late(DEADLINE))))
        }
    };
    let numbered = queries.iter().take(ActivityMetric::COUNT).cloned().enumerate();
    let mut answers = stream::iter(numbered).map(ask).buffer_unordered(AT_ONCE);
    let mut series: [SeriesByKey; ActivityMetric::COUNT] = std::array::from_fn(|_| SeriesByKey::new());
    let mut failures = Vec::new();
    while let Some((index, answer)) = answers.next().await {
        match answer {
            Ok(found) => series[index] = found,
            Err(failure) => failures.push(failure),
        }
    }
    (figures(series), failures)
}
