//! Answers questions about the past with range queries: for one VM when a page shows it, and for all VMs in
//! pieces after a start.

mod activity;
mod decode;
mod figure;
#[cfg(test)]
mod tests;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

#[cfg(any(test, feature = "fuzzing"))]
pub use self::decode::decode_all;
use self::{
    activity::{SeriesByFigure, ask_activity},
    decode::SeriesByKey,
    figure::{Figure, Query},
};
use super::super::long_term::{PastQuery, Question, Questions, Reply};
use super::{
    api::{self, Api, CREDENTIALS, PlainQueries, open, site},
    identity::Scope,
    query::{self, Queries},
};
use crate::{
    budget::Budget,
    config::{CollectConfig, PrometheusConfig},
    error::Failure,
    outside::Site,
};
use wukong_core::long_term::{LongTermAnswer, Times, VmSelection};

type AnsweredQuestion = (Reply, Result<RangeResults, Failure>);

/// The result of the queries for one question, and the failures of some of them.
struct RangeResults {
    recording: LongTermAnswer,
    failures: Vec<Failure>,
}

impl RangeResults {
    fn with(mut self, (activity, failures): (SeriesByFigure, Vec<Failure>)) -> Self {
        self.recording.activity = activity;
        self.failures.extend(failures);
        self
    }
}

/// Answers questions about the past, as many at a time as their queue has places.
pub struct PrometheusHistory {
    site: Site,
    config: PrometheusConfig,
    scope: Scope,
    plain: PlainQueries,
}

impl PrometheusHistory {
    /// `None` if no Prometheus is configured.
    pub fn new(collect: &CollectConfig, budget: Budget) -> Option<Self> {
        let config = collect.prometheus.clone()?;
        let site = site(&config, collect, budget);
        let scope = api::scope(&config, collect);
        Some(Self { site, config, scope, plain: PlainQueries::default() })
    }

    /// Answers questions until `shutdown`.
    pub async fn run(mut self, mut questions: Questions, shutdown: CancellationToken) {
        let mut tasks: JoinSet<Option<AnsweredQuestion>> = JoinSet::new();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                question = questions.next() => self.begin(question, &mut tasks).await,
                Some(answered) = tasks.join_next() => self.send_answer(answered.ok().flatten()),
            }
        }
    }

    async fn begin(&mut self, question: Question, tasks: &mut JoinSet<Option<AnsweredQuestion>>) {
        let Question { about: PastQuery { of, times }, reply, .. } = question;
        let queries = Queries { matchers: &self.config.matchers, scope: &self.scope, nodes: &[] };
        let (queries, activity) = (queries.range_queries(&of), queries.activity_queries(&of, times.step));
        let api =
            match open(&mut self.site, &self.config, &self.scope, &self.plain, &Default::default()).await {
                Ok(api) => api,
                Err(failure) => return self.send_answer(Some((reply, Err(failure)))),
            };
        tasks.spawn(async move {
            tokio::select! {
                // Nobody waits for the answer any more.
                () = reply.closed() => None,
                answer = async {
                    let activity = ask_activity(&api, activity.as_deref().unwrap_or_default(), &of, times);
                    let (answer, activity) = tokio::join!(ask(&api, &queries, &of, times), activity);
                    answer.map(|answer| answer.with(activity))
                } => Some((reply, answer)),
            }
        });
    }

    fn send_answer(&self, answered: Option<AnsweredQuestion>) {
        if let Some((reply, answer)) = answered {
            let describe = |failure: &Failure| self.site.describe(CREDENTIALS, failure);
            let described = answer.map(|RangeResults { recording, failures }| LongTermAnswer {
                failures: failures.iter().map(describe).collect(),
                ..recording
            });
            reply.send(described.map_err(|failure| describe(&failure)));
        }
    }
}

/// Sends the queries concurrently. A failed query costs its own figure; if all fail, so does the answer.
async fn ask(
    api: &Api,
    queries: &query::RangeQueries,
    of: &VmSelection,
    times: Times,
) -> Result<RangeResults, Failure> {
    let names = of.names();
    let query = |text| Query { text, names: names.clone() };
    let (cpu, memory) = (query(&*queries.cpu), query(&*queries.memory));
    let volumes = queries.volumes.as_ref();
    let used = volumes.map(|[used, _]| query(used));
    let capacity = volumes.map(|[_, capacity]| query(capacity));
    let (cpu, memory, used, capacity) = tokio::join!(
        Figure::Cpu.ask_with_finest_step(api, &cpu, times),
        Figure::Memory.ask_with_finest_step(api, &memory, times),
        ask_claims(api, used, times),
        ask_claims(api, capacity, times)
    );
    let (mut failures, mut answered) = (Vec::new(), false);
    let mut take = |result: Option<Result<SeriesByKey, Failure>>| match result {
        None => SeriesByKey::new(),
        Some(Ok(series)) => {
            answered = true;
            series
        }
        Some(Err(failure)) => {
            failures.push(failure);
            SeriesByKey::new()
        }
    };
    let recording = LongTermAnswer {
        cpu: take(Some(cpu)),
        memory: take(Some(memory)),
        used: take(used),
        capacity: take(capacity),
        ..LongTermAnswer::default()
    };
    match failures.pop() {
        Some(failure) if !answered => Err(failure),
        last => {
            failures.extend(last);
            Ok(RangeResults { recording, failures })
        }
    }
}

/// Asks for one metric of claims. `None` if no claim is wanted.
async fn ask_claims(
    api: &Api,
    query: Option<Query<'_>>,
    times: Times,
) -> Option<Result<SeriesByKey, Failure>> {
    let query = query?;
    Some(Figure::Claim.ask_with_finest_step(api, &query, times).await)
}
