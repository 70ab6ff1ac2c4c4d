//! The past, by range queries: for one VM when somebody looks, for all of them in pieces after a start.

use std::{collections::HashMap, sync::Arc};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Api, Budget, CREDENTIALS, Failure, Site, open, query, site};
use crate::{
    model::Millis,
    server::{
        config::{CollectConfig, PrometheusConfig},
        k8s::prometheus::{Answer, Labels},
        snapshot::{
            archive::{Of, Question, Questions, Recording, Reply, Times, Track},
            facts::Key,
        },
    },
};

/// Amounts from here on are no amounts.
const ABSURD: f64 = (1u64 << 63) as f64;
const USED: &str = "kubelet_volume_stats_used_bytes";
/// Points of one answer: 16 bytes each are held. More series than were asked for come from a matcher that lets too much in,
/// or from a scraped page that invents them.
const MOST_POINTS: usize = 1 << 21;

type Asked = (Reply, Result<Recording, Failure>);

/// Answers questions about the past, as many at a time as their queue gives places.
pub struct Historian {
    site: Site,
    config: PrometheusConfig,
    namespaces: Option<Arc<[String]>>,
}

impl Historian {
    /// None where no Prometheus is configured.
    pub fn new(collect: &CollectConfig, budget: Budget) -> Option<Self> {
        let config = collect.prometheus.clone()?;
        let site = site(&config, collect, budget);
        Some(Self { site, config, namespaces: collect.namespaces.as_deref().map(Arc::from) })
    }

    /// Runs until shut down.
    pub async fn run(mut self, mut questions: Questions, shutdown: CancellationToken) {
        let mut asked: JoinSet<Option<Asked>> = JoinSet::new();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                question = questions.next() => self.begin(question, &mut asked).await,
                Some(answered) = asked.join_next() => self.tell(answered.ok().flatten()),
            }
        }
    }

    async fn begin(&mut self, question: Question, asked: &mut JoinSet<Option<Asked>>) {
        let Question { of, times, reply, .. } = question;
        let queries = query::Past::new(&self.config.matchers, self.namespaces.as_deref(), &of);
        let api = match open(&mut self.site, &self.config, self.namespaces.clone()).await {
            Ok(api) => api,
            Err(failure) => return self.tell(Some((reply, Err(failure)))),
        };
        asked.spawn(async move {
            tokio::select! {
                // Nobody waits for it any more.
                () = reply.closed() => None,
                answer = ask(&api, &queries, &of, times) => Some((reply, answer)),
            }
        });
    }

    fn tell(&self, asked: Option<Asked>) {
        if let Some((reply, answer)) = asked {
            reply.send(answer.map_err(|failure| self.site.describe(CREDENTIALS, &failure)));
        }
    }
}

/// The three queries side by side: a past is told whole or not at all, since a part would look like all there was.
async fn ask(api: &Api, queries: &query::Past, of: &Of, times: Times) -> Result<Recording, Failure> {
    let before = Times { from: times.from - times.step, count: times.count + 1, ..times };
    let (cpu, memory, volumes) = tokio::try_join!(
        api.range(&queries.cpu, before, move |answer, ours| cpu(answer, ours, before)),
        api.range(&queries.memory, times, move |answer, ours| memory(answer, ours, times)),
        async {
            match &queries.volumes {
                Some(query) => {
                    api.range(query, times, move |answer, ours| volumes(answer, ours, times)).await
                }
                None => Ok(Volumes::default()),
            }
        }
    )?;
    Ok(only(of, Recording { cpu, memory, used: volumes.used, capacity: volumes.capacity }))
}

/// What was asked for and nothing else, whatever the server made of the query.
fn only(of: &Of, mut recording: Recording) -> Recording {
    let Of::One { namespace, instance, claims } = of else { return recording };
    let is_instance = |key: &Key| *key.namespace == **namespace && *key.name == **instance;
    let is_claim =
        |key: &Key| *key.namespace == **namespace && claims.iter().any(|claim| **claim == *key.name);
    recording.cpu.retain(|key, _| is_instance(key));
    recording.memory.retain(|key, _| is_instance(key));
    recording.used.retain(|key, _| is_claim(key));
    recording.capacity.retain(|key, _| is_claim(key));
    recording
}

type Tracks = HashMap<Key, Track>;

#[derive(Default)]
struct Volumes {
    used: Tracks,
    capacity: Tracks,
}

/// Nanocores out of the growth of each node's counter. Where two nodes tell of a guest, the one that began later has it.
fn cpu(answer: &[u8], ours: Option<&[String]>, times: Times) -> Option<Tracks> {
    let answer: Answer<'_> = serde_json::from_slice(answer).ok()?;
    let mut found: HashMap<Key, (usize, Track)> = HashMap::new();
    for series in answer.series() {
        if found.len() * times.count > MOST_POINTS {
            return None;
        }
        let Some(key) = super::answer::key(&series.metric, &series.metric.name, ours) else { continue };
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

/// `first`, and `second` where that has nothing.
fn over(first: Track, second: &Track) -> Track {
    first.into_iter().zip(second).map(|(first, second)| first.or(*second)).collect()
}

/// Mean nanocores between each two values. A counter that fell began anew.
fn growth(counted: &[Option<f64>], step: Millis) -> Track {
    let grown = |pair: &[Option<f64>]| {
        let (before, after) = (pair[0]?, pair[1]?);
        let seconds = if after < before { after } else { after - before };
        amount(seconds * 1e12 / step as f64)
    };
    counted.windows(2).map(grown).collect()
}

fn memory(answer: &[u8], ours: Option<&[String]>, times: Times) -> Option<Tracks> {
    let mut found = Tracks::new();
    gather(answer, times, |labels, track| {
        if let Some(key) = super::answer::key(labels, &labels.name, ours) {
            found.insert(key, track);
        }
        found.len()
    })?;
    Some(found)
}

fn volumes(answer: &[u8], ours: Option<&[String]>, times: Times) -> Option<Volumes> {
    let mut found = Volumes::default();
    gather(answer, times, |labels, track| {
        if let Some(key) = super::answer::key(labels, &labels.persistentvolumeclaim, ours) {
            let tracks = if labels.metric == USED { &mut found.used } else { &mut found.capacity };
            tracks.insert(key, track);
        }
        found.used.len() + found.capacity.len()
    })?;
    Some(found)
}

/// `take` gets each series, and returns how many tracks are held.
fn gather(answer: &[u8], times: Times, mut take: impl FnMut(&Labels<'_>, Track) -> usize) -> Option<()> {
    let answer: Answer<'_> = serde_json::from_slice(answer).ok()?;
    for series in answer.series() {
        let track = spread(series.amounts(), times).into_iter().map(|value| amount(value?)).collect();
        if take(&series.metric, track) * times.count > MOST_POINTS {
            return None;
        }
    }
    Some(())
}

/// Values at the times that were asked for; what comes for no such time is left out.
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

/// Each reading of one answer, put together as if it answered every query.
#[cfg(any(test, feature = "fuzzing"))]
pub fn decode_all(answer: &[u8], times: Times) -> Option<Recording> {
    let Volumes { used, capacity } = volumes(answer, None, times)?;
    Some(Recording { cpu: cpu(answer, None, times)?, memory: memory(answer, None, times)?, used, capacity })
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let found = cpu(&json(series), None, times).unwrap();
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

    /// A page that is scraped can invent any number of series, and each takes as many points as were asked for.
    #[test]
    fn more_points_than_are_held_are_no_answer() {
        let names: Vec<_> =
            (0..7000).map(|n| format!(r#""name":"{n}","persistentvolumeclaim":"{n}""#)).collect();
        let series: Vec<_> = names.iter().map(|name| (name.as_str(), r#"[60,"1"]"#)).collect();
        let answer = json(&series);
        let times = |count| Times { count, ..TIMES };
        for (count, is_read) in [(96, true), (336, false)] {
            assert_eq!(cpu(&answer, None, times(count)).is_some(), is_read, "{count}");
            assert_eq!(memory(&answer, None, times(count)).is_some(), is_read, "{count}");
            assert_eq!(volumes(&answer, None, times(count)).is_some(), is_read, "{count}");
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

    #[test]
    fn an_answer_about_others_is_left_out() {
        let keys = [("prod", "web"), ("prod", "db"), ("dev", "web"), ("prod", "root"), ("dev", "root")];
        let all = || keys.map(|(namespace, name)| (Key::new(namespace, name), vec![Some(1)])).into();
        let recording = || Recording { cpu: all(), memory: all(), used: all(), capacity: all() };
        let of = Of::One { namespace: "prod".into(), instance: "web".into(), claims: vec!["root".into()] };
        let told = only(&of, recording());
        let keys = |tracks: Tracks| tracks.into_keys().collect::<Vec<_>>();
        assert_eq!([keys(told.cpu), keys(told.memory)], [(); 2].map(|()| vec![Key::new("prod", "web")]));
        assert_eq!([keys(told.used), keys(told.capacity)], [(); 2].map(|()| vec![Key::new("prod", "root")]));
        assert_eq!(only(&Of::All, recording()), recording());
    }

    #[test]
    fn volumes_keep_their_two_sides_apart_and_to_their_times() {
        let claim = |metric: &str| format!(r#""__name__":"{metric}","persistentvolumeclaim":"root""#);
        let (used, capacity) = (claim(USED), claim("kubelet_volume_stats_capacity_bytes"));
        let answer =
            json(&[(&used, r#"[60,"5"],[180,"+Inf"],[9999,"7"],[0,"3"]"#), (&capacity, r#"[120,"10"]"#)]);
        let root = Key::new("prod", "root");
        let found = volumes(&answer, None, TIMES).unwrap();
        assert_eq!(found.used[&root], [Some(5), None, None]);
        assert_eq!(found.capacity[&root], [None, Some(10), None]);
        let others = volumes(&answer, Some(&["dev".to_owned()]), TIMES).unwrap();
        assert!(others.used.is_empty() && others.capacity.is_empty());
        assert!(volumes(b"{}", None, TIMES).is_none());
    }
}
