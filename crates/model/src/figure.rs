//! A usage figure: a sample with its source and time, or a typed reason why it is missing. Missing is never
//! zero. The core makes figures; pages and REST show them.

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use super::{Millis, message::Message, reason::Reason, source::SourceId};

/// The unit of the integers of a [`Sample`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    /// Billionths of a core, the resolution of PodMetrics (`199994503n`).
    Nanocores,
    Bytes,
}

/// Where a figure was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Source {
    /// `metrics.k8s.io/v1beta1` PodMetrics.
    #[strum(serialize = "metrics.k8s.io")]
    PodMetrics,
    /// kubelet `/stats/summary` through the API server's node proxy.
    #[strum(serialize = "kubelet")]
    KubeletProxy,
    /// kubelet `/stats/summary`, directly from the kubelet.
    KubeletDirect,
    /// KubeVirt's virt-handler of the guest's node.
    VirtHandler,
    /// A Prometheus-compatible API.
    Prometheus,
    /// The guest agent, through KubeVirt's `filesystemlist`.
    GuestAgent,
    /// `volumes.longhorn.io`.
    Longhorn,
    /// The REST API of a Ceph cluster's manager.
    Ceph,
}

/// The layer that a disk figure measures. Figures of two layers are never added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Layer {
    /// File systems in the guest.
    Guest,
    /// The image as the host sees it: `disk.img` on a claim.
    Image,
    /// What the storage backend has allocated, including snapshots, before replication.
    Backend,
}

impl Layer {
    pub fn name(self) -> &'static str {
        self.into()
    }
}

impl Source {
    /// The name shown to people and written to JSON.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The source whose health decides about the figure.
    pub fn id(self) -> SourceId {
        match self {
            Self::PodMetrics => SourceId::PodMetrics,
            Self::KubeletProxy | Self::KubeletDirect => SourceId::Kubelet,
            Self::VirtHandler => SourceId::VirtHandler,
            Self::Prometheus => SourceId::Prometheus,
            Self::GuestAgent => SourceId::GuestAgent,
            Self::Longhorn => SourceId::Longhorn,
            Self::Ceph => SourceId::Ceph,
        }
    }

    /// The layer of the source's disk figures.
    pub fn layer(self) -> Layer {
        match self {
            Self::GuestAgent | Self::VirtHandler => Layer::Guest,
            Self::PodMetrics | Self::KubeletProxy | Self::KubeletDirect | Self::Prometheus => Layer::Image,
            Self::Longhorn | Self::Ceph => Layer::Backend,
        }
    }
}

/// What the measured amount covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Basis {
    /// Exactly what the figure's name says.
    Own,
    /// The whole file system that the volume shares with others.
    SharedFilesystem,
    /// What the storage backend has allocated, because no guest or image source knows the usage.
    Backend,
}

/// A measured amount, and the allocation it is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    pub unit: Unit,
    pub used: u64,
    /// The allocation (CPU, memory) or the capacity (disk).
    pub of: u64,
    /// When it was sampled, by its source's clock.
    pub at: Millis,
    /// Length of the window of a rate, in milliseconds; 0 for an instant.
    pub window_ms: u32,
    pub source: Source,
    pub basis: Basis,
    /// Older than three intervals of its source: shown as old, never as fresh.
    pub stale: bool,
}

impl Sample {
    /// Whole percent, truncated, from the used amount rounded up to millicores or bytes as Kubernetes rounds
    /// quantities. Above 100 if more is used than allocated; 0 for an allocation of 0.
    pub fn percent(&self) -> u64 {
        ratio(self.rounded(), self.of, 100)
    }

    /// The contract's percent: [`Self::percent`], limited to 0–100.
    pub fn contract_percent(&self) -> u8 {
        self.percent().min(100) as u8
    }

    /// Thousandths of a percent, from the exact amounts.
    pub fn percent_milli(&self) -> u64 {
        ratio(self.used, self.of, 100_000)
    }

    fn rounded(&self) -> u64 {
        match self.unit {
            Unit::Nanocores => self.used.div_ceil(1_000_000).saturating_mul(1_000_000),
            Unit::Bytes => self.used,
        }
    }
}

/// Returns `used × scale ÷ of`, truncated; 0 if `of` is 0.
pub fn ratio(used: u64, of: u64, scale: u64) -> u64 {
    if of == 0 {
        return 0;
    }
    u64::try_from(u128::from(used) * u128::from(scale) / u128::from(of)).unwrap_or(u64::MAX)
}

/// A missing figure: why it is missing, the details, and the last known value with its age.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    pub reason: Reason,
    /// What exactly is missing, such as the permission `list pods.metrics.k8s.io`; empty if the reason says
    /// everything.
    pub detail: Message,
    /// How to fix it, as a sentence or a command; empty if there is nothing to fix.
    pub fix: Message,
    pub last: Option<Sample>,
}

impl From<Reason> for Missing {
    fn from(reason: Reason) -> Self {
        Self { reason, detail: Message::default(), fix: Message::default(), last: None }
    }
}

/// A figure as the page and the API show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Figure {
    Known(Sample),
    Missing(Missing),
}

impl Figure {
    /// Returns the sample of a known figure.
    pub fn sample(&self) -> Option<&Sample> {
        match self {
            Self::Known(sample) => Some(sample),
            Self::Missing(_) => None,
        }
    }

    /// Returns the reason and details of a missing figure.
    pub fn missing(&self) -> Option<&Missing> {
        match self {
            Self::Known(_) => None,
            Self::Missing(missing) => Some(missing),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(unit: Unit, used: u64, of: u64) -> Sample {
        Sample {
            unit,
            used,
            of,
            at: 0,
            window_ms: 0,
            source: Source::PodMetrics,
            basis: Basis::Own,
            stale: false,
        }
    }

    #[test]
    fn cpu_percent_rounds_nanocores_up_to_millicores() {
        // metrics-server reports a guest at exactly 20 % as 199994503n.
        assert_eq!(sample(Unit::Nanocores, 199_994_503, 1_000_000_000).percent(), 20);
        assert_eq!(sample(Unit::Nanocores, 199_000_000, 1_000_000_000).percent(), 19);
    }

    #[test]
    fn percent_truncates_and_the_contract_is_held_to_100() {
        let over = sample(Unit::Bytes, 5 << 30, 4 << 30);
        assert_eq!((over.percent(), over.contract_percent()), (125, 100));
        assert_eq!(sample(Unit::Bytes, 999, 1000).percent(), 99);
        assert_eq!(sample(Unit::Bytes, 2, 3).percent_milli(), 66_666);
    }

    #[test]
    fn extreme_amounts_do_not_panic() {
        assert_eq!(sample(Unit::Bytes, 7, 0).percent(), 0);
        let absurd = sample(Unit::Nanocores, u64::MAX, 1);
        assert_eq!(absurd.contract_percent(), 100);
        assert_eq!(absurd.percent_milli(), u64::MAX);
    }
}
