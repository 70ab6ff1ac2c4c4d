//! Remembers which kubelets report each volume. `ClusterState` has it; `reports` looks volumes up in it.

use std::sync::Arc;

use hashbrown::HashMap;

use super::{
    observation::{VolumeRef, VolumeStats},
    touched::Name,
};

/// Which kubelets report each volume, and where in their answer. It follows each answer of a kubelet.
#[derive(Debug, Default)]
pub(super) struct Reporters {
    by_volume: HashMap<u64, Vec<Reporter>>,
    /// Volumes of pods that were not known when their kubelet answered.
    of_unknown_pods: usize,
}

/// A kubelet that reports a volume, and the place of the volume in its answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Reporter {
    pub node: Arc<str>,
    pub index: u32,
}

impl Reporters {
    /// Bytes that one report takes here, with the room of its table.
    pub const BYTES: usize = 2 * size_of::<(u64, Vec<Reporter>)>() + size_of::<Reporter>();

    pub fn add(&mut self, node: &str, volumes: &[VolumeStats]) {
        let node: Arc<str> = node.into();
        for (stats, index) in volumes.iter().zip(0..) {
            self.of_unknown_pods += usize::from(is_of_unknown_pod(stats));
            let reporters =
                self.by_volume.entry(stats.of.name().hash()).or_insert_with(|| Vec::with_capacity(1));
            reporters.push(Reporter { node: node.clone(), index });
        }
    }

    pub fn remove(&mut self, node: &str, volumes: &[VolumeStats]) {
        for stats in volumes {
            self.of_unknown_pods -= usize::from(is_of_unknown_pod(stats));
            let name = stats.of.name().hash();
            let Some(reporters) = self.by_volume.get_mut(&name) else { continue };
            reporters.retain(|reporter| *reporter.node != *node);
            if reporters.is_empty() {
                self.by_volume.remove(&name);
            }
        }
    }

    /// Whether any kubelet reported a volume of a pod that was not known.
    pub fn has_unknown_pods(&self) -> bool {
        self.of_unknown_pods > 0
    }

    pub fn of(&self, name: Name) -> &[Reporter] {
        self.by_volume.get(&name.hash()).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether it is what it would be if it were built now.
    #[cfg(test)]
    pub fn is_exact<'a>(&self, kubelets: impl Iterator<Item = (&'a str, &'a [VolumeStats])>) -> bool {
        let mut fresh = Self::default();
        kubelets.for_each(|(node, volumes)| fresh.add(node, volumes));
        let sorted = |of: &Self| {
            let mut all: Vec<_> = of.by_volume.iter().map(|(name, of)| (*name, of.clone())).collect();
            all.iter_mut().for_each(|(_, of)| of.sort());
            all.sort();
            all
        };
        fresh.of_unknown_pods == self.of_unknown_pods && sorted(&fresh) == sorted(self)
    }
}

fn is_of_unknown_pod(stats: &VolumeStats) -> bool {
    matches!(stats.of, VolumeRef::PodVolume { .. })
}

impl VolumeRef {
    fn name(&self) -> Name<'_> {
        match self {
            Self::Claim(claim) => Name::claim(claim),
            Self::PodVolume { pod, volume } => Name::PodVolume(&pod.namespace, &pod.name, volume),
        }
    }
}
