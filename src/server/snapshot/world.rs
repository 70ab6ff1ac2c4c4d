//! All that the sources have said so far. The writer alone owns it, so nothing here is locked.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{
    Limits,
    facts::{
        Change, ClaimFacts, InstanceFacts, Key, Named, Observation, PodFacts, PodMetricsFacts, SourceError,
        VmFacts, VolumeRef, VolumeStats, WukongFacts,
    },
    health::Track,
};
use crate::model::{Millis, source::SourceId, vm::Vm};

/// Objects of one kind, by namespace and name.
/// Boxed: the table of a map is up to twice as large as what is in it.
pub(super) type Objects<T> = HashMap<Key, Box<T>>;

/// A sample and when this very sample was first received: a source whose clock runs ahead, or that repeats
/// itself, still ages.
#[derive(Debug)]
pub(super) struct Received<T> {
    pub facts: T,
    pub first_seen: Millis,
}

/// What is known of one node's kubelet.
#[derive(Debug, Default)]
pub(super) struct NodeVolumes {
    pub stats: Vec<VolumeStats>,
    pub answered: Option<Millis>,
    pub error: Option<SourceError>,
}

/// See the module.
#[derive(Debug)]
pub struct World {
    pub(super) limits: Limits,
    pub(super) wukongs: Objects<WukongFacts>,
    pub(super) vms: Objects<VmFacts>,
    pub(super) instances: Objects<InstanceFacts>,
    pub(super) pods: Objects<PodFacts>,
    pub(super) claims: Objects<ClaimFacts>,
    pub(super) metrics: Objects<Received<PodMetricsFacts>>,
    pub(super) kubelets: HashMap<String, NodeVolumes>,
    /// Each source's record, by namespace where it is asked by namespace.
    pub(super) tracks: BTreeMap<(SourceId, Option<String>), Track>,
    pub(super) seq: u64,
    /// The VMs of the last snapshot, in its order.
    pub(super) last: Vec<Arc<Vm>>,
}

/// Samples of pods that are gone are dropped after this many intervals: their last value has no reader any more.
const FORGET_AFTER: Millis = 240;

impl World {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            wukongs: Objects::new(),
            vms: Objects::new(),
            instances: Objects::new(),
            pods: Objects::new(),
            claims: Objects::new(),
            metrics: Objects::new(),
            kubelets: HashMap::new(),
            tracks: BTreeMap::new(),
            seq: 0,
            last: Vec::new(),
        }
    }

    /// Takes in what a source said.
    pub fn apply(&mut self, observation: Observation) {
        match observation {
            Observation::Wukongs(change) => {
                change_in(&mut self.wukongs, &mut self.tracks, SourceId::Wukongs, change)
            }
            Observation::VirtualMachines(change) => {
                change_in(&mut self.vms, &mut self.tracks, SourceId::VirtualMachines, change);
            }
            Observation::Instances(change) => {
                change_in(&mut self.instances, &mut self.tracks, SourceId::Instances, change);
            }
            Observation::Pods(change) => change_in(&mut self.pods, &mut self.tracks, SourceId::Pods, change),
            Observation::Claims(change) => {
                change_in(&mut self.claims, &mut self.tracks, SourceId::Claims, change)
            }
            Observation::WatchAlive { source, namespace, at } => self.track(source, namespace).alive(at),
            Observation::WatchFailed { source, namespace, error } => {
                self.watch_failed(source, namespace, error)
            }
            Observation::PodMetrics { namespace, at, result } => self.pod_metrics(namespace, at, result),
            Observation::Summary { node, at, result } => self.summary(node, at, result),
        }
    }

    fn track(&mut self, source: SourceId, namespace: Option<String>) -> &mut Track {
        self.tracks.entry((source, namespace)).or_default()
    }

    /// An API that is not installed has no objects; any other failure leaves what was known last.
    fn watch_failed(&mut self, source: SourceId, namespace: Option<String>, error: SourceError) {
        if error.reason == crate::model::reason::Reason::ApiAbsent {
            self.forget(source, namespace.as_deref());
        }
        self.track(source, namespace).failed(error);
    }

    fn forget(&mut self, source: SourceId, namespace: Option<&str>) {
        match source {
            SourceId::Wukongs => clear(&mut self.wukongs, namespace),
            SourceId::VirtualMachines => clear(&mut self.vms, namespace),
            SourceId::Instances => clear(&mut self.instances, namespace),
            SourceId::Pods => clear(&mut self.pods, namespace),
            SourceId::Claims => clear(&mut self.claims, namespace),
            SourceId::PodMetrics | SourceId::Kubelet => {}
        }
    }

    fn pod_metrics(
        &mut self,
        namespace: Option<String>,
        at: Millis,
        result: Result<Vec<PodMetricsFacts>, SourceError>,
    ) {
        let items = match result {
            Ok(items) => items,
            Err(error) => return self.track(SourceId::PodMetrics, namespace).failed(error),
        };
        for facts in items {
            self.sampled(facts, at);
        }
        let forget_before = at - FORGET_AFTER * self.limits.metrics_interval;
        self.metrics.retain(|_, received| received.first_seen >= forget_before);
        self.track(SourceId::PodMetrics, namespace).succeeded(at);
    }

    fn sampled(&mut self, facts: PodMetricsFacts, now: Millis) {
        let key = facts.key();
        let first_seen = match self.metrics.get(&key) {
            Some(old) if old.facts.at == facts.at => old.first_seen,
            _ => now,
        };
        self.metrics.insert(key, Box::new(Received { facts, first_seen }));
    }

    fn summary(&mut self, node: String, at: Millis, result: Result<Vec<VolumeStats>, SourceError>) {
        let kubelet = self.kubelets.entry(node).or_default();
        match result {
            Ok(stats) => {
                let stats = stats.into_iter().filter_map(|stats| of_a_claim(stats, &self.pods)).collect();
                *kubelet = NodeVolumes { stats, answered: Some(at), error: None };
            }
            Err(error) => kubelet.error = Some(error),
        }
    }
}

/// Names the claim of a pod's volume, and drops a volume that is none: half of what a launcher mounts. What is told
/// of a pod that is not known yet is kept as it is.
fn of_a_claim(mut stats: VolumeStats, pods: &Objects<PodFacts>) -> Option<VolumeStats> {
    if let VolumeRef::PodVolume { pod, volume } = &stats.of
        && let Some(facts) = pods.get(pod)
    {
        stats.of = VolumeRef::Claim(Key::new(&pod.namespace, facts.claim_of(volume)?));
    }
    Some(stats)
}

fn clear<T>(objects: &mut Objects<T>, namespace: Option<&str>) {
    match namespace {
        None => objects.clear(),
        Some(namespace) => objects.retain(|key, _| &*key.namespace != namespace),
    }
}

fn change_in<T: Named>(
    objects: &mut Objects<T>,
    tracks: &mut BTreeMap<(SourceId, Option<String>), Track>,
    source: SourceId,
    change: Change<T>,
) {
    match change {
        Change::Replaced { namespace, items, at } => {
            clear(objects, namespace.as_deref());
            objects.extend(items.into_iter().map(|item| (item.key(), Box::new(item))));
            tracks.entry((source, namespace)).or_default().succeeded(at);
        }
        Change::Applied { item, at } => {
            touch(tracks, source, item.namespace(), at);
            objects.insert(item.key(), Box::new(item));
        }
        Change::Deleted { key, at } => {
            touch(tracks, source, &key.namespace, at);
            objects.remove(&key);
        }
    }
}

/// An event proves its watch alive: the namespace's own, or else the cluster-wide one.
fn touch(
    tracks: &mut BTreeMap<(SourceId, Option<String>), Track>,
    source: SourceId,
    namespace: &str,
    at: Millis,
) {
    let own = (source, Some(namespace.to_owned()));
    let key = if tracks.contains_key(&own) { own } else { (source, None) };
    tracks.entry(key).or_default().succeeded(at);
}
