//! The JSON of what a guest does: its figures in `usage`. `details` has those of each interface and drive.

use serde::Serialize;

use super::figure::{Denominator, MissingJson, percent};
use model::{
    Millis,
    activity::{Activity, GuestActivity, MemoryUse, Origin, Part, Storage, Swap, Traffic},
    figure::Missing,
    pressure::{Pressure, PressureSample, Stall},
    rates::{OperationRates, Rate},
};

/// The figures in `usage`, beside CPU, memory and disk.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ActivityJson {
    /// Memory as the guest's own system sees it.
    guest_memory: PartJson<MemoryJson>,
    swap: PartJson<SwapJson>,
    major_faults: PartJson<RateJson>,
    network: PartJson<TrafficJson>,
    storage: PartJson<StorageJson>,
    contention: PartJson<ContentionJson>,
    pressure: PartJson<PressureJson>,
}

/// A known part with its source and time, or why it is missing.
#[derive(Serialize)]
#[serde(untagged)]
pub enum PartJson<T> {
    Known(MeasuredJson<T>),
    Missing { missing: MissingJson },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MeasuredJson<T> {
    #[serde(flatten)]
    value: T,
    unit: &'static str,
    source: &'static str,
    sampled_at: Millis,
    /// Length of the window of a rate in seconds; 0 for an instant.
    window_seconds: f64,
    stale: bool,
}

#[derive(Serialize)]
struct MemoryJson {
    used: u64,
    total: u64,
    percent: Option<f64>,
}

#[derive(Serialize)]
struct SwapJson {
    r#in: f64,
    out: f64,
}

#[derive(Serialize)]
struct RateJson {
    rate: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TrafficJson {
    receive: f64,
    transmit: f64,
    /// SR-IOV interfaces, whose traffic the host does not see.
    uncounted_interfaces: u32,
}

/// Bytes and operations per second, and the mean seconds of an operation; null if there was none.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StorageJson {
    read: Option<f64>,
    write: Option<f64>,
    read_operations: Option<f64>,
    write_operations: Option<f64>,
    read_latency: Option<f64>,
    write_latency: Option<f64>,
}

#[derive(Serialize)]
struct ContentionJson {
    percent: f64,
}

/// How much of the time the launcher pod waits for each resource; null if that one is not reported.
#[derive(Serialize)]
struct PressureJson {
    cpu: Option<StallJson>,
    memory: Option<StallJson>,
    io: Option<StallJson>,
}

#[derive(Serialize)]
struct StallJson {
    some: f64,
    full: f64,
}

impl ActivityJson {
    pub fn new(activity: &Activity, pressure: &Part<PressureSample>) -> Self {
        Self {
            guest_memory: part(activity, "bytes", |of| &of.memory, MemoryJson::new),
            swap: part(activity, "bytes/second", |of| &of.swap, SwapJson::new),
            major_faults: part(activity, "1/second", |of| &of.major_faults, RateJson::new),
            network: network(activity),
            storage: part(activity, "bytes/second", |of| &of.storage, StorageJson::of_all),
            contention: part(activity, "percent", |of| &of.contention, ContentionJson::new),
            pressure: match pressure {
                Ok(sample) => PartJson::known(sample.origin, "percent", PressureJson::new(&sample.pressure)),
                Err(missing) => PartJson::missing(missing),
            },
        }
    }
}

/// The network can be of another source than the rest.
fn network(activity: &Activity) -> PartJson<TrafficJson> {
    match activity {
        Activity::Missing(missing) => PartJson::missing(missing),
        Activity::Known(known) => {
            PartJson::of(known.network_origin(), "bytes/second", &known.network, TrafficJson::new)
        }
    }
}

fn part<T, J>(
    activity: &Activity,
    unit: &'static str,
    of: fn(&GuestActivity) -> &Part<T>,
    json: fn(&T) -> J,
) -> PartJson<J> {
    match activity {
        Activity::Missing(missing) => PartJson::missing(missing),
        Activity::Known(known) => PartJson::of(known.origin(), unit, of(known), json),
    }
}

impl<J> PartJson<J> {
    /// A part of the figures of one guest.
    pub fn new<T>(activity: &Activity, unit: &'static str, part: &Part<T>, json: fn(&T) -> J) -> Self {
        match (activity, part) {
            (Activity::Known(known), part) => Self::of(known.origin(), unit, part, json),
            (Activity::Missing(missing), Ok(_)) | (_, Err(missing)) => Self::missing(missing),
        }
    }

    fn of<T>(origin: Origin, unit: &'static str, part: &Part<T>, json: fn(&T) -> J) -> Self {
        match part {
            Err(missing) => Self::missing(missing),
            Ok(value) => Self::known(origin, unit, json(value)),
        }
    }

    fn known(origin: Origin, unit: &'static str, value: J) -> Self {
        let Origin { source, at, window_ms, stale } = origin;
        let window_seconds = if unit == "bytes" { 0.0 } else { f64::from(window_ms) / 1000.0 };
        Self::Known(MeasuredJson {
            value,
            unit,
            source: source.name(),
            sampled_at: at,
            window_seconds,
            stale,
        })
    }

    fn missing(missing: &Missing) -> Self {
        Self::Missing { missing: MissingJson::new(missing, Denominator::Allocated) }
    }
}

impl MemoryJson {
    fn new(MemoryUse { used, total }: &MemoryUse) -> Self {
        Self { used: *used, total: *total, percent: percent(*used, *total) }
    }
}

impl SwapJson {
    fn new(Swap { r#in, out }: &Swap) -> Self {
        Self { r#in: r#in.per_second(), out: out.per_second() }
    }
}

impl RateJson {
    fn new(rate: &Rate) -> Self {
        Self { rate: rate.per_second() }
    }
}

impl TrafficJson {
    fn new(Traffic { receive, transmit, uncounted }: &Traffic) -> Self {
        let (receive, transmit) = (receive.per_second(), transmit.per_second());
        Self { receive, transmit, uncounted_interfaces: *uncounted }
    }
}

impl PressureJson {
    fn new(Pressure { cpu, memory, io }: &Pressure) -> Self {
        let percent = |thousandths: u32| f64::from(thousandths) / 1000.0;
        let stall = |Stall { some, full }: Stall| StallJson { some: percent(some), full: percent(full) };
        Self { cpu: cpu.map(stall), memory: memory.map(stall), io: io.map(stall) }
    }
}

impl StorageJson {
    fn of_all(Storage { read, write }: &Storage) -> Self {
        Self::new(read, write)
    }

    pub fn new(read: &OperationRates, write: &OperationRates) -> Self {
        let seconds = |nanos: Option<u64>| Some(nanos? as f64 / 1e9);
        Self {
            read: per_second(read.bytes),
            write: per_second(write.bytes),
            read_operations: per_second(read.operations),
            write_operations: per_second(write.operations),
            read_latency: seconds(read.latency),
            write_latency: seconds(write.latency),
        }
    }
}

impl ContentionJson {
    fn new(thousandths: &u32) -> Self {
        Self { percent: f64::from(*thousandths) / 1000.0 }
    }
}

pub fn per_second(rate: Option<Rate>) -> Option<f64> {
    rate.map(Rate::per_second)
}
