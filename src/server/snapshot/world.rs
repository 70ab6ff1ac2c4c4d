//! All that the sources have said so far. The writer alone owns it, so nothing here is locked.

use std::{collections::BTreeMap, sync::Arc};

use hashbrown::HashMap;

use super::{
    Limits,
    ahead::Ahead,
    facts::{
        At, Backend, Change, ClaimFacts, Filesystem, Image, ImageStats, InstanceFacts, InstanceSample,
        InstancetypeFacts, Key, LonghornFacts, Named, Observation, PersistentVolumeFacts, PodFacts,
        PodMetricsFacts, PrometheusFacts, SourceError, SummaryFacts, VmFacts, VolumeRef, VolumeStats,
        WukongFacts,
    },
    guest::GuestDisks,
    health::Track,
    kubelet::NodeVolumes,
    latency::Latencies,
};
use crate::model::{Millis, groups::Node, message::Message, source::SourceId, vm::Vm};

/// Objects of one kind, by namespace and name.
/// Boxed: the table of a map is up to twice as large as what is in it.
pub(super) type Objects<T> = HashMap<Key, Box<T>>;

/// A sample and when this very sample was first received: a source whose clock runs ahead, or that repeats
/// itself, still ages.
#[derive(Debug)]
pub(super) struct Received<T> {
    pub facts: T,
    pub first_seen: Millis,
    /// When it was last told.
    pub told: Millis,
}

/// The last round of queries that was answered.
#[derive(Debug, Default)]
pub(super) struct Queried {
    pub volumes: HashMap<Key, VolumeStats>,
    pub instances: HashMap<Key, InstanceSample>,
    pub warnings: Vec<Message>,
    pub answered: Option<Millis>,
    volumes_ahead: Ahead<Key>,
    instances_ahead: Ahead<Key>,
}

/// The last images that Ceph told of.
#[derive(Debug, Default)]
pub(super) struct Images {
    pub stats: HashMap<Image, ImageStats>,
    pub answered: Option<Millis>,
}

/// See the module.
#[derive(Debug)]
pub struct World {
    pub(super) limits: Limits,
    pub(super) wukongs: Objects<WukongFacts>,
    pub(super) vms: Objects<VmFacts>,
    pub(super) instances: Objects<InstanceFacts>,
    pub(super) cluster_instancetypes: Objects<InstancetypeFacts>,
    pub(super) instancetypes: Objects<InstancetypeFacts>,
    pub(super) pods: Objects<PodFacts>,
    pub(super) claims: Objects<ClaimFacts>,
    pub(super) metrics: Objects<Received<PodMetricsFacts>>,
    pub(super) kubelets: HashMap<String, NodeVolumes>,
    pub(super) persistent_volumes: Objects<PersistentVolumeFacts>,
    pub(super) longhorn: Objects<LonghornFacts>,
    pub(super) nodes: Objects<Node>,
    pub(super) guests: HashMap<Key, GuestDisks>,
    pub(super) prometheus: Queried,
    pub(super) ceph: Images,
    /// Each source's record, by namespace where it is asked by namespace.
    pub(super) tracks: BTreeMap<(SourceId, Option<String>), Track>,
    pub(super) latencies: BTreeMap<SourceId, Latencies>,
    pub(super) risks: BTreeMap<SourceId, Message>,
    pub(super) seq: u64,
    /// The VMs of the last snapshot, in its order.
    pub(super) last: Vec<Arc<Vm>>,
}

/// What is not told of any more (pods that are gone, nodes that hold no VM) is dropped after this many intervals: its
/// last value has no reader any more.
pub(super) const FORGET_AFTER: Millis = 240;
/// Samples of pods that are kept. Of more, those alone that the last answer told: pods that are gone leave theirs behind.
const MOST_SAMPLES: usize = 100_000;

impl World {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            wukongs: Objects::new(),
            vms: Objects::new(),
            instances: Objects::new(),
            cluster_instancetypes: Objects::new(),
            instancetypes: Objects::new(),
            pods: Objects::new(),
            claims: Objects::new(),
            metrics: Objects::new(),
            kubelets: HashMap::new(),
            persistent_volumes: Objects::new(),
            longhorn: Objects::new(),
            nodes: Objects::new(),
            guests: HashMap::new(),
            prometheus: Queried::default(),
            ceph: Images::default(),
            tracks: BTreeMap::new(),
            latencies: BTreeMap::new(),
            risks: BTreeMap::new(),
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
                let changed = match &change {
                    Change::Applied { item, .. } => Some(item.key()),
                    Change::Replaced { .. } | Change::Deleted { .. } => None,
                };
                let gone = matches!(change, Change::Deleted { .. });
                change_in(&mut self.instances, &mut self.tracks, SourceId::Instances, change);
                if !gone {
                    self.assign_disks(changed.as_ref());
                }
            }
            Observation::Pods(change) => change_in(&mut self.pods, &mut self.tracks, SourceId::Pods, change),
            Observation::Claims(change) => {
                change_in(&mut self.claims, &mut self.tracks, SourceId::Claims, change)
            }
            Observation::WatchAlive { source, namespace, at } => self.track(source, namespace).alive(at),
            Observation::WatchFailed { source, namespace, error } => {
                self.watch_failed(source, namespace, error)
            }
            Observation::Omitted { source, namespace, errors } => {
                self.track(source, namespace).omitted = errors;
            }
            Observation::PodMetrics { namespace, at, result } => self.pod_metrics(namespace, at, result),
            Observation::Summary { node, at, result } => self.summary(node, at, result),
            Observation::PersistentVolumes(change) => {
                change_in(
                    &mut self.persistent_volumes,
                    &mut self.tracks,
                    SourceId::PersistentVolumes,
                    change,
                );
            }
            Observation::LonghornVolumes(change) => {
                change_in(&mut self.longhorn, &mut self.tracks, SourceId::Longhorn, change);
            }
            Observation::Nodes(change) => {
                change_in(&mut self.nodes, &mut self.tracks, SourceId::Nodes, change)
            }
            Observation::ClusterInstancetypes(change) => change_in(
                &mut self.cluster_instancetypes,
                &mut self.tracks,
                SourceId::ClusterInstancetypes,
                change,
            ),
            Observation::Instancetypes(change) => {
                change_in(&mut self.instancetypes, &mut self.tracks, SourceId::Instancetypes, change);
            }
            Observation::Risk { source, detail } => drop(self.risks.insert(source, detail)),
            Observation::Took { source, millis } => self.latencies.entry(source).or_default().add(millis),
            Observation::Prometheus { at, result } => self.queried(at, result),
            Observation::Filesystems { instance, at, result } => self.filesystems(instance, at, result),
            Observation::Ceph { at, result } => self.images(at, result),
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
            SourceId::PersistentVolumes => clear(&mut self.persistent_volumes, namespace),
            SourceId::Longhorn => clear(&mut self.longhorn, namespace),
            SourceId::Nodes => clear(&mut self.nodes, namespace),
            SourceId::ClusterInstancetypes => clear(&mut self.cluster_instancetypes, namespace),
            SourceId::Instancetypes => clear(&mut self.instancetypes, namespace),
            SourceId::PodMetrics
            | SourceId::Kubelet
            | SourceId::Prometheus
            | SourceId::GuestAgent
            | SourceId::Ceph => {}
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
        let crowded = self.metrics.len() > MOST_SAMPLES;
        self.metrics.retain(|_, received| match crowded {
            true => received.told == at,
            false => received.first_seen >= forget_before,
        });
        self.track(SourceId::PodMetrics, namespace).succeeded(at);
    }

    /// What lies behind a claim, should claim and PersistentVolume name each other.
    pub(super) fn backend(&self, claim: &Key) -> Option<&Backend> {
        let bound = &self.claims.get(claim)?.volume_name;
        let lead = self.persistent_volumes.get(&At("", bound))?.lead.as_ref()?;
        (lead.claim == *claim).then_some(&lead.backend)
    }

    fn sampled(&mut self, facts: PodMetricsFacts, now: Millis) {
        let key = facts.key();
        let first_seen = match self.metrics.get(&key) {
            Some(old) if old.facts.at == facts.at => old.first_seen,
            _ => now,
        };
        self.metrics.insert(key, Box::new(Received { facts, first_seen, told: now }));
    }

    fn summary(&mut self, node: String, at: Millis, result: Result<SummaryFacts, SourceError>) {
        let kubelet = self.kubelets.entry(node).or_default();
        match result {
            Ok(SummaryFacts { source, volumes }) => {
                let stats = volumes.into_iter().filter_map(|stats| of_a_claim(stats, &self.pods)).collect();
                kubelet.answered(source, stats, at, self.limits.disk_interval);
            }
            Err(error) => kubelet.failed(error, at),
        }
    }

    fn queried(&mut self, at: Millis, result: Result<PrometheusFacts, SourceError>) {
        let facts = match result {
            Ok(facts) => facts,
            Err(error) => return self.track(SourceId::Prometheus, None).failed(error),
        };
        let claimed = facts.volumes.into_iter().filter_map(|stats| match &stats.of {
            VolumeRef::Claim(claim) => Some((claim.clone(), stats)),
            VolumeRef::PodVolume { .. } => None,
        });
        let sampled =
            facts.instances.into_iter().map(|sample| (Key::new(&sample.namespace, &sample.name), sample));
        let Queried { mut volumes_ahead, mut instances_ahead, .. } = std::mem::take(&mut self.prometheus);
        let (mut volumes, mut instances): (HashMap<Key, VolumeStats>, HashMap<Key, InstanceSample>) =
            (claimed.collect(), sampled.collect());
        volumes_ahead
            .settle(at, volumes.iter_mut().filter_map(|(key, stats)| Some((key, stats.at.as_mut()?))));
        instances_ahead.settle(at, instances.iter_mut().map(|(key, sample)| (key, &mut sample.at)));
        let (warnings, answered) = (facts.warnings, Some(at));
        self.prometheus = Queried { volumes, instances, warnings, answered, volumes_ahead, instances_ahead };
        self.track(SourceId::Prometheus, None).succeeded(at);
    }

    fn filesystems(&mut self, instance: Key, at: Millis, result: Result<Vec<Filesystem>, SourceError>) {
        let disks = self.instances.get(&instance).map(|facts| facts.disks.clone()).unwrap_or_default();
        let guest = self.guests.entry(instance).or_default();
        match result {
            Ok(filesystems) => *guest = GuestDisks::answered(filesystems, &disks, at),
            Err(error) => guest.error = Some(error),
        }
    }

    fn images(&mut self, at: Millis, result: Result<Vec<ImageStats>, SourceError>) {
        match result {
            Ok(stats) => {
                let stats = stats.into_iter().map(|stats| (stats.image.clone(), stats)).collect();
                self.ceph = Images { stats, answered: Some(at) };
                self.track(SourceId::Ceph, None).succeeded(at);
            }
            Err(error) => self.track(SourceId::Ceph, None).failed(error),
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
            let of_use = items.into_iter().filter(Named::is_of_use);
            objects.extend(of_use.map(|item| (item.key(), Box::new(item))));
            tracks.entry((source, namespace)).or_default().succeeded(at);
        }
        Change::Applied { item, at } => {
            touch(tracks, source, item.namespace(), at);
            match item.is_of_use() {
                true => drop(objects.insert(item.key(), Box::new(item))),
                false => drop(objects.remove(&item.key())),
            }
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
