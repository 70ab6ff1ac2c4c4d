//! The JSON of one figure: value, unit, source, age and basis, or why it is missing.

use serde::Serialize;

use i18n::{Lang, Render, reason, text_in};
use model::{
    Millis,
    figure::{Basis, Figure, Missing, Sample, Unit},
};

/// The amount against which a used amount is measured.
#[derive(Clone, Copy)]
pub enum Denominator {
    Allocated,
    Capacity,
    /// What a node can allocate.
    Allocatable,
}

/// A known amount, or why it is missing.
#[derive(Serialize)]
#[serde(untagged)]
pub enum FigureJson {
    Known(SampleJson),
    Missing { missing: MissingJson },
}

impl FigureJson {
    pub fn new(figure: &Figure, denominator: Denominator) -> Self {
        match figure {
            Figure::Known(sample) => Self::Known(SampleJson::new(sample, denominator)),
            Figure::Missing(missing) => Self::Missing { missing: MissingJson::new(missing, denominator) },
        }
    }
}

/// A measured amount, in `unit`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SampleJson {
    used: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    allocated: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    capacity: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allocatable: Option<u64>,
    unit: &'static str,
    /// Exact; above 100 if more is used than allocated; null if nothing is allocated.
    percent: Option<f64>,
    source: &'static str,
    /// `image`, `guest` or `backend`; null for CPU and memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    layer: Option<&'static str>,
    sampled_at: Millis,
    /// Length of the window of a rate in seconds; 0 for an instant.
    window_seconds: f64,
    stale: bool,
    basis: &'static str,
}

impl SampleJson {
    pub fn new(sample: &Sample, denominator: Denominator) -> Self {
        Self {
            used: sample.used,
            allocated: matches!(denominator, Denominator::Allocated).then_some(sample.of),
            capacity: matches!(denominator, Denominator::Capacity).then_some(sample.of),
            allocatable: matches!(denominator, Denominator::Allocatable).then_some(sample.of),
            unit: unit(sample.unit),
            percent: percent(sample.used, sample.of),
            source: sample.source.name(),
            layer: matches!(denominator, Denominator::Capacity).then(|| sample.source.layer().name()),
            sampled_at: sample.at,
            window_seconds: f64::from(sample.window_ms) / 1000.0,
            stale: sample.stale,
            basis: basis(sample.basis),
        }
    }
}

/// Why a figure is missing, and how to fix it.
#[derive(Serialize)]
pub struct MissingJson {
    reason: &'static str,
    text: &'static str,
    detail: String,
    fix: String,
    /// The last value that was seen, with its time.
    last: Option<SampleJson>,
}

impl MissingJson {
    pub fn new(missing: &Missing, denominator: Denominator) -> Self {
        Self {
            reason: missing.reason.code(),
            text: text_in(Lang::English, reason(missing.reason)),
            detail: missing.detail.english(),
            fix: missing.fix.english(),
            last: missing.last.as_ref().map(|sample| SampleJson::new(sample, denominator)),
        }
    }
}

/// Returns the name of a unit.
pub fn unit(unit: Unit) -> &'static str {
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

/// Returns the percentage, or `None` if `of` is 0.
pub fn percent(used: u64, of: u64) -> Option<f64> {
    (of > 0).then(|| used as f64 * 100.0 / of as f64)
}
