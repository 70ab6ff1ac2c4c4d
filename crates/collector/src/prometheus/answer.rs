//! Decodes series into facts. If two scrape targets report on one thing, such as a claim that moved to
//! another kubelet, the newer one counts as a whole: used bytes of one kubelet are never combined with the
//! capacity of another.

mod bounds;
mod guests;
mod part;
mod rates;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, btree_map::Entry};

pub use self::{
    guests::{Guests, guests},
    part::{MOST_THINGS, Part},
    rates::{Cpu, cpu},
};
use self::{
    part::{ABSURD, MOST_TEXT, remarks, trusted_first},
    rates::Rate,
};
use super::identity::{Foreign, NameLabel, Scope};
use crate::k8s::prometheus::{Answer, Series};
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
/// The maximum number of scrape targets that report on one claim or instance: a VM that migrates has two.
const MOST_TARGETS: usize = 16;

/// The memory metrics of each instance.
pub type Memory = HashMap<Key, Scrape<3>>;
/// Scrapes by thing and scrape target.
pub type Scrapes<const N: usize> = BTreeMap<(Key, String), Scrape<N>>;

/// What one scrape target reports on one thing: the amounts of the requested metrics, in their order.
#[derive(Clone, Debug)]
pub struct Scrape<const N: usize> {
    at: Millis,
    samples: [Option<(Millis, Option<u64>)>; N],
    node: Box<str>,
    /// Whether all its exporters are trusted.
    trusted_time: bool,
    /// Whether one of its exporters is trusted.
    has_trusted: bool,
}

/// Decodes the answer to a query of the `n`-th metric of a family. If not everything fits, the series of
/// trusted exporters come first.
pub fn scrapes<const N: usize>(
    answer: &[u8],
    n: usize,
    scope: &Scope,
    label: NameLabel,
) -> Option<Part<Scrapes<N>>> {
    let answer = Answer::parse(answer)?;
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
            } else if found.contains_key(&target)
                || found.len() < MOST_THINGS && targets_of(&found, &target.0) < MOST_TARGETS
            {
                let (node, trusted_time) =
                    (scope.node(&series.metric), scope.trusts(&series.metric.namespace));
                let scrape = found.entry(target).or_insert_with(|| Scrape::new(node, trusted_time));
                scrape.trusted_time &= trusted_time;
                scrape.has_trusted |= trusted_time;
                scrape.add(n, last);
            } else {
                left_out += 1;
            }
        }
    }
    Part { found, left_out, foreign, ..Part::default() }
}

/// How many scrape targets report on the thing.
fn targets_of<const N: usize>(found: &Scrapes<N>, key: &Key) -> usize {
    let from = (key.clone(), String::new());
    found.range(from..).take_while(|((known, _), _)| known == key).count()
}

fn text_bytes((key, target): &(Key, String)) -> usize {
    key.namespace.len() + key.name.len() + target.len()
}

impl<const N: usize> Part<Scrapes<N>> {
    /// Merges the answer for another metric of the family. Together they are held to the bounds of one.
    pub fn merge_scrapes(&mut self, other: Self) {
        self.merge_with(other, None);
    }

    /// Merges the answer for a namespace that takes no room from others.
    pub fn merge_last(&mut self, other: Self, namespace: &str) {
        self.merge_with(other, Some(namespace));
    }

    fn merge_with(&mut self, other: Self, first_out: Option<&str>) {
        for (target, scrape) in self.take_in(other) {
            match self.found.entry(target) {
                Entry::Vacant(place) => drop(place.insert(scrape)),
                Entry::Occupied(mut known) => known.get_mut().take_in(scrape),
            }
        }
        self.fit(first_out);
    }
}

/// Keeps the newest scrape of each thing.
pub fn newest<const N: usize>(all: Part<Scrapes<N>>) -> Part<HashMap<Key, Scrape<N>>> {
    let mut chosen: HashMap<Key, Scrape<N>> = HashMap::new();
    let Part { found, remarks, left_out, foreign, crowding } = all;
    for ((key, _), scrape) in found {
        if chosen.get(&key).is_none_or(|other| other.at < scrape.at) {
            chosen.insert(key, scrape);
        }
    }
    Part { found: chosen, remarks, left_out, foreign, crowding }
}

/// The newest figures of each volume.
pub fn volumes(all: Part<Scrapes<4>>) -> Part<Vec<VolumeStats>> {
    let Part { found, remarks, left_out, foreign, crowding } = newest(all);
    let volumes = found.into_iter().map(|(claim, scrape)| scrape.volume(claim));
    Part { found: volumes.collect(), remarks, left_out, foreign, crowding }
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

impl<const N: usize> Scrape<N> {
    fn new(node: &str, trusted_time: bool) -> Self {
        Self { at: 0, samples: [None; N], node: node.into(), trusted_time, has_trusted: trusted_time }
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
        self.has_trusted |= other.has_trusted;
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
