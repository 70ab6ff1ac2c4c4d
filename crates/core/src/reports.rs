//! Indexes what all kubelets say of claims, and what Longhorn says of its volumes, for one join. `readings`
//! looks volumes up here.

use hashbrown::{HashMap, HashSet};

use super::{
    observation::{Key, LonghornFacts, VolumeRef, VolumeStats},
    receipt::Receipt,
    state::ClusterState,
};
use model::{Millis, figure::Source};

/// The namespace of Longhorn's volumes, unless `namespaceOverride` of its chart says otherwise.
const LONGHORN_SYSTEM: &str = "longhorn-system";

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

/// All kubelets' reports by claim, and Longhorn's volumes by name.
pub(super) struct Reports<'a> {
    by_claim: HashMap<(&'a str, &'a str), Vec<Report<'a>>>,
    /// Longhorn volumes by name; `None` for a name that two namespaces share. Tenants may be allowed to
    /// create objects of that kind in their namespaces, so if Longhorn's own namespace has any
    /// volume, only that namespace counts.
    longhorn: HashMap<&'a str, Option<&'a LonghornFacts>>,
    /// Node, namespace and claim of what pods mount. `None` if pods cannot be listed.
    mounts: Option<HashSet<(&'a str, &'a str, &'a str)>>,
}

impl<'a> Reports<'a> {
    pub fn of(state: &'a ClusterState) -> Self {
        let mut by_claim: HashMap<_, Vec<Report>> = HashMap::new();
        for (node, kubelet) in &state.kubelets {
            let Some(source) = kubelet.source else { continue };
            let interval = kubelet.interval(state.limits.disk_interval);
            for (stats, receipt) in kubelet.volumes() {
                if let Some(claim) = claim_of(stats, state) {
                    let report = Report { node, source, stats, receipt, interval };
                    by_claim.entry(claim).or_default().push(report);
                }
            }
        }
        let mut longhorn = HashMap::new();
        let is_at_home = state.longhorn.values().any(|volume| volume.namespace == LONGHORN_SYSTEM);
        let volumes = state.longhorn.values();
        for volume in volumes.filter(|volume| !is_at_home || volume.namespace == LONGHORN_SYSTEM) {
            longhorn.entry(volume.name.as_str()).and_modify(|named| *named = None).or_insert(Some(&**volume));
        }
        // The kubelet of a pod that has ended measures nothing for it any more, and could report anything for
        // a VM that has left.
        let mounts = state.pods.values().filter(|pod| !pod.has_ended()).flat_map(|pod| {
            pod.claims.iter().map(|(_, claim)| (&*pod.node_name, &*pod.namespace, claim.as_str()))
        });
        let mounts = (!state.pods.is_empty()).then(|| mounts.collect());
        Self { by_claim, longhorn, mounts }
    }

    /// Returns the volume of this name, which is the CSI driver's handle. The inner `None` means that several
    /// namespaces have one.
    pub fn longhorn(&self, name: &str) -> Option<Option<&'a LonghornFacts>> {
        self.longhorn.get(name).copied()
    }

    /// Returns the report from the node that holds the guest, else the newest report from a node where a pod
    /// mounts the claim. Other nodes cannot know the claim, and a compromised node could report anything.
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

/// Returns the claim that the kubelet names, else the claim of the pod's volume, if the pod is known by now.
fn claim_of<'a>(stats: &'a VolumeStats, state: &'a ClusterState) -> Option<(&'a str, &'a str)> {
    match &stats.of {
        VolumeRef::Claim(claim) => Some((&claim.namespace, &claim.name)),
        VolumeRef::PodVolume { pod, volume } => {
            Some((&pod.namespace, state.pods.get(pod)?.claim_of(volume)?))
        }
    }
}
