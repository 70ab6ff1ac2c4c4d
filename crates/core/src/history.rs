//! Keeps the history of each VM in memory: CPU, memory and disk, what its guest does, and each of its volumes. A
//! gap stays a gap. `pipeline` records and fills it; `http`, `insight` and the views read it.
//!
//! 10,000 VMs with two volumes each take about 105 MB when all grids are full: 3.5 kB each for CPU, memory and
//! disk, 5.7 kB for what the guest does, and 0.7 kB a volume. A guest that no source measures takes none of it.
//! Each VM has its own lock, held while its points are copied, so readers block neither the writer nor one
//! another.

mod activity;
mod ring;
mod timeline;
mod volumes;

use std::{collections::HashMap, sync::Arc};

use parking_lot::{Mutex, RwLock};

use super::Limits;
use model::{
    Millis,
    activity_history::AmountPoint,
    figure::Source,
    history::{History, Point, Series, Span, Sparklines},
    insight::Resource,
    vm::{Vm, Volume},
};
pub(super) use ring::Grid;
use timeline::Timeline;
use volumes::ExtraVolumes;
pub(super) use volumes::MOST_VOLUMES;

/// The figures in percent of a VM, in the order of [`index`]: CPU, memory, disk.
const FIGURES: usize = 3;
const DISK: usize = 2;
/// Points of 15 s for an hour, and of 5 min for a day.
pub(super) const FINE: Grid = Grid { step: 15_000, len: 240 };
pub(super) const COARSE: Grid = Grid { step: 300_000, len: 288 };
/// Milliseconds after which a VM that is gone is forgotten.
const KEEP: Millis = COARSE.step * COARSE.len as Millis;
/// VMs that are gone but not forgotten yet, of 1 to 15 kB each. More than this means that somebody creates and
/// deletes VMs in a loop; then those that have been gone longest are forgotten first.
const MOST_GONE: usize = 4000;
/// Milliseconds without the VM in a snapshot after which it is gone.
const GONE_AFTER: Millis = 60_000;
/// The kubelet measures volumes every one to two minutes, however often it is asked.
const KUBELET_PERIOD: Millis = 60_000;

/// The five-minute means of a VM's last day, oldest first.
pub(super) struct Day {
    /// In percent, in the order of [`index`], without those from before the VM was last resized.
    pub figures: [Series; FIGURES],
    /// Bytes that the guest uses, without those from before the VM was last resized; `None` if nothing is known of it.
    pub guest_memory: Option<Series<AmountPoint>>,
    /// Used bytes of the VM's volumes, in their order; `None` for those without a history.
    pub volumes: Vec<Option<Series<AmountPoint>>>,
}

/// The history of all VMs. The map is locked for writing only while VMs are added or forgotten.
#[derive(Debug, Default)]
pub struct HistoryStore {
    vms: RwLock<HashMap<Box<str>, Arc<Mutex<Timeline>>>>,
    extra_volumes: ExtraVolumes,
}

impl HistoryStore {
    /// Records the new samples of a snapshot.
    pub fn record(&self, vms: &[Arc<Vm>], limits: &Limits, now: Millis) {
        let unknown: Vec<&Arc<Vm>> = {
            let timelines = self.vms.read();
            let known = |vm: &Vm| match timelines.get(vm.uid.as_str()) {
                Some(timeline) => timeline.lock().record(vm, limits, &self.extra_volumes, now),
                None => false,
            };
            vms.iter().filter(|vm| !known(vm)).collect()
        };
        if !unknown.is_empty() {
            let mut timelines = self.vms.write();
            for vm in unknown {
                let timeline = timelines.entry(vm.uid.as_str().into()).or_default();
                timeline.lock().record(vm, limits, &self.extra_volumes, now);
            }
        }
    }

    /// Drops VMs that were last seen a day ago, and the oldest of those that are gone if there are too many.
    /// Call it once a minute.
    pub fn forget(&self, now: Millis) {
        let mut timelines = self.vms.write();
        let mut gone: Vec<Millis> = timelines.values().map(|timeline| timeline.lock().seen).collect();
        gone.sort_unstable_by(|a, b| b.cmp(a));
        // The time of the newest snapshot. It differs from `now` after the program was suspended.
        let newest = gone.first().copied().unwrap_or(now);
        gone.retain(|seen| *seen < newest - GONE_AFTER);
        // VMs that went at the same time are dropped together.
        let first = gone.get(MOST_GONE).copied().unwrap_or(Millis::MIN);
        let mut extra_volumes = 0;
        timelines.retain(|_, timeline| {
            let timeline = timeline.lock();
            let is_kept = timeline.seen > now - KEEP && timeline.seen >= first;
            extra_volumes += if is_kept { timeline.extra_volumes() } else { 0 };
            is_kept
        });
        self.extra_volumes.set(extra_volumes);
    }

    /// Fills gaps with points of a long-term store; measured points are not overwritten. Each point covers
    /// the `step` milliseconds before its time.
    pub(super) fn fill(&self, uid: &str, resource: Resource, step: Millis, points: &[(Millis, Point)]) {
        if let Some(timeline) = self.timeline(uid) {
            timeline.lock().fill(resource, step, points);
        }
    }

    /// Returns what is known of the span, as far as memory reaches: an hour or a day. `volumes` are those that
    /// the VM has now.
    pub fn history(&self, uid: &str, volumes: &[Volume], span: Span, now: Millis) -> History {
        match self.timeline(uid) {
            Some(timeline) => timeline.lock().history(volumes, span, now),
            None => Timeline::default().history(volumes, span, now),
        }
    }

    /// Returns the sparklines of the last hour; empty if the VM is not known.
    pub fn sparklines(&self, uid: &str, now: Millis) -> Sparklines {
        self.timeline(uid).map(|timeline| timeline.lock().sparklines(now)).unwrap_or_default()
    }

    /// Returns the five-minute means of a VM's last day.
    pub(super) fn day(&self, vm: &Vm, now: Millis) -> Day {
        match self.timeline(&vm.uid) {
            Some(timeline) => timeline.lock().day(&vm.volumes, now),
            None => Timeline::default().day(&vm.volumes, now),
        }
    }

    fn timeline(&self, uid: &str) -> Option<Arc<Mutex<Timeline>>> {
        self.vms.read().get(uid).cloned()
    }

    /// The number of VMs that are remembered.
    pub fn len(&self) -> usize {
        self.vms.read().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes on the heap, by capacity.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        let timelines = self.vms.read();
        // Each bucket of the map takes key, pointer and control byte; an `Arc` has two counts before its
        // content.
        let table = timelines.capacity() * 8 / 7 * (size_of::<(Box<str>, Arc<Mutex<Timeline>>)>() + 1);
        let each = |uid: &str, timeline: &Mutex<Timeline>| {
            let timeline = timeline.lock();
            uid.len() + 16 + size_of::<Mutex<Timeline>>() + timeline.bytes()
        };
        table + timelines.iter().map(|(uid, timeline)| each(uid, timeline)).sum::<usize>()
    }
}

/// Returns the shortest time between two measurements of a figure, in milliseconds.
fn interval(source: Source, figure: usize, limits: &Limits) -> Millis {
    match source {
        Source::Ceph => limits.ceph_interval,
        Source::PodMetrics
        | Source::KubeletProxy
        | Source::KubeletDirect
        | Source::VirtHandler
        | Source::Prometheus
        | Source::GuestAgent
        | Source::Longhorn => match figure {
            DISK => limits.disk_interval.max(KUBELET_PERIOD),
            _ => limits.metrics_interval,
        },
    }
}

pub(super) fn index(resource: Resource) -> usize {
    match resource {
        Resource::Cpu => 0,
        Resource::Memory => 1,
        Resource::Disk => DISK,
    }
}
