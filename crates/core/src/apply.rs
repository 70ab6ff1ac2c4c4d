//! Applies observations to the `ClusterState`, one at a time. The writer calls it for everything that a
//! source says.

pub(super) mod node;

use hashbrown::HashMap;

use super::{
    containers,
    dirty::Impact,
    observation::{
        Change, Filesystem, ImageStats, InstanceFacts, InstanceSample, Key, Named, Observation,
        PodMetricsFacts, PrometheusFacts, ReviewFacts, SourceError, VolumeRef, VolumeStats,
    },
    pod::{PodSample, PodSamples},
    receipt::Receipt,
    sharing::Peers,
    source_status::SourceStatuses,
    state::{ClusterState, FORGET_AFTER, Images, PrometheusRound},
    touched::Name,
    usage::LONGEST_WINDOW,
};
use model::{Millis, reason::Reason, source::SourceId};

/// Pods whose samples are kept. If there are more, only those in the last answer are kept: pods that are gone
/// leave samples behind.
const MOST_SAMPLES: usize = 100_000;

impl ClusterState {
    /// Applies one observation. Its times are those of the steady clock.
    pub fn apply(&mut self, observation: Observation) {
        let subject = Impact::of(&observation);
        self.touch(&subject);
        self.apply_untouched(observation);
        self.touch(&subject);
    }

    fn apply_untouched(&mut self, observation: Observation) {
        let Self { source_statuses: statuses, touched, .. } = self;
        match observation {
            Observation::Wukongs(change) => {
                self.wukongs.apply(succeed(statuses, SourceId::Wukongs, change), touched);
            }
            Observation::VirtualMachines(change) => {
                self.vms.apply(succeed(statuses, SourceId::VirtualMachines, change), touched);
            }
            Observation::Instances(change) => self.apply_instances(change),
            Observation::Migrations(change) => {
                self.migrations.apply(succeed(statuses, SourceId::Migrations, change), touched);
            }
            Observation::Pods(change) => {
                self.pods.apply(succeed(statuses, SourceId::Pods, change), touched);
            }
            Observation::Claims(change) => {
                self.claims.apply(succeed(statuses, SourceId::Claims, change), touched);
            }
            Observation::PersistentVolumes(change) => {
                self.persistent_volumes
                    .apply(succeed(statuses, SourceId::PersistentVolumes, change), touched);
            }
            Observation::LonghornVolumes(change) => {
                self.longhorn.apply(succeed(statuses, SourceId::Longhorn, change), touched);
            }
            Observation::Nodes(change) => {
                self.nodes.apply(succeed(statuses, SourceId::Nodes, change), touched);
            }
            Observation::ClusterInstancetypes(change) => {
                self.cluster_instancetypes
                    .apply(succeed(statuses, SourceId::ClusterInstancetypes, change), touched);
            }
            Observation::Instancetypes(change) => {
                self.instancetypes.apply(succeed(statuses, SourceId::Instancetypes, change), touched);
            }
            Observation::WatchAlive { source, namespace, at } => {
                self.source_status_mut(source, namespace).alive(at)
            }
            Observation::WatchFailed { source, namespace, error } => {
                self.watch_failed(source, namespace, error)
            }
            Observation::Omitted { source, namespace, errors } => {
                self.source_status_mut(source, namespace).omitted = errors;
            }
            Observation::PodMetrics { namespace, at, result } => {
                self.apply_pod_metrics(namespace, at, result)
            }
            Observation::Summary { node, at, result } => self.apply_summary(node, at, result),
            Observation::Guests { node, at, result } => self.apply_guests(&node, at, result),
            Observation::HandlersFound { at } => {
                self.source_status_mut(SourceId::VirtHandler, None).succeeded(at);
            }
            Observation::Risk { source, detail } => drop(self.risks.insert(source, detail)),
            Observation::Took { source, millis } => self.latencies.entry(source).or_default().add(millis),
            Observation::Prometheus { at, result } => self.apply_prometheus(at, result),
            Observation::Filesystems { instance, at, result } => self.apply_filesystems(instance, at, result),
            Observation::Ceph { at, result } => self.apply_images(at, result),
            Observation::AccessReviews(facts) => self.apply_reviews(facts),
        }
    }

    fn apply_instances(&mut self, change: Change<InstanceFacts>) {
        let changed = match &change {
            Change::Applied { item, .. } => Some(item.key()),
            Change::Replaced { .. } | Change::Deleted { .. } => None,
        };
        let gone = matches!(change, Change::Deleted { .. });
        let change = succeed(&mut self.source_statuses, SourceId::Instances, change);
        self.instances.apply(change, &mut self.touched);
        if !gone {
            self.assign_disks(changed.as_ref());
        }
    }

    /// An API that is not installed has no objects; any other failure keeps what was last known.
    fn watch_failed(&mut self, source: SourceId, namespace: Option<String>, error: SourceError) {
        if error.reason == Reason::ApiAbsent {
            self.forget(source, namespace.as_deref());
        }
        self.source_status_mut(source, namespace).failed(error);
    }

    fn forget(&mut self, source: SourceId, namespace: Option<&str>) {
        let touched = &mut self.touched;
        match source {
            SourceId::Wukongs => self.wukongs.clear(namespace, touched),
            SourceId::VirtualMachines => self.vms.clear(namespace, touched),
            SourceId::Instances => self.instances.clear(namespace, touched),
            SourceId::Migrations => self.migrations.clear(namespace, touched),
            SourceId::Pods => self.pods.clear(namespace, touched),
            SourceId::Claims => self.claims.clear(namespace, touched),
            SourceId::PersistentVolumes => self.persistent_volumes.clear(namespace, touched),
            SourceId::Longhorn => self.longhorn.clear(namespace, touched),
            SourceId::Nodes => self.nodes.clear(namespace, touched),
            SourceId::ClusterInstancetypes => self.cluster_instancetypes.clear(namespace, touched),
            SourceId::Instancetypes => self.instancetypes.clear(namespace, touched),
            SourceId::PodMetrics
            | SourceId::Kubelet
            | SourceId::VirtHandler
            | SourceId::Prometheus
            | SourceId::GuestAgent
            | SourceId::Ceph
            | SourceId::AccessReviews => {}
        }
    }

    fn apply_pod_metrics(
        &mut self,
        namespace: Option<String>,
        at: Millis,
        result: Result<Vec<PodMetricsFacts>, SourceError>,
    ) {
        let items = match result {
            Ok(items) => items,
            Err(error) => return self.source_status_mut(SourceId::PodMetrics, namespace).failed(error),
        };
        self.compare_metrics_clock(items.iter().filter_map(|facts| facts.made).max(), at);
        for facts in items {
            self.apply_pod_sample(facts, at);
        }
        let forget_before = at - FORGET_AFTER * self.limits.metrics_interval;
        let crowded = self.metrics.len() > MOST_SAMPLES;
        let is_old = |samples: &PodSamples| match crowded {
            true => samples.last_reported != at,
            false => samples.last.map_or(samples.last_reported, |last| last.receipt.first) < forget_before,
        };
        let old = self.metrics.iter().filter(|(_, samples)| is_old(samples)).map(|(key, _)| key.clone());
        for key in old.collect::<Vec<_>>() {
            self.metrics.remove(&key, &mut self.touched);
        }
        self.source_status_mut(SourceId::PodMetrics, namespace).succeeded(at);
    }

    /// Adds one pod's sample. If an item does not cover its whole pod, the last sample is kept, and ages.
    fn apply_pod_sample(&mut self, facts: PodMetricsFacts, now: Millis) {
        let key = facts.key();
        let pod = self.pods.get(&key);
        let (known, node) = pod.map(|pod| (&*pod.containers, &*pod.node_name)).unwrap_or_default();
        let usage = containers::add_up(&facts.containers, facts.containers_left_out, known);
        let before = self.metrics.get(&key).and_then(|samples| samples.last);
        let (last, incomplete) = match usage {
            Err(incomplete) => (before, Some(incomplete)),
            Ok(usage) => {
                let receipt = Receipt::after(before.map(|before| before.receipt), facts.at, now);
                (Some(PodSample { usage, window_ms: facts.window_ms, receipt }), None)
            }
        };
        if let Some(at) = last.and_then(|last| last.receipt.fresh_time(now)).filter(|_| !node.is_empty()) {
            let window = Millis::from(facts.window_ms).min(LONGEST_WINDOW);
            let interval = self.limits.metrics_interval.max(window);
            let wall = now.saturating_add(self.wall_step);
            self.skews.add(SourceId::PodMetrics, node, at, wall, interval);
        }
        let PodMetricsFacts { namespace, name, created_by, .. } = facts;
        let samples = PodSamples { namespace, name, created_by, last, incomplete, last_reported: now };
        self.metrics.insert(samples, &mut self.touched);
    }

    /// Compares the clock of the metrics API with this program's. metrics-server writes its own time into
    /// each item (`creationTimestamp`). A time that does not change says nothing about its clock.
    fn compare_metrics_clock(&mut self, made: Option<Millis>, now: Millis) {
        let last = std::mem::replace(&mut self.metrics_made, made);
        if let (Some(made), Some(last)) = (made, last)
            && made != last
        {
            let interval = self.limits.metrics_interval;
            self.skews.add(SourceId::PodMetrics, "", made, self.wall(now), interval);
        }
    }

    /// Whether the claim exists, as far as that is known.
    fn may_be_claim(&self, claim: &Key) -> bool {
        self.claims.contains_key(claim) || !self.knows_all(SourceId::Claims, &claim.namespace)
    }

    fn apply_prometheus(&mut self, at: Millis, result: Result<PrometheusFacts, SourceError>) {
        let facts = match result {
            Ok(facts) => facts,
            Err(error) => return self.source_status_mut(SourceId::Prometheus, None).failed(error),
        };
        let before = std::mem::take(&mut self.prometheus);
        let volumes = facts.volumes.into_iter().filter_map(|stats| {
            let VolumeRef::Claim(claim) = &stats.of else { return None };
            // Claims that do not exist are dropped: a page that Prometheus scrapes can invent names.
            if !self.may_be_claim(claim) {
                return None;
            }
            let last = before.volumes.get(claim).map(|(_, receipt)| *receipt);
            Some((claim.clone(), (last, stats.at, stats)))
        });
        let volumes: HashMap<Key, (VolumeStats, Receipt)> = volumes
            .map(|(claim, (last, time, stats))| (claim, (stats, Receipt::after(last, time, at))))
            .collect();
        let instances = facts.instances.into_iter().filter_map(|sample| {
            let key = Key::new(&sample.namespace, &sample.name);
            if self.knows_all(SourceId::Instances, &key.namespace) && !self.instances.contains_key(&key) {
                return None;
            }
            let last = before.instances.get(&key).map(|(_, receipt)| *receipt);
            let receipt = Receipt::after(last, Some(sample.at), at);
            Some((key, (sample, receipt)))
        });
        let instances: HashMap<Key, (InstanceSample, Receipt)> = instances.collect();
        let (wall, interval) = (self.wall(at), self.limits.metrics_interval);
        let trusted_time = instances.values().filter(|(sample, _)| sample.trusted_time);
        for time in trusted_time.filter_map(|(_, receipt)| receipt.fresh_time(at)) {
            self.skews.add(SourceId::Prometheus, "", time, wall, interval);
        }
        let disk_interval = self.limits.disk_interval.max(interval);
        let trusted_time = volumes.values().filter(|(stats, _)| stats.trusted_time);
        for time in trusted_time.filter_map(|(_, receipt)| receipt.fresh_time(at)) {
            self.skews.add(SourceId::Prometheus, "", time, wall, disk_interval);
        }
        let guests = self.scraped_guests(facts.guests, &before.guests, at);
        let peers = peers_by_node(&volumes);
        let (warnings, gaps, answered) = (facts.warnings, facts.gaps, Some(at));
        self.prometheus = PrometheusRound { volumes, peers, instances, guests, warnings, gaps, answered };
        self.source_status_mut(SourceId::Prometheus, None).succeeded(at);
    }

    fn apply_filesystems(&mut self, instance: Key, at: Millis, result: Result<Vec<Filesystem>, SourceError>) {
        let disks = self.instances.get(&instance).map(|facts| facts.disks.clone()).unwrap_or_default();
        match result {
            Ok(filesystems) => {
                for left_out in self.guests.answered(instance, filesystems, &disks, at) {
                    self.touched.touch(Name::vm(&left_out));
                }
            }
            Err(error) => self.guests.failed(instance, error),
        }
    }

    fn apply_reviews(&mut self, mut facts: ReviewFacts) {
        let latencies = self.latencies.entry(SourceId::AccessReviews).or_default();
        std::mem::take(&mut facts.took).into_iter().for_each(|millis| latencies.add(millis));
        self.reviews = Some(facts);
    }

    fn apply_images(&mut self, at: Millis, result: Result<Vec<ImageStats>, SourceError>) {
        match result {
            Ok(stats) => {
                let stats = stats.into_iter().map(|stats| (stats.image.clone(), stats)).collect();
                self.ceph = Images { stats, answered: Some(at) };
                self.source_status_mut(SourceId::Ceph, None).succeeded(at);
            }
            Err(error) => self.source_status_mut(SourceId::Ceph, None).failed(error),
        }
    }
}

fn peers_by_node(volumes: &HashMap<Key, (VolumeStats, Receipt)>) -> HashMap<Box<str>, Peers> {
    let mut by_node: HashMap<&str, Vec<&VolumeStats>> = HashMap::new();
    for (stats, _) in volumes.values().filter(|(stats, _)| !stats.node.is_empty()) {
        by_node.entry(&stats.node).or_default().push(stats);
    }
    by_node.into_iter().map(|(node, stats)| (node.into(), Peers::new(stats.into_iter()))).collect()
}

/// Records the success that a change proves, and returns the change.
fn succeed<T: Named>(statuses: &mut SourceStatuses, source: SourceId, change: Change<T>) -> Change<T> {
    match &change {
        Change::Replaced { namespace, at, .. } => {
            statuses.entry((source, namespace.clone())).or_default().succeeded(*at);
        }
        Change::Applied { item, at } => event(statuses, source, item.namespace(), *at),
        Change::Deleted { key, at } => event(statuses, source, &key.namespace, *at),
    }
    change
}

/// An event proves that its watch is alive: the namespace's own watch, or else the cluster-wide one.
fn event(statuses: &mut SourceStatuses, source: SourceId, namespace: &str, at: Millis) {
    let own = (source, Some(namespace.to_owned()));
    let key = if statuses.contains_key(&own) { own } else { (source, None) };
    statuses.entry(key).or_default().succeeded(at);
}
