//! Why a figure is missing: one closed list. The words for each are in `locales/`.

use serde::{Deserialize, Serialize};

/// The closed list. [`Reason::code`] is what JSON carries.
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
    /// The source answered with something that cannot be used.
    BadAnswer,
    /// No sample yet: a rate needs two.
    TooNew,
    /// The metrics API answers, but without this VM's pod, which is not new: its node is not scraped.
    NotSampled,
    /// The last sample is older than 20 intervals.
    Expired,
    NoPod,
    /// Two VMs share the cut pod name prefix, and nothing truer tells them apart.
    AmbiguousPod,
    /// More than one launcher pod lives, and nothing says which holds the guest.
    TwoPods,
    /// `status.vmName` is empty, and no VirtualMachine names this Wukong as its owner.
    NoVmName,
    /// `spec.cpu` or `spec.memory` cannot be read: there is nothing to divide by.
    NoAllocation,
    NoVolumes,
    BlockVolume,
    /// The source answered without this volume, as it does for hostPath.
    NotReported,
    /// The launcher's node is not known, so no kubelet can be asked.
    NoNode,
    /// The guest agent is not connected.
    AgentOff,
    /// The backend cannot say what the image takes: RBD's fast-diff is off or invalid.
    NoFastDiff,
    /// The image is mirrored by snapshots: Ceph counts none of those.
    Mirrored,
    /// The source needs an address that was not given.
    NotConfigured,
    /// Memory of hugepages, which the launcher's working set does not count.
    Hugepages,
    /// Too many questions wait for the source already.
    Busy,
    /// Another Wukong names the same VirtualMachine, and shows its figures.
    SharedVm,
    /// There is more of it than this program reads or keeps.
    TooLarge,
    /// KubeVirt has paused the guest because of a fault, as of I/O errors. Its figures are measured all the same.
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

    /// Stable name for JSON, metrics and documentation.
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
