//! Builds questions for a long-term store of metrics (Prometheus), which remembers longer than this program,
//! and turns its answers into a VM's history. `http` and `pipeline` send the questions through
//! `collector::long_term`.
//!
//! The store has names and amounts. Percentages use today's allocation, because past allocations are not
//! stored.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    fix,
    history::MOST_VOLUMES,
    observation::{Key, SourceError},
};
use i18n::msg;
use model::{
    Millis,
    activity_history::{ActivityFigure, AmountHistory, AmountPoint, VolumeHistory},
    figure::{Layer, Missing, Source},
    history::{History, HistoryOrigin, Point, Series, Span},
    insight::Resource,
    reason::Reason,
    source::SourceId,
    vm::{Vm, Volume},
};

/// A grid of `count` times: `from`, `from + step` and so on, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    pub from: Millis,
    pub step: Millis,
    pub count: usize,
}

impl Times {
    /// Returns the time with this index.
    pub fn at(&self, index: usize) -> Millis {
        self.from + index as Millis * self.step
    }

    /// Returns the newest time.
    pub fn last(&self) -> Millis {
        self.at(self.count.saturating_sub(1))
    }
}

/// Whose history is requested: that of one instance and its claims, or that of all VMs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VmSelection {
    One { namespace: String, instance: String, claims: Vec<String> },
    All(Arc<Names>),
}

/// Instances and claims whose history is requested. Others in an answer are dropped: a page that Prometheus
/// scrapes can invent names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    pub instances: HashSet<Key>,
    pub claims: HashSet<Key>,
}

impl Names {
    /// Returns the instances and claims of all VMs.
    pub fn of_all(vms: &[Arc<Vm>]) -> Self {
        let mut names = Self::default();
        for vm in vms {
            let key = |name: &str| Key::new(&vm.summary.namespace, name);
            names.instances.insert(key(&vm.vm_name));
            names.claims.extend(vm.volumes.iter().map(|volume| key(&volume.claim)));
        }
        names
    }
}

impl VmSelection {
    /// Returns the instances and claims that an answer may contain.
    pub fn names(&self) -> Arc<Names> {
        match self {
            Self::All(names) => names.clone(),
            Self::One { namespace, instance, claims } => Arc::new(Names {
                instances: HashSet::from([Key::new(namespace, instance)]),
                claims: claims.iter().map(|claim| Key::new(namespace, claim)).collect(),
            }),
        }
    }
}

/// One value for each time asked for; `None` if the value is not known.
pub type RecordedSeries = Vec<Option<u64>>;

/// What a long-term store answered. Each series is as long as the times that were asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LongTermAnswer {
    /// By instance: CPU in nanocores, each value the mean since the time before, and memory in bytes.
    pub cpu: HashMap<Key, RecordedSeries>,
    pub memory: HashMap<Key, RecordedSeries>,
    /// Bytes used, and bytes of capacity, by claim.
    pub used: HashMap<Key, RecordedSeries>,
    pub capacity: HashMap<Key, RecordedSeries>,
    /// What guests do, by instance, in the order of [`ActivityFigure::ALL`]. Each value is the mean since the time
    /// before, but for memory. Empty if the question is about all VMs.
    pub activity: [HashMap<Key, RecordedSeries>; ActivityFigure::COUNT],
    /// Why parts of the answer are missing.
    pub failures: Vec<SourceError>,
}

/// The answer to one question, or why the source gave none.
pub type Answer = Result<LongTermAnswer, SourceError>;

/// Selects the history of one VM.
pub fn select_vm(vm: &Vm) -> VmSelection {
    let claims = vm.volumes.iter().filter(|volume| is_image(volume));
    VmSelection::One {
        namespace: vm.summary.namespace.clone(),
        instance: vm.vm_name.clone(),
        claims: claims.map(|volume| volume.claim.clone()).collect(),
    }
}

/// Returns the times of a span's points up to `now`. Each time is the end of the interval that its point
/// covers.
pub fn times(span: Span, now: Millis) -> Times {
    let step = span.step();
    let count = (span.millis() / step) as usize;
    let last = now.div_euclid(step) * step;
    Times { from: last - (count as Millis - 1) * step, step, count }
}

/// Returns the history of one VM as the long-term store has it.
pub fn history(vm: &Vm, span: Span, times: Times, answer: &Answer) -> History {
    let nothing = LongTermAnswer::default();
    let recording = answer.as_ref().unwrap_or(&nothing);
    // The end of a span is within one step of now.
    let created = created(vm, times.last() + times.step);
    let series = |resource| Series {
        start: times.from - times.step,
        step: times.step as u32,
        points: points(vm, created, recording, times, resource),
    };
    let (cpu, memory, disk) = (series(Resource::Cpu), series(Resource::Memory), series(Resource::Disk));
    let (activity, volumes) =
        (activity(vm, created, recording, times), volumes(vm, created, recording, times));
    let is_known = |of: &AmountHistory| of.source.is_some();
    let is_empty = [&cpu, &memory, &disk].iter().all(|series| series.stats().is_none())
        && !activity.iter().chain(volumes.iter().map(|volume| &volume.used)).any(is_known);
    let lacks = match answer {
        Err(error) => Some(failed(error)),
        Ok(recording) => match recording.failures.first() {
            Some(error) => Some(failed(error)),
            None => is_empty.then(unrecorded),
        },
    };
    History { span, cpu, memory, disk, activity, volumes, origin: HistoryOrigin::Prometheus, lacks }
}

fn activity(
    vm: &Vm,
    created: Millis,
    recording: &LongTermAnswer,
    times: Times,
) -> [AmountHistory; ActivityFigure::COUNT] {
    let instance = Key::new(&vm.summary.namespace, &vm.vm_name);
    recording.activity.each_ref().map(|series| amounts(series.get(&instance), created, times))
}

/// Returns the history of each volume that is measured on its image today. The store has no other layer.
fn volumes(vm: &Vm, created: Millis, recording: &LongTermAnswer, times: Times) -> Vec<VolumeHistory> {
    let images = vm.volumes.iter().filter(|volume| is_image(volume)).take(MOST_VOLUMES);
    let history = |volume: &Volume| VolumeHistory {
        name: volume.name.clone(),
        claim: volume.claim.clone(),
        used: amounts(recording.used.get(&key(vm, volume)), created, times),
    };
    images.map(history).collect()
}

/// Returns amounts without those from before the VM was created, which belong to another VM of the same name.
fn amounts(series: Option<&RecordedSeries>, created: Millis, times: Times) -> AmountHistory {
    let at = |index: usize| {
        let amount = *series?.get(index)?;
        amount.filter(|_| times.at(index) >= created)
    };
    let points: Vec<_> =
        (0..times.count).map(|index| at(index).map_or(AmountPoint::GAP, AmountPoint::of)).collect();
    let is_known = points.iter().any(|point| *point != AmountPoint::GAP);
    AmountHistory {
        source: is_known.then_some(Source::Prometheus),
        series: Series { start: times.from - times.step, step: times.step as u32, points },
    }
}

/// Returns a history with gaps only, for a span that cannot be read, with the reason.
pub fn empty_history(span: Span, now: Millis, lacks: Missing) -> History {
    let times = times(span, now);
    let gaps = Series {
        start: times.from - times.step,
        step: times.step as u32,
        points: vec![Point::GAP; times.count],
    };
    let nothing = LongTermAnswer::default();
    History {
        span,
        cpu: gaps.clone(),
        memory: gaps.clone(),
        disk: gaps,
        activity: nothing.activity.each_ref().map(|_| amounts(None, 0, times)),
        volumes: Vec::new(),
        origin: HistoryOrigin::Prometheus,
        lacks: Some(lacks),
    }
}

/// The reason when no long-term store is configured.
pub fn not_configured() -> Missing {
    Missing {
        detail: msg!(past.memory_holds),
        fix: fix::configure(SourceId::Prometheus),
        ..Reason::NotConfigured.into()
    }
}

/// Returns what is missing because Prometheus failed.
fn failed(error: &SourceError) -> Missing {
    fix::missing(error, fix::source(SourceId::Prometheus, error.reason), None)
}

fn unrecorded() -> Missing {
    Missing {
        detail: msg!(past.not_recorded),
        fix: msg!(past.see_scraped, query = "up{job=~\".*kubevirt.*|kubelet\"}"),
        ..Reason::NotReported.into()
    }
}

/// Returns when the VM was created, or 0 if that time is in the future, which means that the clock that set
/// it is off.
pub(super) fn created(vm: &Vm, now: Millis) -> Millis {
    if vm.created > now { 0 } else { vm.created }
}

/// Returns one point for each of the times. Points from before the VM was created belong to another VM of the
/// same name and are left out.
pub(super) fn points(
    vm: &Vm,
    created: Millis,
    recording: &LongTermAnswer,
    times: Times,
    resource: Resource,
) -> Vec<Point> {
    let instance = Key::new(&vm.summary.namespace, &vm.vm_name);
    let mut points = match resource {
        Resource::Cpu => shares(recording.cpu.get(&instance), vm.summary.cpu),
        Resource::Memory if is_hugepages(vm) => None,
        Resource::Memory => shares(recording.memory.get(&instance), vm.summary.memory),
        Resource::Disk => disk(vm, recording, times.count),
    }
    .unwrap_or_default();
    points.resize(times.count, Point::GAP);
    for (index, point) in points.iter_mut().enumerate() {
        if times.at(index) < created {
            *point = Point::GAP;
        }
    }
    points
}

fn shares(series: Option<&RecordedSeries>, of: Option<u64>) -> Option<Vec<Point>> {
    let of = of?;
    Some(series?.iter().map(|used| used.map_or(Point::GAP, |used| Point::of(used, of))).collect())
}

/// Whether the VM uses hugepages: then the host's resident memory does not include the guest's.
fn is_hugepages(vm: &Vm) -> bool {
    vm.summary.usage.memory.missing().is_some_and(|missing| missing.reason == Reason::Hugepages)
}

/// Returns the sum over the volumes that today's figure also counts. A sum is known only if each volume is
/// known: otherwise a volume that began later would look like a jump. `None` if today's figure comes from
/// another layer, since the layers do not mix.
fn disk(vm: &Vm, recording: &LongTermAnswer, count: usize) -> Option<Vec<Point>> {
    let other = vm.volumes.iter().any(|volume| !is_image(volume) && volume.usage.sample().is_some());
    let claims: Vec<Key> = vm.volumes.iter().filter(|volume| is_image(volume)).map(|v| key(vm, v)).collect();
    if other || claims.is_empty() {
        return None;
    }
    let at =
        |series: &HashMap<Key, RecordedSeries>, claim: &Key, index: usize| *series.get(claim)?.get(index)?;
    let sum = |index: usize| {
        claims.iter().try_fold((0u64, 0u64), |(used, of), claim| {
            let capacity = at(&recording.capacity, claim, index).filter(|capacity| *capacity > 0)?;
            let own = at(&recording.used, claim, index)?;
            Some((used.saturating_add(own), of.saturating_add(capacity)))
        })
    };
    Some((0..count).map(|index| sum(index).map_or(Point::GAP, |(used, of)| Point::of(used, of))).collect())
}

fn key(vm: &Vm, volume: &Volume) -> Key {
    Key::new(&vm.summary.namespace, &volume.claim)
}

/// Whether the volume is measured on its image today, or is not measured because the VM does not run and is
/// not a block volume.
fn is_image(volume: &Volume) -> bool {
    match (volume.usage.sample(), volume.usage.missing()) {
        (Some(sample), _) => sample.source.layer() == Layer::Image,
        (_, Some(missing)) => missing.reason == Reason::NotRunning && !volume.block,
        _ => false,
    }
}
