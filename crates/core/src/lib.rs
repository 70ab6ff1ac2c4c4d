//! The pure core: takes observations and returns a [`Snapshot`]. It does no I/O and reads no clock:
//! observations and the time are arguments. `src/server` drives it and serves its views.

pub mod access;
mod activity;
mod allocation;
pub mod amounts;
mod apply;
pub mod attention;
pub mod backfill;
mod choose;
mod conditions;
mod containers;
mod counted_guests;
pub mod delta;
mod dependencies;
pub mod details;
mod dirty;
mod disk_content;
mod disk_owner;
pub mod events;
mod findings;
mod fix;
pub mod frame;
pub mod groups;
mod guest;
mod guest_disks;
mod guests;
mod health;
pub mod history;
pub mod incidents;
pub mod insight;
mod inventory;
mod join;
mod kubelet;
mod last_rows;
mod latency;
mod launcher_stats;
pub mod long_term;
pub mod map;
mod migrations;
mod node_health;
mod node_usage;
pub mod nodes;
mod objects;
pub mod observation;
pub mod outlook;
mod parallel;
mod pod;
mod pod_names;
mod pod_stats;
mod pods;
mod pressure;
pub mod problems;
pub mod rates;
mod readings;
mod receipt;
mod reporters;
mod reports;
mod row_limit;
mod rows;
pub mod scope;
mod scraped_guests;
pub mod search;
pub mod select;
mod sharing;
mod similar;
mod skew;
mod source_status;
mod state;
mod status;
mod sums;
mod tallies;
mod targets;
#[cfg(test)]
mod tests;
pub mod timeline;
mod touched;
mod tracked_names;
mod unknown_figures;
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

pub use kubelet::reported_bytes;
pub use scope::{Scope, Visible};
pub use state::ClusterState;

/// Everything that readers may know at one moment. It is swapped as a whole.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Incremented by every join.
    pub seq: u64,
    pub at: Millis,
    /// Sorted by name, then namespace.
    pub vms: Vec<Arc<Vm>>,
    pub totals: Totals,
    /// Sorted by name; empty while nodes cannot be read.
    pub nodes: Arc<[Node]>,
    pub sources: Vec<SourceHealth>,
    /// When the cluster last answered anything.
    pub last_seen: Option<Millis>,
    /// Whether every source was tried once.
    pub ready: bool,
    /// What the collector should ask: the nodes, guests and images of running VMs.
    pub targets: observation::Targets,
}

/// When a figure becomes stale and when it counts as missing, and which disk sources are asked. Intervals are
/// in milliseconds.
#[derive(Clone, Debug)]
pub struct Limits {
    pub metrics_interval: Millis,
    pub disk_interval: Millis,
    /// How often Ceph is asked.
    pub ceph_interval: Millis,
    /// The disk sources that are asked, in order of preference for a volume's figure.
    pub disk_sources: Vec<SourceId>,
    /// Whether virt-handlers are asked.
    pub virt_handler: bool,
    /// The most VMs that a snapshot shows.
    pub most_vms: usize,
}

impl Limits {
    /// Whether this source is asked at all.
    pub fn asks(&self, id: SourceId) -> bool {
        match id {
            // PersistentVolumes tell the provisioner and the backend of a volume. The guest agent needs
            // neither.
            SourceId::PersistentVolumes => self.disk_sources.iter().any(|id| *id != SourceId::GuestAgent),
            SourceId::VirtHandler => self.virt_handler,
            SourceId::Kubelet
            | SourceId::Prometheus
            | SourceId::GuestAgent
            | SourceId::Longhorn
            | SourceId::Ceph => self.disk_sources.contains(&id),
            SourceId::Wukongs
            | SourceId::VirtualMachines
            | SourceId::Instances
            | SourceId::Migrations
            | SourceId::Pods
            | SourceId::Claims
            | SourceId::Nodes
            | SourceId::ClusterInstancetypes
            | SourceId::AccessReviews
            | SourceId::Instancetypes
            | SourceId::PodMetrics => true,
        }
    }
}

/// Intervals after which a figure is shown as old.
pub const STALE_AFTER: Millis = 3;
/// Intervals after which a figure counts as missing.
pub const MISSING_AFTER: Millis = 20;
