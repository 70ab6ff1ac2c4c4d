//! Totals over many VMs, for the cluster and for groups. A percentage divides the usage of the measured VMs
//! by the allocation of the same VMs.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::{
    figure::{Basis, Sample, ratio},
    vm::{Status, Vm},
};

/// VMs by state. `migrating` VMs are also `running`; `pending` includes VMs that are being created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub total: u32,
    pub running: u32,
    pub stopped: u32,
    pub error: u32,
    pub pending: u32,
    pub unknown: u32,
    pub migrating: u32,
}

impl Counts {
    fn add(&mut self, vm: &Vm) {
        self.total += 1;
        *match vm.summary.status {
            Status::Running => &mut self.running,
            Status::Stopped => &mut self.stopped,
            Status::Error => &mut self.error,
            Status::Pending | Status::Creating => &mut self.pending,
            Status::Unknown => &mut self.unknown,
        } += 1;
        self.migrating += u32::from(!vm.summary.migrating_to.is_empty());
    }
}

/// The usage of the VMs that could be measured, and their allocation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    pub used: u64,
    pub of: u64,
    pub vms: u32,
}

impl Measured {
    /// Returns the sums of these samples; the others are missing.
    pub fn of<'a>(samples: impl Iterator<Item = Option<&'a Sample>>) -> Self {
        let mut sums = Self::default();
        samples.for_each(|sample| sums.add(sample));
        sums
    }

    fn add(&mut self, sample: Option<&Sample>) {
        if let Some(sample) = sample {
            self.used = self.used.saturating_add(sample.used);
            self.of = self.of.saturating_add(sample.of);
            self.vms += 1;
        }
    }

    /// Percent of what was measured. For disks it may be known although no VM has all of its volumes known.
    pub fn share(&self) -> Option<u64> {
        (self.of > 0).then(|| ratio(self.used, self.of, 100))
    }

    /// Whole percent, truncated; `None` if no VM was measured.
    pub fn percent(&self) -> Option<u64> {
        (self.vms > 0).then(|| ratio(self.used, self.of, 100))
    }
}

/// What nodes can allocate, in nanocores and bytes. `None` if that of one of them is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capacity {
    pub cpu: Option<u64>,
    pub memory: Option<u64>,
    /// What VMs are allocated of it, without those that take up no room on a node.
    pub cpu_held: u64,
    pub memory_held: u64,
}

/// Totals over a set of VMs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    pub counts: Counts,
    /// Sum of allocated memory in bytes over all VMs in any phase, and how many could not be read.
    pub memory: u64,
    pub memory_unreadable: u32,
    /// Sum of allocated CPU in nanocores over all VMs.
    pub cpu: u64,
    pub cpu_used: Measured,
    pub memory_used: Measured,
    /// Over volumes that are not on a shared file system, each once; `vms` counts the VMs with all volumes
    /// known.
    pub disk_used: Measured,
}

impl Totals {
    /// Returns the totals of the VMs. A claim that several of them use counts once.
    pub fn of<'a>(vms: impl IntoIterator<Item = &'a Vm>) -> Self {
        let mut totals = Self::default();
        let mut counted = HashSet::new();
        for vm in vms {
            totals.add(vm, &mut counted);
        }
        totals
    }

    fn add<'a>(&mut self, vm: &'a Vm, counted: &mut HashSet<(&'a str, &'a str)>) {
        let summary = &vm.summary;
        self.counts.add(vm);
        self.memory = self.memory.saturating_add(summary.memory.unwrap_or(0));
        self.memory_unreadable += u32::from(summary.memory.is_none());
        self.cpu = self.cpu.saturating_add(summary.cpu.unwrap_or(0));
        self.cpu_used.add(summary.usage.cpu.sample());
        self.memory_used.add(summary.usage.memory.sample());
        if summary.status == Status::Running {
            self.add_disk(vm, counted);
        }
    }

    /// Adds the volumes of a VM. `counted` has the claims of the VMs before, by namespace and name: several
    /// VMs may share a disk.
    fn add_disk<'a>(&mut self, vm: &'a Vm, counted: &mut HashSet<(&'a str, &'a str)>) {
        for volume in &vm.volumes {
            let Some(sample) = volume.usage.sample().filter(|sample| sample.basis == Basis::Own) else {
                continue;
            };
            if counted.insert((&vm.summary.namespace, &volume.claim)) {
                self.disk_used.used = self.disk_used.used.saturating_add(sample.used);
                self.disk_used.of = self.disk_used.of.saturating_add(sample.of);
            }
        }
        let usage = &vm.summary.usage;
        self.disk_used.vms += u32::from(usage.disk_volumes > 0 && usage.disk_known == usage.disk_volumes);
    }
}
