//! The JSON of histories in amounts: what a guest does, and its volumes. Units are those of `usage`.

use serde::Serialize;

use super::{
    super::history_figures::{HistoryFigure, HistoryFigures},
    history::StatsJson,
};
use model::{
    Millis,
    activity_history::{ActivityFigure, AmountHistory, VolumeHistory},
    history::History,
};

/// The series that were asked for; the others are left out.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AmountsJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    guest_memory: Option<AmountJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<TrafficJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    storage: Option<OperationsJson>,
    /// Seconds of a mean operation; null at times without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    latency: Option<OperationsJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contention: Option<AmountJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    volumes: Option<Vec<VolumeJson<'a>>>,
}

#[derive(Serialize)]
struct TrafficJson {
    receive: AmountJson,
    transmit: AmountJson,
}

#[derive(Serialize)]
struct OperationsJson {
    read: AmountJson,
    write: AmountJson,
}

#[derive(Serialize)]
struct VolumeJson<'a> {
    name: &'a str,
    claim: &'a str,
    #[serde(flatten)]
    used: AmountJson,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AmountJson {
    unit: &'static str,
    /// The source of the newest sample; null without a sample.
    source: Option<&'static str>,
    /// Time of the first point. Each point stands for the time until the next.
    start: Millis,
    step_seconds: u32,
    /// Null if unknown.
    points: Vec<Option<f64>>,
    stats: Option<StatsJson>,
}

impl<'a> AmountsJson<'a> {
    pub fn new(history: &'a History, figures: &HistoryFigures) -> Self {
        let of =
            |figure: ActivityFigure| AmountJson::new(&history.activity[figure as usize], Scale::of(figure));
        Self {
            guest_memory: figures.then(HistoryFigure::GuestMemory, || of(ActivityFigure::GuestMemory)),
            network: figures.then(HistoryFigure::Network, || TrafficJson {
                receive: of(ActivityFigure::NetworkReceive),
                transmit: of(ActivityFigure::NetworkTransmit),
            }),
            storage: figures.then(HistoryFigure::Storage, || OperationsJson {
                read: of(ActivityFigure::StorageRead),
                write: of(ActivityFigure::StorageWrite),
            }),
            latency: figures.then(HistoryFigure::Latency, || OperationsJson {
                read: of(ActivityFigure::ReadLatency),
                write: of(ActivityFigure::WriteLatency),
            }),
            contention: figures.then(HistoryFigure::Contention, || of(ActivityFigure::Contention)),
            volumes: figures
                .then(HistoryFigure::Volumes, || history.volumes.iter().map(VolumeJson::new).collect()),
        }
    }
}

impl<'a> VolumeJson<'a> {
    fn new(VolumeHistory { name, claim, used }: &'a VolumeHistory) -> Self {
        Self { name, claim, used: AmountJson::new(used, Scale::BYTES) }
    }
}

/// A unit, and how many of the stored integers make one.
#[derive(Clone, Copy)]
struct Scale {
    unit: &'static str,
    per: f64,
}

impl Scale {
    const BYTES: Self = Self { unit: "bytes", per: 1.0 };

    fn of(figure: ActivityFigure) -> Self {
        match figure {
            ActivityFigure::NetworkReceive
            | ActivityFigure::NetworkTransmit
            | ActivityFigure::StorageRead
            | ActivityFigure::StorageWrite => Self { unit: "bytes/second", per: 1e3 },
            ActivityFigure::GuestMemory => Self::BYTES,
            ActivityFigure::Contention => Self { unit: "percent", per: 1e3 },
            ActivityFigure::ReadLatency | ActivityFigure::WriteLatency => Self { unit: "seconds", per: 1e9 },
        }
    }
}

impl AmountJson {
    fn new(AmountHistory { source, series }: &AmountHistory, Scale { unit, per }: Scale) -> Self {
        let scaled = |amount: u64| amount as f64 / per;
        Self {
            unit,
            source: source.map(|source| source.name()),
            start: series.start,
            step_seconds: series.step / 1000,
            points: series.points.iter().map(|point| point.amount().map(scaled)).collect(),
            stats: series.stats().map(|stats| StatsJson::new(stats, scaled)),
        }
    }
}
