//! One virtual machine: its spec, where it runs and what it uses. Snapshots hold it; pages and REST show it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Millis,
    activity::{Activity, Part},
    attention::AttentionKinds,
    derived::Derived,
    details::Migration,
    figure::{Figure, Missing, Sample},
    instance::InstanceDetails,
    message::Message,
    pressure::{self, PressureSample},
    source::SourceId,
};

/// The kind of the object that represents the VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    Wukong,
    VirtualMachine,
    /// An instance that no VirtualMachine controls.
    VirtualMachineInstance,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Wukong => "Wukong",
            Self::VirtualMachine => "VirtualMachine",
            Self::VirtualMachineInstance => "VirtualMachineInstance",
        }
    }
}

/// The contract's `status`: the Wukong phases, and `Unknown` for an object without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Status {
    Running,
    Creating,
    Pending,
    Error,
    Stopped,
    Unknown,
}

impl Status {
    pub const ALL: [Self; 6] =
        [Self::Running, Self::Creating, Self::Pending, Self::Error, Self::Stopped, Self::Unknown];

    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "Running",
            Self::Creating => "Creating",
            Self::Pending => "Pending",
            Self::Error => "Error",
            Self::Stopped => "Stopped",
            Self::Unknown => "Unknown",
        }
    }
}

/// A network of the VM: spec and status, joined by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    pub name: String,
    pub mode: String,
    pub interface: String,
    pub ip_address: String,
    pub mac_address: String,
}

/// A disk of the spec.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    pub name: String,
    pub size: String,
    pub storage_class_name: String,
    pub boot: bool,
    pub image: String,
}

/// A volume of the VM, and what is known of its usage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    pub name: String,
    pub claim: String,
    /// Size in bytes; `None` if no object gives it.
    pub size: Option<u64>,
    pub block: bool,
    pub storage_class: String,
    /// Identifies the PersistentVolume behind the claim, since a claim that is created again has the same name; 0
    /// if the claim is not bound, or not known.
    #[serde(skip)]
    pub backing: u64,
    /// The first source that knows the volume; if none knows it, the first that was asked.
    pub source: SourceId,
    pub usage: Figure,
    /// Readings of the other sources; if no source knows the volume, why each does not. Never added to
    /// `usage`.
    pub readings: Vec<Reading>,
}

/// What one source says of one volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    pub source: SourceId,
    pub figure: Figure,
}

/// The three figures of a VM, and what decides about the second. Disk is the sum over the volumes whose usage is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub cpu: Figure,
    pub memory: Figure,
    pub disk: Figure,
    /// Volumes that `disk` counts, and all volumes of the VM.
    pub disk_known: u32,
    pub disk_volumes: u32,
    /// Percent of its memory that the guest uses, as its own system sees it; `None` if that is unknown or old.
    /// If it is known, it decides how serious `memory` is.
    pub guest_memory: Option<u64>,
    /// Percent of the fullest file system of the guest, or of the fullest volume; `None` if none is known. If it is known,
    /// it decides how serious `disk` is.
    pub fullest_disk: Option<u64>,
}

/// What a card or a row shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmSummary {
    pub kind: Kind,
    pub namespace: String,
    pub name: String,
    pub status: Status,
    /// KubeVirt's `printableStatus` (`Migrating`, `Paused`, `ErrorUnschedulable` …), or the one that follows
    /// from the instance if it cannot be read or is out of date.
    pub kubevirt_status: String,
    /// KubeVirt's message if a fault paused the guest; `None` for any other pause.
    pub fault: Option<Box<Message>>,
    /// Empty if the VM is on no node.
    pub node: String,
    /// Its node is not ready, so nobody knows whether the guest still runs. Only views set it, for viewers who may see
    /// nodes.
    pub lost: bool,
    /// The target of a live migration that is under way, else empty.
    pub migrating_to: String,
    pub ip_address: String,
    /// Allocated CPU in nanocores, memory in bytes; `None` if the spec cannot be read.
    pub cpu: Option<u64>,
    pub memory: Option<u64>,
    /// Sum of the ordered disk sizes in bytes, of those that can be read.
    pub disk: u64,
    pub usage: Usage,
}

impl VmSummary {
    /// Identifies the row. The kind is part of it, because a Wukong and a VirtualMachine that it does not own
    /// may have the same namespace and name.
    pub fn key(&self) -> (Kind, &str, &str) {
        (self.kind, &self.namespace, &self.name)
    }

    /// The time of the oldest figure; `None` if no figure is known.
    pub fn oldest(&self) -> Option<Millis> {
        let figures = [&self.usage.cpu, &self.usage.memory, &self.usage.disk];
        figures.into_iter().filter_map(Figure::sample).map(|sample| sample.at).min()
    }
}

/// Everything that is known of one VM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vm {
    pub uid: String,
    pub summary: VmSummary,
    /// `spec.memory` as written.
    pub memory_text: String,
    pub os_image: String,
    pub created: Millis,
    /// The KubeVirt VirtualMachine and the launcher pod that the figures belong to; empty if there is none.
    pub vm_name: String,
    pub pod: String,
    /// Why a VM in error or pending does not run, or why the guest of a running VM is paused, and how to
    /// investigate. Boxed, because few VMs have it.
    pub failure: Option<Box<Missing>>,
    /// Why the allocation of the VM is not known.
    pub allocation_gap: Option<Box<Missing>>,
    /// How the VM's objects contradict each other about who shows the VM.
    pub conflict: Option<Box<Message>>,
    pub networks: Vec<Network>,
    pub disks: Vec<Disk>,
    pub volumes: Vec<Volume>,
    pub guest: Guest,
    /// Only a VM's own page shows it, as [`VmDetails`](super::details::VmDetails).
    #[serde(skip)]
    pub activity: Activity,
    /// How long its launcher pod waits for resources of the host. REST shows it, and its page as a text.
    #[serde(skip, default = "pressure::unknown")]
    pub pressure: Part<PressureSample>,
    /// What its instance says of the guest; `None` if there is no instance.
    #[serde(skip)]
    pub instance: Option<Arc<InstanceDetails>>,
    /// Its last migrations, the newest first.
    #[serde(skip)]
    pub migrations: Vec<Arc<Migration>>,
    /// What it needs attention for by itself, which the core decides. Each page asks that of every VM.
    #[serde(skip)]
    pub attention: Derived<AttentionKinds>,
}

/// What is known from inside the guest. It is shown beside the host's figures and replaces none of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guest {
    /// Memory that the guest cannot give up, of what it sees, including hugepages.
    pub memory: Option<Sample>,
    /// Shared between the core's state and the VMs that show it.
    pub filesystems: Arc<[GuestFilesystem]>,
    /// How many more there are that are not shown. All of them are counted.
    pub filesystems_left_out: u32,
    /// When the agent answered. KubeVirt's launcher asks it every 5 minutes and passes on its last answer.
    pub at: Option<Millis>,
}

/// One file system that the guest's agent reports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestFilesystem {
    pub disk: String,
    pub mount_point: String,
    pub kind: String,
    pub used: Option<u64>,
    pub total: Option<u64>,
    /// The claim of the VM's one disk that it lies on; empty if that is not known.
    pub claim: String,
}

impl Vm {
    pub fn key(&self) -> (&str, &str) {
        (&self.summary.namespace, &self.summary.name)
    }
}
