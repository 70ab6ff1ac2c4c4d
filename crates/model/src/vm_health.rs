//! How a VM is: what is wrong with it, how serious that is, and what helps. The core judges; pages show it.

use serde::{Deserialize, Serialize};

use super::message::Message;

/// How serious a figure or a problem is. [`thresholds`](super::thresholds) says from when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Level {
    #[default]
    Normal,
    High,
    Critical,
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
