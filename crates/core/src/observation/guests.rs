//! What virt-handler counts of the guests of one node.

use std::sync::Arc;

use super::key::Key;
use model::activity::MigrationProgress;

/// The answer of one node's virt-handler.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuestsFacts {
    pub guests: Vec<GuestFacts>,
    /// The first version of KubeVirt that reports how long vCPUs wait, if the node's version is older.
    pub contention_since: Option<KubevirtVersion>,
}

/// Major and minor version of KubeVirt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KubevirtVersion(pub u32, pub u32);

/// One guest of the node, by its instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestFacts {
    pub instance: Key,
    pub memory: GuestMemory,
    /// Only while the guest migrates.
    pub migration: Option<Box<MigrationProgress>>,
    pub counters: GuestCounters,
}

/// Bytes of memory at the time of the answer. `None` if it is not reported: the guest has no balloon driver, or
/// an old one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GuestMemory {
    /// What the guest's system manages.
    pub available: Option<u64>,
    /// What it could use without swapping: `MemAvailable` of Linux.
    pub usable: Option<u64>,
    pub unused: Option<u64>,
    /// What the balloon leaves to the guest.
    pub balloon: Option<u64>,
    /// What the domain was started with.
    pub domain: Option<u64>,
}

/// Counters of one guest, which grow as long as its process runs. `None` if it is not reported, or not a number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuestCounters {
    /// Nanoseconds of CPU time of the whole process.
    pub cpu_time: Option<u64>,
    /// How long the vCPUs waited for a CPU of the host.
    pub delay: Option<VcpuDelay>,
    pub paging: PagingCounters,
    pub interfaces: Vec<InterfaceCounters>,
    pub drives: Vec<DriveCounters>,
    /// Whether there are more interfaces, or drives, than are read of one guest.
    pub interfaces_left_out: bool,
    pub drives_left_out: bool,
}

/// Nanoseconds that vCPUs waited, added up, and how many vCPUs report it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VcpuDelay {
    pub nanos: u64,
    pub vcpus: u32,
}

/// What the guest's own system counts, through its balloon driver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PagingCounters {
    /// Bytes.
    pub swap_in: Option<u64>,
    pub swap_out: Option<u64>,
    pub major_faults: Option<u64>,
}

/// One network interface, by its name in the spec.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InterfaceCounters {
    pub name: Arc<str>,
    pub receive: TrafficCounters,
    pub transmit: TrafficCounters,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrafficCounters {
    pub bytes: Option<u64>,
    pub packets: Option<u64>,
    pub errors: Option<u64>,
    pub drops: Option<u64>,
}

/// One drive, by its name in the spec.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DriveCounters {
    pub name: Arc<str>,
    pub read: OperationCounters,
    pub write: OperationCounters,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OperationCounters {
    pub bytes: Option<u64>,
    pub operations: Option<u64>,
    /// Nanoseconds that the operations took.
    pub time: Option<u64>,
}
