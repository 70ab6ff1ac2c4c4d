//! What all kubelets say of claims, and Longhorn of its volumes, indexed for one join.

use hashbrown::{HashMap, HashSet};

use super::{
    observation::{Key, LonghornFacts, VolumeRef, VolumeStats},
    receipt::Receipt,
    state::ClusterState,
};
use model::{Millis, figure::Source};

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
    pub fn of(world: &'a ClusterState) -> Self {
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
fn claim_of<'a>(stats: &'a VolumeStats, world: &'a ClusterState) -> Option<(&'a str, &'a str)> {
    match &stats.of {
        VolumeRef::Claim(claim) => Some((&claim.namespace, &claim.name)),
        VolumeRef::PodVolume { pod, volume } => {
            Some((&pod.namespace, world.pods.get(pod)?.claim_of(volume)?))
        }
    }
}
