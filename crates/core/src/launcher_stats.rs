//! Keeps what kubelets count of launcher pods, which show the traffic of their guests and the pressure on them.
//! `ClusterState` has it; `pod_stats` and `pressure` read it.

use hashbrown::{HashMap, hash_map::Entry};

use super::{
    objects::Objects,
    observation::{Key, KeyRef, PodFacts, PodStats},
    pod::Pod,
    rates::{TapRates, TapSample, TapTracker},
    receipt::Receipt,
};
use model::{Millis, pressure::Pressure};

/// The launcher pods of all kubelets. Only pods that exist are kept, so that no kubelet can fill the memory.
#[derive(Debug, Default)]
pub(super) struct LauncherStats(HashMap<Key, Box<LauncherPod>>);

/// What the kubelet of its node said last of one pod.
#[derive(Debug)]
pub(super) struct LauncherPod {
    uid: Box<str>,
    node: Box<str>,
    /// The answer that it is of, by the steady clock.
    reported: Millis,
    taps: Option<(TapTracker, Receipt)>,
    pub pressure: Pressure,
    pub pressure_receipt: Receipt,
}

impl LauncherStats {
    /// Takes the answer of a node's kubelet. It is believed about pods that are on this node. Samples that are
    /// farther apart than `longest` milliseconds have no rates.
    pub fn take(
        &mut self,
        (node, at): (&str, Millis),
        all: &[PodStats],
        pods: &Objects<PodFacts>,
        longest: Millis,
    ) {
        for stats in all {
            let pod = pods.get(&stats.pod).filter(|pod| pod.node_name == node);
            let Some(pod) = pod.filter(|pod| stats.uid.is_empty() || *stats.uid == *pod.uid) else {
                continue;
            };
            match self.0.entry(stats.pod.clone()) {
                Entry::Occupied(known) if known.get().is_of(pod) => known.into_mut().add(stats, at, longest),
                Entry::Occupied(mut other) => **other.get_mut() = LauncherPod::new(pod, stats, at),
                Entry::Vacant(new) => drop(new.insert(Box::new(LauncherPod::new(pod, stats, at)))),
            }
        }
    }

    /// Drops pods that are gone.
    pub fn retain(&mut self, exists: impl Fn(&Key) -> bool) {
        self.0.retain(|pod, _| exists(pod));
    }

    /// How many pods are kept.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns what is known of this very pod.
    pub fn get(&self, pod: &Pod) -> Option<&LauncherPod> {
        let known = self.0.get(&KeyRef(pod.namespace, pod.name))?;
        (*known.uid == *pod.uid && *known.node == *pod.node).then_some(known)
    }
}

impl LauncherPod {
    fn new(pod: &PodFacts, stats: &PodStats, at: Millis) -> Self {
        let taps = tap_sample(stats, at);
        Self {
            uid: pod.uid.as_str().into(),
            node: pod.node_name.as_str().into(),
            reported: at,
            taps: taps.map(|taps| (TapTracker::new(taps), Receipt::new(stats.taps_at, at))),
            pressure: stats.pressure,
            pressure_receipt: Receipt::new(stats.pressure_at, at),
        }
    }

    fn is_of(&self, pod: &PodFacts) -> bool {
        *self.uid == *pod.uid && *self.node == *pod.node_name
    }

    /// Takes the next answer. Of a pod that an answer has twice, the first counts.
    fn add(&mut self, stats: &PodStats, at: Millis, longest: Millis) {
        if self.reported == at {
            return;
        }
        self.reported = at;
        self.taps = tap_sample(stats, at).map(|sample| match self.taps {
            Some((mut tracker, receipt)) => {
                tracker.add(sample, longest);
                (tracker, receipt.next(stats.taps_at, at))
            }
            None => (TapTracker::new(sample), Receipt::new(stats.taps_at, at)),
        });
        self.pressure = stats.pressure;
        self.pressure_receipt = self.pressure_receipt.next(stats.pressure_at, at);
    }

    /// The traffic of its tap devices, if two samples of it are known.
    pub fn traffic(&self) -> Option<(TapRates, &Receipt)> {
        let (tracker, receipt) = self.taps.as_ref()?;
        Some((tracker.rates()?, receipt))
    }
}

fn tap_sample(stats: &PodStats, at: Millis) -> Option<TapSample> {
    Some(TapSample { at, measured: stats.taps_at, bytes: stats.taps? })
}
