//! Whether figures of a VM are old, missing or incomplete. `problems` and `attention` share the rule.

use model::{figure::Figure, reason::Reason, vm::VmSummary};

/// Returns whether CPU, memory or disk of a running VM is old, missing or incomplete.
pub fn has_unknown_figures(vm: &VmSummary) -> bool {
    let usage = &vm.usage;
    [&usage.cpu, &usage.memory].into_iter().any(is_unknown) || has_unknown_disk(vm)
}

pub fn has_unknown_disk(vm: &VmSummary) -> bool {
    is_unknown(&vm.usage.disk) || vm.usage.disk_known < vm.usage.disk_volumes
}

/// A VM without volumes is not missing a disk figure.
pub fn is_unknown(figure: &Figure) -> bool {
    match figure {
        Figure::Known(sample) => sample.stale,
        Figure::Missing(missing) => missing.reason != Reason::NoVolumes,
    }
}
