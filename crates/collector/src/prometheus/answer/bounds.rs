//! Holds merged answers to the bounds of one. Each answer fits by itself, but together they may be of more
//! things. What trusted exporters report comes first. Of the others, the namespace with the most is left out as
//! a whole: with only some of its figures a thing would be judged wrongly.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::AddAssign,
};

use super::{Cpu, Guests, MOST_TEXT, MOST_THINGS, Part, Scrapes, text_bytes};

/// How many namespaces are left out by name. With more, all that are not trusted are left out.
const MOST_CROWDING: usize = 16;

/// What one thing takes of the bounds.
pub struct Entry<'a> {
    namespace: &'a str,
    text: usize,
    is_trusted: bool,
}

/// Results that are held to bounds.
pub trait Bounded {
    fn retain_entries(&mut self, keep: impl FnMut(Entry<'_>) -> bool);
}

impl<const N: usize> Bounded for Scrapes<N> {
    fn retain_entries(&mut self, mut keep: impl FnMut(Entry<'_>) -> bool) {
        self.retain(|target, scrape| {
            let text = text_bytes(target) + scrape.node.len();
            keep(Entry { namespace: &target.0.namespace, text, is_trusted: scrape.has_trusted })
        });
    }
}

impl Bounded for Cpu {
    fn retain_entries(&mut self, mut keep: impl FnMut(Entry<'_>) -> bool) {
        self.retain(|key, rate| {
            let text = key.namespace.len() + key.name.len();
            keep(Entry { namespace: &key.namespace, text, is_trusted: rate.trusted_time })
        });
    }
}

impl Bounded for Guests {
    fn retain_entries(&mut self, mut keep: impl FnMut(Entry<'_>) -> bool) {
        self.by_guest.retain(|(key, node), grown| {
            let text = key.namespace.len() + key.name.len() + node.len();
            keep(Entry { namespace: &key.namespace, text, is_trusted: grown.has_trusted })
        });
    }
}

#[derive(Clone, Copy, Default)]
struct Weight {
    things: usize,
    text: usize,
}

impl Weight {
    fn fits(self) -> bool {
        self.things <= MOST_THINGS && self.text <= MOST_TEXT
    }
}

impl AddAssign for Weight {
    fn add_assign(&mut self, other: Self) {
        self.things += other.things;
        self.text += other.text;
    }
}

/// The things of a result by who reports them. Exporters that are not trusted report only on their own namespace.
#[derive(Default)]
struct Weights {
    trusted: Weight,
    others: BTreeMap<String, Weight>,
}

impl Weights {
    fn of(found: &mut impl Bounded) -> Self {
        let mut weights = Self::default();
        found.retain_entries(|entry| {
            let weight = Weight { things: 1, text: entry.text };
            if entry.is_trusted {
                weights.trusted += weight;
            } else if let Some(known) = weights.others.get_mut(entry.namespace) {
                *known += weight;
            } else {
                weights.others.insert(entry.namespace.to_owned(), weight);
            }
            true
        });
        weights
    }

    fn total(&self) -> Weight {
        let mut total = self.trusted;
        self.others.values().for_each(|weight| total += *weight);
        total
    }

    /// Adds to `crowding` the namespaces without which the others fit; `first` before all others. A namespace
    /// that is alone takes room from nobody.
    fn find_crowding(mut self, crowding: &mut BTreeSet<String>, first: Option<&str>) {
        let mut total = self.total();
        while !total.fits() && !self.others.is_empty() {
            if self.trusted.things == 0 && self.others.len() == 1 {
                return;
            }
            if crowding.len() >= MOST_CROWDING {
                crowding.insert(String::new());
                return;
            }
            let takes = |weight: &Weight| match total.things > MOST_THINGS {
                true => (weight.things, weight.text),
                false => (weight.text, weight.things),
            };
            let heaviest = || self.others.iter().max_by_key(|(_, weight)| takes(weight));
            let first = first.and_then(|first| self.others.get_key_value(first));
            let Some(namespace) = first.or_else(heaviest).map(|(namespace, _)| namespace.clone()) else {
                return;
            };
            self.others.remove(&namespace);
            tracing::debug!(
                namespace,
                "too many claims or instances in Prometheus answers, leaving out this namespace"
            );
            crowding.insert(namespace);
            total = self.total();
        }
    }
}

impl<T: Bounded> Part<T> {
    /// Leaves out what does not fit. If the namespace `first` is part of it, it goes before others.
    pub(super) fn fit(&mut self, first: Option<&str>) {
        self.leave_out_crowding();
        let weights = Weights::of(&mut self.found);
        if weights.total().fits() {
            return;
        }
        weights.find_crowding(&mut self.crowding, first);
        self.leave_out_crowding();
        let mut taken = Weight::default();
        let left_out = &mut self.left_out;
        self.found.retain_entries(|entry| {
            taken += Weight { things: 1, text: entry.text };
            *left_out += usize::from(!taken.fits());
            taken.fits()
        });
    }

    fn leave_out_crowding(&mut self) {
        let crowding = &self.crowding;
        if !crowding.is_empty() {
            let is_crowding = |namespace: &str| crowding.contains(namespace) || crowding.contains("");
            self.found.retain_entries(|entry| entry.is_trusted || !is_crowding(entry.namespace));
        }
    }
}
