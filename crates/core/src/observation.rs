//! Observations: what the sources say, as the core takes it in. Each object is reduced to the parts that can
//! change a figure.
//!
//! `collector` makes these out of wire types and sends them as [`Observation`]s; nothing here knows
//! Kubernetes JSON.

mod error;
mod filesystems;
mod guests;
mod instancetype;
mod key;
mod names;
mod objects;
mod samples;

use std::{net::IpAddr, sync::Arc};

pub use model::instance::{Bus, DiskKind, InstanceDetails, InstanceDisk, InstanceInterface};

pub use self::{
    error::SourceError,
    filesystems::{Devices, Filesystem},
    guests::{
        DriveCounters, GuestCounters, GuestFacts, GuestMemory, GuestsFacts, InterfaceCounters,
        KubevirtVersion, OperationCounters, PagingCounters, TrafficCounters, VcpuDelay,
    },
    instancetype::{InstancetypeFacts, InstancetypeRef},
    key::{Key, KeyRef},
    names::TrackedNames,
    objects::{
        Backend, ClaimFacts, InstanceFacts, InstanceVolume, LonghornEngine, LonghornFacts, Migration,
        MigrationFacts, Pause, PersistentVolumeFacts, PodContainer, PodFacts, Provisioner, VmFacts,
        WukongFacts, WukongVolume,
    },
    samples::{
        ContainerUsage, Image, ImageStats, InstanceSample, NodeUsage, PodMetricsFacts, PodStats,
        PrometheusFacts, ScrapedGuest, ScrapedGuests, SummaryFacts, TapBytes, Uncounted, VolumeGap,
        VolumeRef, VolumeStats,
    },
};
use model::{
    Millis,
    groups::Node,
    message::Message,
    source::{ReviewCounts, SourceId},
};

/// What one source said at one time.
#[derive(Clone, Debug)]
pub enum Observation {
    Wukongs(Change<WukongFacts>),
    VirtualMachines(Change<VmFacts>),
    Instances(Change<InstanceFacts>),
    Migrations(Change<MigrationFacts>),
    Pods(Change<PodFacts>),
    Claims(Change<ClaimFacts>),
    PersistentVolumes(Change<PersistentVolumeFacts>),
    LonghornVolumes(Change<LonghornFacts>),
    Nodes(Change<Node>),
    ClusterInstancetypes(Change<InstancetypeFacts>),
    Instancetypes(Change<InstancetypeFacts>),
    /// Bytes arrived on a watch, such as a bookmark, or the watch was opened. `namespace` is `None` for a
    /// cluster-wide watch. It follows a list that succeeded, and ends a [`Self::WatchFailed`] after which
    /// nothing was listed.
    WatchAlive {
        source: SourceId,
        namespace: Option<String>,
        at: Millis,
    },
    WatchFailed {
        source: SourceId,
        namespace: Option<String>,
        error: SourceError,
    },
    /// Which of a source's objects are not known, because there are more than are read or kept; empty once
    /// all are known.
    Omitted {
        source: SourceId,
        namespace: Option<String>,
        errors: Vec<SourceError>,
    },
    /// The answer to one PodMetrics list.
    PodMetrics {
        namespace: Option<String>,
        at: Millis,
        result: Result<Vec<PodMetricsFacts>, SourceError>,
    },
    /// The answer of one node's kubelet.
    Summary {
        node: String,
        at: Millis,
        result: Result<SummaryFacts, SourceError>,
    },
    /// The answer of one node's virt-handler. `at` is when it was asked.
    Guests {
        node: String,
        at: Millis,
        result: Result<GuestsFacts, SourceError>,
    },
    /// Virt-handlers were found, and can be asked.
    HandlersFound {
        at: Millis,
    },
    /// The answer of Prometheus to one round of queries.
    Prometheus {
        at: Millis,
        result: Result<PrometheusFacts, SourceError>,
    },
    /// The answer of one guest's agent, grouped by device ([`Devices`]).
    Filesystems {
        instance: Key,
        at: Millis,
        result: Result<Vec<Filesystem>, SourceError>,
    },
    /// A setting that can expose a credential of this source, described for people. It stays until the
    /// program ends.
    Risk {
        source: SourceId,
        detail: Message,
    },
    /// How long a source took to answer one request, or a round of them.
    Took {
        source: SourceId,
        millis: u32,
    },
    /// The answer of a Ceph cluster to one round. Requested images that do not exist are left out.
    Ceph {
        at: Millis,
        result: Result<Vec<ImageStats>, SourceError>,
    },
    /// How access reviews are answered. Sent from time to time, with sign-in only.
    AccessReviews(ReviewFacts),
}

/// How access reviews are answered, by now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReviewFacts {
    pub last_success: Option<Millis>,
    /// What failed and did not succeed since: reviews of tokens, of rights, or both.
    pub errors: Vec<SourceError>,
    /// How long each review took in milliseconds, of some since the facts before.
    pub took: Vec<u32>,
    pub counts: ReviewCounts,
}

/// What the collector should ask, as of the last join: the guests and images that have a Running VM, and the nodes that have
/// one or can get one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets {
    pub nodes: Arc<[NodeTarget]>,
    /// Instances whose guest agent is connected.
    pub guests: Arc<[Key]>,
    /// RBD images behind claims of VMs.
    pub images: Arc<[Image]>,
    /// The claims and instances that exist or that a VM names; `None` while they are not known.
    pub names: Option<Arc<TrackedNames>>,
    /// Nodes with running VMs that no virt-handler counts.
    pub uncounted: Arc<[Box<str>]>,
}

/// A node whose kubelet should be asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeTarget {
    pub name: Box<str>,
    /// `status.hostIP` of a launcher pod on the node, else the address of the node's own object, if it has one.
    pub address: Option<IpAddr>,
    /// Whether a VM runs there, so that its virt-handler should be asked too.
    pub has_vms: bool,
}

/// How a watched collection changed.
#[derive(Clone, Debug)]
pub enum Change<T> {
    /// A list was read to its end: only these objects exist (in `namespace`, if it is set).
    Replaced {
        namespace: Option<String>,
        items: Vec<T>,
        at: Millis,
    },
    Applied {
        item: T,
        at: Millis,
    },
    Deleted {
        key: Key,
        at: Millis,
    },
}

/// Facts about one named object.
pub trait Named {
    fn namespace(&self) -> &str;
    fn name(&self) -> &str;

    /// Whether the object is worth keeping.
    fn is_of_use(&self) -> bool {
        true
    }

    fn key(&self) -> Key {
        Key::new(self.namespace(), self.name())
    }
}

macro_rules! named {
    ($($facts:ty),*) => {$(
        impl Named for $facts {
            fn namespace(&self) -> &str {
                &self.namespace
            }

            fn name(&self) -> &str {
                &self.name
            }
        }
    )*};
}

named!(
    WukongFacts,
    VmFacts,
    InstanceFacts,
    InstancetypeFacts,
    PodFacts,
    ClaimFacts,
    PodMetricsFacts,
    LonghornFacts
);

impl Named for MigrationFacts {
    fn namespace(&self) -> &str {
        &self.namespace
    }

    fn name(&self) -> &str {
        &self.migration.name
    }

    fn is_of_use(&self) -> bool {
        !self.instance.is_empty()
    }
}

/// A node is in no namespace. Readers are shown what its object says.
impl Named for Node {
    fn namespace(&self) -> &str {
        ""
    }

    fn name(&self) -> &str {
        &self.name
    }
}

/// A PersistentVolume is in no namespace. It is kept only if it is bound to a claim.
impl Named for PersistentVolumeFacts {
    fn namespace(&self) -> &str {
        ""
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn is_of_use(&self) -> bool {
        let tells = self.backend.is_some() || self.provisioner != Provisioner::Unknown;
        tells && !self.claim.name.is_empty()
    }
}
