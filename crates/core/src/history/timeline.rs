//! The history of one VM: CPU, memory and disk on two grids of points in percent, and the amounts beside them.

use super::{
    COARSE, Day, FIGURES, FINE, KEEP,
    activity::{ActivityTimeline, recordable},
    index, interval,
    ring::{Grid, Rings, Slot},
    volumes::{ExtraVolumes, VolumeTimelines},
};
use crate::Limits;
use model::{
    Millis,
    figure::{Figure, Sample},
    history::{History, HistoryOrigin, Point, Series, Span, Sparkline, Sparklines},
    insight::Resource,
    vm::{Vm, Volume},
};

const GRIDS: [Grid; 2] = [FINE, COARSE];
/// Milliseconds of one sparkline point: eight points of the fine grid, two minutes.
const SPARKLINE_STEP: Millis = FINE.step * 8;
/// One VM's history.
#[derive(Debug)]
pub(super) struct Timeline {
    rings: Rings<Point, FIGURES>,
    last_samples: [LastSample; FIGURES],
    /// When a snapshot last contained the VM.
    pub seen: Millis,
    /// Whether a long-term store filled gaps.
    filled: bool,
    /// `None` until something is known of the guest.
    activity: Option<Box<ActivityTimeline>>,
    volumes: VolumeTimelines,
}

impl Default for Timeline {
    fn default() -> Self {
        Self {
            rings: Rings::new(&GRIDS),
            last_samples: Default::default(),
            seen: 0,
            filled: false,
            activity: None,
            volumes: VolumeTimelines::default(),
        }
    }
}

/// The newest sample of one figure.
#[derive(Clone, Copy, Debug, Default)]
struct LastSample {
    /// Time of the newest sample; 0 before the first.
    at: Millis,
    /// The allocation or capacity (`Sample::of`), and since when it has had this value.
    of: u64,
    since: Millis,
}

impl Timeline {
    /// Records the VM's samples. Returns true, because the VM is known now.
    pub fn record(&mut self, vm: &Vm, limits: &Limits, extra: &ExtraVolumes, now: Millis) -> bool {
        self.seen = now;
        self.drop_after(now);
        let usage = &vm.summary.usage;
        for (value, figure) in [&usage.cpu, &usage.memory, &usage.disk].into_iter().zip(0..) {
            if let Figure::Known(sample) = value {
                self.add_sample(figure, sample, interval(sample.source, figure, limits), now);
            }
        }
        if let Some(activity) = recordable(&vm.activity) {
            self.activity.get_or_insert_default().record(activity, limits, now);
        }
        self.volumes.record(vm, limits, extra, now);
        true
    }

    /// Drops points after `now`, in case the clock was set back: points in the future would block later ones.
    fn drop_after(&mut self, now: Millis) {
        self.rings.drop_after(now);
        for last in &mut self.last_samples {
            last.at = last.at.min(now);
        }
        if let Some(activity) = &mut self.activity {
            activity.drop_after(now);
        }
        self.volumes.drop_after(now);
    }

    /// Writes a sample as points at its time and over the interval it covers: its window, or the interval of
    /// its source. It connects to the sample before it if that is at most twice as far away, since intervals
    /// are never exact.
    fn add_sample(&mut self, figure: usize, sample: &Sample, interval: Millis, now: Millis) {
        let newest = &mut self.last_samples[figure];
        // The clock of a source may run ahead; points in the future are not written.
        let at = sample.at.min(now);
        if at <= newest.at || at <= now - KEEP {
            return;
        }
        let longest = FINE.step * FINE.len as Millis;
        let covers = Millis::from(sample.window_ms).max(interval).clamp(0, longest);
        let from = if at - newest.at <= 2 * covers { newest.at } else { at - covers };
        if newest.of != 0 && is_resized(newest.of, sample.of) {
            newest.since = at;
        }
        (newest.at, newest.of) = (at, sample.of);
        let last = FINE.slot(at);
        let first = (FINE.slot(from) + 1).min(last);
        self.rings.put(first..=last, figure, Point::of(sample.used, sample.of));
    }

    pub fn fill(&mut self, resource: Resource, step: Millis, points: &[(Millis, Point)]) {
        let figure = index(resource);
        let grid = if step < COARSE.step { FINE } else { COARSE };
        for (at, point) in points {
            let (first, last) = (grid.slot(at - step), grid.slot(at - 1));
            for slot in first..=last {
                let ring = if grid == FINE { &mut self.rings.fine } else { &mut self.rings.coarse };
                if *point != Point::GAP && ring.get(slot, figure) == Point::GAP {
                    self.filled |= ring.put(grid, slot, figure, *point);
                }
            }
            if grid == FINE {
                self.rings.roll_up(first..=last, figure, false);
            }
        }
    }

    pub fn history(&self, volumes: &[Volume], span: Span, now: Millis) -> History {
        let Rings { fine, coarse, .. } = &self.rings;
        let (grid, ring) = if span == Span::Hour { (FINE, fine) } else { (COARSE, coarse) };
        let [cpu, memory, disk] = [0, 1, 2].map(|figure| ring.series(grid, figure, now));
        let activity = match &self.activity {
            Some(activity) => activity.history(span, now),
            None => ActivityTimeline::default().history(span, now),
        };
        let volumes = self.volumes.history(volumes, span, now);
        let origin = if self.filled { HistoryOrigin::Both } else { HistoryOrigin::Memory };
        History { span, cpu, memory, disk, activity, volumes, origin, lacks: None }
    }

    /// How many of its volumes take a place that the VM is not assured of.
    pub fn extra_volumes(&self) -> usize {
        self.volumes.extra()
    }

    /// `volumes` are those that the VM has now.
    pub fn day(&self, volumes: &[Volume], now: Millis) -> Day {
        let figures =
            [0, 1, 2].map(|figure| self.since_resized(figure, self.rings.coarse.series(COARSE, figure, now)));
        let guest_memory = self.activity.as_ref().map(|activity| activity.guest_memory(now));
        let guest_memory = guest_memory.map(|series| self.since_resized(index(Resource::Memory), series));
        Day { figures, guest_memory, volumes: self.volumes.day(volumes, now) }
    }

    /// Makes gaps of the points from before the VM was last resized.
    fn since_resized<P: Slot>(&self, figure: usize, mut series: Series<P>) -> Series<P> {
        let foreign = (self.last_samples[figure].since - series.start).div_euclid(COARSE.step) + 1;
        if self.last_samples[figure].since > series.start {
            let foreign = (foreign as usize).min(series.points.len());
            series.points[..foreign].fill(P::GAP);
        }
        series
    }

    pub fn sparklines(&self, now: Millis) -> Sparklines {
        let [cpu, memory, disk] = [0, 1, 2].map(|figure| self.sparkline(figure, now));
        Sparklines { cpu, memory, disk }
    }

    /// Returns two-minute means. Their grid is fixed, so that they do not change between two of its steps.
    fn sparkline(&self, figure: usize, now: Millis) -> Sparkline {
        let last = now.div_euclid(SPARKLINE_STEP);
        let each = SPARKLINE_STEP / FINE.step;
        let of = |sparkline: i64| self.rings.fine.mean(sparkline * each..=(sparkline + 1) * each - 1, figure);
        let points: Vec<Point> = (last + 1 - Sparkline::POINTS as i64..=last).map(of).collect();
        if points.iter().all(|point| *point == Point::GAP) {
            return Sparkline::default();
        }
        Sparkline(points.into_iter().map(whole_percent).collect())
    }

    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        let activity = |of: &ActivityTimeline| size_of::<ActivityTimeline>() + of.bytes();
        self.rings.bytes() + self.activity.as_deref().map_or(0, activity) + self.volumes.bytes()
    }
}

fn whole_percent(point: Point) -> u8 {
    point.tenths().map_or(Sparkline::GAP, |tenths| ((tenths + 5) / 10).min(Sparkline::TOP.into()) as u8)
}

/// Whether the size changed by more than a hundredth. Smaller changes do not count.
fn is_resized(before: u64, now: u64) -> bool {
    before.abs_diff(now) > before / 100
}
