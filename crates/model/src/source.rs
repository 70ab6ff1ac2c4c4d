//! The health of each source, as people and machines see it.

use serde::{Deserialize, Serialize};

use super::{Millis, message::Message, reason::Reason};

/// Everything that the program reads from the cluster, in the order in which pages list it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SourceId {
    Wukongs,
    VirtualMachines,
    Instances,
    Pods,
    Claims,
    PersistentVolumes,
    Nodes,
    ClusterInstancetypes,
    Instancetypes,
    PodMetrics,
    Kubelet,
    Prometheus,
    GuestAgent,
    Longhorn,
    Ceph,
}

impl SourceId {
    pub const ALL: [Self; 15] = [
        Self::Wukongs,
        Self::VirtualMachines,
        Self::Instances,
        Self::Pods,
        Self::Claims,
        Self::PersistentVolumes,
        Self::Nodes,
        Self::ClusterInstancetypes,
        Self::Instancetypes,
        Self::PodMetrics,
        Self::Kubelet,
        Self::Prometheus,
        Self::GuestAgent,
        Self::Longhorn,
        Self::Ceph,
    ];

    /// Those that know disks, in the order in which they are asked unless told otherwise.
    pub const DISK: [Self; 5] =
        [Self::Kubelet, Self::Prometheus, Self::GuestAgent, Self::Longhorn, Self::Ceph];

    /// Whether no figure of a VM hangs on it, or others are asked before it: nothing is lost without it until a figure is.
    pub fn is_second(self) -> bool {
        matches!(
            self,
            Self::PersistentVolumes
                | Self::Nodes
                | Self::ClusterInstancetypes
                | Self::Instancetypes
                | Self::Prometheus
                | Self::GuestAgent
                | Self::Longhorn
                | Self::Ceph
        )
    }

    /// Stable name for JSON, metrics, anchors.
    pub fn code(self) -> &'static str {
        match self {
            Self::Wukongs => "wukongs",
            Self::VirtualMachines => "virtualmachines",
            Self::Instances => "virtualmachineinstances",
            Self::Pods => "pods",
            Self::Claims => "persistentvolumeclaims",
            Self::PersistentVolumes => "persistentvolumes",
            Self::Nodes => "nodes",
            Self::ClusterInstancetypes => "virtualmachineclusterinstancetypes",
            Self::Instancetypes => "virtualmachineinstancetypes",
            Self::PodMetrics => "metrics.k8s.io",
            Self::Kubelet => "kubelet",
            Self::Prometheus => "prometheus",
            Self::GuestAgent => "guest-agent",
            Self::Longhorn => "longhorn",
            Self::Ceph => "ceph",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SourceState {
    /// Not tried to the end yet.
    Starting,
    Healthy,
    Degraded,
    Forbidden,
    /// The API is not installed.
    Absent,
    /// Nobody asked for it: it needs an address.
    NotConfigured,
}

impl SourceState {
    pub fn code(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Forbidden => "forbidden",
            Self::Absent => "absent",
            Self::NotConfigured => "not configured",
        }
    }
}

/// Percentiles of the time that answers took, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    pub p50: u32,
    pub p99: u32,
}

/// One source's state at the time of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceHealth {
    pub id: SourceId,
    pub state: SourceState,
    /// Why it is not healthy; none when it is, or has not been tried.
    pub reason: Option<Reason>,
    /// The last error in plain words, nodes and permissions named; empty when there is none.
    pub error: Message,
    /// What a person can do; empty when nothing is wrong.
    pub fix: Message,
    /// A setting by which its credentials can fall into other hands; empty where there is none.
    pub warning: Message,
    pub last_success: Option<Millis>,
    /// A watch's last received bytes, bookmarks included; none for a source that is polled.
    pub last_bytes: Option<Millis>,
    /// Of a source that is polled, over its last answers.
    pub latency: Option<Latency>,
    /// VMs and volumes that show a figure of this source.
    pub vms: u32,
    pub volumes: u32,
    /// Running VMs of which this source's figures are missing, and old.
    pub vms_missing: u32,
    pub vms_stale: u32,
    /// The one node that it fails for; empty where it fails for several, or as a whole.
    pub node: String,
}
