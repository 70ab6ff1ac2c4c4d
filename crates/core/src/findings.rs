//! What the history of all VMs suggests, as `insight` computes it. [`Visible`](super::Visible) shows the part that a viewer
//! may see.

use std::collections::BTreeMap;

use model::{Millis, insight::Insight, vm::Kind};

/// Findings about all VMs, the most urgent first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    pub at: Option<Millis>,
    /// The running VMs by kind and namespace, which a scope distinguishes.
    pub running: BTreeMap<(Kind, Box<str>), Running>,
    pub findings: Vec<Insight>,
}

/// Running VMs, and how many of them have enough history for at least one hint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Running {
    pub vms: u32,
    pub judged: u32,
}
