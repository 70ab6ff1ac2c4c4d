//! Finds what kubelets say of a claim, and Longhorn's volume of a handle. `readings` looks volumes up here.

use std::sync::Arc;

use super::{
    dependencies::Dependencies,
    objects::Objects,
    observation::{Key, LonghornFacts, PodFacts, VolumeRef, VolumeStats},
    receipt::Receipt,
    reporters::Reporter,
    state::ClusterState,
    touched::Name,
};
use model::{Millis, figure::Source};

/// The namespace of Longhorn's volumes, unless `namespaceOverride` of its chart says otherwise.
const LONGHORN_SYSTEM: &str = "longhorn-system";

/// Pods of a claim whose volumes are looked up by the names that they have in the pod.
const MOST_PODS: usize = 64;

/// What one kubelet says of a claim.
#[derive(Clone, Copy)]
pub(super) struct Report<'a> {
    pub node: &'a str,
    pub source: Source,
    pub stats: &'a VolumeStats,
    pub receipt: &'a Receipt,
    /// Milliseconds in which new figures are expected from this kubelet.
    pub interval: Millis,
}

impl VolumeStats {
    /// Returns namespace and name of the claim that the kubelet names, else the claim of the pod's volume, if
    /// the pod is known by now.
    pub(super) fn claim<'a>(&'a self, pods: &'a Objects<PodFacts>) -> Option<(&'a str, &'a str)> {
        match &self.of {
            VolumeRef::Claim(claim) => Some((&claim.namespace, &claim.name)),
            VolumeRef::PodVolume { pod, volume } => Some((&pod.namespace, pods.get(pod)?.claim_of(volume)?)),
        }
    }
}

impl ClusterState {
    /// Returns the report from the node that holds the guest, else the newest report from a node where a pod
    /// mounts the claim. Other nodes cannot know the claim, and a compromised node could report anything.
    pub(super) fn best_report(
        &self,
        claim: &Key,
        node: &str,
        dependencies: &Dependencies,
    ) -> Option<Report<'_>> {
        dependencies.note(Name::claim(claim));
        let may_know = |report: &Report| report.node == node || self.is_mounted(report.node, claim);
        let named = self.reports_under(Name::claim(claim), claim);
        let known = named.chain(self.reports_of_pods(claim)).filter(may_know);
        known.max_by_key(|report| (report.node == node, report.receipt.first, report.node))
    }

    /// Returns the reports whose volume was the claim's pod's when its pod was not known yet.
    fn reports_of_pods<'a, 'k>(&'a self, claim: &'k Key) -> impl Iterator<Item = Report<'a>> + use<'a, 'k> {
        let is_any = self.reporters.has_unknown_pods();
        let pods = if is_any { self.pods.named(Name::claim(claim)) } else { Default::default() };
        pods.iter().take(MOST_PODS).flat_map(move |pod| {
            let volumes = pod.claims.iter().filter(|(_, of)| **of == *claim.name);
            let name = |volume| Name::PodVolume(&pod.namespace, &pod.name, volume);
            volumes.flat_map(move |(volume, _)| self.reports_under(name(volume), claim))
        })
    }

    fn reports_under<'a, 'k>(
        &'a self,
        name: Name,
        claim: &'k Key,
    ) -> impl Iterator<Item = Report<'a>> + use<'a, 'k> {
        let report = |reporter: &'a Reporter| {
            let kubelet = self.kubelets.get(&*reporter.node)?;
            let (stats, receipt) = kubelet.volume(reporter.index as usize)?;
            let interval = kubelet.interval(self.limits.disk_interval);
            Some(Report { node: &reporter.node, source: kubelet.source?, stats, receipt, interval })
        };
        let is_of =
            |report: &Report| report.stats.claim(&self.pods) == Some((&*claim.namespace, &*claim.name));
        self.reporters.of(name).iter().filter_map(report).filter(is_of)
    }

    /// Whether a pod that has not ended mounts the claim on the node: the kubelet of a pod that has ended
    /// measures nothing for it any more, and could report anything for a VM that has left. Without any pod
    /// nothing is known of mounts.
    fn is_mounted(&self, node: &str, claim: &Key) -> bool {
        let mount = Name::Mount(node, &claim.namespace, &claim.name);
        self.pods.is_empty() || !self.pods.named(mount).is_empty()
    }

    /// Returns the volume of this name, which is the CSI driver's handle. The inner `None` means that several
    /// namespaces have one. Tenants may be allowed to create objects of that kind in their namespaces, so if
    /// Longhorn's own namespace has any volume, only that namespace counts.
    pub(super) fn longhorn_volume(
        &self,
        handle: &str,
        dependencies: &Dependencies,
    ) -> Option<Option<&LonghornFacts>> {
        let name = Name::Longhorn(handle);
        dependencies.note(name);
        let is_of = |volume: &&Arc<LonghornFacts>| {
            volume.name == handle && (!self.is_longhorn_at_home || volume.namespace == LONGHORN_SYSTEM)
        };
        let mut volumes = self.longhorn.named(name).iter().filter(is_of);
        let first = volumes.next()?;
        Some(volumes.next().is_none().then_some(first))
    }

    /// Finds out whether Longhorn's own namespace has any volume.
    pub(super) fn locate_longhorn(&mut self) {
        if std::mem::take(&mut self.longhorn.changed) {
            self.is_longhorn_at_home =
                self.longhorn.values().any(|volume| volume.namespace == LONGHORN_SYSTEM);
        }
    }
}
