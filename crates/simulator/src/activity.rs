//! What a guest does each second: its network, its drives, how long its vCPUs wait, and what it swaps. Counters grow by
//! it for as long as the guest runs on its node, so that a test knows every rate.

use super::{
    clock::Millis,
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
    /// Bytes of its memory that it writes to. A live migration must send them again.
    pub dirty: u64,
    /// Thousandths of its memory that its own system uses; `None` follows from its load.
    pub used: Option<u64>,
    /// Thousandths of a core; `None` follows from its size.
    pub cpu: Option<u64>,
}

/// What a guest does instead since something went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AbnormalActivity {
    pub since: Millis,
    pub does: Activity,
    /// The drive that it is about, if it is one of several. The others go on as before.
    pub drive: Option<String>,
}

/// A time without a change.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    pub seconds: f64,
    pub does: Activity,
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
            dirty: between("dirty", 100_000, 40_000_000),
            used: None,
            cpu: None,
        }
    }

    /// Reads and writes that are under way at any time, by Little's law.
    pub fn in_flight(&self) -> f64 {
        (self.reads + self.writes) as f64 * self.latency as f64 / 1e6
    }
}

/// Seconds between two times; 0 if they are the other way round.
pub fn seconds(from: Millis, to: Millis) -> f64 {
    (to - from).max(0) as f64 / 1000.0
}
