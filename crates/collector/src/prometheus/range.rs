//! Answers questions about the past with range queries: for one VM when a page shows it, and for all VMs in
//! pieces after a start.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::super::archive::{Question, Questions, Reply};
use super::{
    api::{self, Api, CREDENTIALS, PlainQueries, open, site},
    identity::{Foreign, NameLabel, Scope},
    query::{self, Queries},
};
use crate::{
    budget::Budget,
    config::{CollectConfig, PrometheusConfig},
    error::Failure,
    k8s::prometheus::{Answer, Labels},
    outside::Site,
};
use model::Millis;
use wukong_core::{
    archive::{Names, Of, RecordedSeries, Recording, Times},
    observation::Key,
};

/// Values from here on are not possible amounts.
const ABSURD: f64 = (1u64 << 63) as f64;
/// The maximum number of points per answer; each takes 16 bytes. More series than requested come from a
/// matcher that is too wide, or from an exporter that invents them.
const MOST_POINTS: usize = 1 << 21;
/// The memory of a track besides its points, as a number of points.
const TRACK_POINTS: usize = 16;

type AnsweredQuestion = (Reply, Result<RangeResults, Failure>);

/// The result of the queries for one question, and the failures of some of them.
struct RangeResults {
    recording: Recording,
    failures: Vec<Failure>,
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
        let mut asked: JoinSet<Option<AnsweredQuestion>> = JoinSet::new();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                question = questions.next() => self.begin(question, &mut asked).await,
                Some(answered) = asked.join_next() => self.tell(answered.ok().flatten()),
            }
        }
    }

    async fn begin(&mut self, question: Question, asked: &mut JoinSet<Option<AnsweredQuestion>>) {
        let Question { of, times, reply, .. } = question;
        let queries = Queries { matchers: &self.config.matchers, scope: &self.scope }.past(&of);
        let api =
            match open(&mut self.site, &self.config, &self.scope, &self.plain, &Default::default()).await {
                Ok(api) => api,
                Err(failure) => return self.tell(Some((reply, Err(failure)))),
            };
        asked.spawn(async move {
            tokio::select! {
                // Nobody waits for the answer any more.
                () = reply.closed() => None,
                answer = ask(&api, &queries, &of, times) => Some((reply, answer)),
            }
        });
    }

    fn tell(&self, asked: Option<AnsweredQuestion>) {
        if let Some((reply, answer)) = asked {
            let describe = |failure: &Failure| self.site.describe(CREDENTIALS, failure);
            let told = answer.map(|RangeResults { recording, failures }| Recording {
                failures: failures.iter().map(describe).collect(),
                ..recording
            });
            reply.send(told.map_err(|failure| describe(&failure)));
        }
    }
}

/// How the answer to a query is decoded.
#[derive(Clone, Copy)]
enum Figure {
    Cpu,
    Memory,
    Claim,
}

impl Figure {
    /// The times to request: the growth of a counter needs one more at the beginning.
    fn asked(self, times: Times) -> Times {
        match self {
            Self::Cpu => Times { from: times.from - times.step, count: times.count + 1, ..times },
            Self::Memory | Self::Claim => times,
        }
    }

    fn read(self, answer: &[u8], scope: &Scope, names: &Names, times: Times) -> Option<Tracks> {
        match self {
            Self::Cpu => {
                cpu(answer, SeriesFilter { scope, names: Some(&names.instances) }, self.asked(times))
            }
            Self::Memory => tracks(
                answer,
                SeriesFilter { scope, names: Some(&names.instances) },
                NameLabel::Instance,
                times,
            ),
            Self::Claim => {
                tracks(answer, SeriesFilter { scope, names: Some(&names.claims) }, NameLabel::Claim, times)
            }
        }
    }

    async fn ask(self, api: &Api, query: &Query<'_>, times: Times) -> Result<Tracks, Failure> {
        let names = query.names.clone();
        let read = move |answer: &[u8], scope: &Scope| self.read(answer, scope, &names, times);
        api.range(query.text, self.asked(times), read).await
    }

    /// Asks, and once more with a longer step if the server refuses that many points.
    async fn ask_as_fine_as_it_gives(
        self,
        api: &Api,
        query: &Query<'_>,
        times: Times,
    ) -> Result<Tracks, Failure> {
        match self.ask(api, query, times).await {
            Err(failure) if is_too_fine(&failure) => {
                let coarse = coarser(times);
                let found = self.ask(api, query, coarse).await?;
                Ok(found.into_iter().map(|(key, track)| (key, stretched(&track, coarse, times))).collect())
            }
            told => told,
        }
    }
}

/// The factor by which a step that was too short is lengthened.
const COARSER: Millis = 4;

/// Whether the server refuses that many points. Prometheus returns at most 11,000 per series, VictoriaMetrics
/// `-search.maxPointsPerTimeseries`; an operator may set lower limits.
fn is_too_fine(failure: &Failure) -> bool {
    let says_so = |line: &str| {
        ["maximum resolution", "maxPointsPerTimeseries", "too many points"]
            .iter()
            .any(|words| line.contains(words))
    };
    matches!(failure, Failure::Refused { code, says, .. } if code.is_client_error() && says_so(&says.line))
}

/// Fewer times over the same span, with the same last time.
fn coarser(times: Times) -> Times {
    let (step, count) = (times.step * COARSER, times.count.div_ceil(COARSER as usize));
    Times { from: times.last() - (count as Millis - 1) * step, step, count }
}

/// Maps the points of a longer step to the requested times: each point stands for the step that ends at its
/// time.
fn stretched(track: &RecordedSeries, coarse: Times, times: Times) -> RecordedSeries {
    let value = |index: usize| {
        let behind = (times.last() - times.at(index)).div_euclid(coarse.step);
        let place = usize::try_from(behind).ok().and_then(|behind| coarse.count.checked_sub(behind + 1));
        track.get(place?).copied().flatten()
    };
    (0..times.count).map(value).collect()
}

/// Sends the queries concurrently. A failed query costs its own figure; if all fail, so does the answer.
async fn ask(api: &Api, queries: &query::Past, of: &Of, times: Times) -> Result<RangeResults, Failure> {
    let names = of.names();
    let query = |text| Query { text, names: names.clone() };
    let (cpu, memory) = (query(&*queries.cpu), query(&*queries.memory));
    let volumes = queries.volumes.as_ref();
    let used = volumes.map(|[used, _]| query(used));
    let capacity = volumes.map(|[_, capacity]| query(capacity));
    let (cpu, memory, used, capacity) = tokio::join!(
        Figure::Cpu.ask_as_fine_as_it_gives(api, &cpu, times),
        Figure::Memory.ask_as_fine_as_it_gives(api, &memory, times),
        ask_claims(api, used, times),
        ask_claims(api, capacity, times)
    );
    let (mut failures, mut answered) = (Vec::new(), false);
    let mut take = |result: Option<Result<Tracks, Failure>>| match result {
        None => Tracks::new(),
        Some(Ok(tracks)) => {
            answered = true;
            tracks
        }
        Some(Err(failure)) => {
            failures.push(failure);
            Tracks::new()
        }
    };
    let recording = Recording {
        cpu: take(Some(cpu)),
        memory: take(Some(memory)),
        used: take(used),
        capacity: take(capacity),
        failures: Vec::new(),
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
async fn ask_claims(api: &Api, query: Option<Query<'_>>, times: Times) -> Option<Result<Tracks, Failure>> {
    let query = query?;
    Some(Figure::Claim.ask_as_fine_as_it_gives(api, &query, times).await)
}

/// A query, and the objects that it is about.
struct Query<'a> {
    text: &'a str,
    names: Arc<Names>,
}

/// Selects the series to keep: only what was requested, whatever the server made of the query.
#[derive(Clone, Copy)]
struct SeriesFilter<'a> {
    scope: &'a Scope,
    /// `None` means all.
    names: Option<&'a HashSet<Key>>,
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

type Tracks = HashMap<Key, RecordedSeries>;

/// Nanocores from the growth of each node's counter. Where two nodes report on a guest, the counter that
/// began later counts.
fn cpu(answer: &[u8], wanted: SeriesFilter<'_>, times: Times) -> Option<Tracks> {
    let answer: Answer<'_> = serde_json::from_slice(answer).ok()?;
    let mut found: HashMap<Key, (usize, RecordedSeries)> = HashMap::new();
    for series in answer.series() {
        if found.len() * (times.count + TRACK_POINTS) > MOST_POINTS {
            return None;
        }
        let Some(key) = wanted.key(&series.metric, NameLabel::Instance) else { continue };
        let counted = spread(series.amounts(), times);
        let Some(began) = counted.iter().position(Option::is_some) else { continue };
        let track = growth(&counted, times.step);
        match found.get_mut(&key) {
            None => drop(found.insert(key, (began, track))),
            Some((other, into)) if *other <= began => {
                *into = over(track, into);
                *other = began;
            }
            Some((_, into)) => *into = over(std::mem::take(into), &track),
        }
    }
    Some(found.into_iter().map(|(key, (_, track))| (key, track)).collect())
}

/// `first`, with the gaps filled from `second`.
fn over(first: RecordedSeries, second: &RecordedSeries) -> RecordedSeries {
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
fn tracks(answer: &[u8], wanted: SeriesFilter<'_>, label: NameLabel, times: Times) -> Option<Tracks> {
    let answer: Answer<'_> = serde_json::from_slice(answer).ok()?;
    let mut found = Tracks::new();
    for series in answer.series() {
        if found.len() * (times.count + TRACK_POINTS) > MOST_POINTS {
            return None;
        }
        let Some(key) = wanted.key(&series.metric, label) else { continue };
        let track: RecordedSeries =
            spread(series.amounts(), times).into_iter().map(|value| amount(value?)).collect();
        let known = |track: &RecordedSeries| track.iter().flatten().count();
        if found.get(&key).is_none_or(|other| known(other) < known(&track)) {
            found.insert(key, track);
        }
    }
    Some(found)
}

/// Places values at the requested times; values outside of them are dropped.
fn spread(values: impl Iterator<Item = (Millis, Option<f64>)>, times: Times) -> Vec<Option<f64>> {
    let mut spread = vec![None; times.count];
    for (at, value) in values {
        let index = (at - times.from).div_euclid(times.step);
        if let Some(place) = usize::try_from(index).ok().and_then(|index| spread.get_mut(index)) {
            *place = value;
        }
    }
    spread
}

fn amount(value: f64) -> Option<u64> {
    (value < ABSURD).then(|| value.round() as u64)
}

/// Decodes one answer as the answer to each query.
#[cfg(any(test, feature = "fuzzing"))]
pub fn decode_all(answer: &[u8], times: Times) -> Option<Recording> {
    let all = SeriesFilter { scope: &Scope::default(), names: None };
    let claims = || tracks(answer, all, NameLabel::Claim, times);
    Some(Recording {
        cpu: cpu(answer, all, times)?,
        memory: tracks(answer, all, NameLabel::Instance, times)?,
        used: claims()?,
        capacity: claims()?,
        failures: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::{super::query::RESIDENT, *};
    use crate::k8s::peer_error::PeerError;

    fn all(scope: &Scope) -> SeriesFilter<'_> {
        SeriesFilter { scope, names: None }
    }

    const TIMES: Times = Times { from: 60_000, step: 60_000, count: 3 };

    fn json(series: &[(&str, &str)]) -> Vec<u8> {
        let one = |(labels, values): &(&str, &str)| {
            format!(r#"{{"metric":{{"namespace":"prod",{labels}}},"values":[{values}]}}"#)
        };
        let all: Vec<_> = series.iter().map(one).collect();
        let all = all.join(",");
        format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{all}]}}}}"#).into_bytes()
    }

    const N1: &str = r#""name":"web","node":"n1""#;
    const N2: &str = r#""name":"web","node":"n2""#;

    /// Whole cores of `prod/web` at 120, 180 and 240 s.
    fn cores(series: &[(&str, &str)]) -> Vec<Option<u64>> {
        let times = Times { count: 4, ..TIMES };
        let found = cpu(&json(series), all(&Scope::default()), times).unwrap();
        let track = found.get(&Key::new("prod", "web")).cloned().unwrap_or_default();
        track.into_iter().map(|nanos| nanos.map(|nanos| nanos / 1_000_000_000)).collect()
    }

    #[test]
    fn cpu_is_the_growth_of_a_counter_between_two_points() {
        for (values, want) in [
            (r#"[60,"60"],[120,"120"],[180,"300"],[240,"300"]"#, [Some(1), Some(3), Some(0)]),
            (r#"[60,"600"],[120,"120"],[180,"180"],[240,"240"]"#, [Some(2), Some(1), Some(1)]),
            (r#"[60,"60"],[180,"180"],[240,"240"]"#, [None, None, Some(1)]),
            (r#"[60,"0"],[120,"NaN"],[180,"-60"],[240,"1e30"]"#, [None, None, None]),
            (r#"[180,"7"],[240,"67"]"#, [None, None, Some(1)]),
        ] {
            assert_eq!(cores(&[(N1, values)]), want, "{values}");
        }
        assert_eq!(cores(&[]), []);
    }

    /// An exporter can invent any number of series, and each takes as many points as were requested.
    #[test]
    fn more_points_than_are_held_are_no_answer() {
        let names: Vec<_> =
            (0..7000).map(|n| format!(r#""name":"{n}","persistentvolumeclaim":"{n}""#)).collect();
        let series: Vec<_> = names.iter().map(|name| (name.as_str(), r#"[60,"1"]"#)).collect();
        let answer = json(&series);
        let times = |count| Times { count, ..TIMES };
        for (count, is_read) in [(96, true), (336, false)] {
            let scope = Scope::default();
            assert_eq!(cpu(&answer, all(&scope), times(count)).is_some(), is_read, "{count}");
            for label in [NameLabel::Instance, NameLabel::Claim] {
                assert_eq!(tracks(&answer, all(&scope), label, times(count)).is_some(), is_read, "{count}");
            }
        }
    }

    #[test]
    fn of_two_nodes_the_one_that_began_later_holds_the_guest() {
        let old = (N1, r#"[60,"0"],[120,"60"],[180,"120"]"#);
        let new = (N2, r#"[120,"0"],[180,"300"],[240,"600"]"#);
        let want = [Some(1), Some(5), Some(5)];
        assert_eq!(cores(&[old, new]), want);
        assert_eq!(cores(&[new, old]), want);
    }

    /// Whatever the server makes of the query, and however many objects an exporter invents.
    #[test]
    fn an_answer_about_others_is_left_out() {
        let invented =
            (0..7000).map(|n| format!(r#""name":"x{n}","persistentvolumeclaim":"x{n}","node":"n1""#));
        let ours = r#""name":"web","persistentvolumeclaim":"root","node":"n1""#.to_owned();
        let labels: Vec<_> = invented.chain([ours]).collect();
        let series: Vec<_> = labels.iter().map(|labels| (labels.as_str(), r#"[60,"1"],[120,"2"]"#)).collect();
        let (answer, times) = (json(&series), Times { count: 336, ..TIMES });
        let of = Of::One { namespace: "prod".into(), instance: "web".into(), claims: vec!["root".into()] };
        let all = Of::All(Arc::new(Names {
            instances: HashSet::from([Key::new("prod", "web")]),
            claims: HashSet::from([Key::new("prod", "root")]),
        }));
        for of in [of, all] {
            let names = of.names();
            for (figure, want) in [(Figure::Cpu, "web"), (Figure::Memory, "web"), (Figure::Claim, "root")] {
                let found = figure.read(&answer, &Scope::default(), &names, times).unwrap();
                assert_eq!(found.into_keys().collect::<Vec<_>>(), [Key::new("prod", want)]);
            }
        }
    }

    /// VictoriaMetrics/VictoriaMetrics#1914, #5530: the error repeats the query twice at its beginning, and
    /// that may be long.
    #[test]
    fn a_refusal_of_so_many_points_is_known_behind_the_query() {
        let query = format!(r#"max by (namespace) ({RESIDENT}{{namespace=~\"{}\"}})"#, "prod|".repeat(600));
        for end in [
            "too many points for the given step=10, start=1638955183980 and end=1638955486010: 30204; cannot exceed -search.maxPointsPerTimeseries=30000",
            "too many points for the given start=1, end=2 and step=300000: 840961; the maximum number of points is 30000; (see -search.maxPointsPerTimeseries command-line flag)",
        ] {
            let body = format!(
                r#"{{"status":"error","errorType":"422","error":"error when executing query=\"{query}\" on the time range (start=1638955484000, end=1638955486000, step=10): cannot execute query: cannot evaluate \"{query}\": {end}"}}"#
            );
            assert!(body.len() < 16 << 10, "{}", body.len());
            let says = PeerError::read(body.as_bytes());
            assert!(says.line.chars().count() <= 200, "{}", says.line);
            let code = http::StatusCode::UNPROCESSABLE_ENTITY;
            assert!(is_too_fine(&Failure::Refused { code, retry_after: None, says }), "{end}");
        }
    }

    #[test]
    fn a_longer_step_covers_the_same_time() {
        let times = Times { from: 60_000, step: 60_000, count: 10 };
        let coarse = coarser(times);
        assert_eq!((coarse.last(), coarse.count, coarse.step), (times.last(), 3, 240_000));
        let track = stretched(&vec![Some(1), None, Some(3)], coarse, times);
        let want = [Some(1), Some(1), None, None, None, None, Some(3), Some(3), Some(3), Some(3)];
        assert_eq!(track, want);
    }

    #[test]
    fn values_stand_at_their_times_and_odd_ones_nowhere() {
        let claim = r#""persistentvolumeclaim":"root""#;
        let answer = json(&[
            (claim, r#"[60,"5"],[180,"+Inf"],[9999,"7"],[0,"3"]"#),
            (r#""persistentvolumeclaim":"root","exported_namespace":"dev""#, r#"[120,"9"]"#),
        ]);
        let scope = |ours: &[&str]| {
            let ours: Arc<[String]> = ours.iter().map(|own| (*own).to_owned()).collect();
            Scope { namespaces: Some(ours), trusted: Arc::default() }
        };
        let read = |scope: &Scope| tracks(&answer, all(scope), NameLabel::Claim, TIMES).unwrap();
        let want = Tracks::from([(Key::new("prod", "root"), vec![Some(5), None, None])]);
        assert_eq!(read(&Scope::default()), want, "prod does not speak for dev");
        assert!(read(&scope(&["dev"])).is_empty());
        assert!(tracks(b"{}", all(&Scope::default()), NameLabel::Claim, TIMES).is_none());
    }

    #[test]
    fn of_two_series_of_one_thing_the_fuller_counts() {
        let claim = r#""persistentvolumeclaim":"root""#;
        let (full, empty) = ((claim, r#"[60,"5"],[120,"6"]"#), (claim, r#"[180,"7"]"#));
        for answer in [json(&[full, empty]), json(&[empty, full])] {
            let found = tracks(&answer, all(&Scope::default()), NameLabel::Claim, TIMES).unwrap();
            assert_eq!(found[&Key::new("prod", "root")], [Some(5), Some(6), None]);
        }
    }
}
