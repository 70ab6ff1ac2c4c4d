//! Names what is missing of a running guest's activity, for the verdict and for the reasons below.

use crate::ui::components::why::UnknownAmount;
use i18n::t;
use model::{
    activity::Activity,
    details::VmDetails,
    figure::Missing,
    vm::{Status, Vm},
};

pub fn unknown_activity<'a>(vm: &Vm, details: &'a VmDetails) -> Vec<UnknownAmount<'a>> {
    if vm.summary.status != Status::Running {
        return Vec::new();
    }
    let of = match &details.activity {
        Activity::Missing(missing) => return vec![(t!(vm.guest_figures).to_owned(), missing)],
        Activity::Known(known) => known,
    };
    // Another source may have the guest's memory.
    let memory = of.memory.as_ref().err().filter(|_| vm.guest.memory.is_none());
    let parts = [
        (t!(list.guest_memory), memory),
        (t!(vm.swap), of.swap.as_ref().err()),
        (t!(vm.major_faults), of.major_faults.as_ref().err()),
        (t!(list.network), of.network.as_ref().err()),
        (t!(list.storage), of.storage.as_ref().err()),
        (t!(vm.contention), of.contention.as_ref().err()),
    ];
    let parts = parts.into_iter().filter_map(|(name, missing)| Some((name.to_owned(), &**missing?)));
    let mut unknown: Vec<UnknownAmount> = parts.collect();
    let devices = unknown_devices(details, &unknown);
    unknown.extend(devices);
    unknown
}

/// Also the pressure, which few kubelets report yet: the verdict does not name it.
pub fn all_unknown<'a>(vm: &Vm, details: &'a VmDetails) -> Vec<UnknownAmount<'a>> {
    let mut unknown = unknown_activity(vm, details);
    let gap = details.pressure_gap.as_deref().filter(|_| vm.summary.status == Status::Running);
    unknown.extend(gap.map(|missing| (t!(vm.pressure).to_owned(), missing)));
    unknown
}

/// The devices that lack traffic for another reason than their sum. Nothing counts the drives of cloud-init and the
/// like where no volume backs them.
fn unknown_devices<'a>(details: &'a VmDetails, sums: &[UnknownAmount]) -> Vec<UnknownAmount<'a>> {
    let interfaces = details.interfaces.iter().map(|of| (&of.name, of.rates.as_ref().err()));
    let drives = details.drives.iter().filter(|of| !of.claim.is_empty());
    let drives = drives.map(|of| (&of.name, of.rates.as_ref().err()));
    let missing = interfaces.chain(drives).filter_map(|(name, missing)| Some((name, &**missing?)));
    let is_own = |missing: &Missing| sums.iter().all(|(_, sum)| *sum != missing);
    let own = missing.filter(|(_, missing)| is_own(missing));
    own.map(|(name, missing)| (t!(vm.traffic_of, name = name), missing)).collect()
}
