//! virt-handler's metrics: what KubeVirt counts of the guests of each node.

pub mod answer;
mod names;
mod series;
