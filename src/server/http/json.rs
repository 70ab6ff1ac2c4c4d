//! The JSON of the REST API, which `rest`, `listing` and `events` send. The fields of the contract come
//! first; exact values stand beside them and never replace them.

use std::{io, sync::Arc};

use serde::{Serialize, Serializer};

use self::{
    activity::ActivityJson,
    details::{DetailsJson, SystemJson},
    figure::{Denominator, FigureJson, MissingJson, SampleJson},
    vm_events::EventsJson,
};
use i18n::Render;
use model::{
    Millis,
    details::VmDetails,
    events::VmEvents,
    figure::{Missing, Sample},
    reason::Reason,
    vm::{Disk, Guest, GuestFilesystem, Network, Reading, Status, Usage, Vm, Volume},
};

mod activity;
mod amounts;
mod attention;
mod details;
pub mod events;
mod figure;
mod groups;
mod history;
mod nodes;
mod search;
mod totals;
mod vm_events;

pub use attention::AttentionJson;
pub use groups::GroupsJson;
pub use history::{HistoryJson, InsightsJson};
pub use nodes::{NodeAnswerJson, NodePageJson};
pub use search::SearchJson;
pub use totals::{SourceJson, StatsJson};

/// Returns the VMs as a JSON array; `None` if it would have more than `most` bytes. `size` is an estimate of its bytes.
pub fn vms<'a>(vms: impl IntoIterator<Item = &'a Arc<Vm>>, size: usize, most: usize) -> Option<Vec<u8>> {
    let mut out = BoundedBytes { bytes: Vec::with_capacity((size + size / 16).min(most)), most };
    // The VMs are converted one by one: 10,000 converted VMs would take more memory than their text. Fails only
    // beyond `most`.
    let vms = vms.into_iter().map(|vm| VmJson::new(vm));
    serde_json::Serializer::new(&mut out).collect_seq(vms).ok()?;
    Some(out.bytes)
}

/// Bytes that are written until there are too many.
struct BoundedBytes {
    bytes: Vec<u8>,
    most: usize,
}

impl io::Write for BoundedBytes {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + more.len() > self.most {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One VM, as `/api/vms` and `/api/vms/{name}` show it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VmJson<'a> {
    id: &'a str,
    name: &'a str,
    namespace: &'a str,
    status: &'static str,
    /// Cores; null if the spec cannot be read.
    cpu: Option<serde_json::Number>,
    memory: &'a str,
    node_name: &'a str,
    ip_address: &'a str,
    os_image: &'a str,
    created_at: Millis,
    networks: Vec<NetworkJson<'a>>,
    disks: Vec<DiskJson<'a>>,
    metrics: Option<MetricsJson>,
    kind: &'static str,
    kubevirt_status: &'a str,
    /// Why a VM in error does not run; empty if no object says why.
    kubevirt_message: String,
    /// The contradiction between its objects; absent if they agree.
    #[serde(skip_serializing_if = "Option::is_none")]
    conflict: Option<String>,
    migrating_to: &'a str,
    vm_name: &'a str,
    pod: &'a str,
    memory_bytes: Option<u64>,
    cpu_millicores: Option<serde_json::Number>,
    /// Why the allocation that the VM would start with is not known; null if it is known.
    allocation_missing: Option<MissingJson>,
    usage: UsageJson,
    volumes: Vec<VolumeJson<'a>>,
    guest: GuestJson<'a>,
    /// Only if one VM is asked for: lists would be half as large again.
    #[serde(flatten)]
    details: Option<DetailsJson<'a>>,
    #[serde(flatten)]
    events: Option<EventsJson<'a>>,
}

impl<'a> VmJson<'a> {
    pub fn new(vm: &'a Vm) -> Self {
        let summary = &vm.summary;
        Self {
            id: &vm.uid,
            name: &summary.name,
            namespace: &summary.namespace,
            status: summary.status.name(),
            cpu: summary.cpu.and_then(|nanos| decimal(nanos, 1_000_000_000)),
            memory: &vm.memory_text,
            node_name: &summary.node,
            ip_address: &summary.ip_address,
            os_image: &vm.os_image,
            created_at: vm.created,
            networks: vm.networks.iter().map(NetworkJson::new).collect(),
            disks: vm.disks.iter().map(DiskJson::new).collect(),
            metrics: MetricsJson::new(summary.status, &summary.usage),
            kind: summary.kind.name(),
            kubevirt_status: &summary.kubevirt_status,
            kubevirt_message: vm.failure.as_ref().map(|failure| failure.detail.english()).unwrap_or_default(),
            conflict: vm.conflict.as_ref().map(|conflict| conflict.english()),
            migrating_to: &summary.migrating_to,
            vm_name: &vm.vm_name,
            pod: &vm.pod,
            memory_bytes: summary.memory,
            cpu_millicores: summary.cpu.and_then(|nanos| decimal(nanos, 1_000_000)),
            allocation_missing: vm
                .allocation_gap
                .as_ref()
                .map(|missing| MissingJson::new(missing, Denominator::Allocated)),
            usage: UsageJson::new(vm),
            volumes: vm.volumes.iter().map(VolumeJson::new).collect(),
            guest: GuestJson::new(&vm.guest),
            details: None,
            events: None,
        }
    }

    /// The same with its Events, which only an answer has that was asked for.
    pub fn with_events(self, events: &'a VmEvents) -> Self {
        Self { events: Some(EventsJson::new(events)), ..self }
    }

    /// The same with its details.
    pub fn with_details(vm: &'a Vm, details: &'a VmDetails) -> Self {
        let known = Self::new(vm);
        let guest = GuestJson { system: Some(SystemJson::new(details)), ..known.guest };
        Self { guest, details: Some(DetailsJson::new(details)), ..known }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NetworkJson<'a> {
    name: &'a str,
    interface: &'a str,
    ip_address: &'a str,
    mac_address: &'a str,
    mode: &'a str,
}

impl<'a> NetworkJson<'a> {
    fn new(network: &'a Network) -> Self {
        let Network { name, mode, interface, ip_address, mac_address } = network;
        Self { name, interface, ip_address, mac_address, mode }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DiskJson<'a> {
    name: &'a str,
    size: &'a str,
    storage_class_name: &'a str,
    boot: bool,
    image: &'a str,
}

impl<'a> DiskJson<'a> {
    fn new(disk: &'a Disk) -> Self {
        let Disk { name, size, storage_class_name, boot, image } = disk;
        Self { name, size, storage_class_name, boot: *boot, image }
    }
}

/// The contract's whole percentages. Only a Running VM has them, and only if CPU and memory are both known.
/// An unknown disk is 0 here; `usage` says why it is unknown.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MetricsJson {
    cpu_usage: u8,
    memory_usage: u8,
    disk_usage: u8,
}

impl MetricsJson {
    fn new(status: Status, usage: &Usage) -> Option<Self> {
        if status != Status::Running {
            return None;
        }
        let (cpu, memory) = (usage.cpu.sample()?, usage.memory.sample().or_else(|| of_hugepages(usage))?);
        Some(Self {
            cpu_usage: cpu.contract_percent(),
            memory_usage: memory.contract_percent(),
            disk_usage: usage.disk.sample().map_or(0, Sample::contract_percent),
        })
    }
}

/// Returns the pod's working set of a VM with hugepages. The contract's figure is the working set, which
/// leaves hugepages out; the exact figure is missing, with the reason.
fn of_hugepages(usage: &Usage) -> Option<&Sample> {
    match usage.memory.missing() {
        Some(Missing { reason: Reason::Hugepages, last, .. }) => last.as_ref(),
        _ => None,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UsageJson {
    cpu: FigureJson,
    memory: FigureJson,
    disk: FigureJson,
    /// Number of volumes that `disk` counts, and of all volumes.
    disk_known: u32,
    disk_volumes: u32,
    /// Percent of the fullest file system or volume; null if none is known.
    fullest_disk_percent: Option<u64>,
    #[serde(flatten)]
    activity: ActivityJson,
}

impl UsageJson {
    fn new(vm: &Vm) -> Self {
        let usage = &vm.summary.usage;
        Self {
            cpu: FigureJson::new(&usage.cpu, Denominator::Allocated),
            memory: FigureJson::new(&usage.memory, Denominator::Allocated),
            disk: FigureJson::new(&usage.disk, Denominator::Capacity),
            disk_known: usage.disk_known,
            disk_volumes: usage.disk_volumes,
            fullest_disk_percent: usage.fullest_disk,
            activity: ActivityJson::new(&vm.activity, &vm.pressure),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VolumeJson<'a> {
    name: &'a str,
    claim: &'a str,
    size_bytes: Option<u64>,
    block: bool,
    storage_class: &'a str,
    /// The source of `usage`, whether that is known or not.
    from: &'static str,
    usage: FigureJson,
    /// The readings of other sources, or why each has none; never part of `usage`.
    readings: Vec<ReadingJson>,
}

impl<'a> VolumeJson<'a> {
    fn new(volume: &'a Volume) -> Self {
        Self {
            name: &volume.name,
            claim: &volume.claim,
            size_bytes: volume.size,
            block: volume.block,
            storage_class: &volume.storage_class,
            from: volume.source.code(),
            usage: FigureJson::new(&volume.usage, Denominator::Capacity),
            readings: volume.readings.iter().map(ReadingJson::new).collect(),
        }
    }
}

#[derive(Serialize)]
struct ReadingJson {
    from: &'static str,
    #[serde(flatten)]
    figure: FigureJson,
}

impl ReadingJson {
    fn new(reading: &Reading) -> Self {
        Self { from: reading.source.code(), figure: FigureJson::new(&reading.figure, Denominator::Capacity) }
    }
}

/// What the guest agent reports. It stands beside the host's figures and replaces none of them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GuestJson<'a> {
    memory: Option<SampleJson>,
    filesystems: Vec<FilesystemJson<'a>>,
    filesystems_left_out: u32,
    /// When the agent answered.
    sampled_at: Option<Millis>,
    /// Only if one VM is asked for.
    #[serde(flatten)]
    system: Option<SystemJson<'a>>,
}

impl<'a> GuestJson<'a> {
    fn new(guest: &'a Guest) -> Self {
        Self {
            memory: guest.memory.as_ref().map(|sample| SampleJson::new(sample, Denominator::Allocated)),
            filesystems: guest.filesystems.iter().map(FilesystemJson::new).collect(),
            filesystems_left_out: guest.filesystems_left_out,
            sampled_at: guest.at,
            system: None,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FilesystemJson<'a> {
    disk: &'a str,
    mount_point: &'a str,
    r#type: &'a str,
    used: Option<u64>,
    capacity: Option<u64>,
    /// Empty if the volume that it lies on is not known, or is more than one.
    claim: &'a str,
}

impl<'a> FilesystemJson<'a> {
    fn new(filesystem: &'a GuestFilesystem) -> Self {
        let GuestFilesystem { disk, mount_point, kind, used, total, claim } = filesystem;
        Self { disk, mount_point, r#type: kind, used: *used, capacity: *total, claim }
    }
}

/// Returns `amount / per`, as a whole number if it is one, else as a fraction: `4`, `0.5`.
fn decimal(amount: u64, per: u64) -> Option<serde_json::Number> {
    if amount.is_multiple_of(per) {
        Some((amount / per).into())
    } else {
        serde_json::Number::from_f64(amount as f64 / per as f64)
    }
}
