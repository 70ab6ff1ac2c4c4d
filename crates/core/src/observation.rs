//! What the join knows of the cluster: each object cut down to the parts that can change a figure.
//!
//! `collect` makes these out of wire types and sends them as [`Observation`]s; nothing here knows Kubernetes JSON.

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

/// Namespace and name.
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

/// Namespace and name of what is looked up: no [`Key`] is made for it.
#[derive(Hash)]
pub struct At<'a>(pub &'a str, pub &'a str);

impl hashbrown::Equivalent<Key> for At<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        (self.1, self.0) == (&*key.name, &*key.namespace)
    }
}

/// Something that one of the sources said.
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
    /// Bytes arrived on a watch (a bookmark will do, or that it was opened). `namespace` is none for a cluster-wide
    /// watch. It follows a list that succeeded, and ends a [`Self::WatchFailed`] after which nothing was listed.
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
    /// What is not known of a source's objects, because there is more of them than is read or kept; empty once all is.
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
    /// The answer of a Prometheus to one round of queries.
    Prometheus {
        at: Millis,
        result: Result<PrometheusFacts, SourceError>,
    },
    /// The answer of one guest's agent, put together by device ([`Devices`]).
    Filesystems {
        instance: Key,
        at: Millis,
        result: Result<Vec<Filesystem>, SourceError>,
    },
    /// A setting by which a credential of this source can fall into other hands, in plain words. It stands as long as the
    /// program runs.
    Risk {
        source: SourceId,
        detail: Message,
    },
    /// How long a source took to answer: one request, or a round of them.
    Took {
        source: SourceId,
        millis: u32,
    },
    /// The answer of a Ceph cluster to one round: images that were looked for and are not there are left out.
    Ceph {
        at: Millis,
        result: Result<Vec<ImageStats>, SourceError>,
    },
}

/// What collectors should ask of, as the join knows it: which nodes, guests and images have a Running VM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets {
    pub nodes: Arc<[NodeTarget]>,
    /// Instances whose guest agent is connected.
    pub guests: Arc<[Key]>,
    /// RBD images behind claims of VMs.
    pub images: Arc<[Image]>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeTarget {
    pub name: Box<str>,
    /// `status.hostIP` of a launcher pod there; none where no pod says it.
    pub address: Option<IpAddr>,
}

/// How a watched collection changed.
#[derive(Clone, Debug)]
pub enum Change<T> {
    /// A list was read to its end: these and no others exist (in `namespace`, where one is named).
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

/// Why a source gave nothing, in plain words that name node and permission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceError {
    pub reason: Reason,
    pub detail: Message,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WukongFacts {
    pub uid: String,
    pub namespace: String,
    pub name: String,
    pub created: Millis,
    /// `spec.cpu`; none where it is no number.
    pub cpu: Option<u64>,
    /// `spec.memory` as written.
    pub memory: String,
    pub os_image: String,
    /// Spec and status joined by name.
    pub networks: Vec<Network>,
    pub disks: Vec<Disk>,
    /// Disks and volumes over the bound on how many are kept of one object.
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

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VmFacts {
    pub uid: String,
    pub namespace: String,
    pub name: String,
    pub created: Millis,
    /// uid and name of the Wukong that its owner references name; empty where they name none. The object's writer
    /// chooses them: see `inventory`.
    pub owner_wukong: String,
    pub owner_name: String,
    pub printable_status: String,
    /// Has a `deletionTimestamp`.
    pub deleting: bool,
    /// Why it does not come up, as its conditions say; empty where it is up or off, or they do not say.
    pub failure_message: String,
    /// KubeVirt copies it from the instance.
    pub pause: Option<Box<Pause>>,
    /// vCPUs, and memory as written, that KubeVirt would start its template with. None and empty where the template
    /// cannot be read, or an instance type says it.
    pub vcpus: Option<u64>,
    pub memory: String,
    pub instancetype: Option<Box<InstancetypeRef>>,
}

/// The condition `Paused` where it is true: the guest is in memory and does not run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pause {
    /// `PausedByUser`, `PausedIOError`, `PausedByMigrationMonitor`.
    pub reason: String,
    pub message: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstanceFacts {
    pub uid: String,
    pub namespace: String,
    pub name: String,
    pub phase: String,
    /// Has a `deletionTimestamp`: its guest is being shut down, which may take as long as its grace period.
    pub deleting: bool,
    pub pause: Option<Box<Pause>>,
    pub node_name: String,
    /// `status.activePods`: launcher pod uid → node.
    pub active_pods: Vec<(String, String)>,
    pub migration: Option<Box<Migration>>,
    /// Disks backed by a claim, in the order of the spec.
    pub volumes: Vec<InstanceVolume>,
    /// All disks, whatever they are backed by; none where more are left out.
    pub disks: Arc<[InstanceDisk]>,
    pub disks_left_out: u32,
    /// Volumes over the bound on how many are kept of one object.
    pub volumes_left_out: u32,
    pub ip_address: String,
    pub guest_os: String,
    /// Condition `AgentConnected`.
    pub agent_connected: bool,
    /// What the guest has now, hot-plugged CPU and memory included: vCPUs, and memory as written; none and empty where
    /// the instance does not say.
    pub vcpus: Option<u64>,
    pub memory: String,
    /// Memory is of hugepages: the launcher's working set does not count it.
    pub hugepages: bool,
    /// uid of the VirtualMachine that controls it; empty for an instance that stands alone.
    pub owner_vm: String,
    pub created: Millis,
}

/// `status.migrationState`, as far as it tells which pod holds the guest.
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

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstanceVolume {
    pub name: String,
    pub claim: String,
}

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
    /// `status.hostIP`: its node's address.
    pub host_ip: Option<IpAddr>,
    /// Label `kubevirt.io/created-by`: the VMI's uid.
    pub created_by: String,
    /// Annotation `kubevirt.io/domain`: the VMI's name.
    pub domain: String,
    /// `(pod volume name, claim name)`, claims only.
    pub claims: Vec<(String, String)>,
    /// Those that run beside each other: containers, init containers that are restarted always, ephemeral containers.
    /// Empty where they are not known.
    pub containers: Vec<PodContainer>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodContainer {
    pub name: Box<str>,
    /// The pod's sum lacks something without it: a container of the spec that runs, as its status says. Init and ephemeral containers are
    /// small, and not every metrics API lists them.
    pub required: bool,
}

impl PodFacts {
    /// None of its containers runs, or will again.
    pub fn has_ended(&self) -> bool {
        matches!(self.phase.as_str(), "Succeeded" | "Failed")
    }

    /// The claim that is mounted as this volume.
    pub fn claim_of(&self, volume: &str) -> Option<&str> {
        let mut claims = self.claims.iter();
        claims.find(|(name, _)| name == volume).map(|(_, claim)| claim.as_str())
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimFacts {
    pub namespace: String,
    pub name: String,
    pub block: bool,
    /// Bytes: `spec.resources.requests.storage`, and `status.capacity.storage`.
    pub request: Option<u64>,
    pub capacity: Option<u64>,
    pub storage_class: String,
    /// The PersistentVolume that it is bound to; empty while it is bound to none.
    pub volume_name: String,
    /// What the claim's own annotation names as its provisioner: less than the PersistentVolume's word, since whoever may write the claim
    /// writes it.
    pub provisioner: Provisioner,
}

/// How volumes of a provisioner lie on their file systems, as far as its name tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Provisioner {
    /// Nothing is known of it.
    #[default]
    Unknown,
    /// A driver that is on no list.
    Unlisted,
    /// Each volume is a device, with a file system of its own.
    Device,
    /// Volumes are directories: many of them share one file system.
    Directory,
}

/// One item of a PodMetrics list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodMetricsFacts {
    pub namespace: String,
    pub name: String,
    /// Label `kubevirt.io/created-by`, which PodMetrics carry over from the pod.
    pub created_by: String,
    pub containers: Vec<ContainerUsage>,
    /// Containers over the bound on how many are read of one item.
    pub containers_left_out: u32,
    /// By the clock of the pod's node; none where it is not told.
    pub at: Option<Millis>,
    /// When the item was made (`creationTimestamp`), by the clock of the metrics API; none where it is not told.
    pub made: Option<Millis>,
    pub window_ms: u32,
}

/// What one container uses; none where its quantity could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerUsage {
    /// Empty: the whole pod, as cAdvisor has it.
    pub name: Box<str>,
    pub cpu_nanocores: Option<u64>,
    pub memory_bytes: Option<u64>,
}

/// One volume of one pod, as the kubelet's summary has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeStats {
    pub of: VolumeRef,
    pub used: Option<u64>,
    pub capacity: Option<u64>,
    pub available: Option<u64>,
    pub inodes: Option<u64>,
    /// When the kubelet measured it; none where it does not say: then the time of the answer counts.
    pub at: Option<Millis>,
    /// The node that a scrape names; empty where it names none, and of what a kubelet says itself.
    pub node: Box<str>,
    /// Its time tells of the clock of its source. An exporter of Prometheus' that is not trusted may give its samples any time.
    pub trusted_time: bool,
}

/// What a kubelet says that its figures are of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum VolumeRef {
    /// A claim that it names: `pvcRef`, or the volume name `kubernetes.io~pvc/NAME`.
    Claim(Key),
    /// A volume of a pod: which claim that is, if any, the pod's spec says.
    PodVolume { pod: Key, volume: Box<str> },
}

/// One kubelet's summary, and which way it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SummaryFacts {
    /// [`Source::KubeletProxy`] or [`Source::KubeletDirect`].
    pub source: Source,
    pub volumes: Vec<VolumeStats>,
    /// Bytes of the file systems that the kubelet itself lies on (`node.fs`, `node.runtime.imageFs`).
    pub node_filesystems: Vec<u64>,
}

/// What one round of queries gave. A query that failed leaves its part empty and says so in `warnings`; volumes that
/// were told before stand instead, each with its own time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrometheusFacts {
    /// `kubelet_volume_stats_*`, each claim once, from the kubelet whose sample is newest.
    pub volumes: Vec<VolumeStats>,
    /// Why a volume may not be among them.
    pub gaps: Vec<VolumeGap>,
    /// `kubevirt_vmi_*`.
    pub instances: Vec<InstanceSample>,
    /// What the server warned of, and which part of the round failed, in plain words.
    pub warnings: Vec<Message>,
}

/// Volumes that an answer may lack: of these namespaces; of any where there are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeGap {
    pub error: SourceError,
    pub namespaces: Vec<String>,
}

impl VolumeGap {
    pub fn covers(&self, claim: &Key) -> bool {
        self.namespaces.is_empty() || self.namespaces.iter().any(|namespace| *namespace == *claim.namespace)
    }
}

/// What KubeVirt's own metrics say of one VirtualMachineInstance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstanceSample {
    pub namespace: String,
    pub name: String,
    /// Growth of `kubevirt_vmi_cpu_usage_seconds_total` between two samples, `cpu_window_ms` apart.
    pub cpu_nanocores: Option<u64>,
    pub cpu_window_ms: u32,
    /// `kubevirt_vmi_memory_resident_bytes`: the host's view.
    pub memory_bytes: Option<u64>,
    /// `kubevirt_vmi_memory_available_bytes` and `…_usable_bytes`: the guest's own view, hugepages included.
    pub guest_available: Option<u64>,
    pub guest_usable: Option<u64>,
    pub at: Millis,
    /// As [`VolumeStats::trusted_time`].
    pub trusted_time: bool,
}

/// `rbd` pool, namespace (empty: the default one) and image.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Image {
    pub pool: Box<str>,
    pub namespace: Box<str>,
    pub name: Box<str>,
    /// The namespace is not known, as of a static volume: its own is in a ConfigMap of ceph-csi. It is the default one if the
    /// image is there, else the one namespace of the pool that has an image of this name.
    pub any_namespace: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageStats {
    pub image: Image,
    pub size: u64,
    /// `total_disk_usage`: bytes with snapshots, before replication.
    pub used: Result<u64, Uncounted>,
}

/// Why Ceph does not count what an image takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uncounted {
    /// It is mirrored by snapshots.
    Mirrored,
    /// It has no fast-diff, or nothing tells whether it has.
    NoFastDiff,
    /// It has fast-diff, and its object map is invalid.
    InvalidMap,
}

/// A PersistentVolume, as far as it tells of the claim that it is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersistentVolumeFacts {
    pub name: Box<str>,
    /// The claim that it is bound to; of empty names where it is bound to none.
    pub claim: Key,
    pub provisioner: Provisioner,
    /// What lies behind it, where a source could tell of that.
    pub backend: Option<Backend>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backend {
    /// The name of a Longhorn volume.
    Longhorn(Box<str>),
    Rbd(Box<Image>),
}

/// `volumes.longhorn.io`: the backend of a volume whose handle is this name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LonghornFacts {
    pub namespace: String,
    pub name: String,
    /// `spec.size` and `status.actualSize` in bytes.
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
    /// V2 of a Longhorn before 1.6, which does not count what its volumes take.
    UncountedV2,
}

/// Facts that stand for one named object.
pub trait Named {
    fn namespace(&self) -> &str;
    fn name(&self) -> &str;

    /// Whether there is anything about it to remember.
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

/// In no namespace. What its object tells is what readers are told.
impl Named for Node {
    fn namespace(&self) -> &str {
        ""
    }

    fn name(&self) -> &str {
        &self.name
    }
}

/// In no namespace. One that is bound to no claim is of no use.
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
