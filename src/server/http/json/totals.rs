//! The JSON of `GET /api/stats` and `/api/sources`.

use serde::Serialize;

use super::{
    decimal,
    figure::{Denominator, percent, unit},
};
use i18n::{Lang, Render, gives, permission, text_in};
use model::{
    Millis,
    figure::Unit,
    format,
    source::{ReviewCounts, SourceHealth},
    totals::{Measured, Totals},
};

/// `GET /api/stats`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StatsJson {
    total: u32,
    running: u32,
    stopped: u32,
    error: u32,
    /// VMs that are being created count as pending.
    pending: u32,
    total_cpu: Option<serde_json::Number>,
    total_memory: String,
    unknown: u32,
    migrating: u32,
    total_cpu_millicores: Option<serde_json::Number>,
    total_memory_bytes: u64,
    /// Number of VMs whose memory cannot be read, and which the sum does not include.
    memory_unreadable: u32,
    usage: TotalUsageJson,
}

#[derive(Serialize)]
struct TotalUsageJson {
    cpu: MeasuredJson,
    memory: MeasuredJson,
    disk: MeasuredJson,
}

/// The usage of the measured VMs, and how many they are.
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
    fn new(measured: &Measured, unit: &'static str, denominator: Denominator) -> Self {
        Self {
            used: measured.used,
            allocated: matches!(denominator, Denominator::Allocated).then_some(measured.of),
            capacity: matches!(denominator, Denominator::Capacity).then_some(measured.of),
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
                cpu: MeasuredJson::new(&totals.cpu_used, unit(Unit::Nanocores), Denominator::Allocated),
                memory: MeasuredJson::new(&totals.memory_used, unit(Unit::Bytes), Denominator::Allocated),
                disk: MeasuredJson::new(&totals.disk_used, unit(Unit::Bytes), Denominator::Capacity),
            },
        }
    }
}

/// One entry of `GET /api/sources`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceJson {
    id: &'static str,
    gives: &'static str,
    permission: &'static str,
    state: &'static str,
    reason: Option<&'static str>,
    error: String,
    fix: String,
    /// A setting that can give its credentials away; empty if there is none.
    warning: String,
    last_success: Option<Millis>,
    /// When a watch last received bytes, bookmarks included; null for a source that is polled.
    last_bytes: Option<Millis>,
    /// Latency of the last answers in milliseconds; null for a watch, and before the first answer.
    latency_p50_ms: Option<u32>,
    latency_p99_ms: Option<u32>,
    /// What is asked of access reviews; absent for every other source.
    #[serde(skip_serializing_if = "Option::is_none")]
    reviews: Option<ReviewsJson>,
    /// Number of VMs and volumes that show a figure of this source.
    vms: u32,
    volumes: u32,
    vms_missing: u32,
    vms_stale: u32,
}

/// How many access reviews are asked, and about whom.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReviewsJson {
    last_minute: u32,
    users: u32,
    namespaces: u32,
    waiting: u32,
    late: u32,
}

impl ReviewsJson {
    fn new(ReviewCounts { last_minute, users, namespaces, waiting, late }: ReviewCounts) -> Self {
        Self { last_minute, users, namespaces, waiting, late }
    }
}

impl SourceJson {
    pub fn new(health: &SourceHealth) -> Self {
        Self {
            id: health.id.code(),
            gives: text_in(Lang::English, gives(health.id)),
            permission: text_in(Lang::English, permission(health.id)),
            state: health.state.code(),
            reason: health.reason.map(|reason| reason.code()),
            error: health.error.english(),
            fix: health.fix.english(),
            warning: health.warning.english(),
            last_success: health.last_success,
            last_bytes: health.last_bytes,
            latency_p50_ms: health.latency.map(|latency| latency.p50),
            latency_p99_ms: health.latency.map(|latency| latency.p99),
            reviews: health.reviews.map(ReviewsJson::new),
            vms: health.vms,
            volumes: health.volumes,
            vms_missing: health.vms_missing,
            vms_stale: health.vms_stale,
        }
    }
}
