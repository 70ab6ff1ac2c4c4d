//! A VM's volumes, and what the kubelets know of each. A claim counts once, however often it is mounted.

use hashbrown::{HashMap, HashSet};

use super::{
    facts::{InstanceFacts, InstanceVolume, Key, LonghornFacts, VolumeRef, VolumeStats, WukongFacts},
    readings::Wanted,
    receipt::Receipt,
    sharing::ClaimSize,
    world::World,
};
use crate::model::{
    Millis,
    figure::{Basis, Figure, Sample, Source},
    quantity::Quantity,
    reason::Reason,
    source::SourceId,
    vm::{Reading, Usage, Volume},
};

/// KubeVirt keeps TPM and EFI state in a claim of this name: no disk of the VM.
const STATE_CLAIM: &str = "persistent-state-for-";

/// Where Longhorn keeps its volumes, unless its chart's `namespaceOverride` says otherwise.
const LONGHORN_SYSTEM: &str = "longhorn-system";

/// One kubelet's word on a claim.
#[derive(Clone, Copy)]
pub(super) struct Report<'a> {
    pub node: &'a str,
    pub source: Source,
    pub stats: &'a VolumeStats,
    pub receipt: &'a Receipt,
    /// In which new figures are to be expected of this kubelet.
    pub interval: Millis,
}

/// What all kubelets say, by claim, and what Longhorn does, by volume.
pub(super) struct Reports<'a> {
    by_claim: HashMap<(&'a str, &'a str), Vec<Report<'a>>>,
    /// Longhorn volumes by name; none for a name that two namespaces share. Anybody may be allowed to make objects of that kind in a
    /// namespace of theirs: where Longhorn's own is known, it alone counts.
    longhorn: HashMap<&'a str, Option<&'a LonghornFacts>>,
    /// Node, namespace and claim of what pods mount. None where pods cannot be listed.
    mounts: Option<HashSet<(&'a str, &'a str, &'a str)>>,
}

impl<'a> Reports<'a> {
    pub fn of(world: &'a World) -> Self {
        let mut by_claim: HashMap<_, Vec<Report>> = HashMap::new();
        for (node, kubelet) in &world.kubelets {
            let Some(source) = kubelet.source else { continue };
            let interval = kubelet.interval(world.limits.disk_interval);
            for (stats, receipt) in kubelet.volumes() {
                if let Some(claim) = claim_of(stats, world) {
                    let report = Report { node, source, stats, receipt, interval };
                    by_claim.entry(claim).or_default().push(report);
                }
            }
        }
        let mut longhorn = HashMap::new();
        let is_at_home = world.longhorn.values().any(|volume| volume.namespace == LONGHORN_SYSTEM);
        let volumes = world.longhorn.values();
        for volume in volumes.filter(|volume| !is_at_home || volume.namespace == LONGHORN_SYSTEM) {
            longhorn.entry(volume.name.as_str()).and_modify(|named| *named = None).or_insert(Some(&**volume));
        }
        // The kubelet of a pod that has ended measures nothing for it any more: it could say what it likes of a VM that has left.
        let mounts = world.pods.values().filter(|pod| !pod.has_ended()).flat_map(|pod| {
            pod.claims.iter().map(|(_, claim)| (&*pod.node_name, &*pod.namespace, claim.as_str()))
        });
        let mounts = (!world.pods.is_empty()).then(|| mounts.collect());
        Self { by_claim, longhorn, mounts }
    }

    /// The volume of this name, as the CSI driver's handle has it; the inner none where several namespaces have one.
    pub fn longhorn(&self, name: &str) -> Option<Option<&'a LonghornFacts>> {
        self.longhorn.get(name).copied()
    }

    /// The report from the node that holds the guest, else the newest of a node where a pod mounts the claim: no other node knows
    /// anything of it, and one that was taken over says what it likes.
    pub fn best(&self, claim: &Key, node: &str) -> Option<Report<'a>> {
        let reports = self.by_claim.get(&(&*claim.namespace, &*claim.name))?;
        let may_know = |report: &&Report| report.node == node || self.is_mounted(report.node, claim);
        let known = reports.iter().filter(may_know).copied();
        known.max_by_key(|report| (report.node == node, report.receipt.first))
    }

    fn is_mounted(&self, node: &str, claim: &Key) -> bool {
        let claim = (node, &*claim.namespace, &*claim.name);
        self.mounts.as_ref().is_none_or(|mounts| mounts.contains(&claim))
    }
}

/// The claim that the kubelet named, else that of the pod's volume, should the pod have been heard of since.
fn claim_of<'a>(stats: &'a VolumeStats, world: &'a World) -> Option<(&'a str, &'a str)> {
    match &stats.of {
        VolumeRef::Claim(claim) => Some((&claim.namespace, &claim.name)),
        VolumeRef::PodVolume { pod, volume } => {
            Some((&pod.namespace, world.pods.get(pod)?.claim_of(volume)?))
        }
    }
}

/// A volume as ordered.
pub(super) struct Ordered<'a> {
    name: &'a str,
    pub claim: &'a str,
    size: &'a str,
}

/// `Wukong.status.volumes`, else the VMI's; and how many were over the bound on the volumes of one object.
pub(super) fn ordered<'a>(
    wukong: Option<&'a WukongFacts>,
    instance: Option<&'a InstanceFacts>,
) -> (Vec<Ordered<'a>>, u32) {
    let of_wukong = wukong.into_iter().flat_map(|wukong| &wukong.volumes);
    let mut left_out = wukong.map_or(0, |wukong| wukong.volumes_left_out);
    let mut volumes: Vec<Ordered> = of_wukong
        .map(|volume| Ordered { name: &volume.name, claim: &volume.claim, size: &volume.size })
        .filter(|volume| !volume.claim.is_empty())
        .collect();
    if volumes.is_empty() {
        let of_instance = instance.into_iter().flat_map(|instance| &instance.volumes);
        let order = |v: &'a InstanceVolume| Ordered { name: &v.name, claim: &v.claim, size: "" };
        volumes = of_instance.map(order).collect();
        left_out = left_out.saturating_add(instance.map_or(0, |instance| instance.volumes_left_out));
    }
    let mut seen = HashSet::new();
    volumes.retain(|volume| !volume.claim.starts_with(STATE_CLAIM) && seen.insert(volume.claim));
    (volumes, left_out)
}

/// Where a VM's volumes are looked for.
pub(super) struct Place<'a> {
    pub namespace: &'a str,
    /// Empty where it is not known.
    pub node: &'a str,
    pub running: bool,
    pub instance: Option<&'a InstanceFacts>,
}

impl World {
    pub(super) fn volume(&self, ordered: &Ordered, place: &Place, reports: &Reports, now: Millis) -> Volume {
        let claim = Key::new(place.namespace, ordered.claim);
        let facts = self.claims.get(&claim);
        let block = facts.is_some_and(|facts| facts.block);
        let ordered_size = Quantity::parse(ordered.size).ok().map(Quantity::units);
        let capacity = facts.and_then(|facts| facts.capacity);
        let request = facts.and_then(|facts| facts.request).or(ordered_size.filter(|_| capacity.is_none()));
        let claim_size = ClaimSize { request, capacity };
        let size = claim_size.of_disk(block);
        let wanted = Wanted { ordered, claim, claim_size, size, block, place };
        let (Reading { source, figure: usage }, readings) = self.resolve(&wanted, reports, now);
        Volume {
            name: ordered.name.to_owned(),
            claim: ordered.claim.to_owned(),
            size,
            block: block || is_raw(&usage) || readings.iter().any(|reading| is_raw(&reading.figure)),
            storage_class: facts.map(|facts| facts.storage_class.clone()).unwrap_or_default(),
            source,
            usage,
            readings,
        }
    }

    /// The first source that knows the volume; what the others know of it, or why none does.
    fn resolve(&self, wanted: &Wanted, reports: &Reports, now: Millis) -> (Reading, Vec<Reading>) {
        let first = self.limits.disk_sources.first().copied().unwrap_or(SourceId::Kubelet);
        let none = |reason: Reason| Reading { source: first, figure: Figure::Missing(reason.into()) };
        if !wanted.place.running {
            return (none(Reason::NotRunning), Vec::new());
        }
        let sources = self.limits.disk_sources.iter();
        let mut readings: Vec<Reading> = sources
            .filter_map(|id| Some(Reading { source: *id, figure: self.reading(*id, wanted, reports, now)? }))
            .collect();
        if readings.is_empty() {
            return (none(Reason::NotConfigured), readings);
        }
        let known = readings.iter().position(|reading| reading.figure.sample().is_some());
        // Of a raw device the host's sources never know more than that: a backend that could tell says what it lacks.
        let backend = readings.iter().position(|reading| wanted.block && is_backend(reading.source));
        let taken = readings.remove(known.or(backend).unwrap_or(0));
        if known.is_some() {
            readings.retain(|reading| reading.figure.sample().is_some());
        }
        (taken, readings)
    }
}

fn is_backend(source: SourceId) -> bool {
    matches!(source, SourceId::Longhorn | SourceId::Ceph)
}

/// What the kubelet told by its zeros.
fn is_raw(figure: &Figure) -> bool {
    figure.missing().is_some_and(|missing| missing.reason == Reason::BlockVolume)
}

/// The VM's disk figure: the sum over the volumes that are known.
pub(super) fn disk(volumes: &[Volume], running: bool) -> Figure {
    let known = volumes.iter().filter_map(|volume| volume.usage.sample());
    match known.copied().reduce(add) {
        Some(sum) => Figure::Known(sum),
        None if !running => Figure::Missing(Reason::NotRunning.into()),
        None => Figure::Missing(
            volumes
                .iter()
                .find_map(|volume| volume.usage.missing().cloned())
                .unwrap_or_else(|| Reason::NoVolumes.into()),
        ),
    }
}

/// A sum is as old as its oldest part, whose source it names, and as little the VM's own as its least own part.
fn add(sum: Sample, next: Sample) -> Sample {
    Sample {
        used: sum.used.saturating_add(next.used),
        of: sum.of.saturating_add(next.of),
        at: sum.at.min(next.at),
        source: if next.at < sum.at { next.source } else { sum.source },
        stale: sum.stale || next.stale,
        basis: if next.basis == Basis::Own { sum.basis } else { next.basis },
        ..sum
    }
}

/// Puts the three figures together.
/// `left_out` volumes are not among these: the disk figure says that it is not of all.
pub(super) fn usage(cpu: Figure, memory: Figure, volumes: &[Volume], left_out: u32, running: bool) -> Usage {
    let known = volumes.iter().filter(|volume| volume.usage.sample().is_some()).count();
    Usage {
        cpu,
        memory,
        disk: disk(volumes, running),
        disk_known: known as u32,
        disk_volumes: (volumes.len() as u32).saturating_add(left_out),
    }
}
