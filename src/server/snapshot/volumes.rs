//! A VM's volumes, and what the kubelets know of each. A claim counts once, however often it is mounted.

use std::collections::{HashMap, HashSet};

use super::{
    facts::{InstanceFacts, Key, VolumeRef, VolumeStats, WukongFacts},
    mend,
    usage::Age,
    world::{NodeVolumes, World},
};
use crate::model::{
    Millis,
    figure::{Basis, Figure, Sample, Source, Unit},
    quantity::Quantity,
    reason::{Missing, Reason},
    vm::{Usage, Volume},
};

/// KubeVirt keeps TPM and EFI state in a claim of this name: no disk of the VM.
const STATE_CLAIM: &str = "persistent-state-for-";

/// One kubelet's word on a claim.
#[derive(Clone, Copy)]
struct Report<'a> {
    node: &'a str,
    stats: &'a VolumeStats,
    answered: Millis,
}

impl Report<'_> {
    fn at(&self) -> Millis {
        self.stats.at.unwrap_or(self.answered)
    }
}

/// What all kubelets say, by claim.
pub(super) struct Reports<'a> {
    by_claim: HashMap<(&'a str, &'a str), Vec<Report<'a>>>,
}

impl<'a> Reports<'a> {
    pub fn of(world: &'a World) -> Self {
        let mut by_claim: HashMap<_, Vec<Report>> = HashMap::new();
        for (node, kubelet) in &world.kubelets {
            let Some(answered) = kubelet.answered else { continue };
            for stats in &kubelet.stats {
                if let Some(claim) = claim_of(stats, world) {
                    by_claim.entry(claim).or_default().push(Report { node, stats, answered });
                }
            }
        }
        Self { by_claim }
    }

    /// The report from the node that holds the guest, else the newest.
    fn best(&self, namespace: &str, claim: &str, node: &str) -> Option<Report<'a>> {
        let reports = self.by_claim.get(&(namespace, claim))?;
        reports.iter().copied().max_by_key(|report| (report.node == node, report.at()))
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
    claim: &'a str,
    size: &'a str,
}

/// `Wukong.status.volumes`, else the VMI's.
pub(super) fn ordered<'a>(
    wukong: Option<&'a WukongFacts>,
    instance: Option<&'a InstanceFacts>,
) -> Vec<Ordered<'a>> {
    let of_wukong = wukong.into_iter().flat_map(|wukong| &wukong.volumes);
    let mut volumes: Vec<Ordered> = of_wukong
        .map(|volume| Ordered { name: &volume.name, claim: &volume.claim, size: &volume.size })
        .filter(|volume| !volume.claim.is_empty())
        .collect();
    if volumes.is_empty() {
        let of_instance = instance.into_iter().flat_map(|instance| &instance.volumes);
        volumes = of_instance.map(|v| Ordered { name: &v.name, claim: &v.claim, size: "" }).collect();
    }
    let mut seen = HashSet::new();
    volumes.retain(|volume| !volume.claim.starts_with(STATE_CLAIM) && seen.insert(volume.claim));
    volumes
}

/// Where a VM's volumes are looked for.
pub(super) struct Place<'a> {
    pub namespace: &'a str,
    /// Empty where it is not known.
    pub node: &'a str,
    pub running: bool,
}

impl World {
    pub(super) fn volume(&self, ordered: &Ordered, place: &Place, reports: &Reports, now: Millis) -> Volume {
        let facts = self.claims.get(&Key::new(place.namespace, ordered.claim));
        let size = Quantity::parse(ordered.size).ok().map(Quantity::units);
        let size = facts.and_then(|facts| facts.capacity).or(size);
        let block = facts.is_some_and(|facts| facts.block);
        let usage = self.try_volume(ordered.claim, size, block, place, reports, now);
        Volume {
            name: ordered.name.to_owned(),
            claim: ordered.claim.to_owned(),
            size,
            block: block || usage.as_ref().is_err_and(|missing| missing.reason == Reason::BlockVolume),
            storage_class: facts.map(|facts| facts.storage_class.clone()).unwrap_or_default(),
            usage: usage.map_or_else(Figure::Missing, Figure::Known),
        }
    }

    fn try_volume(
        &self,
        claim: &str,
        size: Option<u64>,
        block: bool,
        place: &Place,
        reports: &Reports,
        now: Millis,
    ) -> Result<Sample, Missing> {
        let missing = |reason| Missing {
            mend: mend::figure(reason, place.namespace, claim, place.node),
            ..Missing::from(reason)
        };
        if !place.running {
            return Err(missing(Reason::NotRunning));
        }
        if block {
            return Err(missing(Reason::BlockVolume));
        }
        let kubelet = self.kubelets.get(place.node);
        let error = kubelet.and_then(|kubelet| kubelet.error.as_ref());
        let Some(report) = reports.best(place.namespace, claim, place.node) else {
            return Err(unreported(kubelet, place, missing));
        };
        if is_block(report.stats) {
            return Err(missing(Reason::BlockVolume));
        }
        let used = report.stats.used.ok_or_else(|| missing(Reason::NotReported))?;
        let capacity = report.stats.capacity.filter(|capacity| *capacity > 0).or(size);
        let of = capacity.ok_or_else(|| missing(Reason::NotReported))?;
        let age = Age::new(now, report.at(), report.at(), self.limits.disk_interval);
        let sample = sample(&report, used, of, size, age.stale);
        let failed = |error: &super::facts::SourceError| Missing {
            reason: error.reason,
            detail: error.detail.clone(),
            mend: mend::kubelet(error.reason, place.node),
            last: Some(sample),
        };
        match error {
            Some(error) if error.reason == Reason::Forbidden => Err(failed(error)),
            Some(error) if age.expired => Err(failed(error)),
            None if age.expired => Err(Missing { last: Some(sample), ..missing(Reason::Expired) }),
            _ => Ok(sample),
        }
    }
}

/// No kubelet has the claim: because it fails, was not asked, or does not know it.
fn unreported(kubelet: Option<&NodeVolumes>, place: &Place, missing: impl Fn(Reason) -> Missing) -> Missing {
    if place.node.is_empty() {
        return missing(Reason::NoNode);
    }
    match kubelet {
        None => missing(Reason::Starting),
        Some(NodeVolumes { error: Some(error), .. }) => Missing {
            reason: error.reason,
            detail: error.detail.clone(),
            mend: mend::kubelet(error.reason, place.node),
            last: None,
        },
        Some(_) => missing(Reason::NotReported),
    }
}

/// A raw device has a size, but the kubelet cannot see into it: it reports zeros, not "unknown".
fn is_block(stats: &VolumeStats) -> bool {
    let zero = |value: Option<u64>| value.unwrap_or(0) == 0;
    zero(stats.used) && zero(stats.available) && zero(stats.inodes) && !zero(stats.capacity)
}

fn sample(report: &Report, used: u64, of: u64, size: Option<u64>, stale: bool) -> Sample {
    // Local and NFS volumes report the whole file system that they sit on.
    let shared = size.is_some_and(|size| u128::from(of) * 10 > u128::from(size) * 11);
    Sample {
        unit: Unit::Bytes,
        used,
        of,
        at: report.at(),
        window_ms: 0,
        source: Source::KubeletProxy,
        basis: if shared { Basis::SharedFilesystem } else { Basis::Own },
        stale,
    }
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

/// A sum is as old as its oldest part, and as little the VM's own as its least own part.
fn add(sum: Sample, next: Sample) -> Sample {
    Sample {
        used: sum.used.saturating_add(next.used),
        of: sum.of.saturating_add(next.of),
        at: sum.at.min(next.at),
        stale: sum.stale || next.stale,
        basis: if next.basis == Basis::Own { sum.basis } else { next.basis },
        ..sum
    }
}

/// Puts the three figures together.
pub(super) fn usage(cpu: Figure, memory: Figure, volumes: &[Volume], running: bool) -> Usage {
    let known = volumes.iter().filter(|volume| volume.usage.sample().is_some()).count();
    Usage {
        cpu,
        memory,
        disk: disk(volumes, running),
        disk_known: known as u32,
        disk_volumes: volumes.len() as u32,
    }
}
