//! The shapes of the REST API. Contract fields first; exact ones stand beside them, never instead.

use serde::{Serialize, Serializer};

use crate::{
    model::{
        Millis,
        figure::{Basis, Figure, Sample, Unit},
        format,
        reason::Missing,
        source::SourceHealth,
        totals::{Measured, Totals},
        vm::{Disk, Network, Status, Usage, Vm, Volume},
    },
    server::snapshot::{Scope, Snapshot},
};

/// All VMs of the scope as a JSON array; `size` is a guess at its bytes.
pub fn vms(_scope: &Scope, snapshot: &Snapshot, size: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(size + size / 16);
    // One VM after the other: 10,000 of them side by side take more than the text does.
    // Writing numbers and texts into memory cannot fail.
    let _ = serde_json::Serializer::new(&mut out).collect_seq(snapshot.vms.iter().map(|vm| VmJson::new(vm)));
    out
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VmJson<'a> {
    id: &'a str,
    name: &'a str,
    namespace: &'a str,
    status: &'static str,
    /// Cores; null where the spec cannot be read.
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
    migrating_to: &'a str,
    vm_name: &'a str,
    pod: &'a str,
    memory_bytes: Option<u64>,
    cpu_millicores: Option<serde_json::Number>,
    usage: UsageJson<'a>,
    volumes: Vec<VolumeJson<'a>>,
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
            migrating_to: &summary.migrating_to,
            vm_name: &vm.vm_name,
            pod: &vm.pod,
            memory_bytes: summary.memory,
            cpu_millicores: summary.cpu.and_then(|nanos| decimal(nanos, 1_000_000)),
            usage: UsageJson::new(&summary.usage),
            volumes: vm.volumes.iter().map(VolumeJson::new).collect(),
        }
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

/// The contract's whole percentages. Only a Running VM has them, and only with both CPU and memory known; a disk
/// that nobody knows is 0 here, and says why beside it.
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
        let (cpu, memory) = (usage.cpu.sample()?, usage.memory.sample()?);
        Some(Self {
            cpu_usage: cpu.contract_percent(),
            memory_usage: memory.contract_percent(),
            disk_usage: usage.disk.sample().map_or(0, Sample::contract_percent),
        })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UsageJson<'a> {
    cpu: FigureJson<'a>,
    memory: FigureJson<'a>,
    disk: FigureJson<'a>,
    /// Volumes that `disk` counts, and all volumes.
    disk_known: u32,
    disk_volumes: u32,
}

impl<'a> UsageJson<'a> {
    fn new(usage: &'a Usage) -> Self {
        Self {
            cpu: FigureJson::new(&usage.cpu, Of::Allocated),
            memory: FigureJson::new(&usage.memory, Of::Allocated),
            disk: FigureJson::new(&usage.disk, Of::Capacity),
            disk_known: usage.disk_known,
            disk_volumes: usage.disk_volumes,
        }
    }
}

/// What a used amount is measured against.
#[derive(Clone, Copy)]
enum Of {
    Allocated,
    Capacity,
}

#[derive(Serialize)]
#[serde(untagged)]
enum FigureJson<'a> {
    Known(SampleJson),
    Missing { missing: MissingJson<'a> },
}

impl<'a> FigureJson<'a> {
    fn new(figure: &'a Figure, of: Of) -> Self {
        match figure {
            Figure::Known(sample) => Self::Known(SampleJson::new(sample, of)),
            Figure::Missing(missing) => Self::Missing { missing: MissingJson::new(missing, of) },
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SampleJson {
    used: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    allocated: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    capacity: Option<u64>,
    unit: &'static str,
    /// Exact; above 100 where more is used than allocated; null of nothing allocated.
    percent: Option<f64>,
    source: &'static str,
    sampled_at: Millis,
    /// Length of the window of a rate; 0 for an instant.
    window_seconds: f64,
    stale: bool,
    basis: &'static str,
}

impl SampleJson {
    fn new(sample: &Sample, of: Of) -> Self {
        Self {
            used: sample.used,
            allocated: matches!(of, Of::Allocated).then_some(sample.of),
            capacity: matches!(of, Of::Capacity).then_some(sample.of),
            unit: unit(sample.unit),
            percent: percent(sample.used, sample.of),
            source: sample.source.name(),
            sampled_at: sample.at,
            window_seconds: f64::from(sample.window_ms) / 1000.0,
            stale: sample.stale,
            basis: basis(sample.basis),
        }
    }
}

#[derive(Serialize)]
struct MissingJson<'a> {
    reason: &'static str,
    text: &'static str,
    detail: &'a str,
    mend: &'a str,
    /// The last value that was seen, with its time.
    last: Option<SampleJson>,
}

impl<'a> MissingJson<'a> {
    fn new(missing: &'a Missing, of: Of) -> Self {
        Self {
            reason: missing.reason.code(),
            text: missing.reason.text(),
            detail: &missing.detail,
            mend: &missing.mend,
            last: missing.last.as_ref().map(|sample| SampleJson::new(sample, of)),
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
    usage: FigureJson<'a>,
}

impl<'a> VolumeJson<'a> {
    fn new(volume: &'a Volume) -> Self {
        Self {
            name: &volume.name,
            claim: &volume.claim,
            size_bytes: volume.size,
            block: volume.block,
            storage_class: &volume.storage_class,
            usage: FigureJson::new(&volume.usage, Of::Capacity),
        }
    }
}

/// `GET /api/stats`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StatsJson {
    total: u32,
    running: u32,
    stopped: u32,
    error: u32,
    /// Those that are being created count as pending.
    pending: u32,
    total_cpu: Option<serde_json::Number>,
    total_memory: String,
    unknown: u32,
    migrating: u32,
    total_cpu_millicores: Option<serde_json::Number>,
    total_memory_bytes: u64,
    /// VMs whose memory cannot be read, and that the sum therefore lacks.
    memory_unreadable: u32,
    usage: TotalUsageJson,
}

#[derive(Serialize)]
struct TotalUsageJson {
    cpu: MeasuredJson,
    memory: MeasuredJson,
    disk: MeasuredJson,
}

/// A percentage of the measured VMs, and how many they are.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MeasuredJson {
    used: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    allocated: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    capacity: Option<u64>,
    unit: &'static str,
    percent: Option<f64>,
    measured_vms: u32,
}

impl MeasuredJson {
    fn new(measured: &Measured, unit: &'static str, of: Of) -> Self {
        Self {
            used: measured.used,
            allocated: matches!(of, Of::Allocated).then_some(measured.of),
            capacity: matches!(of, Of::Capacity).then_some(measured.of),
            unit,
            percent: percent(measured.used, measured.of),
            measured_vms: measured.vms,
        }
    }
}

impl StatsJson {
    pub fn new(totals: &Totals) -> Self {
        let counts = &totals.counts;
        Self {
            total: counts.total,
            running: counts.running,
            stopped: counts.stopped,
            error: counts.error,
            pending: counts.pending,
            total_cpu: decimal(totals.cpu, 1_000_000_000),
            total_memory: format::gi_exact(totals.memory),
            unknown: counts.unknown,
            migrating: counts.migrating,
            total_cpu_millicores: decimal(totals.cpu, 1_000_000),
            total_memory_bytes: totals.memory,
            memory_unreadable: totals.memory_unreadable,
            usage: TotalUsageJson {
                cpu: MeasuredJson::new(&totals.cpu_used, unit(Unit::Nanocores), Of::Allocated),
                memory: MeasuredJson::new(&totals.memory_used, unit(Unit::Bytes), Of::Allocated),
                disk: MeasuredJson::new(&totals.disk_used, unit(Unit::Bytes), Of::Capacity),
            },
        }
    }
}

/// One entry of `GET /api/sources`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceJson<'a> {
    id: &'static str,
    gives: &'static str,
    permission: &'static str,
    state: &'static str,
    reason: Option<&'static str>,
    error: &'a str,
    mend: &'a str,
    last_success: Option<Millis>,
    /// A watch's last bytes, bookmarks included; null for a source that is polled.
    last_bytes: Option<Millis>,
    vms_missing: u32,
    vms_stale: u32,
}

impl<'a> SourceJson<'a> {
    pub fn new(health: &'a SourceHealth) -> Self {
        Self {
            id: health.id.code(),
            gives: health.id.gives(),
            permission: health.id.permission(),
            state: health.state.code(),
            reason: health.reason.map(|reason| reason.code()),
            error: &health.error,
            mend: &health.mend,
            last_success: health.last_success,
            last_bytes: health.last_bytes,
            vms_missing: health.vms_missing,
            vms_stale: health.vms_stale,
        }
    }
}

fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Nanocores => "nanocores",
        Unit::Bytes => "bytes",
    }
}

fn basis(basis: Basis) -> &'static str {
    match basis {
        Basis::Own => "own",
        Basis::SharedFilesystem => "shared-filesystem",
        Basis::Backend => "backend",
    }
}

fn percent(used: u64, of: u64) -> Option<f64> {
    (of > 0).then(|| used as f64 * 100.0 / of as f64)
}

/// A whole number where it is one, else a fraction: `4`, `0.5`.
fn decimal(amount: u64, per: u64) -> Option<serde_json::Number> {
    if amount.is_multiple_of(per) {
        Some((amount / per).into())
    } else {
        serde_json::Number::from_f64(amount as f64 / per as f64)
    }
}
