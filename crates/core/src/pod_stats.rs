//! Keeps what kubelets count of launcher pods, which show the traffic of their guests and the pressure on them.
//! `ClusterState` has it; `activity` and `pressure` read it.

use hashbrown::{HashMap, hash_map::Entry};

use super::{
    MISSING_AFTER,
    dependencies::Dependencies,
    objects::Objects,
    observation::{At, Key, PodFacts, PodStats, SourceError, SummaryFacts},
    pods::Pod,
    rates::{TapRates, TapSample, TapTracker},
    receipt::{Age, Receipt},
    state::ClusterState,
    touched::Name,
};
use model::{
    Millis,
    activity::{Origin, Traffic},
    figure::Source,
    pressure::Pressure,
    source::SourceId,
};

/// The longest time in milliseconds until a kubelet measures a pod's devices and pressure again, however often it is
/// asked (`housekeepingInterval` of cAdvisor, with its jitter).
pub(super) const LONGEST_PERIOD: Millis = 30_000;

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
        let known = self.0.get(&At(pod.namespace, pod.name))?;
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
    fn traffic(&self) -> Option<(TapRates, &Receipt)> {
        let (tracker, receipt) = self.taps.as_ref()?;
        Some((tracker.rates()?, receipt))
    }
}

fn tap_sample(stats: &PodStats, at: Millis) -> Option<TapSample> {
    Some(TapSample { at, measured: stats.taps_at, bytes: stats.taps? })
}

impl ClusterState {
    /// Takes what an answer says of launcher pods.
    pub(super) fn apply_pod_stats(&mut self, node: &str, at: Millis, facts: Option<&SummaryFacts>) {
        let longest = self.limits.disk_interval.saturating_mul(MISSING_AFTER);
        let all = facts.map(|facts| &*facts.pods).unwrap_or_default();
        self.launcher_stats.take((node, at), all, &self.pods, longest);
    }

    /// Returns the traffic of a VM as the kubelet of its launcher pod counts it. `uncounted` is how many of its interfaces the kubelet cannot see.
    pub(super) fn kubelet_traffic(
        &self,
        pod: &Pod,
        uncounted: u32,
        dependencies: &Dependencies,
    ) -> Option<(Traffic, Origin)> {
        dependencies.note(Name::Node(pod.node));
        if !self.limits.asks(SourceId::Kubelet) || self.kubelet_error(pod).is_some_and(SourceError::is_denial)
        {
            return None;
        }
        let (TapRates { receive, transmit, window_ms }, receipt) = self.launcher_stats.get(pod)?.traffic()?;
        let (origin, expired) = self.kubelet_origin(pod, receipt, window_ms, dependencies);
        (!expired).then_some((Traffic { receive, transmit, uncounted }, origin))
    }

    /// Returns the origin of a figure of this pod's kubelet, and whether it has expired.
    pub(super) fn kubelet_origin(
        &self,
        pod: &Pod,
        receipt: &Receipt,
        window_ms: u32,
        dependencies: &Dependencies,
    ) -> (Origin, bool) {
        let Age { stale, expired } =
            dependencies.age_of(receipt, self.limits.disk_interval.max(LONGEST_PERIOD));
        let source = self.kubelets.get(pod.node).and_then(|kubelet| kubelet.source);
        let at = self.taken_at(receipt, SourceId::Kubelet, pod.node);
        (Origin { source: source.unwrap_or(Source::KubeletProxy), at, window_ms, stale }, expired)
    }

    /// Returns why the kubelet of this pod's node does not answer.
    pub(super) fn kubelet_error(&self, pod: &Pod) -> Option<&SourceError> {
        self.kubelets.get(pod.node)?.error.as_ref()
    }
}
