//! `kubevirt.io/v1`: VirtualMachine and VirtualMachineInstance.

use serde::Deserialize;

use super::lenient::{Flag, List, Map, Obj, Scalar, Text};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct VirtualMachineSpec {
    pub template: Obj<Template>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Template {
    pub spec: Obj<InstanceSpec>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct VirtualMachineStatus {
    pub printable_status: Text,
    pub conditions: List<Condition>,
}

/// The spec of a VirtualMachineInstance, and of a VirtualMachine's template.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct InstanceSpec {
    pub domain: Obj<Domain>,
    pub volumes: List<Volume>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Domain {
    pub cpu: Obj<Cpu>,
    pub memory: Obj<Memory>,
    pub resources: Obj<Resources>,
    pub devices: Obj<Devices>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Devices {
    pub disks: List<Disk>,
}

/// A volume of that name, as the guest sees it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Disk {
    pub name: Text,
    pub serial: Text,
}

/// The guest sees sockets × cores × threads; one that is not given counts as 1.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Cpu {
    pub sockets: Scalar,
    pub cores: Scalar,
    pub threads: Scalar,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Memory {
    pub guest: Scalar,
    pub hugepages: Obj<Hugepages>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Hugepages {
    pub page_size: Scalar,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Resources {
    pub requests: Obj<Amounts>,
    pub limits: Obj<Amounts>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Amounts {
    pub cpu: Scalar,
    pub memory: Scalar,
    #[serde(rename = "hugepages-2Mi")]
    pub hugepages_2mi: Scalar,
    #[serde(rename = "hugepages-1Gi")]
    pub hugepages_1gi: Scalar,
}

/// Only the two kinds that are disks backed by a claim: container disks, cloud-init and the like have none, and an
/// `ephemeral` volume's claim is a read-only base that many VMs share.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Volume {
    pub name: Text,
    pub persistent_volume_claim: Obj<ClaimSource>,
    pub data_volume: Obj<DataVolumeSource>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ClaimSource {
    pub claim_name: Text,
}

/// A DataVolume's claim has its name.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct DataVolumeSource {
    pub name: Text,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct InstanceStatus {
    pub phase: Text,
    pub node_name: Text,
    /// Launcher pod uid → node.
    pub active_pods: Map,
    pub migration_state: Obj<MigrationState>,
    pub interfaces: List<Interface>,
    #[serde(rename = "guestOSInfo")]
    pub guest_os_info: Obj<GuestOs>,
    pub conditions: List<Condition>,
    /// With what was hot-plugged.
    #[serde(rename = "currentCPUTopology")]
    pub current_cpu_topology: Obj<Cpu>,
    pub memory: Obj<MemoryStatus>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Condition {
    pub r#type: Text,
    pub status: Text,
    pub message: Text,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MemoryStatus {
    /// With what was hot-plugged.
    pub guest_current: Scalar,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MigrationState {
    pub source_node: Text,
    pub target_node: Text,
    pub source_pod: Text,
    pub target_pod: Text,
    pub completed: Flag,
    pub failed: Flag,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Interface {
    pub ip_address: Text,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct GuestOs {
    pub pretty_name: Text,
    pub name: Text,
}
