//! The JSON of `GET /api/vms/{name}/history` and `/api/insights`.

use serde::Serialize;

use super::{
    super::history_figures::{HistoryFigure, HistoryFigures},
    amounts::AmountsJson,
    figure::{Denominator, MissingJson, percent, unit},
};
use model::{
    Millis,
    history::{History, HistoryOrigin, Point, Series, Stats},
    insight::{Filling, Finding, Hints, Insight, InsightTotals, NoHint, Sizing, Verdict, Window},
    view::{InsightsView, VmHistory},
    vm::Vm,
};

/// `GET /api/vms/{name}/history`: the series of a VM that were asked for, and what its CPU, memory and disk suggest.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryJson<'a> {
    name: &'a str,
    namespace: &'a str,
    span: &'static str,
    /// Where the history comes from: `memory`, `prometheus` or `both`.
    origin: &'static str,
    /// Why all or a part of the history is missing; null if nothing is.
    lacks: Option<MissingJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu: Option<SeriesJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<SeriesJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk: Option<SeriesJson>,
    #[serde(flatten)]
    amounts: AmountsJson<'a>,
    hints: HintsJson,
}

impl<'a> HistoryJson<'a> {
    pub fn new(vm: &'a Vm, vm_history: &'a VmHistory, figures: &HistoryFigures) -> Self {
        let History { span, cpu, memory, disk, activity: _, volumes: _, origin, lacks } = &vm_history.history;
        Self {
            name: &vm.summary.name,
            namespace: &vm.summary.namespace,
            span: span.code(),
            origin: match origin {
                HistoryOrigin::Memory => "memory",
                HistoryOrigin::Prometheus => "prometheus",
                HistoryOrigin::Both => "both",
            },
            lacks: lacks.as_ref().map(|missing| MissingJson::new(missing, Denominator::Allocated)),
            cpu: figures.then(HistoryFigure::Cpu, || SeriesJson::new(cpu)),
            memory: figures.then(HistoryFigure::Memory, || SeriesJson::new(memory)),
            disk: figures.then(HistoryFigure::Disk, || SeriesJson::new(disk)),
            amounts: AmountsJson::new(&vm_history.history, figures),
            hints: HintsJson::new(&vm_history.hints),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SeriesJson {
    /// Time of the first point. Each point stands for the time until the next.
    start: Millis,
    step_seconds: u32,
    /// In percent of the allocation, to a tenth; null if unknown.
    points: Vec<Option<f64>>,
    stats: Option<StatsJson>,
}

impl SeriesJson {
    fn new(series: &Series) -> Self {
        Self {
            start: series.start,
            step_seconds: series.step / 1000,
            points: series.points.iter().map(|point: &Point| point.tenths().map(tenths)).collect(),
            stats: series.stats().map(|stats| StatsJson::new(stats, tenths)),
        }
    }
}

/// Statistics of the known points.
#[derive(Serialize)]
pub(super) struct StatsJson {
    min: f64,
    avg: f64,
    max: f64,
    p95: f64,
    known: u32,
    all: u32,
}

impl StatsJson {
    /// `scaled` returns the number that stands for a stored one.
    pub(super) fn new<T>(stats: Stats<T>, scaled: impl Fn(T) -> f64) -> Self {
        let Stats { min, avg, max, p95, known, all } = stats;
        let [min, avg, max, p95] = [min, avg, max, p95].map(scaled);
        Self { min, avg, max, p95, known, all }
    }
}

fn tenths(tenths: u32) -> f64 {
    f64::from(tenths) / 10.0
}

#[derive(Serialize)]
struct HintsJson {
    cpu: HintJson<SizingJson>,
    memory: HintJson<SizingJson>,
    disk: HintJson<FillingJson>,
}

impl HintsJson {
    fn new(hints: &Hints) -> Self {
        Self {
            cpu: HintJson::new(hints.cpu.as_ref().map(SizingJson::new)),
            memory: HintJson::new(hints.memory.as_ref().map(SizingJson::new)),
            disk: HintJson::new(hints.disk.as_ref().map(FillingJson::new)),
        }
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum HintJson<T> {
    Hint(T),
    NoHint { none: SilenceJson },
}

impl<T> HintJson<T> {
    fn new(hint: Result<T, &NoHint>) -> Self {
        match hint {
            Ok(hint) => Self::Hint(hint),
            Err(silence) => Self::NoHint { none: SilenceJson::new(*silence) },
        }
    }
}

/// Why there is no hint; durations in minutes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SilenceJson {
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    known_minutes: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    needed_minutes: Option<u32>,
}

impl SilenceJson {
    fn new(silence: NoHint) -> Self {
        let (reason, minutes) = match silence {
            NoHint::TooShort { minutes, needed } => ("too-short", Some((minutes, needed))),
            NoHint::Steady => ("steady", None),
            NoHint::Unclear => ("unclear", None),
            NoHint::Far => ("far", None),
        };
        let (known_minutes, needed_minutes) = minutes.unzip();
        Self { reason, known_minutes, needed_minutes }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SizingJson {
    verdict: &'static str,
    unit: &'static str,
    /// 95 % of the window's five-minute means are at most this.
    p95: u64,
    p95_percent: Option<f64>,
    peak: u64,
    allocated: u64,
    /// `guest` or `host`.
    measured_by: &'static str,
    /// The allocation that would be enough, headroom included; null if nothing is to spare.
    enough: Option<u64>,
    reclaimable: u64,
    window: WindowJson,
}

impl SizingJson {
    fn new(sizing: &Sizing) -> Self {
        let (verdict, enough) = match sizing.verdict {
            Verdict::Fits => ("fits", None),
            Verdict::Undersized => ("undersized", None),
            Verdict::Oversized { enough } => ("oversized", Some(enough)),
        };
        Self {
            verdict,
            unit: unit(sizing.unit),
            p95: sizing.p95,
            p95_percent: percent(sizing.p95, sizing.of),
            peak: sizing.peak,
            allocated: sizing.of,
            measured_by: if sizing.by_guest { "guest" } else { "host" },
            enough,
            reclaimable: sizing.reclaimable(),
            window: WindowJson::new(sizing.window),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FillingJson {
    verdict: &'static str,
    /// The volume; null for all disks together.
    volume: Option<Box<str>>,
    unit: &'static str,
    used: u64,
    capacity: u64,
    per_day: u64,
    days: u32,
    /// Days at the bounds of the slope's 95 % confidence interval.
    earliest_days: u32,
    latest_days: u32,
    window: WindowJson,
}

impl FillingJson {
    fn new(filling: &Filling) -> Self {
        Self {
            verdict: "filling-up",
            volume: filling.volume.clone(),
            unit: "bytes",
            used: filling.used,
            capacity: filling.of,
            per_day: filling.per_day,
            days: filling.days,
            earliest_days: filling.earliest,
            latest_days: filling.latest,
            window: WindowJson::new(filling.window),
        }
    }
}

/// The time that was examined, and how many of its five-minute means are known.
#[derive(Serialize)]
struct WindowJson {
    from: Millis,
    to: Millis,
    known: u32,
    all: u32,
}

impl WindowJson {
    fn new(Window { from, to, known, all }: Window) -> Self {
        Self { from, to, known, all }
    }
}

/// `GET /api/insights`: a page of findings, and their totals.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InsightsJson<'a> {
    /// When the findings were computed; null before the first time.
    computed_at: Option<Millis>,
    needed_hours: u32,
    totals: TotalsJson,
    matching: u32,
    page: u32,
    pages: u32,
    findings: Vec<FindingJson<'a>>,
}

impl<'a> InsightsJson<'a> {
    pub fn new(view: &'a InsightsView) -> Self {
        Self {
            computed_at: view.computed_at,
            needed_hours: view.needed_hours,
            totals: TotalsJson::new(&view.totals),
            matching: view.matching,
            page: view.query.page,
            pages: view.pages,
            findings: view.rows.iter().map(FindingJson::new).collect(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TotalsJson {
    running: u32,
    judged: u32,
    filling_up: u32,
    undersized: u32,
    oversized: u32,
    reclaimable_cpu_nanocores: u64,
    reclaimable_cpu_vms: u32,
    reclaimable_memory_bytes: u64,
    reclaimable_memory_vms: u32,
}

impl TotalsJson {
    fn new(totals: &InsightTotals) -> Self {
        Self {
            running: totals.running,
            judged: totals.judged,
            filling_up: totals.filling_up,
            undersized: totals.undersized,
            oversized: totals.oversized,
            reclaimable_cpu_nanocores: totals.cpu,
            reclaimable_cpu_vms: totals.cpu_vms,
            reclaimable_memory_bytes: totals.memory,
            reclaimable_memory_vms: totals.memory_vms,
        }
    }
}

#[derive(Serialize)]
struct FindingJson<'a> {
    namespace: &'a str,
    name: &'a str,
    kind: &'static str,
    resource: &'static str,
    #[serde(flatten)]
    what: WhatJson,
}

#[derive(Serialize)]
#[serde(untagged)]
enum WhatJson {
    Filling(FillingJson),
    Sizing(SizingJson),
}

impl<'a> FindingJson<'a> {
    fn new(insight: &'a Insight) -> Self {
        let finding = &insight.finding;
        Self {
            namespace: &insight.namespace,
            name: &insight.name,
            kind: finding.kind().code(),
            resource: finding.resource().code(),
            what: match finding {
                Finding::FillingUp(filling) => WhatJson::Filling(FillingJson::new(filling)),
                Finding::Undersized(sizing) | Finding::Oversized(sizing) => {
                    WhatJson::Sizing(SizingJson::new(sizing))
                }
            },
        }
    }
}
