//! The history of the used bytes of a VM's volumes: the newest sample of each five minutes, for a day.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{
    COARSE, DISK, KEEP, interval,
    ring::{Grid, Ring},
};
use crate::Limits;
use model::{
    Millis,
    activity_history::{AmountHistory, AmountPoint, VolumeHistory},
    figure::{Layer, Sample, Source},
    history::{Series, Span},
    vm::{Vm, Volume},
};

/// The volumes of a VM that have a history. Further ones have none.
pub(in super::super) const MOST_VOLUMES: usize = 8;
/// The volumes of each VM that always have a history, and how many others of all VMs together have one: a few
/// VMs with many volumes cannot take it from the rest.
const ASSURED: usize = 2;
pub(super) const MOST_EXTRA: usize = 20_000;
/// The five-minute points of the last hour.
const HOUR: Grid = Grid { step: COARSE.step, len: 12 };

/// The histories of one VM's volumes.
#[derive(Debug, Default)]
pub(super) struct VolumeTimelines(Vec<VolumeTimeline>);

/// How many histories exist beyond those that each VM is assured of.
#[derive(Debug, Default)]
pub(super) struct ExtraVolumes(AtomicUsize);

impl ExtraVolumes {
    /// Sets the count, after VMs were forgotten.
    pub fn set(&self, count: usize) {
        self.0.store(count, Ordering::Relaxed);
    }

    /// Takes a place, if one is left. Only the writer of snapshots takes places.
    fn take(&self) -> bool {
        let is_free = self.0.load(Ordering::Relaxed) < MOST_EXTRA;
        if is_free {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
        is_free
    }
}

/// What one layer measured of one volume.
#[derive(Debug)]
struct VolumeTimeline {
    claim: Box<str>,
    /// The PersistentVolume behind the claim; 0 while it is not known.
    backing: u64,
    layer: Layer,
    source: Source,
    /// The newest sample; 0 before the first.
    newest: Millis,
    /// Whether the figure was known ever since the newest sample.
    connected: bool,
    used: Ring<AmountPoint, 1>,
}

impl VolumeTimeline {
    fn new(volume: &Volume, source: Source) -> Self {
        Self {
            claim: volume.claim.as_str().into(),
            backing: volume.backing,
            layer: source.layer(),
            source,
            newest: 0,
            connected: false,
            used: Ring::default(),
        }
    }

    /// Whether this is the history of the volume as the layer measures it. A claim that was deleted and created
    /// again is another volume of the same name.
    fn is_of(&self, volume: &Volume, layer: Layer) -> bool {
        let is_same = self.backing == volume.backing || self.backing == 0 || volume.backing == 0;
        *self.claim == *volume.claim && is_same && self.layer == layer
    }

    /// Writes a sample at its time. If the figure was known since the sample before it, which is at most twice
    /// its interval away, the points between them get it too.
    fn add(&mut self, volume: &Volume, sample: &Sample, interval: Millis, now: Millis) {
        if volume.backing != 0 {
            self.backing = volume.backing;
        }
        let at = sample.at.min(now);
        if at > self.newest && at > now - KEEP {
            let (last, newest) = (COARSE.slot(at), COARSE.slot(self.newest));
            let is_near = self.connected && at - self.newest <= 2 * interval.max(COARSE.step);
            let first = if is_near { (newest + 1).min(last) } else { last };
            for slot in first..=last {
                self.used.put(COARSE, slot, 0, AmountPoint::of(sample.used));
            }
            (self.newest, self.source) = (at, sample.source);
        }
        self.connected = true;
    }
}

impl VolumeTimelines {
    pub fn record(&mut self, vm: &Vm, limits: &Limits, extra: &ExtraVolumes, now: Millis) {
        let volumes = &vm.volumes[..vm.volumes.len().min(MOST_VOLUMES)];
        for timeline in &mut self.0 {
            let is_known = |volume: &Volume| {
                known(volume).is_some_and(|sample| timeline.is_of(volume, sample.source.layer()))
            };
            timeline.connected &= volumes.iter().any(is_known);
        }
        for volume in volumes {
            if let Some(sample) = known(volume)
                && let Some(timeline) = self.of(volume, sample.source, extra, volumes)
            {
                timeline.add(volume, sample, interval(sample.source, DISK, limits), now);
            }
        }
    }

    /// Returns the timeline of a volume; a new one if there is room for it.
    fn of(
        &mut self,
        volume: &Volume,
        source: Source,
        extra: &ExtraVolumes,
        volumes: &[Volume],
    ) -> Option<&mut VolumeTimeline> {
        let of = |(_, timeline): &(usize, &VolumeTimeline)| timeline.is_of(volume, source.layer());
        let newest = self.0.iter().enumerate().filter(of).max_by_key(|(_, timeline)| timeline.newest);
        let index = match newest.map(|(index, _)| index) {
            Some(index) => index,
            None if self.0.len() < ASSURED || (self.0.len() < MOST_VOLUMES && extra.take()) => {
                self.0.reserve_exact(1);
                self.0.push(VolumeTimeline::new(volume, source));
                self.0.len() - 1
            }
            None => {
                let index = self.replaceable(volumes)?;
                self.0[index] = VolumeTimeline::new(volume, source);
                index
            }
        };
        self.0.get_mut(index)
    }

    /// The oldest timeline that nothing measures any more.
    fn replaceable(&self, volumes: &[Volume]) -> Option<usize> {
        let is_measured = |timeline: &VolumeTimeline| {
            let measures = |volume: &Volume| {
                volume.usage.sample().is_some_and(|sample| timeline.is_of(volume, sample.source.layer()))
            };
            volumes.iter().any(measures)
        };
        let unused = self.0.iter().enumerate().filter(|(_, timeline)| !is_measured(timeline));
        unused.min_by_key(|(_, timeline)| timeline.newest).map(|(index, _)| index)
    }

    pub fn drop_after(&mut self, now: Millis) {
        for timeline in &mut self.0 {
            timeline.used.drop_after(COARSE.slot(now));
            timeline.newest = timeline.newest.min(now);
        }
    }

    /// Returns the histories of these volumes that have one.
    pub fn history(&self, volumes: &[Volume], span: Span, now: Millis) -> Vec<VolumeHistory> {
        let grid = if span == Span::Hour { HOUR } else { COARSE };
        let history = |volume: &Volume| {
            let timeline = self.shown(volume)?;
            let series = timeline.used.series(grid, 0, now);
            let used = AmountHistory { source: Some(timeline.source), series };
            Some(VolumeHistory { name: volume.name.clone(), claim: volume.claim.clone(), used })
        };
        volumes.iter().filter_map(history).collect()
    }

    /// Returns the last day of each of these volumes.
    pub fn day(&self, volumes: &[Volume], now: Millis) -> Vec<Option<Series<AmountPoint>>> {
        let day = |volume| Some(self.shown(volume)?.used.series(COARSE, 0, now));
        volumes.iter().map(day).collect()
    }

    /// Returns the timeline of the layer that measures the volume now, or that measured it last.
    fn shown(&self, volume: &Volume) -> Option<&VolumeTimeline> {
        let now = volume.usage.sample().map(|sample| sample.source.layer());
        let of = |timeline: &&VolumeTimeline| match now {
            Some(layer) => timeline.is_of(volume, layer),
            None => timeline.is_of(volume, timeline.layer),
        };
        self.0.iter().filter(of).max_by_key(|timeline| timeline.newest)
    }

    /// How many histories exist beyond those that a VM is assured of.
    pub fn extra(&self) -> usize {
        self.0.len().saturating_sub(ASSURED)
    }

    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        let each = |timeline: &VolumeTimeline| timeline.claim.len() + timeline.used.bytes();
        self.0.capacity() * size_of::<VolumeTimeline>() + self.0.iter().map(each).sum::<usize>()
    }
}

/// Returns a sample that is not shown as old.
fn known(volume: &Volume) -> Option<&Sample> {
    volume.usage.sample().filter(|sample| !sample.stale)
}
