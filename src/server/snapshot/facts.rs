//! What the join knows of the cluster: each object cut down to the parts that can change a figure.
//!
//! `collect` makes these out of wire types and sends them as [`Observation`]s; nothing here knows Kubernetes JSON.

use crate::model::{
    Millis,
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

/// Something that one of the sources said.
#[derive(Clone, Debug)]
pub enum Observation {
    Wukongs(Change<WukongFacts>),
    VirtualMachines(Change<VmFacts>),
    Instances(Change<InstanceFacts>),
    Pods(Change<PodFacts>),
    Claims(Change<ClaimFacts>),
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
        result: Result<Vec<VolumeStats>, SourceError>,
    },
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
    pub detail: String,
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
    /// uid of the Wukong that owns it; empty where none does.
    pub owner_wukong: String,
    pub printable_status: String,
    /// vCPU in millicores and memory as written in the template; none and empty where the template does not say.
    pub cpu_milli: Option<u64>,
    pub memory: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstanceFacts {
    pub uid: String,
    pub namespace: String,
    pub name: String,
    pub phase: String,
    pub node_name: String,
    /// `status.activePods`: launcher pod uid → node.
    pub active_pods: Vec<(String, String)>,
    pub migration: Option<Box<Migration>>,
    /// Disks backed by a claim, in the order of the spec.
    pub volumes: Vec<InstanceVolume>,
    pub ip_address: String,
    pub guest_os: String,
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
    /// Label `kubevirt.io/created-by`: the VMI's uid.
    pub created_by: String,
    /// Annotation `kubevirt.io/domain`: the VMI's name.
    pub domain: String,
    /// `(pod volume name, claim name)`, claims only.
    pub claims: Vec<(String, String)>,
}

impl PodFacts {
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
    /// Bytes: `status.capacity.storage`, else the request.
    pub capacity: Option<u64>,
    pub storage_class: String,
}

/// One item of a PodMetrics list, containers summed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodMetricsFacts {
    pub namespace: String,
    pub name: String,
    /// Label `kubevirt.io/created-by`, which PodMetrics carry over from the pod.
    pub created_by: String,
    /// None where a container's quantity could not be read: then the sum is not known.
    pub cpu_nanocores: Option<u64>,
    pub memory_bytes: Option<u64>,
    pub at: Millis,
    pub window_ms: u32,
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
}

/// What a kubelet says that its figures are of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VolumeRef {
    /// A claim that it names: `pvcRef`, or the volume name `kubernetes.io~pvc/NAME`.
    Claim(Key),
    /// A volume of a pod: which claim that is, if any, the pod's spec says.
    PodVolume { pod: Key, volume: Box<str> },
}

/// Facts that stand for one named object.
pub trait Named {
    fn namespace(&self) -> &str;
    fn name(&self) -> &str;

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

named!(WukongFacts, VmFacts, InstanceFacts, PodFacts, ClaimFacts, PodMetricsFacts);
