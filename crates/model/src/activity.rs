//! What a guest does and what its own system sees: its memory, paging, network, drives, and how long its vCPUs wait.
//! The core computes it from the counters of one source; pages and REST show it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Millis,
    figure::{Missing, Source},
    rates::{GuestRates, OperationRates, Rate},
    reason::Reason,
};

/// The activity of one VM, or why nothing is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Activity {
    Known(Box<GuestActivity>),
    Missing(Box<Missing>),
}

/// A part of the activity, or why it is not known although others are.
pub type Part<T> = Result<T, Box<Missing>>;

/// Where a figure was measured, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    pub source: Source,
    pub at: Millis,
    /// The time over which it is an average, in milliseconds; 0 for an instant.
    pub window_ms: u32,
    pub stale: bool,
}

/// The activity of one guest. Its parts are of one sample, except the network if `network_from` says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestActivity {
    pub source: Source,
    /// When it was sampled.
    pub at: Millis,
    /// The time over which rates are averages, in milliseconds; 0 if there are none.
    pub window_ms: u32,
    /// Older than three intervals of its source: shown as old, never as fresh.
    pub stale: bool,
    pub memory: Part<MemoryUse>,
    pub swap: Part<Swap>,
    pub major_faults: Part<Rate>,
    pub network: Part<Traffic>,
    /// The sample of `network`, if it is of another source than the other parts.
    pub network_from: Option<Origin>,
    pub storage: Part<Storage>,
    /// How much of their time the vCPUs waited for a CPU of the host, in thousandths of a percent.
    pub contention: Part<u32>,
    /// How far the guest's memory has moved, while it migrates.
    pub migration: Option<Box<MigrationProgress>>,
    /// The rates of each interface and drive; `None` if the sample is the first one. `details` has them by device.
    #[serde(skip)]
    pub rates: Option<Arc<GuestRates>>,
}

impl GuestActivity {
    pub fn origin(&self) -> Origin {
        Origin { source: self.source, at: self.at, window_ms: self.window_ms, stale: self.stale }
    }

    /// The origin of the part `network`.
    pub fn network_origin(&self) -> Origin {
        self.network_from.unwrap_or_else(|| self.origin())
    }
}

/// How far a live migration is, as QEMU says. `None` if it is not reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MigrationProgress {
    /// Bytes that were sent, and bytes that remain to be sent.
    pub processed: Option<u64>,
    pub remaining: Option<u64>,
    /// Bytes that the guest writes to each second, which must be sent again. If they are more than are sent, the
    /// migration does not converge.
    pub dirty_rate: Option<u64>,
    /// Bytes that are sent each second.
    pub transfer_rate: Option<u64>,
}

/// Memory in bytes as the guest's own system sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryUse {
    /// What the guest cannot give up.
    pub used: u64,
    pub total: u64,
}

/// Bytes that the guest reads from its swap space and writes to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swap {
    pub r#in: Rate,
    pub out: Rate,
}

/// Bytes of all network interfaces together that the host sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    pub receive: Rate,
    pub transmit: Rate,
    /// SR-IOV interfaces: the host does not see their traffic, so it is not counted.
    pub uncounted: u32,
}

/// All drives together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Storage {
    pub read: OperationRates,
    pub write: OperationRates,
}

/// An amount of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Amount {
    Known(u64),
    /// A part of it is not counted: the traffic of SR-IOV interfaces.
    AtLeast(u64),
    /// There was nothing to measure: the latency of a VM that neither read nor wrote.
    Nothing,
    Missing(Reason),
}

impl Amount {
    /// Returns the amount, if there is one, or what is known of it.
    pub fn known(self) -> Option<u64> {
        match self {
            Self::Known(amount) | Self::AtLeast(amount) => Some(amount),
            Self::Nothing | Self::Missing(_) => None,
        }
    }
}

/// What a row of the table shows of a VM's activity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivityRow {
    /// Whether the sample is old.
    pub stale: bool,
    /// Percent of its memory that the guest cannot give up, in thousandths.
    pub guest_memory: Amount,
    /// Bytes that the VM receives and transmits per second, in thousandths like each [`Rate`].
    pub network: Amount,
    /// Bytes that the VM reads and writes per second, in thousandths.
    pub storage: Amount,
    /// Reads and writes per second, in thousandths.
    pub operations: Amount,
    /// Mean nanoseconds of a read or write.
    pub latency: Amount,
    /// How much of their time the vCPUs waited for a CPU of the host, in thousandths of a percent.
    pub contention: Amount,
}

impl Default for Activity {
    fn default() -> Self {
        Self::Missing(Box::new(Reason::Starting.into()))
    }
}
