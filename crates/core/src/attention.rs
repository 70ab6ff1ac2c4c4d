//! Decides which VMs need attention, and for what. The filter, its counts, the incidents and the API share this one rule.

use super::{
    outlook::Outlook,
    problems::{ProblemKind, problems},
};
use model::{
    attention::{AttentionKind, AttentionKinds},
    vm::{Status, Vm, VmSummary},
};

pub use super::unknown_figures::{has_unknown_disk, has_unknown_figures, is_unknown};

/// Statuses by which KubeVirt says that a VM was never started, and cannot be.
const NEVER_STARTED: [&str; 5] =
    ["ErrorUnschedulable", "ErrorPvcNotFound", "DataVolumeError", "ErrImagePull", "ImagePullBackOff"];

/// Returns what a VM needs attention for: it should run and does not, it runs with a problem or a figure that is old or
/// missing, a fault paused it, its node is lost, or its history suggests that it will have a problem. A VM that is
/// stopped, or that a person paused, needs none.
pub fn kinds(vm: &Vm, outlook: &Outlook) -> AttentionKinds {
    if outlook.is_empty() {
        vm.attention.get_or_compute(|| compute(vm, outlook))
    } else {
        compute(vm, outlook)
    }
}

fn compute(vm: &Vm, outlook: &Outlook) -> AttentionKinds {
    let summary = &vm.summary;
    match summary.status {
        _ if outlook.lost.is_some() => AttentionKinds::only(AttentionKind::Down),
        Status::Stopped => AttentionKinds::NONE,
        Status::Unknown => AttentionKinds::only(AttentionKind::Unknown),
        Status::Pending | Status::Creating => AttentionKinds::only(AttentionKind::NotStarting),
        Status::Error if was_never_started(summary) => AttentionKinds::only(AttentionKind::NotStarting),
        Status::Error => AttentionKinds::only(AttentionKind::Down),
        Status::Running if summary.fault.is_some() => AttentionKinds::only(AttentionKind::Down),
        Status::Running => {
            let found = problems(vm, outlook).fold(AttentionKinds::NONE, |all, of| all.with(kind(&of)));
            if has_unknown_figures(summary) { found.with(AttentionKind::Unknown) } else { found }
        }
    }
}

/// Whether a VM in error is one that could not be started, rather than one that failed.
pub fn was_never_started(vm: &VmSummary) -> bool {
    NEVER_STARTED.contains(&&*vm.kubevirt_status)
}

/// Returns the kind of a problem of a running VM.
pub fn kind(found: &ProblemKind) -> AttentionKind {
    match found {
        ProblemKind::FullFilesystem { .. }
        | ProblemKind::FullVolume { .. }
        | ProblemKind::FillingUp { .. } => AttentionKind::FillingUp,
        ProblemKind::GuestMemory { .. }
        | ProblemKind::HostMemory { .. }
        | ProblemKind::Swapping(_)
        | ProblemKind::AtLimit { .. }
        | ProblemKind::Cpu { .. }
        | ProblemKind::Undersized { .. } => AttentionKind::Undersized,
        ProblemKind::Contention { .. } | ProblemKind::UnexplainedContention { .. } => {
            AttentionKind::Contended
        }
        ProblemKind::SlowDrive { .. } => AttentionKind::SlowDisk,
        ProblemKind::StuckMigration(_) => AttentionKind::Migration,
    }
}
