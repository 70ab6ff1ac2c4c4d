//! `metrics.k8s.io/v1beta1` PodMetrics.

use serde::Deserialize;

use super::{
    lenient::{Identifier, List, Obj, Scalar},
    meta::Metadata,
};

/// The usage of a pod at one time.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PodMetrics {
    pub metadata: Obj<Metadata>,
    pub timestamp: Identifier,
    /// The time that the CPU rate was computed over, a Go duration.
    pub window: Identifier,
    pub containers: List<ContainerMetrics>,
}

/// The usage of one container.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ContainerMetrics {
    /// Empty for the pod's own cgroup.
    pub name: Identifier,
    pub usage: Obj<Usage>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Usage {
    pub cpu: Scalar,
    pub memory: Scalar,
}
