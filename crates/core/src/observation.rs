//! Observations: what the sources say, as the core takes it in. Each object is reduced to the parts that can
//! change a figure.
//!
//! `collector` makes these out of wire types and sends them as [`Observation`]s; nothing here knows
//! Kubernetes JSON.

mod disks;
mod filesystems;
mod instancetype;

use std::{net::IpAddr, sync::Arc};

pub use self::{
    disks::{Bus, DiskKind, InstanceDisk},
    filesystems::{Devices, Filesystem},
    instancetype::{InstancetypeFacts, InstancetypeRef},
};
use model::{
    Millis,
    figure::Source,
    groups::Node,
    message::Message,
    reason::Reason,
    source::SourceId,
    vm::{Disk, Network},
};

/// Namespace and name of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub namespace: Box<str>,
    pub name: Box<str>,
}

impl Key {
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

/// Namespace and name for a lookup, borrowed, so that no [`Key`] is allocated.
#[derive(Hash)]
pub struct At<'a>(pub &'a str, pub &'a str);

impl hashbrown::Equivalent<Key> for At<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        (self.1, self.0) == (&*key.name, &*key.namespace)
    }
}

/// What one source said at one time.
#[derive(Clone, Debug)]
pub enum Observation {
    Wukongs(Change<WukongFacts>),
    VirtualMachines(Change<VmFacts>),
    Instances(Change<InstanceFacts>),
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
}

/// What the collector should ask, as of the last join: the nodes, guests and images that have a Running VM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets {
    pub nodes: Arc<[NodeTarget]>,
    /// Instances whose guest agent is connected.
    pub guests: Arc<[Key]>,
    /// RBD images behind claims of VMs.
    pub images: Arc<[Image]>,
}

/// A node whose kubelet should be asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeTarget {
    pub name: Box<str>,
    /// `status.hostIP` of a launcher pod on the node; `None` if no pod gives it.
    pub address: Option<IpAddr>,
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

/// Why a source gave nothing, described for people, with the node and the permission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceError {
    pub reason: Reason,
    pub detail: Message,
}

/// What is kept of a Wukong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WukongFacts {
    pub uid: String,
    pub namespace: String,
    pub name: String,
    pub created: Millis,
    /// `spec.cpu`; `None` if it is not a number.
    pub cpu: Option<u64>,
    /// `spec.memory` as written.
    pub memory: String,
    pub os_image: String,
    /// Spec and status, joined by name.
    pub networks: Vec<Network>,
    pub disks: Vec<Disk>,
    /// Disks and volumes beyond the limit of how many are kept of one object.
    pub disks_left_out: u32,
    pub volumes_left_out: u32,
    pub phase: String,
    pub vm_name: String,
    pub node_name: String,
    pub volumes: Vec<WukongVolume>,
}

/// An entry of `Wukong.status.volumes`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WukongVolume {
    pub name: String,
    pub claim: String,
    pub size: String,
}

/// What is kept of a VirtualMachine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VmFacts {
    pub uid: String,
    pub namespace: String,
    pub name: String,
    pub created: Millis,
    /// uid and name of the Wukong in its owner references; empty if there is none. The writer of the
    /// object chooses them: see `inventory`.
    pub owner_wukong: String,
    pub owner_name: String,
    pub printable_status: String,
    /// The object has a `deletionTimestamp`.
    pub deleting: bool,
    /// Why the VM does not start, from its conditions; empty if it is up or off, or if the conditions do not
    /// say.
    pub failure_message: String,
    /// The condition `Paused`, which KubeVirt copies from the instance.
    pub pause: Option<Box<Pause>>,
    /// vCPUs, and memory as written, with which KubeVirt would start the template. `None` and empty if the
    /// template cannot be read, or if an instance type gives them.
    pub vcpus: Option<u64>,
    pub memory: String,
    pub instancetype: Option<Box<InstancetypeRef>>,
}

/// The condition `Paused` if it is true: the guest is in memory and does not run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pause {
    /// `PausedByUser`, `PausedIOError`, `PausedByMigrationMonitor`.
    pub reason: String,
    pub message: String,
}

/// What is kept of a VirtualMachineInstance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstanceFacts {
    pub uid: String,
    pub namespace: String,
    pub name: String,
    pub phase: String,
    /// The object has a `deletionTimestamp`: its guest is being shut down, which may take as long as its
    /// grace period.
    pub deleting: bool,
    pub pause: Option<Box<Pause>>,
    pub node_name: String,
    /// `status.activePods`: launcher pod uid → node.
    pub active_pods: Vec<(String, String)>,
    pub migration: Option<Box<Migration>>,
    /// Disks backed by a claim, in the order of the spec.
    pub volumes: Vec<InstanceVolume>,
    /// All disks, whatever backs them; empty if some were left out.
    pub disks: Arc<[InstanceDisk]>,
    pub disks_left_out: u32,
    /// Volumes beyond the limit of how many are kept of one object.
    pub volumes_left_out: u32,
    pub ip_address: String,
    pub guest_os: String,
    /// Condition `AgentConnected`.
    pub agent_connected: bool,
    /// What the guest has now, including hot-plugged CPU and memory: vCPUs, and memory as written. `None` and
    /// empty if the instance does not say.
    pub vcpus: Option<u64>,
    pub memory: String,
    /// Memory is backed by hugepages, which the launcher's working set does not count.
    pub hugepages: bool,
    /// uid of the VirtualMachine that controls the instance; empty if it stands alone.
    pub owner_vm: String,
    pub created: Millis,
}

/// The part of `status.migrationState` that tells which pod holds the guest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Migration {
    pub source_node: String,
    pub target_node: String,
    /// Pod names; empty in KubeVirt versions that do not report them.
    pub source_pod: String,
    pub target_pod: String,
    pub completed: bool,
    pub failed: bool,
}

/// A volume of an instance that is backed by a claim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstanceVolume {
    pub name: String,
    pub claim: String,
}

/// What is kept of a launcher pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodFacts {
    pub uid: String,
    pub namespace: String,
    pub name: String,
    pub node_name: String,
    /// `Pending`, `Running`, `Succeeded`, `Failed`, `Unknown`.
    pub phase: String,
    pub created: Millis,
    pub deleting: bool,
    /// `status.hostIP`: the address of its node.
    pub host_ip: Option<IpAddr>,
    /// Label `kubevirt.io/created-by`: the VMI's uid.
    pub created_by: String,
    /// Annotation `kubevirt.io/domain`: the VMI's name.
    pub domain: String,
    /// `(pod volume name, claim name)`; only volumes of claims.
    pub claims: Vec<(String, String)>,
    /// Containers that run at the same time: containers, init containers that always restart, ephemeral
    /// containers. Empty if they are not known.
    pub containers: Vec<PodContainer>,
}

/// A container of a launcher pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodContainer {
    pub name: Box<str>,
    /// Without this container the pod's sum is incomplete: it is a container of the spec, and its status says
    /// that it runs. Init and ephemeral containers are small, and not every metrics API lists them.
    pub required: bool,
}

impl PodFacts {
    /// Whether none of its containers runs or will run again.
    pub fn has_ended(&self) -> bool {
        matches!(self.phase.as_str(), "Succeeded" | "Failed")
    }

    /// Returns the claim that is mounted as this volume.
    pub fn claim_of(&self, volume: &str) -> Option<&str> {
        let mut claims = self.claims.iter();
        claims.find(|(name, _)| name == volume).map(|(_, claim)| claim.as_str())
    }
}

/// What is kept of a PersistentVolumeClaim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimFacts {
    pub namespace: String,
    pub name: String,
    pub block: bool,
    /// Bytes: `spec.resources.requests.storage` and `status.capacity.storage`.
    pub request: Option<u64>,
    pub capacity: Option<u64>,
    pub storage_class: String,
    /// The PersistentVolume that the claim is bound to; empty if it is not bound.
    pub volume_name: String,
    /// The provisioner from the claim's annotation. The PersistentVolume's provisioner takes precedence,
    /// since anyone who may write the claim can write the annotation.
    pub provisioner: Provisioner,
}

/// How a provisioner lays its volumes out on file systems, as far as its name tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Provisioner {
    /// Nothing is known of the provisioner.
    #[default]
    Unknown,
    /// A driver that is on neither list.
    Unlisted,
    /// Each volume is a device with its own file system.
    Device,
    /// Volumes are directories, many of which share one file system.
    Directory,
}

/// One item of a PodMetrics list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodMetricsFacts {
    pub namespace: String,
    pub name: String,
    /// Label `kubevirt.io/created-by`, which PodMetrics copy from the pod.
    pub created_by: String,
    pub containers: Vec<ContainerUsage>,
    /// Containers beyond the limit of how many are read of one item.
    pub containers_left_out: u32,
    /// When the sample was taken, by the clock of the pod's node; `None` if the item does not say.
    pub at: Option<Millis>,
    /// When the item was made (`creationTimestamp`), by the clock of the metrics API; `None` if the item does
    /// not say.
    pub made: Option<Millis>,
    pub window_ms: u32,
}

/// What one container uses. `None` if its quantity could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerUsage {
    /// Empty for the whole pod, as cAdvisor reports it.
    pub name: Box<str>,
    pub cpu_nanocores: Option<u64>,
    pub memory_bytes: Option<u64>,
}

/// One volume of one pod, as in the kubelet's summary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeStats {
    pub of: VolumeRef,
    pub used: Option<u64>,
    pub capacity: Option<u64>,
    pub available: Option<u64>,
    pub inodes: Option<u64>,
    /// When the kubelet measured it; `None` if it does not say: then the time of the answer counts.
    pub at: Option<Millis>,
    /// The node that a scrape names; empty if it names none, and for what a kubelet says itself.
    pub node: Box<str>,
    /// Whether its time may be compared with this program's clock. An untrusted exporter behind Prometheus
    /// may give its samples any time.
    pub trusted_time: bool,
}

/// What the kubelet's figures are about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum VolumeRef {
    /// A claim that the kubelet names: `pvcRef`, or the volume name `kubernetes.io~pvc/NAME`.
    Claim(Key),
    /// A volume of a pod. The pod's spec says which claim it is, if any.
    PodVolume { pod: Key, volume: Box<str> },
}

/// One kubelet's summary, and the route by which it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SummaryFacts {
    /// [`Source::KubeletProxy`] or [`Source::KubeletDirect`].
    pub source: Source,
    pub volumes: Vec<VolumeStats>,
    /// Sizes in bytes of the file systems that the kubelet itself lies on (`node.fs`,
    /// `node.runtime.imageFs`).
    pub node_filesystems: Vec<u64>,
}

/// The result of one round of queries. A query that failed leaves its part empty and is reported in
/// `warnings`; volumes that were reported before are kept instead, each with its own time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrometheusFacts {
    /// `kubelet_volume_stats_*`: each claim once, from the kubelet whose sample is newest.
    pub volumes: Vec<VolumeStats>,
    /// Why volumes may be missing.
    pub gaps: Vec<VolumeGap>,
    /// `kubevirt_vmi_*`.
    pub instances: Vec<InstanceSample>,
    /// The server's warnings, and which part of the round failed, described for people.
    pub warnings: Vec<Message>,
}

/// Volumes that an answer may lack: those of `namespaces`, or of any namespace if the list is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeGap {
    pub error: SourceError,
    pub namespaces: Vec<String>,
}

impl VolumeGap {
    /// Whether the claim may be missing because of this gap.
    pub fn covers(&self, claim: &Key) -> bool {
        self.namespaces.is_empty() || self.namespaces.iter().any(|namespace| *namespace == *claim.namespace)
    }
}

/// KubeVirt's own metrics of one VirtualMachineInstance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstanceSample {
    pub namespace: String,
    pub name: String,
    /// Growth of `kubevirt_vmi_cpu_usage_seconds_total` between two samples that are `cpu_window_ms` apart.
    pub cpu_nanocores: Option<u64>,
    pub cpu_window_ms: u32,
    /// `kubevirt_vmi_memory_resident_bytes`: the host's view.
    pub memory_bytes: Option<u64>,
    /// `kubevirt_vmi_memory_available_bytes` and `…_usable_bytes`: the guest's own view, including hugepages.
    pub guest_available: Option<u64>,
    pub guest_usable: Option<u64>,
    pub at: Millis,
    /// See [`VolumeStats::trusted_time`].
    pub trusted_time: bool,
}

/// An RBD image: pool, namespace (empty: the default one) and name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Image {
    pub pool: Box<str>,
    pub namespace: Box<str>,
    pub name: Box<str>,
    /// Whether the namespace is unknown, as for a static volume, whose namespace is in a ConfigMap of
    /// ceph-csi. Then it is the default namespace if the image is there, else the one namespace of the pool
    /// that has an image of this name.
    pub any_namespace: bool,
}

/// Size and usage of one RBD image, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageStats {
    pub image: Image,
    pub size: u64,
    /// `total_disk_usage`: bytes including snapshots, before replication.
    pub used: Result<u64, Uncounted>,
}

/// Why Ceph does not count an image's usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uncounted {
    /// The image is mirrored by snapshots.
    Mirrored,
    /// The image has no fast-diff, or it is not known whether it has.
    NoFastDiff,
    /// The image has fast-diff, but its object map is invalid.
    InvalidMap,
}

/// The parts of a PersistentVolume that matter for the claim it is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersistentVolumeFacts {
    pub name: Box<str>,
    /// The claim that it is bound to; with empty names if it is not bound.
    pub claim: Key,
    pub provisioner: Provisioner,
    /// The storage behind it, if a source can measure that.
    pub backend: Option<Backend>,
}

/// The storage that a PersistentVolume lies on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backend {
    /// The name of a Longhorn volume.
    Longhorn(Box<str>),
    Rbd(Box<Image>),
}

/// `volumes.longhorn.io`: the backend of the volume whose handle is this name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LonghornFacts {
    pub namespace: String,
    pub name: String,
    /// `spec.size` and `status.actualSize`, in bytes.
    pub size: Option<u64>,
    pub actual_size: Option<u64>,
    pub engine: LonghornEngine,
}

/// The data engine of a Longhorn volume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LonghornEngine {
    #[default]
    V1,
    V2,
    /// V2 in Longhorn before 1.6, which does not count what its volumes use.
    UncountedV2,
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
