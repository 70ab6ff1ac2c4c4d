//! Applies observations to the `ClusterState`, one at a time. The writer calls it for everything that a
//! source says.

use hashbrown::{HashMap, HashSet};

use super::{
    containers,
    kubelet::NodeVolumes,
    observation::{
        Change, Filesystem, ImageStats, InstanceSample, Key, Named, Observation, PodFacts, PodMetricsFacts,
        PrometheusFacts, ReviewFacts, SourceError, SummaryFacts, VolumeRef, VolumeStats,
    },
    pods::mounted_claims,
    receipt::Receipt,
    sharing::Peers,
    source_status::SourceStatuses,
    state::{ClusterState, FORGET_AFTER, Images, Objects, PodSample, PodSamples, PrometheusRound},
    usage::LONGEST_WINDOW,
};
use i18n::msg;
use model::{Millis, reason::Reason, source::SourceId};

/// Pods whose samples are kept. If there are more, only those in the last answer are kept: pods that are gone
/// leave samples behind.
const MOST_SAMPLES: usize = 100_000;

/// Most volumes that are kept of a node's pods that are not known: pods that are younger than the list.
const MOST_OF_UNKNOWN_PODS: usize = 64;

/// Limit of the bytes kept for volumes of unverified claims, of all nodes together. The 30,000 claims of 10,000 VMs
/// take 9 MB; a node that invents 8192 claims with the longest names, 10 MB.
pub(super) const MOST_UNVERIFIED_BYTES: usize = 24 << 20;

impl ClusterState {
    /// Applies one observation. Its times are those of the steady clock.
    pub fn apply(&mut self, observation: Observation) {
        match observation {
            Observation::Wukongs(change) => {
                apply_change(&mut self.wukongs, &mut self.source_statuses, SourceId::Wukongs, change)
            }
            Observation::VirtualMachines(change) => {
                apply_change(&mut self.vms, &mut self.source_statuses, SourceId::VirtualMachines, change);
            }
            Observation::Instances(change) => {
                let changed = match &change {
                    Change::Applied { item, .. } => Some(item.key()),
                    Change::Replaced { .. } | Change::Deleted { .. } => None,
                };
                let gone = matches!(change, Change::Deleted { .. });
                apply_change(&mut self.instances, &mut self.source_statuses, SourceId::Instances, change);
                if !gone {
                    self.assign_disks(changed.as_ref());
                }
            }
            Observation::Migrations(change) => {
                apply_change(&mut self.migrations, &mut self.source_statuses, SourceId::Migrations, change);
            }
            Observation::Pods(change) => {
                apply_change(&mut self.pods, &mut self.source_statuses, SourceId::Pods, change)
            }
            Observation::Claims(change) => {
                apply_change(&mut self.claims, &mut self.source_statuses, SourceId::Claims, change)
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
            Observation::PersistentVolumes(change) => {
                apply_change(
                    &mut self.persistent_volumes,
                    &mut self.source_statuses,
                    SourceId::PersistentVolumes,
                    change,
                );
            }
            Observation::LonghornVolumes(change) => {
                apply_change(&mut self.longhorn, &mut self.source_statuses, SourceId::Longhorn, change);
            }
            Observation::Nodes(change) => {
                apply_change(&mut self.nodes, &mut self.source_statuses, SourceId::Nodes, change)
            }
            Observation::ClusterInstancetypes(change) => apply_change(
                &mut self.cluster_instancetypes,
                &mut self.source_statuses,
                SourceId::ClusterInstancetypes,
                change,
            ),
            Observation::Instancetypes(change) => {
                apply_change(
                    &mut self.instancetypes,
                    &mut self.source_statuses,
                    SourceId::Instancetypes,
                    change,
                );
            }
            Observation::Risk { source, detail } => drop(self.risks.insert(source, detail)),
            Observation::Took { source, millis } => self.latencies.entry(source).or_default().add(millis),
            Observation::Prometheus { at, result } => self.apply_prometheus(at, result),
            Observation::Filesystems { instance, at, result } => self.apply_filesystems(instance, at, result),
            Observation::Ceph { at, result } => self.apply_images(at, result),
            Observation::AccessReviews(facts) => self.apply_reviews(facts),
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
        match source {
            SourceId::Wukongs => clear(&mut self.wukongs, namespace),
            SourceId::VirtualMachines => clear(&mut self.vms, namespace),
            SourceId::Instances => clear(&mut self.instances, namespace),
            SourceId::Migrations => clear(&mut self.migrations, namespace),
            SourceId::Pods => clear(&mut self.pods, namespace),
            SourceId::Claims => clear(&mut self.claims, namespace),
            SourceId::PersistentVolumes => clear(&mut self.persistent_volumes, namespace),
            SourceId::Longhorn => clear(&mut self.longhorn, namespace),
            SourceId::Nodes => clear(&mut self.nodes, namespace),
            SourceId::ClusterInstancetypes => clear(&mut self.cluster_instancetypes, namespace),
            SourceId::Instancetypes => clear(&mut self.instancetypes, namespace),
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
        self.metrics.retain(|_, received| match crowded {
            true => received.last_reported == at,
            false => received.last.map_or(received.last_reported, |last| last.receipt.first) >= forget_before,
        });
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
        self.metrics.insert(key, Box::new(samples));
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

    fn apply_summary(&mut self, node: String, at: Millis, result: Result<SummaryFacts, SourceError>) {
        self.apply_pod_stats(&node, at, result.as_ref().ok());
        let result = result.map(|facts| self.existing_volumes(facts));
        let kubelet = self.kubelets.entry(node.clone()).or_default();
        match result {
            Ok(facts) => {
                let mounted = mounted_claims(&self.pods, &node);
                kubelet.answered(facts, at, self.limits.disk_interval, |stats| is_of(stats, &mounted));
                let (wall, interval) =
                    (at.saturating_add(self.wall_step), kubelet.interval(self.limits.disk_interval));
                for time in kubelet.volumes().filter_map(|(_, receipt)| receipt.fresh_time(at)) {
                    self.skews.add(SourceId::Kubelet, &node, time, wall, interval);
                }
            }
            Err(error) => kubelet.failed(error, at),
        }
        self.leave_out_unverified();
    }

    /// Leaves out volumes of unverified claims while all nodes together exceed the limit: first those of the
    /// node that reports the most, then of the next. The volumes of the other nodes stay.
    fn leave_out_unverified(&mut self) {
        let mut bytes: usize = self.kubelets.values().map(NodeVolumes::unverified_bytes).sum();
        while bytes > MOST_UNVERIFIED_BYTES {
            let heaviest = self.kubelets.iter_mut().max_by_key(|(_, kubelet)| kubelet.unverified_bytes());
            let Some((node, kubelet)) = heaviest else { return };
            bytes -= kubelet.unverified_bytes();
            let detail = msg!(error.claims_together, bytes = MOST_UNVERIFIED_BYTES.to_string());
            let mounted = mounted_claims(&self.pods, node);
            let error = SourceError { reason: Reason::TooLarge, detail };
            kubelet.leave_out_unverified(|stats| is_of(stats, &mounted), error);
        }
    }

    /// Returns the facts with their volumes resolved to claims, without those of claims that do not exist: a
    /// node can invent names, and would fill the memory with them. Of pods that are not known yet, a few
    /// volumes are kept.
    fn existing_volumes(&self, mut facts: SummaryFacts) -> SummaryFacts {
        let mut of_unknown_pods = 0;
        let volumes = std::mem::take(&mut facts.volumes).into_iter();
        let exists = |stats: &VolumeStats| match &stats.of {
            VolumeRef::Claim(claim) => self.may_be_claim(claim),
            VolumeRef::PodVolume { pod, .. } => {
                of_unknown_pods += 1;
                of_unknown_pods <= MOST_OF_UNKNOWN_PODS || !self.knows_all(SourceId::Pods, &pod.namespace)
            }
        };
        facts.volumes = volumes.filter_map(|stats| resolve_claim(stats, &self.pods)).filter(exists).collect();
        facts
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
            Ok(filesystems) => self.guests.answered(instance, filesystems, &disks, at),
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

/// Whether the volume is of one of these claims.
fn is_of(stats: &VolumeStats, claims: &HashSet<(&str, &str)>) -> bool {
    matches!(&stats.of, VolumeRef::Claim(claim) if claims.contains(&(&*claim.namespace, &*claim.name)))
}

/// Replaces a pod's volume with the claim behind it. Returns `None` if the volume has no claim, which holds
/// for half of what a launcher mounts. Stats of a pod that is not known yet are kept unchanged.
fn resolve_claim(mut stats: VolumeStats, pods: &Objects<PodFacts>) -> Option<VolumeStats> {
    if let VolumeRef::PodVolume { pod, volume } = &stats.of
        && let Some(facts) = pods.get(pod)
    {
        stats.of = VolumeRef::Claim(Key::new(&pod.namespace, facts.claim_of(volume)?));
    }
    Some(stats)
}

fn peers_by_node(volumes: &HashMap<Key, (VolumeStats, Receipt)>) -> HashMap<Box<str>, Peers> {
    let mut by_node: HashMap<&str, Vec<&VolumeStats>> = HashMap::new();
    for (stats, _) in volumes.values().filter(|(stats, _)| !stats.node.is_empty()) {
        by_node.entry(&stats.node).or_default().push(stats);
    }
    by_node.into_iter().map(|(node, stats)| (node.into(), Peers::new(stats.into_iter()))).collect()
}

fn clear<T>(objects: &mut Objects<T>, namespace: Option<&str>) {
    match namespace {
        None => objects.clear(),
        Some(namespace) => objects.retain(|key, _| &*key.namespace != namespace),
    }
}

fn apply_change<T: Named>(
    objects: &mut Objects<T>,
    statuses: &mut SourceStatuses,
    source: SourceId,
    change: Change<T>,
) {
    match change {
        Change::Replaced { namespace, items, at } => {
            clear(objects, namespace.as_deref());
            let of_use = items.into_iter().filter(Named::is_of_use);
            objects.extend(of_use.map(|item| (item.key(), Box::new(item))));
            statuses.entry((source, namespace)).or_default().succeeded(at);
        }
        Change::Applied { item, at } => {
            touch(statuses, source, item.namespace(), at);
            match item.is_of_use() {
                true => drop(objects.insert(item.key(), Box::new(item))),
                false => drop(objects.remove(&item.key())),
            }
        }
        Change::Deleted { key, at } => {
            touch(statuses, source, &key.namespace, at);
            objects.remove(&key);
        }
    }
}

/// An event proves that its watch is alive: the namespace's own watch, or else the cluster-wide one.
fn touch(statuses: &mut SourceStatuses, source: SourceId, namespace: &str, at: Millis) {
    let own = (source, Some(namespace.to_owned()));
    let key = if statuses.contains_key(&own) { own } else { (source, None) };
    statuses.entry(key).or_default().succeeded(at);
}
