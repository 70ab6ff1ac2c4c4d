//! Why a figure is missing, as one closed list. Figures and source health carry it; the texts are in
//! `locales/`.

use serde::{Deserialize, Serialize};

/// The closed list of reasons. [`Reason::code`] is written to JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// Nothing was asked yet: the program has just started.
    Starting,
    NotRunning,
    /// The API group is not served: metrics-server is not installed, or not ready.
    ApiAbsent,
    Forbidden,
    /// The API server or a kubelet does not accept this program's credentials, or there are none to send.
    Unauthenticated,
    TimedOut,
    Unreachable,
    /// The source's answer cannot be used.
    BadAnswer,
    /// There is no sample yet: a rate needs two.
    TooNew,
    /// The metrics API answers without this VM's pod, which is not new: its node is not scraped.
    NotSampled,
    /// The last sample is older than 20 intervals.
    Expired,
    NoPod,
    /// Two VMs share the truncated pod name prefix, and no better sign tells them apart.
    AmbiguousPod,
    /// More than one launcher pod is live, and nothing says which one holds the guest.
    TwoPods,
    /// `status.vmName` is empty, and no VirtualMachine names this Wukong as its owner.
    NoVmName,
    /// `spec.cpu` or `spec.memory` cannot be read, so no percentage can be computed.
    NoAllocation,
    NoVolumes,
    BlockVolume,
    /// The source answered without this volume, as kubelets do for hostPath.
    NotReported,
    /// The launcher's node is not known, so no kubelet can be asked.
    NoNode,
    /// The guest agent is not connected.
    AgentOff,
    /// The backend cannot tell what the image uses: RBD's fast-diff is off or invalid.
    NoFastDiff,
    /// The image is mirrored by snapshots: Ceph does not count such images.
    Mirrored,
    /// The source needs an address that is not configured.
    NotConfigured,
    /// Memory is backed by hugepages, which the launcher's working set does not count.
    Hugepages,
    /// Too many questions are already waiting for the source.
    Busy,
    /// Another Wukong names the same VirtualMachine and shows its figures.
    SharedVm,
    /// The object is larger, or has more entries, than this program reads or keeps.
    TooLarge,
    /// KubeVirt has paused the guest because of a fault, such as an I/O error. Its figures are still
    /// measured.
    Paused,
}

impl Reason {
    pub const ALL: [Self; 29] = [
        Self::Starting,
        Self::NotRunning,
        Self::ApiAbsent,
        Self::Forbidden,
        Self::Unauthenticated,
        Self::TimedOut,
        Self::Unreachable,
        Self::BadAnswer,
        Self::TooNew,
        Self::NotSampled,
        Self::Expired,
        Self::NoPod,
        Self::AmbiguousPod,
        Self::TwoPods,
        Self::NoVmName,
        Self::NoAllocation,
        Self::NoVolumes,
        Self::BlockVolume,
        Self::NotReported,
        Self::NoNode,
        Self::AgentOff,
        Self::NoFastDiff,
        Self::Mirrored,
        Self::NotConfigured,
        Self::Hugepages,
        Self::Busy,
        Self::SharedVm,
        Self::TooLarge,
        Self::Paused,
    ];

    /// The stable name in JSON, metrics and documentation.
    pub fn code(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::NotRunning => "not-running",
            Self::ApiAbsent => "api-absent",
            Self::Forbidden => "forbidden",
            Self::Unauthenticated => "unauthenticated",
            Self::TimedOut => "timed-out",
            Self::Unreachable => "unreachable",
            Self::BadAnswer => "bad-answer",
            Self::TooNew => "too-new",
            Self::NotSampled => "not-sampled",
            Self::Expired => "expired",
            Self::NoPod => "no-pod",
            Self::AmbiguousPod => "ambiguous-pod",
            Self::TwoPods => "two-pods",
            Self::NoVmName => "no-vm-name",
            Self::NoAllocation => "no-allocation",
            Self::NoVolumes => "no-volumes",
            Self::BlockVolume => "block-volume",
            Self::NotReported => "not-reported",
            Self::NoNode => "no-node",
            Self::AgentOff => "agent-off",
            Self::NoFastDiff => "no-fast-diff",
            Self::Mirrored => "mirrored",
            Self::NotConfigured => "not-configured",
            Self::Hugepages => "hugepages",
            Self::Busy => "busy",
            Self::SharedVm => "shared-vm",
            Self::TooLarge => "too-large",
            Self::Paused => "paused",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_reason_has_its_own_code() {
        let codes: HashSet<_> = Reason::ALL.iter().map(|r| r.code()).collect();
        assert_eq!(codes.len(), Reason::ALL.len());
    }
}
