//! `kubevirt.io/v1`: VirtualMachine, VirtualMachineInstance and KubeVirt.

use serde::Deserialize;

use super::lenient::{Flag, Identifier, List, Map, Names, Obj, ReadableText, Scalar};

/// The maximum number of disks kept per VM: a virtio-scsi controller takes no more.
pub const MOST_DISKS: usize = 256;
/// The maximum number of addresses kept of one network interface.
pub const MOST_ADDRESSES: usize = 16;

/// The status of a KubeVirt object.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct KubevirtStatus {
    /// `Deployed` once KubeVirt is installed.
    pub phase: Identifier,
}

/// The spec of a VirtualMachine.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct VirtualMachineSpec {
    pub template: Obj<Template>,
    pub instancetype: Obj<InstancetypeMatcher>,
}

/// Names an instance type of `instancetype.kubevirt.io`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct InstancetypeMatcher {
    pub name: Identifier,
    pub kind: Identifier,
    /// The ControllerRevision that holds the instance type.
    pub revision_name: Identifier,
    /// The volume that the instance type is inferred from as long as there is no name.
    pub infer_from_volume: Identifier,
}

/// The instance type in a VirtualMachine's status, since KubeVirt 1.4.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct InstancetypeStatus {
    pub name: Identifier,
    pub controller_revision_ref: Obj<NamedRef>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct NamedRef {
    pub name: Identifier,
}

/// The spec of a `VirtualMachineInstancetype` or a `VirtualMachineClusterInstancetype`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct InstancetypeSpec {
    pub cpu: Obj<InstancetypeAmount>,
    pub memory: Obj<InstancetypeAmount>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct InstancetypeAmount {
    pub guest: Scalar,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Template {
    pub spec: Obj<InstanceSpec>,
}

/// The status of a VirtualMachine.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct VirtualMachineStatus {
    pub printable_status: Identifier,
    pub conditions: List<Condition>,
    pub instancetype_ref: Obj<InstancetypeStatus>,
}

/// The spec of a VirtualMachineInstance, and of a VirtualMachine's template.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct InstanceSpec {
    pub domain: Obj<Domain>,
    pub volumes: List<Volume, MOST_DISKS>,
    pub hostname: Identifier,
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
    pub disks: List<Disk, MOST_DISKS>,
    pub interfaces: List<SpecInterface>,
}

/// A network interface, which one field of several says how it is connected.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct SpecInterface {
    pub name: Identifier,
    /// A network card of the host is passed through to the guest.
    pub sriov: Option<Obj<NoFields>>,
}

/// An object of which only its presence is read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct NoFields {}

/// The disk that the guest sees for the volume of the same name.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Disk {
    pub name: Identifier,
    pub serial: Identifier,
    /// One of `disk`, `lun` and `cdrom` says how the volume is attached.
    pub disk: Option<Obj<DiskTarget>>,
    pub lun: Option<Obj<DiskTarget>>,
    pub cdrom: Option<Obj<DiskTarget>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct DiskTarget {
    /// `virtio`, `scsi`, `sata`, `usb`.
    pub bus: Identifier,
}

/// The guest sees sockets × cores × threads vCPUs; a part that is missing or 0 counts as 1.
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
}

/// A volume; only the two types that are disks backed by a claim are read. Container disks, cloud-init and
/// the like have no claim, and the claim of an `ephemeral` volume is a read-only base that many VMs share.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Volume {
    pub name: Identifier,
    pub persistent_volume_claim: Obj<ClaimSource>,
    pub data_volume: Obj<DataVolumeSource>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ClaimSource {
    pub claim_name: Identifier,
}

/// A DataVolume's claim has the same name.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct DataVolumeSource {
    pub name: Identifier,
}

/// The status of a VirtualMachineInstance.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct InstanceStatus {
    pub phase: Identifier,
    pub node_name: Identifier,
    /// Launcher pod uid → node.
    pub active_pods: Map,
    pub migration_state: Obj<MigrationState>,
    pub interfaces: List<Interface>,
    #[serde(rename = "guestOSInfo")]
    pub guest_os_info: Obj<GuestOs>,
    pub conditions: List<Condition>,
    /// Includes what was hot-plugged.
    #[serde(rename = "currentCPUTopology")]
    pub current_cpu_topology: Obj<Cpu>,
    pub memory: Obj<MemoryStatus>,
    pub phase_transition_timestamps: List<PhaseTransition>,
}

/// When an instance entered a phase.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PhaseTransition {
    pub phase: Identifier,
    pub phase_transition_timestamp: Identifier,
}

/// A condition of a status.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Condition {
    pub r#type: Identifier,
    pub status: Identifier,
    pub reason: Identifier,
    pub message: ReadableText<1000>,
    pub last_transition_time: Identifier,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MemoryStatus {
    /// Includes what was hot-plugged.
    pub guest_current: Scalar,
}

/// The state of the last live migration.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MigrationState {
    pub source_node: Identifier,
    pub target_node: Identifier,
    pub source_pod: Identifier,
    pub target_pod: Identifier,
    pub start_timestamp: Identifier,
    pub end_timestamp: Identifier,
    pub completed: Flag,
    pub failed: Flag,
    pub failure_reason: ReadableText<1000>,
}

/// The spec of a VirtualMachineInstanceMigration.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MigrationSpec {
    /// The instance that it moves.
    pub vmi_name: Identifier,
}

/// The status of a VirtualMachineInstanceMigration.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MigrationStatus {
    pub phase: Identifier,
    pub conditions: List<Condition>,
    pub migration_state: Obj<MigrationState>,
    pub phase_transition_timestamps: List<PhaseTransition>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Interface {
    /// The name in the spec; empty for an interface that only the guest's agent knows.
    pub name: Identifier,
    /// What the guest's system calls it.
    pub interface_name: Identifier,
    pub mac: Identifier,
    pub ip_address: ReadableText,
    pub ip_addresses: Names<MOST_ADDRESSES>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct GuestOs {
    pub pretty_name: ReadableText,
    pub name: ReadableText,
    pub version: ReadableText,
    pub kernel_release: ReadableText,
}
