//! Applies what is said on a node: by its kubelet, and by its virt-handler.

use hashbrown::HashSet;

use crate::{
    MISSING_AFTER,
    kubelet::NodeVolumes,
    objects::Objects,
    observation::{GuestsFacts, Key, PodFacts, SourceError, SummaryFacts, VolumeRef, VolumeStats},
    state::ClusterState,
    touched::Name,
};
use i18n::msg;
use model::{Millis, reason::Reason, source::SourceId};

/// Most volumes that are kept of a node's pods that are not known: pods that are younger than the list.
const MOST_OF_UNKNOWN_PODS: usize = 64;

/// Limit of the bytes kept for volumes of unverified claims, of all nodes together. The 30,000 claims of 10,000 VMs
/// take 12 MB; a node that invents 8192 claims with the longest names, 11 MB.
pub(in super::super) const MOST_UNVERIFIED_BYTES: usize = 24 << 20;

impl ClusterState {
    /// Applies an answer of the node's virt-handler.
    pub(super) fn apply_guests(&mut self, node: &str, at: Millis, result: Result<GuestsFacts, SourceError>) {
        let longest = self.limits.disk_interval.saturating_mul(MISSING_AFTER);
        self.counted_guests.take((node, at), result, &self.instances, longest);
    }

    /// Applies an answer of the node's kubelet.
    pub(super) fn apply_summary(
        &mut self,
        node: String,
        at: Millis,
        result: Result<SummaryFacts, SourceError>,
    ) {
        self.apply_pod_stats(&node, at, result.as_ref().ok());
        let result = result.map(|facts| self.existing_volumes(facts));
        let kubelet = self.kubelets.entry(node.clone()).or_default();
        match result {
            Ok(facts) => {
                let mounted = mounted_claims(&self.pods, &node);
                self.reporters.remove(&node, kubelet.stats());
                kubelet.answered(facts, at, self.limits.disk_interval, |stats| is_of(stats, &mounted));
                self.reporters.add(&node, kubelet.stats());
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
            let by_bytes = self.kubelets.iter().map(|(node, kubelet)| (kubelet.unverified_bytes(), node));
            let Some(node) = by_bytes.max().map(|(_, node)| node.clone()) else { return };
            self.touch_node(&node);
            let Some(kubelet) = self.kubelets.get_mut(&node) else { return };
            bytes -= kubelet.unverified_bytes();
            let detail = msg!(error.claims_together, bytes = MOST_UNVERIFIED_BYTES.to_string());
            let mounted = mounted_claims(&self.pods, &node);
            let error = SourceError { reason: Reason::TooLarge, detail };
            self.reporters.remove(&node, kubelet.stats());
            kubelet.leave_out_unverified(|stats| is_of(stats, &mounted), error);
            self.reporters.add(&node, kubelet.stats());
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

    /// Takes what an answer says of launcher pods.
    fn apply_pod_stats(&mut self, node: &str, at: Millis, facts: Option<&SummaryFacts>) {
        let longest = self.limits.disk_interval.saturating_mul(MISSING_AFTER);
        let all = facts.map(|facts| &*facts.pods).unwrap_or_default();
        self.launcher_stats.take((node, at), all, &self.pods, longest);
    }
}

/// Returns namespace and name of the claims that pods mount on a node: those that its kubelet can know. Any kubelet
/// could repeat all claims of the cluster.
fn mounted_claims<'a>(pods: &'a Objects<PodFacts>, node: &str) -> HashSet<(&'a str, &'a str)> {
    let of_node = pods.named(Name::PodsOn(node)).iter();
    let of_node = of_node.filter(|pod| pod.node_name == node && !pod.has_ended());
    of_node.flat_map(|pod| pod.claims.iter().map(|(_, claim)| (&*pod.namespace, claim.as_str()))).collect()
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
