//! What sources measured: of pods, volumes, instances and images.

use std::sync::Arc;

use super::{error::SourceError, guests::KubevirtVersion, key::Key};
use model::{Millis, figure::Source, message::Message, pressure::Pressure, rates::GuestRates};

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
    /// Node label of the scrape; empty if it has none or if the stats come from a kubelet.
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
    /// Launcher pods.
    pub pods: Vec<PodStats>,
    /// Sizes in bytes of the file systems that the kubelet itself lies on (`node.fs`,
    /// `node.runtime.imageFs`).
    pub node_filesystems: Vec<u64>,
    pub node_usage: NodeUsage,
    /// Why volumes and pods of some namespaces are left out.
    pub left_out: Option<SourceError>,
}

/// What everything on a node uses, each with when it was measured, by the node's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeUsage {
    /// Nanocores.
    pub cpu: Option<(u64, Option<Millis>)>,
    /// Bytes of the working set.
    pub memory: Option<(u64, Option<Millis>)>,
}

/// What a kubelet counts of one launcher pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodStats {
    pub pod: Key,
    /// Empty if the kubelet does not say.
    pub uid: Box<str>,
    /// `None` if the pod has no tap device, or if the counters of one of them are not known.
    pub taps: Option<TapBytes>,
    /// When they were measured, by the node's clock.
    pub taps_at: Option<Millis>,
    pub pressure: Pressure,
    pub pressure_at: Option<Millis>,
}

/// Bytes of all tap devices of a pod together, as the guest sees them: a tap receives what the guest transmits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TapBytes {
    pub receive: u64,
    pub transmit: u64,
    /// Differs if the devices are others, so that sums of different devices are never compared.
    pub devices: u64,
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
    pub guests: ScrapedGuests,
    /// The server's warnings, and which part of the round failed, described for people.
    pub warnings: Vec<Message>,
}

/// What guests do, of nodes whose virt-handler cannot be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScrapedGuests {
    pub guests: Arc<[ScrapedGuest]>,
    /// Why guests may be missing.
    pub gap: Option<SourceError>,
    /// See [`GuestsFacts`](super::GuestsFacts).
    pub contention_since: Option<KubevirtVersion>,
}

/// The rates of one guest on one node, from counters that virt-handler exports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScrapedGuest {
    pub instance: Key,
    pub node: Box<str>,
    pub at: Millis,
    /// See [`VolumeStats::trusted_time`].
    pub trusted_time: bool,
    /// `None` if there is only one sample since it started over.
    pub rates: Option<Arc<GuestRates>>,
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
