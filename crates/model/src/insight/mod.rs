//! What a VM's history suggests: a disk that fills up, CPU or memory that is never used, or never enough.
//! Each finding names the window it is based on; without enough history there is none. docs/history.md states
//! the rules. `core::insight` computes it; pages and REST show it.

mod query;

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use super::{
    Millis,
    figure::{Unit, ratio},
    vm::Kind,
};
pub use query::{InsightQuery, InsightSort};

/// Rows on one page.
pub const PAGE_SIZE: u32 = 50;

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Resource {
    Cpu,
    Memory,
    Disk,
}

impl Resource {
    pub const ALL: [Self; 3] = [Self::Cpu, Self::Memory, Self::Disk];

    pub fn code(self) -> &'static str {
        self.into()
    }
}

/// The kind of a finding, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum FindingKind {
    FillingUp,
    Undersized,
    Oversized,
}

impl FindingKind {
    pub const ALL: [Self; 3] = [Self::FillingUp, Self::Undersized, Self::Oversized];

    pub fn code(self) -> &'static str {
        self.into()
    }
}

/// The part of the history that a finding is based on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    pub from: Millis,
    pub to: Millis,
    /// Five-minute means that are known, and all in the window.
    pub known: u32,
    pub all: u32,
}

/// "Uses at most N of M", for CPU or memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sizing {
    /// Nanocores for CPU, bytes for memory.
    pub unit: Unit,
    /// 95 % of the window's five-minute means are at most this.
    pub p95: u64,
    /// The highest of them.
    pub peak: u64,
    /// What is allocated today.
    pub of: u64,
    pub verdict: Verdict,
    /// Whether the guest measured it. The host counts more of a guest's memory.
    pub by_guest: bool,
    pub window: Window,
}

/// Whether an allocation fits the usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    Fits,
    /// The 95th percentile is close to, or above, the allocation.
    Undersized,
    /// The 95th percentile is far below the allocation: `enough` would suffice, including head-room.
    Oversized {
        enough: u64,
    },
}

impl Sizing {
    pub fn resource(&self) -> Resource {
        match self.unit {
            Unit::Nanocores => Resource::Cpu,
            Unit::Bytes => Resource::Memory,
        }
    }

    /// What could be reclaimed, in the figure's unit; 0 if there is nothing to spare.
    pub fn reclaimable(&self) -> u64 {
        match self.verdict {
            Verdict::Oversized { enough } => self.of.saturating_sub(enough),
            Verdict::Fits | Verdict::Undersized => 0,
        }
    }

    /// The 95th percentile in tenths of a percent of the allocation.
    pub fn tenths(&self) -> u64 {
        ratio(self.p95, self.of, 1000)
    }
}

/// "Full in about N days", if the disk goes on growing as in the window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filling {
    /// The name of the volume; `None` for all disks together, if no single volume has enough history.
    pub volume: Option<Box<str>>,
    /// Bytes used today, and the capacity.
    pub used: u64,
    pub of: u64,
    /// Growth in bytes per day.
    pub per_day: u64,
    /// Whole days from the end of the window, rounded down.
    pub days: u32,
    /// The same at the bounds of the slope's 95 % confidence interval.
    pub earliest: u32,
    pub latest: u32,
    pub window: Window,
}

/// Why nothing is suggested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoHint {
    /// Minutes of known five-minute means, and minutes that are needed. The program, the VM or its present
    /// size is younger than the window, or there are too many gaps.
    TooShort { minutes: u32, needed: u32 },
    /// The disk hardly grows, or does not grow at all.
    Steady,
    /// The disk grows, but not in a line that could be extrapolated.
    Unclear,
    /// The disk grows, and will be full in more than 90 days.
    Far,
}

/// What is suggested for one VM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hints {
    pub cpu: Result<Sizing, NoHint>,
    pub memory: Result<Sizing, NoHint>,
    /// The disk that is full first.
    pub disk: Result<Filling, NoHint>,
}

/// One row of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Insight {
    pub kind: Kind,
    pub namespace: String,
    pub name: String,
    pub finding: Finding,
}

impl Insight {
    /// Identifies the VM, as [`VmSummary::key`](super::vm::VmSummary::key) does.
    pub fn key(&self) -> (Kind, &str, &str) {
        (self.kind, &self.namespace, &self.name)
    }
}

/// What a VM's history suggests for one resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Finding {
    FillingUp(Filling),
    Undersized(Sizing),
    Oversized(Sizing),
}

impl Finding {
    pub fn kind(&self) -> FindingKind {
        match self {
            Self::FillingUp(_) => FindingKind::FillingUp,
            Self::Undersized(_) => FindingKind::Undersized,
            Self::Oversized(_) => FindingKind::Oversized,
        }
    }

    pub fn resource(&self) -> Resource {
        match self {
            Self::FillingUp(_) => Resource::Disk,
            Self::Undersized(sizing) | Self::Oversized(sizing) => sizing.resource(),
        }
    }

    /// Returns the sizing; `None` for a disk.
    pub fn sizing(&self) -> Option<&Sizing> {
        match self {
            Self::FillingUp(_) => None,
            Self::Undersized(sizing) | Self::Oversized(sizing) => Some(sizing),
        }
    }

    /// Usage in tenths of a percent of the allocation: the 95th percentile, or for a disk today's usage.
    pub fn tenths(&self) -> u64 {
        match self {
            Self::FillingUp(filling) => ratio(filling.used, filling.of, 1000),
            Self::Undersized(sizing) | Self::Oversized(sizing) => sizing.tenths(),
        }
    }

    pub fn reclaimable(&self) -> u64 {
        self.sizing().map_or(0, Sizing::reclaimable)
    }

    /// Days until a disk is full; `None` for CPU and memory.
    pub fn days(&self) -> Option<u32> {
        match self {
            Self::FillingUp(filling) => Some(filling.days),
            Self::Undersized(_) | Self::Oversized(_) => None,
        }
    }
}

/// Totals over all VMs, whatever the list is filtered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InsightTotals {
    pub filling_up: u32,
    pub undersized: u32,
    pub oversized: u32,
    /// Reclaimable nanocores, and of how many VMs; the same for bytes of memory.
    pub cpu: u64,
    pub cpu_vms: u32,
    pub memory: u64,
    pub memory_vms: u32,
    /// Running VMs, and how many of them have enough history for at least one hint.
    pub running: u32,
    pub judged: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_oversized_vms_are_reclaimable() {
        let window = Window { from: 0, to: 1, known: 1, all: 1 };
        let sizing = |verdict| Sizing {
            unit: Unit::Bytes,
            p95: 25,
            peak: 30,
            of: 100,
            verdict,
            by_guest: false,
            window,
        };
        assert_eq!(sizing(Verdict::Oversized { enough: 40 }).reclaimable(), 60);
        assert_eq!(sizing(Verdict::Fits).reclaimable(), 0);
        assert_eq!(sizing(Verdict::Undersized).reclaimable(), 0);
        assert_eq!(sizing(Verdict::Fits).tenths(), 250);
    }
}
