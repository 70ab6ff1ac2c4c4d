//! Who fails, and whose figures go with it.

use super::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Victim {
    /// All that is asked of it.
    ApiServer,
    Metrics,
    /// Through the API server, and directly.
    Kubelet,
    DirectKubelet,
    Prometheus,
    Guests,
    Ceph,
    Watch(Resource),
}

impl Victim {
    pub(super) const ALL: [Self; 15] = [
        Self::ApiServer,
        Self::Metrics,
        Self::Kubelet,
        Self::DirectKubelet,
        Self::Prometheus,
        Self::Guests,
        Self::Ceph,
        Self::Watch(Resource::Wukongs),
        Self::Watch(Resource::VirtualMachines),
        Self::Watch(Resource::Instances),
        Self::Watch(Resource::Pods),
        Self::Watch(Resource::Claims),
        Self::Watch(Resource::PersistentVolumes),
        Self::Watch(Resource::LonghornVolumes),
        Self::Watch(Resource::Nodes),
    ];

    pub(super) fn target(self) -> Target {
        match self {
            Self::ApiServer => Target::Any,
            Self::Metrics => Target::Metrics,
            Self::Kubelet | Self::DirectKubelet => Target::Summaries,
            Self::Prometheus => Target::Prometheus,
            Self::Guests => Target::Filesystems,
            Self::Ceph => Target::Ceph,
            Self::Watch(resource) => Target::Objects(resource),
        }
    }

    /// What it is asked over, where nobody else's figures come that way.
    pub(super) fn peer(self) -> Option<Peer> {
        match self {
            Self::ApiServer => Some(Peer::ApiServer),
            Self::DirectKubelet => Some(Peer::Kubelets),
            Self::Prometheus => Some(Peer::Prometheus),
            Self::Ceph => Some(Peer::Ceph),
            Self::Metrics | Self::Kubelet | Self::Guests | Self::Watch(_) => None,
        }
    }

    /// Those that must say what is wrong.
    pub(super) fn sources(self, after: bool) -> Vec<SourceId> {
        match self {
            // Before the first list nobody knows a node or a guest to ask.
            Self::ApiServer if after => BEHIND_THE_API_SERVER.to_vec(),
            Self::ApiServer => BEHIND_THE_API_SERVER[..10].to_vec(),
            _ => vec![self.id()],
        }
    }

    pub(super) fn gave(self, source: SourceId) -> bool {
        match self {
            // A watch that is silent is borne for longer than a test waits.
            Self::ApiServer => source != SourceId::Longhorn && BEHIND_THE_API_SERVER.contains(&source),
            _ => source == self.id(),
        }
    }

    pub(super) fn id(self) -> SourceId {
        match self {
            Self::ApiServer | Self::Metrics => SourceId::PodMetrics,
            Self::Kubelet | Self::DirectKubelet => SourceId::Kubelet,
            Self::Prometheus => SourceId::Prometheus,
            Self::Guests => SourceId::GuestAgent,
            Self::Ceph => SourceId::Ceph,
            Self::Watch(Resource::Wukongs) => SourceId::Wukongs,
            Self::Watch(Resource::VirtualMachines) => SourceId::VirtualMachines,
            Self::Watch(Resource::Instances) => SourceId::Instances,
            Self::Watch(Resource::Pods) => SourceId::Pods,
            Self::Watch(Resource::PersistentVolumes) => SourceId::PersistentVolumes,
            Self::Watch(Resource::LonghornVolumes) => SourceId::Longhorn,
            Self::Watch(Resource::Nodes) => SourceId::Nodes,
            Self::Watch(_) => SourceId::Claims,
        }
    }

    pub(super) fn is_watch(self) -> bool {
        matches!(self, Self::Watch(_))
    }

    /// Requests of one round.
    pub(super) fn requests(self) -> u64 {
        match self {
            Self::Prometheus => 2 * (4 + 4 + 12),
            Self::Ceph => 4,
            Self::Kubelet | Self::DirectKubelet | Self::Guests => 2,
            Self::ApiServer => 10 + 1 + 2 + 2,
            Self::Metrics | Self::Watch(_) => 1,
        }
    }

    /// A figure is this source's where it gave it, or where it is asked and nobody else gave it.
    pub(super) fn owns(self, name: &str, figure: &Figure) -> bool {
        match (figure.sample(), self) {
            (Some(sample), _) => self.gave(sample.source.id()),
            (None, Self::Metrics) => matches!(name, "cpu" | "memory"),
            // For the others a Prometheus stands in.
            (None, Self::ApiServer) => name == "inside",
            (None, Self::Kubelet | Self::DirectKubelet) => name == "root",
            (None, Self::Prometheus) => name == "scraped",
            (None, Self::Guests) => name == "inside",
            (None, Self::Ceph) => name == "image",
            (None, Self::Watch(_)) => false,
        }
    }

    /// What keeps this source from a volume that nobody else knows.
    pub(super) fn missing(self, vm: &Vm, name: &str, figure: &Figure) -> Option<Missing> {
        let id = match (self, name) {
            (Self::ApiServer, "inside") => SourceId::GuestAgent,
            _ => self.id(),
        };
        let of_volume = vm.volumes.iter().find(|volume| volume.name == name).and_then(|volume| {
            let first = (volume.source == id).then_some(&volume.usage);
            let other = volume.readings.iter().find(|reading| reading.source == id);
            first.or(other.map(|reading| &reading.figure))
        });
        of_volume.unwrap_or(figure).missing().cloned()
    }
}

const BEHIND_THE_API_SERVER: [SourceId; 13] = [
    SourceId::Wukongs,
    SourceId::VirtualMachines,
    SourceId::Instances,
    SourceId::Migrations,
    SourceId::Pods,
    SourceId::Claims,
    SourceId::PersistentVolumes,
    SourceId::Longhorn,
    SourceId::ClusterInstancetypes,
    SourceId::Instancetypes,
    SourceId::PodMetrics,
    SourceId::Kubelet,
    SourceId::GuestAgent,
];
