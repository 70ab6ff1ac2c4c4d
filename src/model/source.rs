//! The health of each source, as people and machines see it.

use serde::{Deserialize, Serialize};

use super::{Millis, reason::Reason};

/// Everything that the program reads from the cluster, in the order in which pages list it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SourceId {
    Wukongs,
    VirtualMachines,
    Instances,
    Pods,
    Claims,
    PersistentVolumes,
    PodMetrics,
    Kubelet,
    Prometheus,
    GuestAgent,
    Longhorn,
    Ceph,
}

impl SourceId {
    pub const ALL: [Self; 12] = [
        Self::Wukongs,
        Self::VirtualMachines,
        Self::Instances,
        Self::Pods,
        Self::Claims,
        Self::PersistentVolumes,
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

    /// Whether others are asked before it: nothing is lost without it until a figure is.
    pub fn is_second(self) -> bool {
        matches!(
            self,
            Self::PersistentVolumes | Self::Prometheus | Self::GuestAgent | Self::Longhorn | Self::Ceph
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
            Self::PodMetrics => "metrics.k8s.io",
            Self::Kubelet => "kubelet",
            Self::Prometheus => "prometheus",
            Self::GuestAgent => "guest-agent",
            Self::Longhorn => "longhorn",
            Self::Ceph => "ceph",
        }
    }

    /// The permission that the source needs, in the words of RBAC.
    pub fn permission(self) -> &'static str {
        match self {
            Self::Wukongs => "list and watch wukongs.vm.novasphere.dev",
            Self::VirtualMachines => "list and watch virtualmachines.kubevirt.io",
            Self::Instances => "list and watch virtualmachineinstances.kubevirt.io",
            Self::Pods => "list and watch pods",
            Self::Claims => "list and watch persistentvolumeclaims",
            Self::PersistentVolumes => "list and watch persistentvolumes",
            Self::PodMetrics => "list pods.metrics.k8s.io",
            Self::Kubelet => "get nodes/stats or nodes/proxy",
            Self::Prometheus => "query the Prometheus API",
            Self::GuestAgent => "get virtualmachineinstances/filesystemlist.subresources.kubevirt.io",
            Self::Longhorn => "list and watch volumes.longhorn.io",
            Self::Ceph => "read rbd-image in the Ceph dashboard",
        }
    }

    /// What it gives, in a few words.
    pub fn gives(self) -> &'static str {
        match self {
            Self::Wukongs => "inventory",
            Self::VirtualMachines => "true status",
            Self::Instances => "node, migration, volumes",
            Self::Pods => "whose figures are whose",
            Self::Claims => "volume mode and size",
            Self::PersistentVolumes => "which backend holds a claim",
            Self::PodMetrics => "CPU, memory",
            Self::Kubelet => "disk per claim",
            Self::Prometheus => {
                "disk per claim, the guest's own memory, CPU and memory without metrics.k8s.io"
            }
            Self::GuestAgent => "file systems in the guest",
            Self::Longhorn => "what Longhorn has allocated",
            Self::Ceph => "what RBD images take",
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
    pub error: String,
    /// What a person can do; empty when nothing is wrong.
    pub mend: String,
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
}
