//! What the list is sorted by, and in which direction.

use core::cmp::Ordering;

use serde::{Deserialize, Serialize};

/// What the list is sorted by. CPU, memory and disk sort by percent of the allocation, `…Used` and what has no
/// allocation by the amount itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Sort {
    #[default]
    Name,
    Namespace,
    Node,
    /// What needs attention first.
    Status,
    Cpu,
    Memory,
    Disk,
    CpuUsed,
    MemoryUsed,
    DiskUsed,
    /// Percent of the fullest file system or volume.
    FullestDisk,
    /// Percent of its memory that the guest uses.
    GuestMemory,
    Network,
    Storage,
    Operations,
    Latency,
    Contention,
    /// The age of a VM's oldest figure.
    Age,
}

impl Sort {
    pub const ALL: [Self; 18] = [
        Self::Name,
        Self::Namespace,
        Self::Node,
        Self::Status,
        Self::Cpu,
        Self::Memory,
        Self::Disk,
        Self::CpuUsed,
        Self::MemoryUsed,
        Self::DiskUsed,
        Self::FullestDisk,
        Self::GuestMemory,
        Self::Network,
        Self::Storage,
        Self::Operations,
        Self::Latency,
        Self::Contention,
        Self::Age,
    ];
    pub(super) const CODES: [&str; 18] = [
        "name",
        "namespace",
        "node",
        "status",
        "cpu",
        "memory",
        "disk",
        "cpu-used",
        "memory-used",
        "disk-used",
        "fullest-disk",
        "guest-memory",
        "network",
        "storage",
        "operations",
        "latency",
        "contention",
        "age",
    ];

    pub fn code(self) -> &'static str {
        Self::CODES[self as usize]
    }

    /// Whether it sorts by numbers rather than words.
    pub fn is_figure(self) -> bool {
        self as usize >= Self::Cpu as usize
    }

    /// The order when the address names none: words ascending, figures descending.
    pub fn default_order(self) -> Order {
        if self.is_figure() { Order::Desc } else { Order::Asc }
    }
}

/// The direction of a sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Order {
    Asc,
    Desc,
}

impl Order {
    pub(crate) const ALL: [Self; 2] = [Self::Asc, Self::Desc];
    pub(crate) const CODES: [&str; 2] = ["asc", "desc"];

    pub fn code(self) -> &'static str {
        Self::CODES[self as usize]
    }

    pub fn other(self) -> Self {
        if self == Self::Asc { Self::Desc } else { Self::Asc }
    }

    /// Reverses the ordering if the direction is descending.
    pub fn apply(self, ordering: Ordering) -> Ordering {
        match self {
            Self::Asc => ordering,
            Self::Desc => ordering.reverse(),
        }
    }
}
