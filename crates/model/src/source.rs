//! The health of each source. `core::health` computes it; pages, REST and metrics show it.

use serde::{Deserialize, Serialize};
use strum::{EnumCount, IntoStaticStr, VariantArray};

use super::{Millis, message::Message, reason::Reason};

/// Everything that the program reads from the cluster, in the order in which pages list it.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    EnumCount,
    IntoStaticStr,
    VariantArray,
)]
#[strum(serialize_all = "lowercase")]
pub enum SourceId {
    Wukongs,
    VirtualMachines,
    #[strum(serialize = "virtualmachineinstances")]
    Instances,
    #[strum(serialize = "virtualmachineinstancemigrations")]
    Migrations,
    Pods,
    #[strum(serialize = "persistentvolumeclaims")]
    Claims,
    PersistentVolumes,
    Nodes,
    #[strum(serialize = "virtualmachineclusterinstancetypes")]
    ClusterInstancetypes,
    #[strum(serialize = "virtualmachineinstancetypes")]
    Instancetypes,
    #[strum(serialize = "metrics.k8s.io")]
    PodMetrics,
    Kubelet,
    #[strum(serialize = "virt-handler")]
    VirtHandler,
    Prometheus,
    #[strum(serialize = "guest-agent")]
    GuestAgent,
    Longhorn,
    Ceph,
    /// Reviews of who signs in, and of what they may see. Not a source of figures, and there only with sign-in.
    #[strum(serialize = "access-reviews")]
    AccessReviews,
}

impl SourceId {
    pub const ALL: [Self; Self::COUNT] = *Self::VARIANTS.first_chunk().unwrap();

    /// The sources of disk figures, in the order in which they are asked by default.
    pub const DISK: [Self; 5] =
        [Self::Kubelet, Self::Prometheus, Self::GuestAgent, Self::Longhorn, Self::Ceph];

    /// Whether no figure of a VM depends on the source, or other sources are asked before it. Without it
    /// nothing is lost until a figure is missing.
    pub fn is_second(self) -> bool {
        match self {
            Self::Migrations
            | Self::PersistentVolumes
            | Self::Nodes
            | Self::ClusterInstancetypes
            | Self::Instancetypes
            | Self::VirtHandler
            | Self::Prometheus
            | Self::GuestAgent
            | Self::Longhorn
            | Self::Ceph => true,
            Self::Wukongs
            | Self::VirtualMachines
            | Self::Instances
            | Self::Pods
            | Self::Claims
            | Self::PodMetrics
            | Self::Kubelet
            | Self::AccessReviews => false,
        }
    }

    /// Returns whether the source measures what a storage backend has allocated. Such a figure counts only if
    /// no source knows the guest's or the image's.
    pub fn is_backend(self) -> bool {
        match self {
            Self::Longhorn | Self::Ceph => true,
            Self::Wukongs
            | Self::VirtualMachines
            | Self::Instances
            | Self::Migrations
            | Self::Pods
            | Self::Claims
            | Self::PersistentVolumes
            | Self::Nodes
            | Self::ClusterInstancetypes
            | Self::Instancetypes
            | Self::PodMetrics
            | Self::Kubelet
            | Self::VirtHandler
            | Self::Prometheus
            | Self::GuestAgent
            | Self::AccessReviews => false,
        }
    }

    /// The stable name in JSON, metrics and anchors.
    pub fn code(self) -> &'static str {
        self.into()
    }
}

/// How well a source answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SourceState {
    /// The first attempt has not finished yet.
    Starting,
    Healthy,
    Degraded,
    Forbidden,
    /// The API is not installed.
    Absent,
    /// The source is not configured: it needs an address.
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

/// Percentiles of response times, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    pub p50: u32,
    pub p99: u32,
}

/// How many access reviews are asked, and about whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewCounts {
    /// Reviews that were answered or failed in the last minute, of tokens and of rights.
    pub last_minute: u32,
    /// Users who looked within the last two minutes.
    pub users: u32,
    /// Namespaces that hold VMs.
    pub namespaces: u32,
    /// Reviews that are due and not answered yet.
    pub waiting: u32,
    /// Users who see something only because its renewal is delayed.
    pub late: u32,
}

/// One source's state at the time of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceHealth {
    pub id: SourceId,
    pub state: SourceState,
    /// Why it is not healthy; `None` if it is healthy or has not been tried.
    pub reason: Option<Reason>,
    /// The last error for people, with nodes and permissions; empty if there is none.
    pub error: Message,
    /// How to fix it; empty if nothing is wrong.
    pub fix: Message,
    /// A setting that can expose the source's credentials; empty if there is none.
    pub warning: Message,
    pub last_success: Option<Millis>,
    /// When a watch last received bytes, including bookmarks; `None` for a source that is polled.
    pub last_bytes: Option<Millis>,
    /// Response times of a source that is polled, over its last answers.
    pub latency: Option<Latency>,
    /// What is asked of access reviews; `None` for every other source.
    pub reviews: Option<ReviewCounts>,
    /// VMs and volumes that show a figure of this source.
    pub vms: u32,
    pub volumes: u32,
    /// Running VMs with missing figures of this source, and with old ones.
    pub vms_missing: u32,
    pub vms_stale: u32,
    /// The node that it fails for, if there is only one; empty if it fails for several, or as a whole.
    pub node: String,
}
