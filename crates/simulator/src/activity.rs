//! What a guest does each second: its network, its drives, how long its vCPUs wait, and what it swaps. Counters grow by
//! it for as long as the guest runs on its node, so that a test knows every rate.

use super::{
    clock::Millis,
    guest::Guest,
    rng::{hash, unit},
};

/// Amounts per second, of each interface and of each drive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// Bytes of an interface.
    pub receive: u64,
    pub transmit: u64,
    /// Dropped packets of an interface that were received.
    pub drops: u64,
    /// Bytes of a drive.
    pub read: u64,
    pub write: u64,
    pub reads: u64,
    pub writes: u64,
    /// Microseconds that one read or write takes.
    pub latency: u64,
    /// Milliseconds that each vCPU waits for a CPU of the host.
    pub wait: u64,
    /// Bytes.
    pub swap_in: u64,
    pub swap_out: u64,
    pub major_faults: u64,
}

impl Activity {
    /// An ordinary activity for this seed.
    pub fn of(seed: u64) -> Self {
        let between = |what: &str, from: u64, to: u64| {
            from + (unit(hash(seed, &["activity", what])) * (to - from) as f64) as u64
        };
        let (reads, writes) = (between("reads", 2, 400), between("writes", 2, 250));
        Self {
            receive: between("receive", 2_000, 9_000_000),
            transmit: between("transmit", 2_000, 5_000_000),
            drops: 0,
            read: reads * 16_384,
            write: writes * 8_192,
            reads,
            writes,
            latency: between("latency", 200, 3_000),
            wait: between("wait", 0, 12),
            swap_in: 0,
            swap_out: 0,
            major_faults: between("faults", 0, 3),
        }
    }
}

impl Guest {
    pub(crate) fn activity(&self) -> Activity {
        self.activity.unwrap_or_else(|| Activity::of(self.seed))
    }

    /// Milliseconds for which its process has run on its node at `at`.
    pub(crate) fn counted_for(&self, at: Millis) -> u64 {
        u64::try_from(at - self.on_node_since()).unwrap_or_default()
    }
}
