//! Keeps the history of each VM in memory, on two grids of points for its three figures. A gap stays a gap.
//! `pipeline` records and fills it; `http`, `insight` and the views read it.
//!
//! 10,000 VMs take about 34 MB when all grids are full. 32 MB of that are points: 240 + 288 points of three
//! figures at two bytes each. Each VM has its own lock, held while its points are copied, so readers block
//! neither the writer nor one another.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use parking_lot::{Mutex, RwLock};

use super::Limits;
use model::{
    Millis,
    figure::{Figure, Sample, Source},
    history::{History, HistoryOrigin, Point, Series, Span, Sparkline, Sparklines},
    insight::Resource,
    vm::Vm,
};

/// The figures of a VM, in the order of [`index`]: CPU, memory, disk.
const FIGURES: usize = 3;
/// Points of 15 s for an hour, and of 5 min for a day.
pub(super) const FINE: Grid = Grid { step: 15_000, len: 240 };
pub(super) const COARSE: Grid = Grid { step: 300_000, len: 288 };
/// Milliseconds after which a VM that is gone is forgotten.
const KEEP: Millis = COARSE.step * COARSE.len as Millis;
/// VMs that are gone but not forgotten yet, of 1 to 3 kB each. More than this means that somebody creates and
/// deletes VMs in a loop; then those that have been gone longest are forgotten first.
const MOST_GONE: usize = 4000;
/// Milliseconds without the VM in a snapshot after which it is gone.
const GONE_AFTER: Millis = 60_000;
/// Points by which a ring grows, up to the length of its grid: doubling would waste a third.
const GROWTH: usize = 48;
/// Milliseconds of one sparkline point: eight points of the fine grid, two minutes.
const SPARKLINE_STEP: Millis = FINE.step * 8;
/// The kubelet measures volumes every one to two minutes, however often it is asked.
const KUBELET_PERIOD: Millis = 60_000;

/// Points at whole multiples of `step` milliseconds; the newest `len` are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    pub step: Millis,
    pub len: usize,
}

impl Grid {
    fn slot(self, at: Millis) -> i64 {
        at.div_euclid(self.step)
    }
}

/// The history of all VMs. The map is locked for writing only while VMs are added or forgotten.
#[derive(Debug, Default)]
pub struct HistoryStore {
    vms: RwLock<HashMap<Box<str>, Arc<Mutex<Timeline>>>>,
}

impl HistoryStore {
    /// Records the new samples of a snapshot.
    pub fn record(&self, vms: &[Arc<Vm>], limits: &Limits, now: Millis) {
        let unknown: Vec<&Arc<Vm>> = {
            let timelines = self.vms.read();
            let known = |vm: &Vm| match timelines.get(vm.uid.as_str()) {
                Some(timeline) => timeline.lock().record(vm, limits, now),
                None => false,
            };
            vms.iter().filter(|vm| !known(vm)).collect()
        };
        if !unknown.is_empty() {
            let mut timelines = self.vms.write();
            for vm in unknown {
                let timeline = timelines.entry(vm.uid.as_str().into()).or_default();
                timeline.lock().record(vm, limits, now);
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
        timelines.retain(|_, timeline| {
            let seen = timeline.lock().seen;
            seen > now - KEEP && seen >= first
        });
    }

    /// Fills gaps with points of a long-term store; measured points are not overwritten. Each point covers
    /// the `step` milliseconds before its time.
    pub(super) fn fill(&self, uid: &str, resource: Resource, step: Millis, points: &[(Millis, Point)]) {
        if let Some(timeline) = self.timeline(uid) {
            timeline.lock().fill(resource, step, points);
        }
    }

    /// Returns what is known of the span, as far as memory reaches: an hour or a day.
    pub fn history(&self, uid: &str, span: Span, now: Millis) -> History {
        match self.timeline(uid) {
            Some(timeline) => timeline.lock().history(span, now),
            None => Timeline::default().history(span, now),
        }
    }

    /// Returns the sparklines of the last hour; empty if the VM is not known.
    pub fn sparklines(&self, uid: &str, now: Millis) -> Sparklines {
        self.timeline(uid).map(|timeline| timeline.lock().sparklines(now)).unwrap_or_default()
    }

    /// Returns the day's five-minute means, oldest first, without those from before the VM was last resized.
    pub(super) fn day(&self, uid: &str, now: Millis) -> [Series; FIGURES] {
        match self.timeline(uid) {
            Some(timeline) => timeline.lock().day(now),
            None => Timeline::default().day(now),
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
            let rings = timeline.fine.bytes() + timeline.coarse.bytes();
            uid.len() + 16 + size_of::<Mutex<Timeline>>() + rings
        };
        table + timelines.iter().map(|(uid, timeline)| each(uid, timeline)).sum::<usize>()
    }
}

/// One VM's history.
#[derive(Debug, Default)]
struct Timeline {
    fine: Ring,
    coarse: Ring,
    last_samples: [LastSample; FIGURES],
    /// When a snapshot last contained the VM.
    seen: Millis,
    /// Whether a long-term store filled gaps.
    filled: bool,
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
    fn record(&mut self, vm: &Vm, limits: &Limits, now: Millis) -> bool {
        self.seen = now;
        self.drop_after(now);
        let usage = &vm.summary.usage;
        for (value, figure) in [&usage.cpu, &usage.memory, &usage.disk].into_iter().zip(0..) {
            if let Figure::Known(sample) = value {
                self.add_sample(figure, sample, interval(sample.source, figure, limits), now);
            }
        }
        true
    }

    /// Drops points after `now`, in case the clock was set back: points in the future would block later ones.
    fn drop_after(&mut self, now: Millis) {
        self.fine.drop_after(FINE.slot(now));
        self.coarse.drop_after(COARSE.slot(now));
        for last in &mut self.last_samples {
            last.at = last.at.min(now);
        }
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
        let point = Point::of(sample.used, sample.of);
        for slot in first..=last {
            self.fine.put(FINE, slot, figure, point);
        }
        self.roll_up(figure, first * FINE.step, last * FINE.step, true);
    }

    /// Writes the means of the five-minute slots that contain the fine points from `from` to `to`.
    fn roll_up(&mut self, figure: usize, from: Millis, to: Millis, over: bool) {
        for slot in COARSE.slot(from)..=COARSE.slot(to) {
            let first = slot * COARSE.step / FINE.step;
            let points = (first..first + COARSE.step / FINE.step).map(|fine| self.fine.get(fine, figure));
            let mean = mean(points);
            if mean != Point::GAP && (over || self.coarse.get(slot, figure) == Point::GAP) {
                self.coarse.put(COARSE, slot, figure, mean);
            }
        }
    }

    fn fill(&mut self, resource: Resource, step: Millis, points: &[(Millis, Point)]) {
        let figure = index(resource);
        let grid = if step < COARSE.step { FINE } else { COARSE };
        for (at, point) in points {
            let (first, last) = (grid.slot(at - step), grid.slot(at - 1));
            for slot in first..=last {
                let ring = if grid == FINE { &mut self.fine } else { &mut self.coarse };
                if *point != Point::GAP && ring.get(slot, figure) == Point::GAP {
                    self.filled |= ring.put(grid, slot, figure, *point);
                }
            }
            if grid == FINE {
                self.roll_up(figure, first * grid.step, last * grid.step, false);
            }
        }
    }

    fn history(&self, span: Span, now: Millis) -> History {
        let (grid, ring) = if span == Span::Hour { (FINE, &self.fine) } else { (COARSE, &self.coarse) };
        let [cpu, memory, disk] = [0, 1, 2].map(|figure| ring.series(grid, figure, now));
        let origin = if self.filled { HistoryOrigin::Both } else { HistoryOrigin::Memory };
        History { span, cpu, memory, disk, origin, lacks: None }
    }

    fn day(&self, now: Millis) -> [Series; FIGURES] {
        [0, 1, 2].map(|figure| {
            let mut series = self.coarse.series(COARSE, figure, now);
            let foreign = (self.last_samples[figure].since - series.start).div_euclid(COARSE.step) + 1;
            if self.last_samples[figure].since > series.start {
                let foreign = (foreign as usize).min(series.points.len());
                series.points[..foreign].fill(Point::GAP);
            }
            series
        })
    }

    fn sparklines(&self, now: Millis) -> Sparklines {
        let [cpu, memory, disk] = [0, 1, 2].map(|figure| self.sparkline(figure, now));
        Sparklines { cpu, memory, disk }
    }

    /// Returns two-minute means. Their grid is fixed, so that they do not change between two of its steps.
    fn sparkline(&self, figure: usize, now: Millis) -> Sparkline {
        let last = now.div_euclid(SPARKLINE_STEP);
        let each = SPARKLINE_STEP / FINE.step;
        let of = |sparkline: i64| {
            mean((sparkline * each..(sparkline + 1) * each).map(|slot| self.fine.get(slot, figure)))
        };
        let points: Vec<Point> = (last + 1 - Sparkline::POINTS as i64..=last).map(of).collect();
        if points.iter().all(|point| *point == Point::GAP) {
            return Sparkline::default();
        }
        Sparkline(points.into_iter().map(whole_percent).collect())
    }
}

fn whole_percent(point: Point) -> u8 {
    point.tenths().map_or(Sparkline::GAP, |tenths| ((tenths + 5) / 10).min(Sparkline::TOP.into()) as u8)
}

/// Returns the shortest time between two measurements of a figure, in milliseconds.
fn interval(source: Source, figure: usize, limits: &Limits) -> Millis {
    match source {
        Source::Ceph => limits.ceph_interval,
        _ if figure == index(Resource::Disk) => limits.disk_interval.max(KUBELET_PERIOD),
        _ => limits.metrics_interval,
    }
}

pub(super) fn index(resource: Resource) -> usize {
    match resource {
        Resource::Cpu => 0,
        Resource::Memory => 1,
        Resource::Disk => 2,
    }
}

/// Whether the size changed by more than a hundredth. Smaller changes do not count.
fn is_resized(before: u64, now: u64) -> bool {
    before.abs_diff(now) > before / 100
}

/// Returns the mean of the points that are not gaps, rounded half up; a gap if there are none.
fn mean(points: impl Iterator<Item = Point>) -> Point {
    let (sum, count) = points
        .filter_map(Point::tenths)
        .fold((0u64, 0u64), |(sum, count), tenths| (sum + u64::from(tenths), count + 1));
    (sum + count / 2).checked_div(count).map_or(Point::GAP, Point::from_tenths)
}

/// The newest points of one grid, with all figures side by side.
#[derive(Debug, Default)]
struct Ring {
    /// The slot after the newest point.
    end: i64,
    points: VecDeque<[Point; FIGURES]>,
}

impl Ring {
    fn get(&self, slot: i64, figure: usize) -> Point {
        let from_end = self.end - slot;
        let index = self.points.len() as i64 - from_end;
        if from_end < 1 || index < 0 {
            return Point::GAP;
        }
        self.points.get(index as usize).map_or(Point::GAP, |points| points[figure])
    }

    /// Writes a point. Returns false if the slot is older than what is kept.
    fn put(&mut self, grid: Grid, slot: i64, figure: usize, point: Point) -> bool {
        if self.points.is_empty() || slot - self.end >= grid.len as i64 {
            self.points.clear();
            self.end = slot;
        }
        if slot < self.end - grid.len as i64 {
            return false;
        }
        while self.end <= slot {
            if self.points.len() == grid.len {
                self.points.pop_front();
            }
            self.reserve(grid);
            self.points.push_back([Point::GAP; FIGURES]);
            self.end += 1;
        }
        while slot < self.end - self.points.len() as i64 {
            self.reserve(grid);
            self.points.push_front([Point::GAP; FIGURES]);
        }
        let index = self.points.len() as i64 - (self.end - slot);
        self.points[index as usize][figure] = point;
        true
    }

    fn drop_after(&mut self, slot: i64) {
        while self.end > slot + 1 && self.points.pop_back().is_some() {
            self.end -= 1;
        }
    }

    fn reserve(&mut self, grid: Grid) {
        if self.points.len() == self.points.capacity() {
            self.points.reserve_exact(GROWTH.min(grid.len - self.points.len()));
        }
    }

    /// Returns the whole grid up to `now`.
    fn series(&self, grid: Grid, figure: usize, now: Millis) -> Series {
        let last = grid.slot(now);
        let first = last + 1 - grid.len as i64;
        let points = (first..=last).map(|slot| self.get(slot, figure)).collect();
        Series { start: first * grid.step, step: grid.step as u32, points }
    }

    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.points.capacity() * size_of::<[Point; FIGURES]>()
    }
}
