//! `metrics.k8s.io/v1beta1` PodMetrics.

use serde::Deserialize;

use super::{
    lenient::{List, Obj, Scalar, Text, nullable},
    meta::Metadata,
};

/// A list without `items` is no list: it is refused, not taken for an empty one.
#[derive(Clone, Debug, Deserialize)]
pub struct PodMetricsList {
    #[serde(deserialize_with = "nullable")]
    pub items: Vec<Obj<PodMetrics>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PodMetrics {
    pub metadata: Obj<Metadata>,
    pub timestamp: Text,
    /// What the CPU rate was taken over, a Go duration.
    pub window: Text,
    pub containers: List<ContainerMetrics>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ContainerMetrics {
    pub usage: Obj<Usage>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Usage {
    pub cpu: Scalar,
    pub memory: Scalar,
}
