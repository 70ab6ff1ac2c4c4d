//! Which VMs need a look. One rule, for the filter, its count and the API.

use model::{
    figure::Figure,
    reason::Reason,
    vm::{Status, VmSummary},
};

/// From this percent on a figure needs a look; meters turn amber there.
const HIGH: u64 = 90;

/// A VM that should run and does not, or one that runs with a figure that is high, old or missing, or that a fault has
/// paused. One that was stopped, or paused by a person, needs nothing.
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

/// A VM without volumes lacks no figure of them.
fn needs_a_look(figure: &Figure) -> bool {
    match figure {
        Figure::Known(sample) => sample.stale || sample.percent() >= HIGH,
        Figure::Missing(missing) => missing.reason != Reason::NoVolumes,
    }
}
