//! What is read of the objects of the cluster. Lists are slices: a `Vec` could keep the room of the list that it was
//! collected from, which nothing counts.

use std::{net::IpAddr, sync::Arc};

use super::{instancetype::InstancetypeRef, key::Key, samples::Image};
use model::{
    Millis,
    instance::{InstanceDetails, InstanceDisk},
    vm::{Disk, Network},
};

/// What is kept of a Wukong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WukongFacts {
    pub uid: String,
    pub namespace: String,
    pub name: String,
    pub created: Millis,
    /// `spec.cpu`; `None` if it is not a number.
    pub cpu: Option<u64>,
    /// `spec.memory` as written.
    pub memory: String,
    pub os_image: String,
    /// Spec and status, joined by name.
    pub networks: Box<[Network]>,
    pub disks: Box<[Disk]>,
    /// Disks and volumes beyond the limit of how many are kept of one object.
    pub disks_left_out: u32,
    pub volumes_left_out: u32,
    pub phase: String,
    pub vm_name: String,
    pub node_name: String,
    pub volumes: Box<[WukongVolume]>,
}

/// An entry of `Wukong.status.volumes`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WukongVolume {
    pub name: String,
    pub claim: String,
    pub size: String,
}

/// What is kept of a VirtualMachine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VmFacts {
    pub uid: String,
    pub namespace: String,
    pub name: String,
    pub created: Millis,
    /// uid and name of the Wukong in its owner references; empty if there is none. The writer of the
    /// object chooses them: see `inventory`.
    pub owner_wukong: String,
    pub owner_name: String,
    pub printable_status: String,
    /// The object has a `deletionTimestamp`.
    pub deleting: bool,
    /// Why the VM does not start, from its conditions; empty if it is up or off, or if the conditions do not
    /// say.
    pub failure_message: String,
    /// The condition `Paused`, which KubeVirt copies from the instance.
    pub pause: Option<Box<Pause>>,
    /// vCPUs, and memory as written, with which KubeVirt would start the template. `None` and empty if the
    /// template cannot be read, or if an instance type gives them.
    pub vcpus: Option<u64>,
    pub memory: String,
    pub instancetype: Option<Box<InstancetypeRef>>,
}

/// The condition `Paused` if it is true: the guest is in memory and does not run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pause {
    /// `PausedByUser`, `PausedIOError`, `PausedByMigrationMonitor`.
    pub reason: String,
    pub message: String,
}

/// What is kept of a VirtualMachineInstance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstanceFacts {
    pub uid: String,
    pub namespace: String,
    pub name: String,
    pub phase: String,
    /// The object has a `deletionTimestamp`: its guest is being shut down, which may take as long as its
    /// grace period.
    pub deleting: bool,
    pub pause: Option<Box<Pause>>,
    pub node_name: String,
    /// `status.activePods`: launcher pod uid → node.
    pub active_pods: Box<[(String, String)]>,
    pub migration: Option<Box<Migration>>,
    /// Disks backed by a claim, in the order of the spec.
    pub volumes: Box<[InstanceVolume]>,
    /// All disks, whatever backs them; empty if some were left out.
    pub disks: Arc<[InstanceDisk]>,
    pub disks_left_out: u32,
    /// Volumes beyond the limit of how many are kept of one object.
    pub volumes_left_out: u32,
    pub ip_address: String,
    pub guest_os: String,
    /// Condition `AgentConnected`.
    pub agent_connected: bool,
    /// What the guest has now, including hot-plugged CPU and memory: vCPUs, and memory as written. `None` and
    /// empty if the instance does not say.
    pub vcpus: Option<u64>,
    pub memory: String,
    /// Memory is backed by hugepages, which the launcher's working set does not count.
    pub hugepages: bool,
    /// uid of the VirtualMachine that controls the instance; empty if it stands alone.
    pub owner_vm: String,
    pub created: Millis,
    /// What only the VM's own page shows.
    pub details: Arc<InstanceDetails>,
}

/// The part of `status.migrationState` that tells which pod holds the guest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Migration {
    pub source_node: String,
    pub target_node: String,
    /// Pod names; empty in KubeVirt versions that do not report them.
    pub source_pod: String,
    pub target_pod: String,
    pub completed: bool,
    pub failed: bool,
}

/// What is kept of a VirtualMachineInstanceMigration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MigrationFacts {
    pub namespace: Box<str>,
    /// The name of the instance that it moves.
    pub instance: Box<str>,
    /// Shared with the VMs that show it.
    pub migration: Arc<model::details::Migration>,
}

/// A volume of an instance that is backed by a claim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstanceVolume {
    pub name: String,
    pub claim: String,
}

/// What is kept of a launcher pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodFacts {
    pub uid: String,
    pub namespace: String,
    pub name: String,
    pub node_name: String,
    /// `Pending`, `Running`, `Succeeded`, `Failed`, `Unknown`.
    pub phase: String,
    pub created: Millis,
    pub deleting: bool,
    /// `status.hostIP`: the address of its node.
    pub host_ip: Option<IpAddr>,
    /// Label `kubevirt.io/created-by`: the VMI's uid.
    pub created_by: String,
    /// Annotation `kubevirt.io/domain`: the VMI's name.
    pub domain: String,
    /// `(pod volume name, claim name)`; only volumes of claims.
    pub claims: Box<[(String, String)]>,
    /// Containers that run at the same time: containers, init containers that always restart, ephemeral
    /// containers. Empty if they are not known.
    pub containers: Box<[PodContainer]>,
}

/// A container of a launcher pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodContainer {
    pub name: Box<str>,
    /// Without this container the pod's sum is incomplete: it is a container of the spec, and its status says
    /// that it runs. Init and ephemeral containers are small, and not every metrics API lists them.
    pub required: bool,
}

impl PodFacts {
    /// Whether none of its containers runs or will run again.
    pub fn has_ended(&self) -> bool {
        matches!(self.phase.as_str(), "Succeeded" | "Failed")
    }

    /// Returns the claim that is mounted as this volume.
    pub fn claim_of(&self, volume: &str) -> Option<&str> {
        let mut claims = self.claims.iter();
        claims.find(|(name, _)| name == volume).map(|(_, claim)| claim.as_str())
    }
}

/// What is kept of a PersistentVolumeClaim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimFacts {
    pub namespace: String,
    pub name: String,
    pub block: bool,
    /// Bytes: `spec.resources.requests.storage` and `status.capacity.storage`.
    pub request: Option<u64>,
    pub capacity: Option<u64>,
    pub storage_class: String,
    /// The PersistentVolume that the claim is bound to; empty if it is not bound.
    pub volume_name: String,
    /// The provisioner from the claim's annotation. The PersistentVolume's provisioner takes precedence,
    /// since anyone who may write the claim can write the annotation.
    pub provisioner: Provisioner,
}

/// How a provisioner lays its volumes out on file systems, as far as its name tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Provisioner {
    /// Nothing is known of the provisioner.
    #[default]
    Unknown,
    /// A driver that is on neither list.
    Unlisted,
    /// Each volume is a device with its own file system.
    Device,
    /// Volumes are directories, many of which share one file system.
    Directory,
}

/// The parts of a PersistentVolume that matter for the claim it is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersistentVolumeFacts {
    pub name: Box<str>,
    /// The claim that it is bound to; with empty names if it is not bound.
    pub claim: Key,
    pub provisioner: Provisioner,
    /// The storage behind it, if a source can measure that.
    pub backend: Option<Backend>,
}

/// The storage that a PersistentVolume lies on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backend {
    /// The name of a Longhorn volume.
    Longhorn(Box<str>),
    Rbd(Box<Image>),
}

/// `volumes.longhorn.io`: the backend of the volume whose handle is this name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LonghornFacts {
    pub namespace: String,
    pub name: String,
    /// `spec.size` and `status.actualSize`, in bytes.
    pub size: Option<u64>,
    pub actual_size: Option<u64>,
    pub engine: LonghornEngine,
}

/// The data engine of a Longhorn volume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LonghornEngine {
    #[default]
    V1,
    V2,
    /// V2 in Longhorn before 1.6, which does not count what its volumes use.
    UncountedV2,
}
