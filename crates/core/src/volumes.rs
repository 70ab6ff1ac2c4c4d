//! A VM's volumes and their figures, for `join`. A claim counts once, however often it is mounted.

use std::hash::{DefaultHasher, Hash, Hasher};

use hashbrown::HashSet;

use super::{
    dependencies::Dependencies,
    observation::{InstanceFacts, InstanceVolume, Key, WukongFacts},
    readings::{VmPlacement, VolumeQuery, VolumeSpec},
    sharing::ClaimSize,
    state::ClusterState,
    touched::Name,
};
use model::{
    figure::{Basis, Figure, Sample},
    quantity::Quantity,
    reason::Reason,
    source::SourceId,
    vm::{Reading, Usage, Volume},
};

/// Prefix of the claims in which KubeVirt keeps TPM and EFI state: they are not disks of the VM.
const STATE_CLAIM: &str = "persistent-state-for-";

/// Returns the volumes of `Wukong.status.volumes`, else of the VMI, and how many exceeded the limit of one
/// object.
pub(super) fn specs<'a>(
    wukong: Option<&'a WukongFacts>,
    instance: Option<&'a InstanceFacts>,
) -> (Vec<VolumeSpec<'a>>, u32) {
    let of_wukong = wukong.into_iter().flat_map(|wukong| &wukong.volumes);
    let mut left_out = wukong.map_or(0, |wukong| wukong.volumes_left_out);
    let mut volumes: Vec<VolumeSpec> = of_wukong
        .map(|volume| VolumeSpec { name: &volume.name, claim: &volume.claim, size: &volume.size })
        .filter(|volume| !volume.claim.is_empty())
        .collect();
    if volumes.is_empty() {
        let of_instance = instance.into_iter().flat_map(|instance| &instance.volumes);
        let spec = |v: &'a InstanceVolume| VolumeSpec { name: &v.name, claim: &v.claim, size: "" };
        volumes = of_instance.map(spec).collect();
        left_out = left_out.saturating_add(instance.map_or(0, |instance| instance.volumes_left_out));
    }
    let mut seen = HashSet::new();
    volumes.retain(|volume| !volume.claim.starts_with(STATE_CLAIM) && seen.insert(volume.claim));
    (volumes, left_out)
}

impl ClusterState {
    pub(super) fn volume(
        &self,
        spec: &VolumeSpec,
        place: &VmPlacement,
        dependencies: &Dependencies,
    ) -> Volume {
        let claim = Key::new(place.namespace, spec.claim);
        dependencies.note(Name::claim(&claim));
        let facts = self.claims.get(&claim);
        let block = facts.is_some_and(|facts| facts.block);
        let requested_size = Quantity::parse(spec.size).ok().map(Quantity::units);
        let capacity = facts.and_then(|facts| facts.capacity);
        let request = facts.and_then(|facts| facts.request).or(requested_size.filter(|_| capacity.is_none()));
        let claim_size = ClaimSize { request, capacity };
        let size = claim_size.of_disk(block);
        let query = VolumeQuery { spec, claim, claim_size, size, block, place };
        let (Reading { source, figure: usage }, readings) = self.resolve(&query, dependencies);
        Volume {
            name: spec.name.to_owned(),
            claim: spec.claim.to_owned(),
            size,
            block: block || is_raw(&usage) || readings.iter().any(|reading| is_raw(&reading.figure)),
            storage_class: facts.map(|facts| facts.storage_class.clone()).unwrap_or_default(),
            backing: facts.map_or(0, |facts| backing(&facts.volume_name)),
            source,
            usage,
            readings,
        }
    }

    /// Returns the reading of the first source that knows the volume, and the readings of the others; if no
    /// source knows it, why.
    fn resolve(&self, query: &VolumeQuery, dependencies: &Dependencies) -> (Reading, Vec<Reading>) {
        let first = self.limits.disk_sources.first().copied().unwrap_or(SourceId::Kubelet);
        let none = |reason: Reason| Reading { source: first, figure: Figure::Missing(reason.into()) };
        if !query.place.running {
            return (none(Reason::NotRunning), Vec::new());
        }
        let sources = self.limits.disk_sources.iter();
        let mut readings: Vec<Reading> = sources
            .filter_map(|id| Some(Reading { source: *id, figure: self.reading(*id, query, dependencies)? }))
            .collect();
        if readings.is_empty() {
            return (none(Reason::NotConfigured), readings);
        }
        let known = readings.iter().position(|reading| reading.figure.sample().is_some());
        // For a raw device, show the backend's reason: host sources cannot measure it at all.
        let backend = readings.iter().position(|reading| query.block && reading.source.is_backend());
        let taken = readings.remove(known.or(backend).unwrap_or(0));
        if known.is_some() {
            readings.retain(|reading| reading.figure.sample().is_some());
        }
        (taken, readings)
    }
}

/// Returns a number that stands for the PersistentVolume of this name; 0 for none.
fn backing(volume_name: &str) -> u64 {
    if volume_name.is_empty() {
        return 0;
    }
    let mut hasher = DefaultHasher::new();
    volume_name.hash(&mut hasher);
    hasher.finish().max(1)
}

/// Whether the kubelet's zeros showed that the volume is a raw device.
fn is_raw(figure: &Figure) -> bool {
    figure.missing().is_some_and(|missing| missing.reason == Reason::BlockVolume)
}

/// Returns the VM's disk figure: the sum over the volumes that are known.
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

/// Adds two samples. The sum is as old as its oldest part, whose source it names. Its basis is `Own` only if
/// both parts have that basis.
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

/// Builds the usage from the three figures.
/// `left_out` volumes are not among `volumes`: the disk figure says that it does not cover all of them.
pub(super) fn usage(cpu: Figure, memory: Figure, volumes: &[Volume], left_out: u32, running: bool) -> Usage {
    let known = volumes.iter().filter(|volume| volume.usage.sample().is_some()).count();
    Usage {
        cpu,
        memory,
        disk: disk(volumes, running),
        disk_known: known as u32,
        disk_volumes: (volumes.len() as u32).saturating_add(left_out),
        guest_memory: None,
        fullest_disk: None,
    }
}
