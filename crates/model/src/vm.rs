//! One virtual machine: what was ordered, where it runs, what it uses.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Millis,
    figure::{Figure, Missing, Sample},
    message::Message,
    source::SourceId,
};

/// Which object stands for the VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

/// The contract's `status`: the Wukong phases, and `Unknown` for an object that has none yet.
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

/// A network of the VM: spec and status joined by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    pub name: String,
    pub mode: String,
    pub interface: String,
    pub ip_address: String,
    pub mac_address: String,
}

/// A disk as ordered in the spec.
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
    /// Size as ordered, in bytes; none where no object says it.
    pub size: Option<u64>,
    pub block: bool,
    pub storage_class: String,
    /// Of the first source that knows it; where none does, of the first that was asked.
    pub source: SourceId,
    pub usage: Figure,
    /// What other sources know of it; where none does, what keeps each of them. Never added to `usage`.
    pub readings: Vec<Reading>,
}

/// What one source says of one volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    pub source: SourceId,
    pub figure: Figure,
}

/// The three figures of a VM. Disk is the sum over the volumes whose usage is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub cpu: Figure,
    pub memory: Figure,
    pub disk: Figure,
    /// Volumes that `disk` counts, of `volumes`.
    pub disk_known: u32,
    pub disk_volumes: u32,
}

/// What a card or a row shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmSummary {
    pub kind: Kind,
    pub namespace: String,
    pub name: String,
    pub status: Status,
    /// KubeVirt's own word (`Migrating`, `Paused`, `ErrorUnschedulable` …), or the one that its instance leads to where the
    /// word cannot be read or is behind.
    pub kubevirt_status: String,
    /// Why KubeVirt has paused the guest, in its words, where that was a fault; none of any other.
    pub fault: Option<Box<Message>>,
    /// Empty where the VM is on none.
    pub node: String,
    /// The target of a live migration that is under way, else empty.
    pub migrating_to: String,
    pub ip_address: String,
    /// Allocated CPU in nanocores, memory in bytes; none where the spec cannot be read.
    pub cpu: Option<u64>,
    pub memory: Option<u64>,
    /// Σ ordered disk sizes in bytes, of those that can be read.
    pub disk: u64,
    pub usage: Usage,
}

impl VmSummary {
    /// Tells rows apart: a Wukong and a VirtualMachine that it does not own may share both names.
    pub fn key(&self) -> (Kind, &str, &str) {
        (self.kind, &self.namespace, &self.name)
    }

    /// The time of the oldest figure; none where none is known.
    pub fn oldest(&self) -> Option<Millis> {
        let figures = [&self.usage.cpu, &self.usage.memory, &self.usage.disk];
        figures.into_iter().filter_map(Figure::sample).map(|sample| sample.at).min()
    }
}

/// All of one VM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vm {
    pub uid: String,
    pub summary: VmSummary,
    /// `spec.memory` as written.
    pub memory_text: String,
    pub os_image: String,
    pub created: Millis,
    /// The KubeVirt VirtualMachine and launcher pod that the figures are of; empty where there is none.
    pub vm_name: String,
    pub pod: String,
    /// Why one in error, or pending, does not run, or why the guest of a running one stands still, and how to look into
    /// it. Few have it: it makes the others no larger.
    pub failure: Option<Box<Missing>>,
    /// Why it is not known what a VM would start with.
    pub allocation_gap: Option<Box<Missing>>,
    /// What its objects contradict each other in, where they disagree about who shows the VM.
    pub conflict: Option<Box<Message>>,
    pub networks: Vec<Network>,
    pub disks: Vec<Disk>,
    pub volumes: Vec<Volume>,
    pub guest: Guest,
}

/// What is seen from inside the guest. It stands beside the host's figures, in place of none of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guest {
    /// Memory that the guest cannot do without, of what it sees: hugepages are in it.
    pub memory: Option<Sample>,
    /// Shared between what an agent said and what shows it.
    pub filesystems: Arc<[GuestFilesystem]>,
    /// How many more there are. All of them count.
    pub filesystems_left_out: u32,
    /// When the agent answered. KubeVirt's launcher asks it every 5 minutes, and passes on what it said last.
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
    /// The claim of the VM's one disk that it lies on; empty where that is not known.
    pub claim: String,
}

impl Vm {
    pub fn key(&self) -> (&str, &str) {
        (&self.summary.namespace, &self.summary.name)
    }
}
