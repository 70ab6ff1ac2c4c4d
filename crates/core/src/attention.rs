//! Decides which VMs need attention. The filter, its count and the API share this one rule.

use model::{
    figure::Figure,
    reason::Reason,
    vm::{Status, VmSummary},
};

/// Percent from which a figure needs attention; meters turn amber there.
const HIGH: u64 = 90;

/// Returns whether a VM needs attention: it should run and does not, it runs with a figure that is high, old
/// or missing, or a fault paused it. A VM that is stopped, or that a person paused, does not.
pub fn needs_attention(vm: &VmSummary) -> bool {
    let usage = &vm.usage;
    match vm.status {
        Status::Error | Status::Unknown | Status::Pending | Status::Creating => true,
        Status::Stopped => false,
        Status::Running => {
            vm.fault.is_some()
                || [&usage.cpu, &usage.memory, &usage.disk].into_iter().any(needs_a_look)
                || usage.disk_known < usage.disk_volumes
        }
    }
}

/// A VM without volumes is not missing a disk figure.
fn needs_a_look(figure: &Figure) -> bool {
    match figure {
        Figure::Known(sample) => sample.stale || sample.percent() >= HIGH,
        Figure::Missing(missing) => missing.reason != Reason::NoVolumes,
    }
}
