//! What one VM's own page shows beside the VM: its devices with their rates, its guest's system, its conditions.
//! Lists do not have it. The core makes it when somebody looks at the VM.

use serde::{Deserialize, Serialize};

use super::{
    Millis,
    activity::{Activity, Part},
    figure::Missing,
    groups::Consumer,
    message::Message,
    rates::{DriveRates, InterfaceRates},
};

/// The details of one VM.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmDetails {
    /// The figures of the whole guest. Source, time and window are also those of `interfaces` and `drives`.
    pub activity: Activity,
    /// In the order of the spec.
    pub interfaces: Vec<Interface>,
    pub drives: Vec<Drive>,
    pub system: Option<GuestSystem>,
    /// The host name that KubeVirt gives to the guest; empty if there is no instance.
    pub hostname: String,
    /// When the instance began to run.
    pub started: Option<Millis>,
    pub conditions: Vec<Condition>,
    /// The newest first. `activity` has the progress of a migration under way.
    pub migrations: Vec<Migration>,
    /// Why migrations are not known, or not all of them.
    pub migrations_gap: Option<Box<Missing>>,
    /// How long the launcher pod waits for CPU, memory and I/O, as one text; empty if `pressure_gap` says why not.
    pub pressure: Message,
    pub pressure_gap: Option<Box<Missing>>,
    /// The other VMs of its node that use the most CPU, if the VM waits for one. Only pages have them.
    pub neighbours: Vec<Consumer>,
}

/// A network interface and its rates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Its name in the spec.
    pub name: String,
    /// What the guest's system calls it; empty if no agent says.
    pub guest_name: String,
    pub mac: String,
    pub addresses: Vec<String>,
    /// A network card of the host is passed through to the guest. The host does not see its traffic.
    pub is_sriov: bool,
    pub rates: Part<InterfaceRates>,
}

/// A drive and its rates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drive {
    /// Its name in the spec.
    pub name: String,
    /// The claim that backs it; empty for container disks, cloud-init and the like.
    pub claim: String,
    pub rates: Part<DriveRates>,
}

/// The operating system of a guest, as its agent reports it. A text that is not reported is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestSystem {
    /// `Debian GNU/Linux`.
    pub name: Box<str>,
    /// `12 (bookworm)`.
    pub version: Box<str>,
    /// `6.1.0-18-amd64`.
    pub kernel: Box<str>,
}

/// A condition of the VM's instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// `Ready`, `LiveMigratable`, `AgentConnected`, …
    pub kind: Box<str>,
    /// `True`, `False` or `Unknown`.
    pub status: Box<str>,
    pub reason: Box<str>,
    pub message: Box<str>,
    /// When its status last changed, if the object says.
    pub since: Option<Millis>,
}

/// A live migration of the VM's instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Migration {
    pub name: Box<str>,
    /// `Pending`, `Scheduling`, `Scheduled`, `PreparingTarget`, `TargetReady`, `Running`, `Succeeded`, `Failed`.
    pub phase: Box<str>,
    /// Empty until they are chosen.
    pub source_node: Box<str>,
    pub target_node: Box<str>,
    pub created: Millis,
    /// When the guest's memory began to move, and when the migration ended.
    pub started: Option<Millis>,
    pub ended: Option<Millis>,
    /// Why it failed, or why it waits; empty if the object does not say.
    pub failure: Box<str>,
}

impl Migration {
    /// Whether it is over.
    pub fn has_ended(&self) -> bool {
        matches!(&*self.phase, "Succeeded" | "Failed")
    }
}
