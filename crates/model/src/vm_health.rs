//! How a VM is: what is wrong with it, how serious that is, and what helps. The core judges; pages show it.

use serde::{Deserialize, Serialize};

use super::message::Message;

/// How serious a figure or a problem is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Level {
    #[default]
    Normal,
    High,
    Critical,
}

impl Level {
    /// The level of a share of something that must not run out: a disk, or the guest's memory.
    pub fn of_space(percent: u64) -> Self {
        match percent {
            0..85 => Self::Normal,
            85..95 => Self::High,
            95.. => Self::Critical,
        }
    }

    /// The level of the time that vCPUs wait for a CPU of the host, in thousandths of a percent.
    pub fn of_contention(thousandths: u32) -> Self {
        match thousandths {
            0..5_000 => Self::Normal,
            5_000..20_000 => Self::High,
            20_000.. => Self::Critical,
        }
    }
}

/// What is wrong with one VM; without problems, nothing needs attention.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmHealth {
    pub level: Level,
    /// The most serious first.
    pub problems: Vec<Problem>,
}

/// One problem as people read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What is wrong, and why.
    pub text: Message,
    /// What helps; empty if nothing has to be done.
    pub advice: Message,
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
        assert!(Level::Critical > Level::High && Level::High > Level::Normal);
    }
}
