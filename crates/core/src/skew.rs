//! Measures how far the clocks of other machines are off from this program's clock. `apply` adds samples,
//! `health` shows the result, and `state` corrects sample times with it.
//!
//! A new sample of a live source was measured just now. So a lasting difference between the sample's time and
//! the time of receipt is the difference between the two clocks.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use hashbrown::HashMap;

use i18n::{msg, span};
use model::{Millis, message::Message, source::SourceId};

/// Samples of one clock that count: the newest ones.
const SAMPLES: usize = 20;
/// Samples of a clock that are needed for a statement about it.
const FEWEST: usize = 3;
/// Milliseconds up to which a difference is not a skew: a sample is some seconds old when it is received.
const LEAST: Millis = 60_000;
/// Milliseconds within which clocks that are off by the same amount agree with each other.
const ALIKE: Millis = 30_000;
/// Clocks that are kept in all: more than a cluster has nodes.
const MOST_CLOCKS: usize = 10_000;
/// Nodes that are named in a warning.
const NAMED: usize = 3;

/// The machine whose clock a source shows: a node, or the source's own server (empty).
type Machine = Box<str>;

#[derive(Debug, Default)]
pub(super) struct Skews {
    clocks: BTreeMap<(SourceId, Machine), Offsets>,
    /// The clocks that are off, and by how much: looked up for every figure of every join.
    skewed: HashMap<SourceId, HashMap<Machine, Millis>>,
    /// How often `skewed` changed.
    changes: u64,
}

/// How far ahead the newest samples of one clock were, in milliseconds; negative if behind.
#[derive(Debug, Default)]
struct Offsets {
    newest: VecDeque<Millis>,
    /// The median of `newest`, which a few odd samples do not move.
    median: Millis,
    /// The interval of the source: samples can be that old.
    interval: Millis,
    updated: Millis,
}

impl Offsets {
    fn add(&mut self, offset: Millis, interval: Millis, now: Millis) {
        if self.newest.len() == SAMPLES {
            self.newest.pop_front();
        }
        self.newest.push_back(offset);
        let mut sorted: Vec<Millis> = self.newest.iter().copied().collect();
        sorted.sort_unstable();
        (self.median, self.interval, self.updated) = (sorted[sorted.len() / 2], interval, now);
    }

    fn is_known(&self) -> bool {
        self.newest.len() >= FEWEST
    }

    /// Returns how far the clock is off, or `None` if the clocks agree as far as samples can tell.
    fn skew(&self) -> Option<Millis> {
        let least = LEAST.max(self.interval.saturating_mul(2));
        Some(self.median).filter(|skew| self.is_known() && skew.saturating_abs() > least)
    }
}

impl Skews {
    /// Adds the time of a sample that was just received from a live source; `wall` is the time of receipt by
    /// this program's wall clock.
    pub fn add(&mut self, source: SourceId, machine: &str, at: Millis, wall: Millis, interval: Millis) {
        let key = (source, Machine::from(machine));
        if self.clocks.len() == MOST_CLOCKS && !self.clocks.contains_key(&key) {
            return;
        }
        let offsets = self.clocks.entry(key).or_default();
        offsets.add(at.saturating_sub(wall), interval, wall);
        match offsets.skew() {
            Some(skew) => {
                let before = self.skewed.entry(source).or_default().insert(machine.into(), skew);
                self.changes += u64::from(before != Some(skew));
            }
            None => {
                let before = self.skewed.get_mut(&source).and_then(|skewed| skewed.remove(machine));
                self.changes += u64::from(before.is_some());
            }
        }
    }

    /// Returns by how much the clock is ahead of this program's, if that is more than samples can differ by.
    pub fn of(&self, source: SourceId, machine: &str) -> Option<Millis> {
        self.skewed.get(&source)?.get(machine).copied()
    }

    /// Returns how often what [`Self::of`] returns changed.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Drops clocks that were not updated since `before`.
    pub fn forget(&mut self, before: Millis) {
        let Self { clocks, skewed, changes } = self;
        clocks.retain(|(source, machine), offsets| {
            let kept = offsets.updated >= before;
            if !kept && let Some(skewed) = skewed.get_mut(source) {
                *changes += u64::from(skewed.remove(machine).is_some());
            }
            kept
        });
    }

    /// Returns by how much all clocks are ahead of this program's, if they agree with each other: then this
    /// program's clock is off.
    pub fn own(&self) -> Option<Millis> {
        let known = || self.clocks.values().filter(|offsets| offsets.is_known());
        let mut sorted: Vec<Millis> = known().map(|offsets| offsets.median).collect();
        sorted.sort_unstable();
        let middle = *sorted.get(sorted.len() / 2).filter(|_| sorted.len() > 1)?;
        let agrees = |offsets: &Offsets| {
            let apart = offsets.median.saturating_sub(middle).saturating_abs();
            apart <= ALIKE.max(offsets.interval)
        };
        let any_skewed = known().any(|offsets| offsets.skew().is_some());
        (any_skewed && known().all(agrees)).then_some(middle)
    }

    /// Returns one sentence for each of the source's clocks that is off.
    pub fn describe(&self, source: SourceId) -> Vec<Message> {
        let mut skewed: Vec<_> = self.skewed.get(&source).into_iter().flatten().collect();
        skewed.sort_unstable();
        let mut warnings: Vec<Message> =
            skewed.into_iter().map(|(machine, skew)| describe(source, machine, *skew)).collect();
        if warnings.len() > NAMED {
            let more = warnings.len() - NAMED;
            warnings.truncate(NAMED);
            warnings.push(msg!(clock.more, count = more.to_string()));
        }
        warnings
    }
}

fn describe(source: SourceId, machine: &str, skew: Millis) -> Message {
    let by = duration(skew);
    match (machine.is_empty(), skew > 0) {
        (false, true) => msg!(clock.node_ahead, node = machine, by = by),
        (false, false) => msg!(clock.node_behind, node = machine, by = by),
        (true, true) => msg!(clock.peer_ahead, source = source.code(), by = by),
        (true, false) => msg!(clock.peer_behind, source = source.code(), by = by),
    }
}

/// Returns the warning for this program's own clock, which all others are ahead of by `skew`.
pub(super) fn describe_own(skew: Millis) -> Message {
    let by = duration(skew);
    if skew > 0 { msg!(clock.own_behind, by = by) } else { msg!(clock.own_ahead, by = by) }
}

/// Returns a duration in whole minutes.
fn duration(skew: Millis) -> Message {
    let minutes = skew.unsigned_abs().saturating_add(30_000) / 60_000;
    span(Duration::from_secs(minutes.saturating_mul(60)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use i18n::Render;

    const SECOND: Millis = 1_000;
    const MINUTE: Millis = 60 * SECOND;
    const HOUR: Millis = 60 * MINUTE;
    const NOW: Millis = 1_800_000_000_000;

    /// Samples of clocks that are ahead by the given amounts, each as old as it may be.
    fn skews(clocks: &[(SourceId, &str, Millis)]) -> Skews {
        let mut skews = Skews::default();
        for n in 0..30 {
            for (source, machine, skew) in clocks {
                let (now, lag) = (NOW + n * 15 * SECOND, n % 3 * 5 * SECOND);
                skews.add(*source, machine, now + skew - lag, now, 15 * SECOND);
            }
        }
        skews
    }

    fn said(skews: &Skews, source: SourceId) -> String {
        Message::List(skews.describe(source)).english()
    }

    #[test]
    fn the_node_whose_clock_is_off_is_named_and_no_other() {
        let names: Vec<String> = (0..10).map(|n| format!("n{n}")).collect();
        let clock = |name| (SourceId::PodMetrics, name, if name == "n3" { -7 * MINUTE } else { 0 });
        let clocks: Vec<_> = names.iter().map(|name| clock(name.as_str())).collect();
        let skews = skews(&clocks);
        assert_eq!(skews.own(), None);
        let words = said(&skews, SourceId::PodMetrics);
        assert!(words.contains("n3") && words.contains("7 min") && !words.contains("n4"), "{words}");
        assert_eq!(skews.of(SourceId::PodMetrics, "n3"), Some(-7 * MINUTE - 5 * SECOND));
        assert_eq!((skews.of(SourceId::PodMetrics, "n4"), skews.of(SourceId::Kubelet, "n3")), (None, None));
        assert_eq!(said(&skews, SourceId::Kubelet), "");
    }

    #[test]
    fn where_all_clocks_agree_it_is_this_programs_that_is_off() {
        let all = [
            (SourceId::PodMetrics, "n1", -HOUR),
            (SourceId::PodMetrics, "", -HOUR),
            (SourceId::Prometheus, "", -HOUR),
        ];
        let skews = skews(&all);
        assert_eq!(skews.own(), Some(-HOUR - 5 * SECOND));
        let own = describe_own(-HOUR).english();
        assert!(own.contains("60 min") && own.contains("ahead"), "{own}");
    }

    #[test]
    fn nothing_is_said_too_early_or_of_a_lag() {
        let mut skews = skews(&[(SourceId::PodMetrics, "n1", -50 * SECOND)]);
        assert_eq!(skews.of(SourceId::PodMetrics, "n1"), None, "it may be that slow");
        for n in 0..2 {
            skews.add(SourceId::Prometheus, "", NOW - HOUR + n, NOW + n, 15 * SECOND);
        }
        assert_eq!(skews.of(SourceId::Prometheus, ""), None);
        for _ in 0..4 {
            skews.add(SourceId::Kubelet, "n1", Millis::MAX, NOW, MINUTE);
            skews.add(SourceId::Kubelet, "n2", Millis::MIN, NOW, MINUTE);
        }
        assert!(skews.of(SourceId::Kubelet, "n1") > Some(0) && skews.of(SourceId::Kubelet, "n2") < Some(0));
        said(&skews, SourceId::Kubelet);
    }

    #[test]
    fn more_than_three_nodes_are_counted() {
        let names: Vec<String> = (0..9).map(|n| format!("n{n}")).collect();
        let clocks: Vec<_> = names
            .iter()
            .map(|name| (SourceId::PodMetrics, name.as_str(), if name < &"n5".to_owned() { HOUR } else { 0 }))
            .collect();
        let words = said(&skews(&clocks), SourceId::PodMetrics);
        assert!(words.contains("n2") && !words.contains("n3") && words.contains('2'), "{words}");
    }
}
