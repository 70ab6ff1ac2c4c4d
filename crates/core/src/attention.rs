//! Decides which VMs need attention. The filter, its count and the API share this one rule.

use super::problems::problems;
use model::{
    figure::Figure,
    reason::Reason,
    vm::{Status, Vm, VmSummary},
};

/// Returns whether a VM needs attention: it should run and does not, it runs with a problem or a figure that is old
/// or missing, or a fault paused it. A VM that is stopped, or that a person paused, does not.
pub fn needs_attention(vm: &Vm) -> bool {
    let summary = &vm.summary;
    match summary.status {
        Status::Error | Status::Unknown | Status::Pending | Status::Creating => true,
        Status::Stopped => false,
        Status::Running => {
            summary.fault.is_some() || has_unknown_figures(summary) || problems(vm).next().is_some()
        }
    }
}

/// Returns whether CPU, memory or disk of a running VM is old, missing or incomplete.
pub fn has_unknown_figures(vm: &VmSummary) -> bool {
    let usage = &vm.usage;
    [&usage.cpu, &usage.memory, &usage.disk].into_iter().any(is_unknown)
        || usage.disk_known < usage.disk_volumes
}

/// A VM without volumes is not missing a disk figure.
fn is_unknown(figure: &Figure) -> bool {
    match figure {
        Figure::Known(sample) => sample.stale,
        Figure::Missing(missing) => missing.reason != Reason::NoVolumes,
    }
}
