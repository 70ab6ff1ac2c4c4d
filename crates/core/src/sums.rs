//! Totals, and counts by source, that follow single VMs as they change: what a VM adds is taken away again when
//! another takes its place. Sums are wide enough that nothing is lost before it is shown.

use std::sync::Arc;

use hashbrown::HashMap;

use super::{tallies::Tallies, touched::Name};
use model::{
    figure::Basis,
    reason::Reason,
    totals::{Counts, Measured, Totals},
    vm::{Status, Vm},
};

/// Sums over the VMs of a snapshot.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sums {
    counts: Counts,
    memory: u128,
    memory_unreadable: u32,
    cpu: u128,
    cpu_used: WideMeasured,
    memory_used: WideMeasured,
    disk_used: WideMeasured,
    pub tallies: Tallies,
    /// VMs whose pod the metrics API leaves out.
    pub unsampled: u32,
    /// How many VMs count each claim, and how many claims more than one VM counts.
    claims: HashMap<u64, u32>,
    shared_claims: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct WideMeasured {
    used: u128,
    of: u128,
    vms: u32,
}

impl WideMeasured {
    fn add(&mut self, more: Measured) {
        self.used += u128::from(more.used);
        self.of += u128::from(more.of);
        self.vms += more.vms;
    }

    fn remove(&mut self, less: Measured) {
        self.used -= u128::from(less.used);
        self.of -= u128::from(less.of);
        self.vms -= less.vms;
    }

    fn narrow(self) -> Measured {
        Measured { used: narrow(self.used), of: narrow(self.of), vms: self.vms }
    }
}

impl Sums {
    pub fn add(&mut self, vm: &Vm) {
        let more = Totals::of([vm]);
        for_each_count(&mut self.counts, &more.counts, |sum, more| *sum += more);
        self.memory += u128::from(more.memory);
        self.memory_unreadable += more.memory_unreadable;
        self.cpu += u128::from(more.cpu);
        self.cpu_used.add(more.cpu_used);
        self.memory_used.add(more.memory_used);
        self.disk_used.add(more.disk_used);
        self.tallies.add(vm);
        self.unsampled += u32::from(is_unsampled(vm));
        for claim in counted_claims(vm) {
            let users = self.claims.entry(claim).or_default();
            *users += 1;
            self.shared_claims += u32::from(*users == 2);
        }
    }

    pub fn remove(&mut self, vm: &Vm) {
        let less = Totals::of([vm]);
        for_each_count(&mut self.counts, &less.counts, |sum, less| *sum -= less);
        self.memory -= u128::from(less.memory);
        self.memory_unreadable -= less.memory_unreadable;
        self.cpu -= u128::from(less.cpu);
        self.cpu_used.remove(less.cpu_used);
        self.memory_used.remove(less.memory_used);
        self.disk_used.remove(less.disk_used);
        self.tallies.remove(vm);
        self.unsampled -= u32::from(is_unsampled(vm));
        for claim in counted_claims(vm) {
            let Some(users) = self.claims.get_mut(&claim) else { continue };
            self.shared_claims -= u32::from(*users == 2);
            *users -= 1;
            if *users == 0 {
                self.claims.remove(&claim);
            }
        }
    }

    /// Returns the totals of `vms`, which are those that were added. A claim that several VMs use counts once, as
    /// the first of them shows it: only then all of them are asked.
    pub fn totals(&self, vms: &[Arc<Vm>]) -> Totals {
        let disk_used = match self.shared_claims {
            0 => self.disk_used.narrow(),
            _ => Totals::of(vms.iter().map(|vm| &**vm)).disk_used,
        };
        Totals {
            counts: self.counts,
            memory: narrow(self.memory),
            memory_unreadable: self.memory_unreadable,
            cpu: narrow(self.cpu),
            cpu_used: self.cpu_used.narrow(),
            memory_used: self.memory_used.narrow(),
            disk_used,
        }
    }
}

fn narrow(sum: u128) -> u64 {
    u64::try_from(sum).unwrap_or(u64::MAX)
}

fn for_each_count(sums: &mut Counts, of: &Counts, change: impl Fn(&mut u32, u32)) {
    let Counts { total, running, stopped, error, pending, unknown, migrating } = sums;
    change(total, of.total);
    change(running, of.running);
    change(stopped, of.stopped);
    change(error, of.error);
    change(pending, of.pending);
    change(unknown, of.unknown);
    change(migrating, of.migrating);
}

/// Whether the metrics API leaves out the VM's pod.
pub(super) fn is_unsampled(vm: &Vm) -> bool {
    vm.summary.usage.cpu.missing().is_some_and(|missing| missing.reason == Reason::NotSampled)
}

/// Returns the hash of each claim that [`Totals`] counts of a VM.
fn counted_claims(vm: &Vm) -> impl Iterator<Item = u64> + '_ {
    let is_own = |basis| basis == Basis::Own;
    let volumes = vm.volumes.iter().filter(|_| vm.summary.status == Status::Running);
    let counted =
        volumes.filter(move |volume| volume.usage.sample().is_some_and(|sample| is_own(sample.basis)));
    counted.map(|volume| Name::Claim(&vm.summary.namespace, &volume.claim).hash())
}
