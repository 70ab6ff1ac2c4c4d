//! Decodes series into facts. If two scrape targets report on one thing, such as a claim that moved to
//! another kubelet, the newer one counts as a whole: used bytes of one kubelet are never combined with the
//! capacity of another.

use std::collections::{BTreeMap, HashMap};

use super::identity::{Foreign, NameLabel, Scope};
use crate::k8s::{
    prometheus::{Answer, Series},
    text::readable,
};
use model::Millis;
use wukong_core::observation::{InstanceSample, Key, VolumeRef, VolumeStats};

pub const VOLUMES: [&str; 4] = [
    super::query::USED,
    super::query::CAPACITY,
    "kubelet_volume_stats_available_bytes",
    "kubelet_volume_stats_inodes",
];
pub const MEMORY: [&str; 3] =
    [super::query::RESIDENT, "kubevirt_vmi_memory_available_bytes", "kubevirt_vmi_memory_usable_bytes"];
/// Values from here on are not possible amounts.
const ABSURD: f64 = (1u64 << 63) as f64;

/// The maximum number of claims or instances that one query may return, counted per scrape target.
pub const MOST_THINGS: usize = 1 << 16;
/// The maximum bytes of names in the result of one query: 64 for each thing.
const MOST_TEXT: usize = MOST_THINGS << 6;
/// How many characters are kept of a remark, and how many remarks of an answer.
const REMARK: usize = 200;
const REMARKS: usize = 100;

/// The result of one query, with the server's remarks on it.
#[derive(Clone, Debug, Default)]
pub struct Part<T> {
    pub found: T,
    pub remarks: Vec<String>,
    /// How many series were left out because they are of more things than are kept.
    pub left_out: usize,
    /// Series that are not trusted.
    pub foreign: Foreign,
}

/// The memory metrics of each instance.
pub type Memory = HashMap<Key, Scrape<3>>;
/// The CPU rate of each instance.
pub type Cpu = HashMap<Key, Rate>;
/// Scrapes by thing and scrape target.
pub type Scrapes<const N: usize> = BTreeMap<(Key, String), Scrape<N>>;

/// Nanocores between the samples of one scrape target; `None` if there is only one sample.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    at: Millis,
    nanos: Option<u64>,
    window_ms: u32,
    trusted_time: bool,
}

/// What one scrape target reports on one thing: the amounts of the requested metrics, in their order.
#[derive(Clone, Debug)]
pub struct Scrape<const N: usize> {
    at: Millis,
    samples: [Option<(Millis, Option<u64>)>; N],
    node: Box<str>,
    /// Whether its exporter is trusted.
    trusted_time: bool,
}

/// Decodes the answer to a query of the `n`-th metric of a family. If not everything fits, the series of
/// trusted exporters come first.
pub fn scrapes<const N: usize>(
    answer: &[u8],
    n: usize,
    scope: &Scope,
    label: NameLabel,
) -> Option<Part<Scrapes<N>>> {
    let answer: Answer<'_> = serde_json::from_slice(answer).ok()?;
    let part = match scrapes_of(answer.series(), n, scope, label) {
        part if part.left_out > 0 => scrapes_of(trusted_first(&answer, scope), n, scope, label),
        part => part,
    };
    Some(Part { remarks: remarks(&answer), ..part })
}

fn scrapes_of<'a, const N: usize>(
    all: impl Iterator<Item = Series<'a>>,
    n: usize,
    scope: &Scope,
    label: NameLabel,
) -> Part<Scrapes<N>> {
    let (mut found, mut left_out, mut foreign) = (Scrapes::<N>::new(), 0, Foreign::new());
    let mut texts = 0;
    for series in all {
        let key = scope.key(&series.metric, label, &mut foreign);
        if let (Some(key), Some(last)) = (key, series.last()) {
            let target = (key, format!("{} {}", series.metric.instance, series.metric.node));
            texts += text_bytes(&target) + scope.node(&series.metric).len();
            if texts > MOST_TEXT {
                left_out += 1;
            } else if found.len() < MOST_THINGS || found.contains_key(&target) {
                let (node, trusted_time) =
                    (scope.node(&series.metric), scope.trusts(&series.metric.namespace));
                let scrape = found.entry(target).or_insert_with(|| Scrape::new(node, trusted_time));
                scrape.trusted_time &= trusted_time;
                scrape.add(n, last);
            } else {
                left_out += 1;
            }
        }
    }
    Part { found, remarks: Vec::new(), left_out, foreign }
}

/// The series of trusted exporters, then the others: what does not fit is a tenant's.
fn trusted_first<'a>(answer: &'a Answer<'_>, scope: &Scope) -> impl Iterator<Item = Series<'a>> {
    let is_trusted = |series: &Series<'_>| scope.trusts(&series.metric.namespace);
    answer.series().filter(is_trusted).chain(answer.series().filter(move |series| !is_trusted(series)))
}

impl<T> Part<T> {
    /// Merges everything but `found`, and returns the `found` of the other.
    fn take_in(&mut self, other: Self) -> T {
        self.remarks.extend(other.remarks);
        self.left_out += other.left_out;
        for (namespace, count) in other.foreign {
            *self.foreign.entry(namespace).or_default() += count;
        }
        other.found
    }
}

fn text_bytes((key, target): &(Key, String)) -> usize {
    key.namespace.len() + key.name.len() + target.len()
}

impl<const N: usize> Part<Scrapes<N>> {
    /// Merges the answer for another metric of the family. Together they are held to the bounds of one.
    pub fn merge_scrapes(&mut self, other: Self) {
        let mut texts: usize =
            self.found.iter().map(|(target, scrape)| text_bytes(target) + scrape.node.len()).sum();
        for (target, scrape) in self.take_in(other) {
            let is_known = self.found.contains_key(&target);
            texts += if is_known { 0 } else { text_bytes(&target) + scrape.node.len() };
            if is_known || self.found.len() < MOST_THINGS && texts <= MOST_TEXT {
                let new = || Scrape::new(&scrape.node, scrape.trusted_time);
                self.found.entry(target).or_insert_with(new).take_in(scrape);
            } else {
                self.left_out += 1;
            }
        }
    }
}

/// Keeps the newest scrape of each thing.
pub fn newest<const N: usize>(all: Part<Scrapes<N>>) -> Part<HashMap<Key, Scrape<N>>> {
    let mut chosen: HashMap<Key, Scrape<N>> = HashMap::new();
    for ((key, _), scrape) in all.found {
        if chosen.get(&key).is_none_or(|other| other.at < scrape.at) {
            chosen.insert(key, scrape);
        }
    }
    Part { found: chosen, remarks: all.remarks, left_out: all.left_out, foreign: all.foreign }
}

/// The newest figures of each volume.
pub fn volumes(all: Part<Scrapes<4>>) -> Part<Vec<VolumeStats>> {
    let Part { found, remarks, left_out, foreign } = newest(all);
    let volumes = found.into_iter().map(|(claim, scrape)| scrape.volume(claim));
    Part { found: volumes.collect(), remarks, left_out, foreign }
}

/// Decodes the answer to the query of CPU counters into rates. `None` if it is no answer. If not everything
/// fits, the series of trusted exporters come first.
pub fn cpu(answer: &[u8], scope: &Scope) -> Option<Part<Cpu>> {
    let answer: Answer<'_> = serde_json::from_slice(answer).ok()?;
    let part = match rates_of(answer.series(), scope) {
        part if part.left_out > 0 => rates_of(trusted_first(&answer, scope), scope),
        part => part,
    };
    Some(Part { remarks: remarks(&answer), ..part })
}

fn rates_of<'a>(all: impl Iterator<Item = Series<'a>>, scope: &Scope) -> Part<Cpu> {
    let mut part = Part::<Cpu>::default();
    let mut texts = 0;
    for series in all {
        let key = scope.key(&series.metric, NameLabel::Instance, &mut part.foreign);
        let trusted_time = scope.trusts(&series.metric.namespace);
        if let (Some(key), Some(rate)) = (key, Rate::of(&series, trusted_time)) {
            texts += key.namespace.len() + key.name.len();
            if texts > MOST_TEXT { part.left_out += 1 } else { part.add(key, rate) }
        }
    }
    part
}

impl Part<Cpu> {
    /// Adds a rate; of each instance the newest is kept.
    fn add(&mut self, key: Key, rate: Rate) {
        match self.found.get(&key) {
            None if self.found.len() == MOST_THINGS => self.left_out += 1,
            Some(other) if other.at >= rate.at => {}
            _ => drop(self.found.insert(key, rate)),
        }
    }

    /// Merges another answer.
    pub fn merge_rates(&mut self, other: Self) {
        for (key, rate) in self.take_in(other) {
            self.add(key, rate);
        }
    }
}

/// Combines memory and CPU of each instance. The time is that of the memory sample, which is of the same
/// scrape.
pub fn instances(memory: Memory, mut cpu: Cpu) -> Vec<InstanceSample> {
    let mut samples = Vec::with_capacity(memory.len().max(cpu.len()));
    for (key, scrape) in memory {
        let rate = cpu.remove(&key);
        samples.push(instance(key, Some(scrape), rate));
    }
    samples.extend(cpu.into_iter().map(|(key, rate)| instance(key, None, Some(rate))));
    samples
}

fn instance(key: Key, scrape: Option<Scrape<3>>, rate: Option<Rate>) -> InstanceSample {
    let amount = |n| scrape.as_ref().and_then(|scrape: &Scrape<3>| scrape.amount(n));
    let of_scrape = scrape.as_ref().map(|scrape| (scrape.at, scrape.trusted_time));
    let (at, trusted_time) = of_scrape.or(rate.map(|rate| (rate.at, rate.trusted_time))).unwrap_or_default();
    InstanceSample {
        memory_bytes: amount(0),
        guest_available: amount(1),
        guest_usable: amount(2),
        cpu_nanocores: rate.and_then(|rate| rate.nanos),
        cpu_window_ms: rate.map_or(0, |rate| rate.window_ms),
        at,
        trusted_time,
        namespace: key.namespace.into(),
        name: key.name.into(),
    }
}

fn remarks(answer: &Answer<'_>) -> Vec<String> {
    answer.remarks().take(REMARKS).map(|remark| readable(&remark, REMARK)).collect()
}

impl Rate {
    fn of(series: &Series<'_>, trusted_time: bool) -> Option<Self> {
        let (at, _) = series.last()?;
        let (cores, window_ms) = series.growth().unzip();
        let nanos = cores.map(|cores| cores * 1e9).filter(|nanos| *nanos < ABSURD);
        Some(Self {
            at,
            nanos: nanos.map(|nanos| nanos.ceil() as u64),
            window_ms: window_ms.unwrap_or_default(),
            trusted_time,
        })
    }
}

impl<const N: usize> Scrape<N> {
    fn new(node: &str, trusted_time: bool) -> Self {
        Self { at: 0, samples: [None; N], node: node.into(), trusted_time }
    }

    fn add(&mut self, n: usize, (at, value): (Millis, Option<f64>)) {
        let amount = value.filter(|value| *value < ABSURD).map(|value| value.round() as u64);
        self.put(n, (at, amount));
    }

    fn put(&mut self, n: usize, (at, amount): (Millis, Option<u64>)) {
        self.at = self.at.max(at);
        if let Some(place) = self.samples.get_mut(n)
            && place.is_none_or(|(known, _)| known < at)
        {
            *place = Some((at, amount));
        }
    }

    /// Merges what the same target reports on other metrics.
    fn take_in(&mut self, other: Self) {
        self.trusted_time &= other.trusted_time;
        for (n, sample) in other.samples.into_iter().enumerate() {
            if let Some(sample) = sample {
                self.put(n, sample);
            }
        }
    }

    fn amount(&self, n: usize) -> Option<u64> {
        self.samples[n]?.1
    }
}

impl Scrape<4> {
    /// The figures of a volume. The time is that of the used bytes, since the others hardly change.
    fn volume(self, claim: Key) -> VolumeStats {
        VolumeStats {
            of: VolumeRef::Claim(claim),
            used: self.amount(0),
            capacity: self.amount(1),
            available: self.amount(2),
            inodes: self.amount(3),
            at: Some(self.samples[0].map_or(self.at, |(at, _)| at)),
            node: self.node,
            trusted_time: self.trusted_time,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All namespaces; exporters in the namespace `kubevirt` are trusted.
    fn scope(ours: Option<&[String]>) -> Scope {
        Scope { namespaces: ours.map(Into::into), trusted: [String::from("kubevirt")].into() }
    }

    /// Decodes the series as if each metric were queried by its own name.
    fn families<const N: usize>(
        all: &[String],
        metrics: [&str; N],
        ours: Option<&[String]>,
    ) -> Part<Scrapes<N>> {
        let label = if N == 4 { NameLabel::Claim } else { NameLabel::Instance };
        let of_metric = |(n, metric): (usize, &str)| {
            let named = format!(r#""__name__":"{metric}""#);
            let of: Vec<String> = all.iter().filter(|series| series.contains(&named)).cloned().collect();
            scrapes(&json(&of), n, &scope(ours), label).unwrap()
        };
        merged(metrics.into_iter().enumerate().map(of_metric))
    }

    fn merged<const N: usize>(parts: impl Iterator<Item = Part<Scrapes<N>>>) -> Part<Scrapes<N>> {
        let mut all = Part::default();
        parts.for_each(|part| all.merge_scrapes(part));
        all
    }

    fn json(series: &[String]) -> Vec<u8> {
        let series = series.join(",");
        format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{series}]}},"warnings":["one store is away"]}}"#)
            .into_bytes()
    }

    /// `labels` are those that only some series have.
    fn series(metric: &str, labels: &str, samples: &str) -> String {
        format!(r#"{{"metric":{{"__name__":"{metric}","namespace":"prod",{labels}}},"values":[{samples}]}}"#)
    }

    fn of_claim(series: &[String]) -> VolumeStats {
        let mut found = volumes(families(series, VOLUMES, None)).found;
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    fn of_claims(answer: &[u8]) -> Option<Part<Scrapes<4>>> {
        scrapes(answer, 0, &scope(None), NameLabel::Claim)
    }

    const ON_N1: &str = r#""persistentvolumeclaim":"root","instance":"10.0.0.1:10250","node":"n1""#;
    const ON_N2: &str = r#""persistentvolumeclaim":"root","instance":"10.0.0.2:10250","node":"n2""#;

    #[test]
    fn of_two_kubelets_the_newer_counts_whole() {
        let stats = of_claim(&[
            series(VOLUMES[0], ON_N1, r#"[10,"1"],[60,"500"]"#),
            series(VOLUMES[1], ON_N1, r#"[60,"1000"]"#),
            series(VOLUMES[3], ON_N1, r#"[60,"7"]"#),
            series(VOLUMES[1], ON_N2, r#"[120,"2000"]"#),
            series(VOLUMES[0], ON_N2, r#"[90,"3"],[120,"400"]"#),
        ]);
        assert_eq!((stats.used, stats.capacity, stats.inodes), (Some(400), Some(2000), None));
        assert_eq!(stats.at, Some(120_000));
    }

    #[test]
    fn the_zeros_of_a_block_volume_pass_as_they_are() {
        let zero = |metric| series(metric, ON_N1, r#"[60,"0"]"#);
        let stats = of_claim(&[
            zero(VOLUMES[0]),
            series(VOLUMES[1], ON_N1, r#"[60,"1073741824"]"#),
            zero(VOLUMES[2]),
            zero(VOLUMES[3]),
        ]);
        let amounts = [stats.used, stats.capacity, stats.available, stats.inodes];
        assert_eq!(amounts, [Some(0), Some(1 << 30), Some(0), Some(0)]);
    }

    #[test]
    fn what_is_no_amount_is_unknown() {
        for value in ["NaN", "+Inf", "-1", "9223372036854775808", "1e300"] {
            let stats = of_claim(&[
                series(VOLUMES[0], ON_N1, &format!(r#"[30,"5"],[60,"{value}"]"#)),
                series(VOLUMES[1], ON_N1, r#"[60,"9"]"#),
            ]);
            assert_eq!((stats.used, stats.capacity, stats.at), (None, Some(9), Some(60_000)), "{value}");
        }
    }

    /// The nanocores and the window of `prod/web`.
    fn rate(all: &[String]) -> (Option<u64>, u32) {
        let found = cpu(&json(all), &scope(None)).unwrap().found;
        let rate = found[&Key::new("prod", "web")];
        (rate.nanos, rate.window_ms)
    }

    #[test]
    fn cpu_is_what_the_newer_host_saw_rounded_up() {
        let on = |node: &str, samples| series("c", &format!(r#""name":"web","node":"{node}""#), samples);
        let old = on("n1", r#"[30,"1"],[40,"9"]"#);
        assert_eq!(rate(&[on("n2", r#"[40,"1"],[50,"3"]"#), old.clone()]), (Some(200_000_000), 10_000));
        assert_eq!(rate(&[old.clone(), on("n2", r#"[0,"0"],[60,"0.00000001"]"#)]), (Some(1), 60_000));
        assert_eq!(rate(&[old, on("n2", r#"[50,"3"]"#)]), (None, 0), "too new to tell");
        assert_eq!(rate(&[on("n1", r#"[1,"0"],[2,"1e12"]"#)]), (None, 1000));
    }

    #[test]
    fn other_namespaces_and_nameless_series_are_left_out() {
        let all = [
            series(VOLUMES[0], ON_N1, r#"[60,"1"]"#),
            series(VOLUMES[0], r#""persistentvolumeclaim":"""#, r#"[60,"1"]"#),
            series("kubelet_volume_stats_inodes_used", ON_N1, r#"[60,"1"]"#),
            series(VOLUMES[0], r#""persistentvolumeclaim":"y","exported_namespace":"dev""#, r#"[60,"1"]"#),
            series(VOLUMES[0], r#""persistentvolumeclaim":"x","exported_namespace":"dev""#, r#"[60,"1"]"#)
                .replace(r#""namespace":"prod""#, r#""namespace":"kubevirt""#),
        ];
        let claims = |ours: Option<&[String]>| {
            let part = volumes(families(&all, VOLUMES, ours));
            assert_eq!(part.foreign, Foreign::from([("prod".into(), 1)]), "prod speaks of dev");
            let mut found: Vec<_> = part.found.into_iter().map(|v| v.of).collect();
            found.sort_by_key(|of| format!("{of:?}"));
            found
        };
        let claim = |namespace, name| VolumeRef::Claim(Key::new(namespace, name));
        assert_eq!(claims(None), [claim("dev", "x"), claim("prod", "root")]);
        assert_eq!(claims(Some(&["dev".into()])), [claim("dev", "x")]);
    }

    #[test]
    fn memory_and_cpu_of_an_instance_meet() {
        let on = r#""name":"web","node":"n1""#;
        let all = [
            series(MEMORY[0], on, r#"[60,"300"]"#),
            series(MEMORY[1], on, r#"[60,"1000"]"#),
            series(MEMORY[2], on, r#"[60,"600"]"#),
        ];
        let part = newest(families(&all, MEMORY, None));
        assert_eq!(part.remarks, ["one store is away"; 3]);
        let web = Key::new("prod", "web");
        let rate = |at, nanos| Rate { at, nanos: Some(nanos), window_ms: 30_000, trusted_time: false };
        let cpu = Cpu::from([(web, rate(60_000, 5)), (Key::new("prod", "idle"), rate(91_000, 0))]);
        let mut samples = instances(part.found, cpu);
        samples.sort_by(|a, b| a.name.cmp(&b.name));
        let [idle, web] = samples.as_slice() else { panic!("{samples:?}") };
        assert_eq!((idle.cpu_nanocores, idle.memory_bytes, idle.at), (Some(0), None, 91_000));
        assert_eq!((web.cpu_nanocores, web.cpu_window_ms, web.at), (Some(5), 30_000, 60_000));
        assert_eq!(
            (web.memory_bytes, web.guest_available, web.guest_usable),
            (Some(300), Some(1000), Some(600))
        );
    }

    /// thanos-io/thanos#1617: two Prometheus servers scrape the same targets, and a label that is not
    /// deduplicated tells their series apart.
    #[test]
    fn of_two_replicas_each_amount_is_the_newest() {
        let replica = |n: u8| format!(r#"{ON_N1},"prometheus_replica":"prometheus-k8s-{n}""#);
        let stats = of_claim(&[
            series(VOLUMES[0], &replica(0), r#"[30,"5"],[60,"6"]"#),
            series(VOLUMES[0], &replica(1), r#"[15,"4"],[45,"5"]"#),
            series(VOLUMES[1], &replica(1), r#"[45,"9"]"#),
        ]);
        assert_eq!((stats.used, stats.capacity, stats.at), (Some(6), Some(9), Some(60_000)));
        let on = |n: u8, samples| {
            series("c", &format!(r#""name":"web","node":"n1","prometheus_replica":"r-{n}""#), samples)
        };
        let both = [on(0, r#"[30,"1"],[60,"4"]"#), on(1, r#"[15,"0"],[45,"2"]"#)];
        assert_eq!(rate(&both), (Some(100_000_000), 30_000), "never twice");
    }

    /// Only their times are used to check a clock: others may report any time.
    #[test]
    fn samples_of_trusted_exporters_tell_a_clock() {
        let moved = |exporter: &str| {
            let labels = format!(r#"{ON_N1},"name":"web","exported_namespace":"{exporter}""#);
            let own = series(VOLUMES[0], &labels, r#"[30,"1"],[60,"2"]"#);
            [own.replacen(r#""namespace":"prod""#, r#""namespace":"kubevirt""#, 1)]
        };
        let honoured = [series(VOLUMES[0], &format!(r#"{ON_N1},"name":"web""#), r#"[30,"1"],[60,"2"]"#)];
        let trusted_time = |all: &[String]| {
            let rates = cpu(&json(all), &scope(None)).unwrap().found;
            (of_claim(all).trusted_time, instances(Memory::new(), rates)[0].trusted_time)
        };
        assert_eq!((trusted_time(&moved("prod")), trusted_time(&honoured)), ((true, true), (false, false)));
    }

    /// A malicious server could send this, or a tenant whose exporters are scraped.
    #[test]
    fn names_that_take_megabytes_are_left_out_and_counted() {
        const SERIES: usize = 3 * MOST_TEXT / 500;
        let name = |n: usize| format!("{n:0>240}");
        let labels = |n: usize| {
            let name = name(n);
            format!(r#""persistentvolumeclaim":"{name}","name":"{name}","instance":"{name}","node":"n1""#)
        };
        let all: Vec<String> =
            (0..SERIES).map(|n| series(VOLUMES[0], &labels(n), r#"[30,"1"],[60,"1"]"#)).collect();
        let claims = of_claims(&json(&all)).unwrap();
        let texts: usize = claims.found.keys().map(|(key, target)| key.name.len() + target.len()).sum();
        assert!(texts <= MOST_TEXT && texts > MOST_TEXT / 2, "{texts}");
        assert_eq!(claims.found.len() + claims.left_out, SERIES);
        // Answers for other metrics do not increase it.
        let others: Vec<String> =
            (SERIES..2 * SERIES).map(|n| series(VOLUMES[1], &labels(n), r#"[30,"1"],[60,"1"]"#)).collect();
        let part = |n, all: &[String]| scrapes::<4>(&json(all), n, &scope(None), NameLabel::Claim).unwrap();
        let both = merged([part(0, &all), part(1, &others)].into_iter());
        let texts: usize = both.found.keys().map(text_bytes).sum();
        assert!(texts <= MOST_TEXT, "{texts}");
        assert_eq!(both.found.len() + both.left_out, 2 * SERIES);
        let rates = cpu(&json(&all), &scope(None)).unwrap();
        let texts: usize = rates.found.keys().map(|key| key.name.len()).sum();
        assert!(texts <= MOST_TEXT && texts > MOST_TEXT / 2, "{texts}");
        assert_eq!(rates.found.len() + rates.left_out, SERIES);
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for answer in ["", "{}", r#"{"status":"error","error":"x"}"#, r#"{"data":{"result":[{"metric""#] {
            assert!(of_claims(answer.as_bytes()).is_none(), "{answer}");
            assert!(cpu(answer.as_bytes(), &scope(None)).is_none(), "{answer}");
        }
        assert!(of_claims(&json(&[])).unwrap().found.is_empty());
    }

    /// Answers are decoded as a whole, on another thread than those that wait.
    /// `cargo test --release -p collector ten_thousand_claims -- --nocapture` prints how long that takes.
    #[test]
    fn the_answer_for_ten_thousand_claims_is_decoded_in_time() {
        const CLAIMS: usize = 10_000;
        // 3 minutes of scrapes at 15 s.
        let samples: Vec<String> =
            (0..12).map(|n| format!(r#"[{},"{}"]"#, 1_700_000_000 + n * 15, 5_000_000_000u64 + n)).collect();
        let samples = samples.join(",");
        let labels = |n: usize| {
            format!(
                r#""job":"kubelet","endpoint":"https-metrics","metrics_path":"/metrics","persistentvolumeclaim":"claim-{n}","instance":"10.0.0.{}:10250","node":"node-{}""#,
                n % 250,
                n % 500
            )
        };
        let of_metric =
            |metric| json(&(0..CLAIMS).map(|n| series(metric, &labels(n), &samples)).collect::<Vec<_>>());
        let answers = VOLUMES.map(of_metric);
        let begun = std::time::Instant::now();
        let parts = answers.iter().enumerate();
        let parts = parts.map(|(n, answer)| scrapes(answer, n, &scope(None), NameLabel::Claim).unwrap());
        let found = volumes(merged(parts)).found;
        let took = begun.elapsed();
        let bytes: usize = answers.iter().map(Vec::len).sum();
        eprintln!("{} MB of {CLAIMS} claims decoded in {took:?}", bytes >> 20);
        assert_eq!(found.len(), CLAIMS);
    }

    #[test]
    fn there_is_an_end_to_what_one_answer_tells_of() {
        let many = |label: &str, metric: &str, count: usize| {
            let of = |n: usize| series(metric, &format!(r#""{label}":"c{n}""#), r#"[1,"5"],[2,"6"]"#);
            json(&(0..count).map(of).collect::<Vec<_>>())
        };
        let answer = many("persistentvolumeclaim", VOLUMES[0], MOST_THINGS + 7);
        let part = of_claims(&answer).unwrap();
        assert_eq!((part.found.len(), part.left_out), (MOST_THINGS, 7));
        let part = cpu(&many("name", "kubevirt_vmi_cpu_usage_seconds_total", MOST_THINGS + 7), &scope(None))
            .unwrap();
        assert_eq!((part.found.len(), part.left_out), (MOST_THINGS, 7));
        let long = "x".repeat(300);
        let odd = [
            format!(r#""persistentvolumeclaim":"{long}""#),
            r#""persistentvolumeclaim":"a\u202eb""#.to_owned(),
        ];
        let odd = odd.map(|labels| series(VOLUMES[0], &labels, r#"[1,"5"]"#));
        assert!(of_claims(&json(&odd)).unwrap().found.is_empty(), "no such claim can be");
    }

    #[test]
    fn remarks_are_few_and_can_be_read() {
        let remark = format!("\\u001b[31m{}", "x".repeat(300));
        let remarks = vec![format!(r#""{remark}""#); 5000].join(",");
        let answer = format!(r#"{{"data":{{"result":[]}},"warnings":[{remarks}]}}"#);
        let part = of_claims(answer.as_bytes()).unwrap();
        assert_eq!(part.remarks.len(), REMARKS);
        assert!(part.remarks[0].starts_with("\u{fffd}[31mxxx") && part.remarks[0].chars().count() == REMARK);
        let endless = format!(r#"{{"data":{{"result":[{}0]}}}}"#, "0,".repeat(1 << 19));
        assert!(of_claims(endless.as_bytes()).is_none(), "each would take eight times its bytes");
    }
}
