//! What everything on each node uses of what the node can allocate, as its kubelet measures it. VMs are only a part of
//! that: a node can be full although its VMs use half of what they are allocated. `join` adds it to each node.

use std::sync::Arc;

use super::{
    fix,
    kubelet::{Measured, NodeVolumes},
    pod_stats::LONGEST_PERIOD,
    receipt::Age,
    state::ClusterState,
};
use i18n::msg;
use model::{
    Millis,
    figure::{Basis, Figure, Missing, Sample, Source, Unit},
    groups::{Node, NodeUse},
    reason::Reason,
    source::SourceId,
};

impl ClusterState {
    /// Returns the nodes, sorted by name, each with what is used of it at `now`.
    pub(super) fn used_nodes(&self, now: Millis) -> Arc<[Node]> {
        let used = |node: &Node| Node { used: Some(Box::new(self.node_use(node, now))), ..node.clone() };
        self.sorted_nodes.iter().map(used).collect()
    }

    fn node_use(&self, node: &Node, now: Millis) -> NodeUse {
        let kubelet = self.kubelets.get(&node.name);
        let figure = |unit, measured: fn(&NodeVolumes) -> Option<Measured>, allocatable: Option<u64>| {
            let measured = kubelet.and_then(|kubelet| Some((kubelet.source?, measured(kubelet)?)));
            let sample = match measured {
                Some((source, measured)) => self.node_sample((node, source), measured, unit, now),
                None => Err(Reason::NotReported),
            };
            match (sample, allocatable.filter(|of| *of > 0)) {
                (Ok(sample), Some(of)) => Figure::Known(Sample { of, ..sample }),
                (Ok(_), None) => Figure::Missing(Reason::NoAllocation.into()),
                (Err(reason), _) => Figure::Missing(self.unused_node(node, kubelet, reason)),
            }
        };
        NodeUse {
            cpu: figure(Unit::Nanocores, |kubelet| kubelet.cpu, node.cpu),
            memory: figure(Unit::Bytes, |kubelet| kubelet.memory, node.memory),
        }
    }

    /// Returns the sample, of nothing yet. Fails if it is too old.
    fn node_sample(
        &self,
        (node, source): (&Node, Source),
        Measured { amount: used, receipt }: Measured,
        unit: Unit,
        now: Millis,
    ) -> Result<Sample, Reason> {
        let interval = self.limits.disk_interval.max(LONGEST_PERIOD);
        let Age { stale, expired } = receipt.age(now, self.wall(now), interval);
        if expired {
            return Err(Reason::Expired);
        }
        let at = self.taken_at(&receipt, SourceId::Kubelet, &node.name);
        Ok(Sample { unit, used, of: 0, at, window_ms: 0, source, basis: Basis::Own, stale })
    }

    /// Returns why nothing is known of a node: why its kubelet fails, else `otherwise`.
    fn unused_node(&self, node: &Node, kubelet: Option<&NodeVolumes>, otherwise: Reason) -> Missing {
        if !self.limits.asks(SourceId::Kubelet) {
            return Missing { fix: fix::configure(SourceId::Kubelet), ..Reason::NotConfigured.into() };
        }
        if !self.is_asked(&node.name) {
            let is_labelled = self.sorted_nodes.iter().any(|node| node.schedulable);
            let detail = if is_labelled { msg!(error.not_schedulable) } else { msg!(error.no_vm_on_node) };
            return Missing { detail, ..Reason::NotReported.into() };
        }
        let Some(kubelet) = kubelet else { return Reason::Starting.into() };
        match &kubelet.error {
            Some(error) => fix::missing(error, fix::kubelet(error.reason, &node.name), None),
            None if kubelet.answered.is_none() => Reason::Starting.into(),
            None => Missing { fix: fix::unlisted(&node.name), ..otherwise.into() },
        }
    }
}
