//! `v1`: pods of launchers and of virt-handler, PersistentVolumeClaims, nodes and Events.

use serde::Deserialize;

use super::{
    kubevirt::Condition,
    lenient::{Amount, Flag, Identifier, List, Obj, ReadableText, Scalar},
    meta::Metadata,
};

/// The spec of a pod.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodSpec {
    pub node_name: Identifier,
    /// KubeVirt mounts about twenty volumes besides the disks.
    pub volumes: List<PodVolume, 320>,
    pub containers: List<Container>,
    pub init_containers: List<Container>,
    pub ephemeral_containers: List<Container>,
}

/// A container of a pod's spec.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Container {
    pub name: Identifier,
    /// `Always` for an init container that keeps running beside the others.
    pub restart_policy: Identifier,
    pub ports: List<ContainerPort>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ContainerPort {
    pub name: Identifier,
    pub container_port: Amount,
}

/// A volume of a pod's spec, and the claim that backs it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodVolume {
    pub name: Identifier,
    pub persistent_volume_claim: Obj<ClaimSource>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ClaimSource {
    pub claim_name: Identifier,
}

/// The status of a pod.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodStatus {
    pub phase: Identifier,
    #[serde(rename = "hostIP")]
    pub host_ip: Identifier,
    #[serde(rename = "podIP")]
    pub pod_ip: Identifier,
    pub container_statuses: List<ContainerStatus>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ContainerStatus {
    pub name: Identifier,
    pub state: Obj<ContainerState>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ContainerState {
    pub running: Obj<RunningState>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RunningState {
    /// Empty if it does not run.
    pub started_at: Identifier,
}

/// The spec of a PersistentVolumeClaim.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ClaimSpec {
    /// `Filesystem` or `Block`.
    pub volume_mode: Identifier,
    pub storage_class_name: Identifier,
    pub volume_name: Identifier,
    pub resources: Obj<Resources>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Resources {
    pub requests: Obj<Storage>,
}

/// The status of a PersistentVolumeClaim.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ClaimStatus {
    pub capacity: Obj<Storage>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Storage {
    pub storage: Scalar,
}

/// The spec of a node.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct NodeSpec {
    pub unschedulable: Flag,
}

/// The status of a node.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NodeStatus {
    pub allocatable: Obj<Allocatable>,
    pub conditions: List<Condition>,
    pub addresses: List<NodeAddress>,
    pub node_info: Obj<NodeInfo>,
}

/// An address of a node: `InternalIP`, `ExternalIP`, `Hostname` and others.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct NodeAddress {
    pub r#type: Identifier,
    pub address: Identifier,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NodeInfo {
    pub kubelet_version: ReadableText<80>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Allocatable {
    pub cpu: Scalar,
    pub memory: Scalar,
}

/// An Event. Those of the newer API, `events.k8s.io`, have `eventTime` and `series` instead of the count and the times;
/// both APIs return both kinds.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Event {
    pub metadata: Obj<Metadata>,
    pub involved_object: Obj<InvolvedObject>,
    pub reason: ReadableText<80>,
    pub message: ReadableText<300>,
    /// `Normal` or `Warning`.
    pub r#type: Identifier,
    pub count: Amount,
    pub first_timestamp: Identifier,
    pub last_timestamp: Identifier,
    pub event_time: Identifier,
    pub series: Obj<EventSeries>,
    pub source: Obj<EventSource>,
    pub reporting_component: ReadableText<80>,
}

/// The object that an Event is about.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct InvolvedObject {
    pub api_version: Identifier,
    pub kind: Identifier,
    pub namespace: Identifier,
    pub name: Identifier,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EventSeries {
    pub count: Amount,
    pub last_observed_time: Identifier,
}

/// Who reported an Event of the older API.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct EventSource {
    pub component: ReadableText<80>,
}
