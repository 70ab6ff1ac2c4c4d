//! The pure core: facts in, [`Snapshot`] out. No I/O, no clock: observations and the time are arguments.

mod allocation;
mod apply;
pub mod archive;
pub mod attention;
pub mod backfill;
mod containers;
pub mod delta;
mod disk_content;
mod disk_owner;
mod fix;
pub mod frame;
pub mod groups;
mod guest;
mod guest_disks;
mod health;
pub mod history;
pub mod insight;
mod inventory;
mod join;
mod kubelet;
mod latency;
pub mod map;
pub mod observation;
mod pods;
mod readings;
mod receipt;
mod reports;
pub mod select;
mod sharing;
mod skew;
mod source_status;
mod state;
mod status;
mod targets;
#[cfg(test)]
mod tests;
mod usage;
pub mod view;
mod volumes;

use std::sync::Arc;

use model::{
    Millis,
    groups::Node,
    source::{SourceHealth, SourceId},
    totals::Totals,
    vm::Vm,
};

pub use state::ClusterState;

/// Everything that readers may know, at one moment. Swapped whole.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Grows with every snapshot that differs from the one before.
    pub seq: u64,
    pub at: Millis,
    /// By name, then namespace.
    pub vms: Vec<Arc<Vm>>,
    pub totals: Totals,
    /// By name; none while they cannot be read.
    pub nodes: Arc<[Node]>,
    pub sources: Vec<SourceHealth>,
    /// When the cluster last answered anything.
    pub last_seen: Option<Millis>,
    /// Every source was tried once.
    pub ready: bool,
    /// Whose kubelets, guests and images are worth asking.
    pub targets: observation::Targets,
}

/// What a viewer may see. Every reader of a snapshot takes it; today it is always all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scope {
    #[default]
    All,
}

/// When a figure is old, and when it is none: in intervals of its source.
#[derive(Clone, Debug)]
pub struct Limits {
    pub metrics_interval: Millis,
    pub disk_interval: Millis,
    /// How often Ceph is asked.
    pub ceph_interval: Millis,
    /// The disk sources that are asked, in the order in which a volume takes them.
    pub disk_sources: Vec<SourceId>,
}

impl Limits {
    /// Whether anybody asks this source.
    pub fn asks(&self, id: SourceId) -> bool {
        match id {
            // They tell who made a volume, and what lies behind it. Of what a guest says neither counts.
            SourceId::PersistentVolumes => self.disk_sources.iter().any(|id| *id != SourceId::GuestAgent),
            id => !SourceId::DISK.contains(&id) || self.disk_sources.contains(&id),
        }
    }
}

/// Intervals after which a figure is shown as old.
pub const STALE_AFTER: Millis = 3;
/// Intervals after which a figure counts as missing.
pub const MISSING_AFTER: Millis = 20;
