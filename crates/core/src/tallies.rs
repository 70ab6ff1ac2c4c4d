//! Counts for each source how many VMs and volumes have their figures from it, and how many figures are missing or
//! old because of it.

use std::{iter, sync::Arc};

use model::{
    activity::Activity,
    figure::Figure,
    reason::Reason,
    source::{SourceHealth, SourceId},
    vm::{Status, Vm, Volume},
};

/// What running VMs get from one source.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Tally {
    pub vms: u32,
    pub volumes: u32,
    pub missing: u32,
    pub stale: u32,
}

/// Which figures one VM has or lacks from one source.
#[derive(Clone, Copy, Default)]
struct VmFigures {
    known: bool,
    lacks: bool,
    old: bool,
}

impl VmFigures {
    fn add(&mut self, figure: &Figure) {
        match figure {
            Figure::Known(sample) => {
                self.known = true;
                self.old |= sample.stale;
            }
            Figure::Missing(missing) => self.lacks |= is_source_failure(missing.reason),
        }
    }
}

type PerSource<T> = [T; SourceId::ALL.len()];

/// Counts for each source, in the order of [`SourceId::ALL`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Tallies(PerSource<Tally>);

impl Tallies {
    pub fn add(&mut self, vm: &Vm) {
        for (tally, more) in self.0.iter_mut().zip(tallies_of(vm)) {
            tally.vms += more.vms;
            tally.volumes += more.volumes;
            tally.missing += more.missing;
            tally.stale += more.stale;
        }
    }

    /// Returns what running VMs get from each source.
    pub fn by_source(&self) -> impl Iterator<Item = (SourceId, Tally)> {
        SourceId::ALL.into_iter().zip(self.0)
    }

    /// Takes a VM away that was added.
    pub fn remove(&mut self, vm: &Vm) {
        for (tally, less) in self.0.iter_mut().zip(tallies_of(vm)) {
            tally.vms -= less.vms;
            tally.volumes -= less.volumes;
            tally.missing -= less.missing;
            tally.stale -= less.stale;
        }
    }
}

/// Returns what one VM adds to each source, however many sources there are.
fn tallies_of(vm: &Vm) -> PerSource<Tally> {
    let mut tallies = PerSource::<Tally>::default();
    if vm.summary.status != Status::Running {
        return tallies;
    }
    let mut has = PerSource::<VmFigures>::default();
    for figure in [&vm.summary.usage.cpu, &vm.summary.usage.memory] {
        has[index(source_of(figure))].add(figure);
    }
    for (id, figure) in vm.volumes.iter().flat_map(shown) {
        has[index(id)].add(figure);
        tallies[index(id)].volumes += u32::from(figure.sample().is_some());
    }
    // No page shows what lacks of it yet.
    if let Activity::Known(activity) = &vm.activity {
        has[index(activity.source.id())].known = true;
        has[index(activity.network_origin().source.id())].known = true;
    }
    for (tally, VmFigures { known, lacks, old }) in tallies.iter_mut().zip(has) {
        tally.vms = u32::from(known);
        tally.missing = u32::from(lacks);
        tally.stale = u32::from(old && !lacks);
    }
    tallies
}

fn with_counts(source: SourceHealth, tally: Tally) -> SourceHealth {
    let Tally { vms, volumes, missing, stale } = tally;
    SourceHealth { vms, volumes, vms_missing: missing, vms_stale: stale, ..source }
}

/// Returns the sources with the counts of these VMs.
pub(super) fn recount(sources: impl Iterator<Item = SourceHealth>, vms: &[Arc<Vm>]) -> Vec<SourceHealth> {
    let mut tallies = Tallies::default();
    vms.iter().for_each(|vm| tallies.add(vm));
    let counted = |source: SourceHealth| {
        let tally = tallies.0[index(source.id)];
        with_counts(source, tally)
    };
    sources.map(counted).collect()
}

fn index(id: SourceId) -> usize {
    id as usize
}

/// Returns the source of a CPU or memory figure. A missing figure counts as missing from metrics.k8s.io.
fn source_of(figure: &Figure) -> SourceId {
    figure.sample().map_or(SourceId::PodMetrics, |sample| sample.source.id())
}

/// Returns the volume's figure, and, if it is unknown, those of the other sources, which say why they do not
/// know it.
fn shown(volume: &Volume) -> impl Iterator<Item = (SourceId, &Figure)> {
    let unknown = volume.usage.sample().is_none();
    let others = volume.readings.iter().filter(move |reading| unknown && reading.source != volume.source);
    iter::once((volume.source, &volume.usage)).chain(others.map(|reading| (reading.source, &reading.figure)))
}

/// Whether the source, and not the VM's own state, is why a figure is missing.
fn is_source_failure(reason: Reason) -> bool {
    match reason {
        Reason::ApiAbsent
        | Reason::Forbidden
        | Reason::Unauthenticated
        | Reason::TimedOut
        | Reason::Unreachable
        | Reason::BadAnswer
        | Reason::TooLarge
        | Reason::Expired
        | Reason::TooNew
        | Reason::NotSampled => true,
        Reason::Starting
        | Reason::NotRunning
        | Reason::NoPod
        | Reason::AmbiguousPod
        | Reason::TwoPods
        | Reason::NoVmName
        | Reason::NoAllocation
        | Reason::NoVolumes
        | Reason::BlockVolume
        | Reason::NotReported
        | Reason::FirstSample
        | Reason::NoNode
        | Reason::AgentOff
        | Reason::NoFastDiff
        | Reason::Mirrored
        | Reason::NotConfigured
        | Reason::Hugepages
        | Reason::Busy
        | Reason::SharedVm
        | Reason::Paused => false,
    }
}
