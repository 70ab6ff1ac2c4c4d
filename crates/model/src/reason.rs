//! Why a figure is missing, as one closed list. Figures and source health carry it; the texts are in
//! `locales/`.

use serde::{Deserialize, Serialize};
use strum::{EnumCount, IntoStaticStr, VariantArray};

/// The closed list of reasons. [`Reason::code`], the variant's name in kebab-case, is written to JSON: a new name
/// changes the API.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, EnumCount, IntoStaticStr, VariantArray,
)]
#[strum(serialize_all = "kebab-case")]
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
    /// The counters of the guest or the device were read for the first time: a rate is the growth between two
    /// samples.
    FirstSample,
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
    pub const ALL: [Self; Self::COUNT] = *Self::VARIANTS.first_chunk().unwrap();

    /// The stable name in JSON, metrics and documentation.
    pub fn code(self) -> &'static str {
        self.into()
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
