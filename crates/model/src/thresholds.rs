//! From which figure on a VM needs attention: the one table of all thresholds. docs/attention.md states the same, which a
//! test of the core compares.

use super::{rates::Rate, vm_health::Level};

/// Where a figure becomes amber, and where red.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold<T> {
    pub high: T,
    pub critical: T,
}

impl<T: PartialOrd> Threshold<T> {
    /// The level of something that is worse the more there is of it.
    fn level(&self, figure: T) -> Level {
        match figure {
            figure if figure >= self.critical => Level::Critical,
            figure if figure >= self.high => Level::High,
            _ => Level::Normal,
        }
    }
}

/// Percent of something that must not run out: a disk, or the guest's memory.
pub const SPACE: Threshold<u64> = Threshold { high: 85, critical: 95 };
/// A disk needs attention if it is full in fewer days.
pub const DAYS: Threshold<u32> = Threshold { high: 14, critical: 3 };
/// How long vCPUs wait for a CPU of the host, in thousandths of a percent.
pub const CONTENTION: Threshold<u32> = Threshold { high: 5_000, critical: 20_000 };
/// Percent of CPU, and of memory as the host counts it. Never red: full use is no fault.
pub const USE: u64 = 90;
/// What a guest may swap, in bytes per second.
pub const SWAP: Rate = Rate(1_000 << 20);
/// Nanoseconds from which an operation of a drive is slow, and operations per second from which that counts.
pub const SLOW: u64 = 50_000_000;
pub const LEAST_OPERATIONS: Rate = Rate(5_000);
/// How many times its memory a VM has sent when its live migration counts as one that does not converge. A migration that
/// converges sends little more than the memory once.
pub const RESENT: u64 = 2;

impl Level {
    /// The level of a share of something that must not run out: a disk, or the guest's memory.
    pub fn of_space(percent: u64) -> Self {
        SPACE.level(percent)
    }

    /// The level of the time that vCPUs wait for a CPU of the host, in thousandths of a percent.
    pub fn of_contention(thousandths: u32) -> Self {
        CONTENTION.level(thousandths)
    }

    /// The level of a disk that is full in this many whole days.
    pub fn of_days(days: u32) -> Self {
        match days {
            days if days < DAYS.critical => Self::Critical,
            days if days < DAYS.high => Self::High,
            _ => Self::Normal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_begin_at_their_thresholds() {
        for (percent, level) in [
            (84, Level::Normal),
            (85, Level::High),
            (94, Level::High),
            (95, Level::Critical),
            (130, Level::Critical),
        ] {
            assert_eq!(Level::of_space(percent), level, "{percent} %");
        }
        for (thousandths, level) in
            [(4_999, Level::Normal), (5_000, Level::High), (19_999, Level::High), (20_000, Level::Critical)]
        {
            assert_eq!(Level::of_contention(thousandths), level, "{thousandths}");
        }
        for (days, level) in [
            (0, Level::Critical),
            (2, Level::Critical),
            (3, Level::High),
            (13, Level::High),
            (14, Level::Normal),
        ] {
            assert_eq!(Level::of_days(days), level, "{days} days");
        }
        assert!(Level::Critical > Level::High && Level::High > Level::Normal);
    }
}
