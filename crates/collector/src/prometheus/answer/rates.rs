//! Decodes counters of CPU time into rates. If two hosts report on one instance, the newer sample counts.

use std::collections::HashMap;

use super::part::{ABSURD, MOST_TEXT, MOST_THINGS, Part, remarks, trusted_first};
use crate::{
    k8s::prometheus::{Answer, Series},
    prometheus::identity::{NameLabel, Scope},
};
use model::Millis;
use wukong_core::observation::Key;

/// The CPU rate of each instance.
pub type Cpu = HashMap<Key, Rate>;

/// Nanocores between the samples of one scrape target; `None` if there is only one sample.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    pub(super) at: Millis,
    pub(super) nanos: Option<u64>,
    pub(super) window_ms: u32,
    pub(super) trusted_time: bool,
}

/// Decodes the answer to the query of CPU counters into rates. `None` if it is no answer. If not everything
/// fits, the series of trusted exporters come first.
pub fn cpu(answer: &[u8], scope: &Scope) -> Option<Part<Cpu>> {
    let answer = Answer::parse(answer)?;
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
    /// Adds a rate if there is room; of each instance the newest is kept.
    fn add(&mut self, key: Key, rate: Rate) {
        match self.found.get(&key) {
            None if self.found.len() == MOST_THINGS => self.left_out += 1,
            _ => self.put(key, rate),
        }
    }

    fn put(&mut self, key: Key, rate: Rate) {
        if self.found.get(&key).is_none_or(|other| other.at < rate.at) {
            self.found.insert(key, rate);
        }
    }

    /// Merges another answer. Together they are held to the bounds of one.
    pub fn merge_rates(&mut self, other: Self) {
        self.merge_with(other, None);
    }

    /// Merges the answer for a namespace that takes no room from others.
    pub fn merge_rates_last(&mut self, other: Self, namespace: &str) {
        self.merge_with(other, Some(namespace));
    }

    fn merge_with(&mut self, other: Self, first_out: Option<&str>) {
        for (key, rate) in self.take_in(other) {
            self.put(key, rate);
        }
        self.fit(first_out);
    }
}

impl Rate {
    pub(super) fn of(series: &Series<'_>, trusted_time: bool) -> Option<Self> {
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
