//! A virtual machine in compact form. Every object that Kubernetes would keep for it is derived from this
//! record.

mod activity;
mod builder;
mod events;
mod lifecycle;
mod names;
mod occurrence;

use super::{
    activity::{AbnormalActivity, Activity},
    clock::Millis,
    hardware::{Disk, Network},
    load::Load,
};

pub use occurrence::{EVENT_TTL, InvolvedObject, MIGRATION_FAILURE, Occurrence, OccurrenceKind, Reporter};

/// A VM, and the Wukong that describes it if there is one.
#[derive(Clone, Debug, PartialEq)]
pub struct Guest {
    pub seed: u64,
    pub namespace: String,
    /// The name of the Wukong, and also of the VirtualMachine if no Wukong owns it.
    pub name: String,
    pub vm_name: String,
    /// Whether a Wukong owns the VirtualMachine.
    pub has_wukong: bool,
    /// Whether the operator has written `status.vmName`.
    pub tells_vm_name: bool,
    /// Whether there is a VirtualMachine; false for a VirtualMachineInstance on its own.
    pub has_machine: bool,
    /// The instance type that defines its size, in place of the VirtualMachine.
    pub instancetype: Option<String>,
    /// The page size if its memory consists of hugepages: the pod's working set then contains hardly any of
    /// it.
    pub hugepages: Option<String>,
    /// Whether a guest agent is running and connected.
    pub agent: bool,
    pub created: Millis,
    pub cpu: u32,
    /// A quantity, as a person would write it.
    pub memory: String,
    pub os_image: String,
    pub state: State,
    /// When the deletion of its instance began; the guest ignores the shutdown.
    pub stopping: Option<Millis>,
    pub paused: Option<Pause>,
    /// The number of starts. Each start gets a VirtualMachineInstance with its own uid.
    pub incarnation: u32,
    pub started: Millis,
    /// When the last live migration since the start moved it to its current node.
    pub moved: Option<Millis>,
    pub disks: Vec<Disk>,
    pub networks: Vec<Network>,
    pub launchers: Vec<Launcher>,
    pub next_serial: u32,
    pub migration: Option<Migration>,
    /// Migrations whose pods are gone, oldest first. Their objects remain.
    pub past_migrations: Vec<Migration>,
    /// What KubeVirt and Kubernetes have reported as Events, oldest first.
    pub occurrences: Vec<Occurrence>,
    /// Whether a liveness probe asks the guest.
    pub probed: bool,
    pub load: Load,
    /// What it does each second; `None` follows from its seed.
    pub activity: Option<Activity>,
    /// What it does instead since something went wrong.
    pub abnormal_activity: Option<AbnormalActivity>,
    /// Whether it represents a state that the scenario must always show; `life` does not change it.
    pub fixture: bool,
}

/// The lifecycle of a VM, from which the status of its objects is derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Waits for its volumes; there is no launcher pod yet.
    Pending,
    /// Its launcher pod is being scheduled and started.
    Creating,
    Running,
    Stopped,
    /// Its launcher pod fits on no node.
    Error,
}

/// Who paused a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    User,
    IoError,
}

impl Pause {
    /// Reason and message of KubeVirt's `Paused` condition.
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::User => ("PausedByUser", "VMI was paused by user"),
            Self::IoError => ("PausedIOError", "VMI was paused, low-level IO error detected"),
        }
    }
}

/// A launcher pod.
#[derive(Clone, Debug, PartialEq)]
pub struct Launcher {
    pub serial: u32,
    /// The start of the VM for which it was created.
    pub incarnation: u32,
    pub node: String,
    pub phase: PodPhase,
    pub created: Millis,
    /// Whether metrics-server has the two samples that it needs.
    pub measured: bool,
    /// The pod's load if it differs from that of the guest or of an idle migration target.
    pub load: Option<Load>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodPhase {
    Pending,
    Running,
    Succeeded,
    Failed,
}

/// A live migration between two launchers, identified by their serial numbers. The serial number of the target is
/// also that of the migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    /// The start of the VM that it belongs to.
    pub incarnation: u32,
    pub source: u32,
    pub target: u32,
    pub source_node: String,
    pub target_node: String,
    pub started: Millis,
    pub ended: Option<Millis>,
    pub failed: bool,
}
