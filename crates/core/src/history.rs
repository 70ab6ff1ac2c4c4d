//! The past of each VM in memory: two grids of points for its three figures. A gap stays a gap.
//!
//! 10,000 VMs hold 32 MB when all is full: 240 + 288 points of three figures at two bytes each. Each VM has a lock of
//! its own, held for as long as its points are copied: readers hold up neither the writer nor one another.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use super::Limits;
use model::{
    Millis,
    figure::{Figure, Sample, Source},
    history::{History, HistoryOrigin, Point, Series, Span, Sparkline, Sparklines},
    insight::Resource,
    vm::Vm,
};

/// CPU, memory, disk.
const FIGURES: usize = 3;
/// 15 s for an hour, 5 min for a day.
pub(super) const FINE: Grid = Grid { step: 15_000, len: 240 };
pub(super) const COARSE: Grid = Grid { step: 300_000, len: 288 };
/// A VM that is gone is forgotten after this long.
const KEEP: Millis = COARSE.step * COARSE.len as Millis;
/// VMs that are gone and not forgotten yet, of 1 to 3 kB each: more than this many are those of somebody who makes and
/// deletes VMs in a loop, and the first to go are forgotten first.
const MOST_GONE: usize = 4000;
/// A VM that no snapshot had for this long is gone.
const GONE_AFTER: Millis = 60_000;
/// Rings grow by so many points, and no further than their grid: a doubling would waste a third.
const GROWTH: usize = 48;
/// Points of the fine grid in one of a spark: two minutes.
const SPARK: Millis = FINE.step * 8;
/// The kubelet measures volumes once in one to two minutes, however often it is asked.
const KUBELET_PERIOD: Millis = 60_000;

/// Points at whole multiples of `step`, of which the newest `len` are kept.
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

/// All VMs' past. The map is locked for long only while VMs come and go.
#[derive(Debug, Default)]
pub struct HistoryStore {
    vms: RwLock<HashMap<Box<str>, Arc<Mutex<Timeline>>>>,
}

impl HistoryStore {
    /// Takes in what is new in a snapshot.
    pub fn record(&self, vms: &[Arc<Vm>], limits: &Limits, now: Millis) {
        let unknown: Vec<&Arc<Vm>> = {
            let timelines = self.vms.read().unwrap_or_else(PoisonError::into_inner);
            let known = |vm: &Vm| match timelines.get(vm.uid.as_str()) {
                Some(timeline) => lock(timeline).record(vm, limits, now),
                None => false,
            };
            vms.iter().filter(|vm| !known(vm)).collect()
        };
        if !unknown.is_empty() {
            let mut timelines = self.vms.write().unwrap_or_else(PoisonError::into_inner);
            for vm in unknown {
                let timeline = timelines.entry(vm.uid.as_str().into()).or_default();
                lock(timeline).record(vm, limits, now);
            }
        }
    }

    /// Drops VMs that were last seen a day ago, and of many that are gone those that went first. Worth a call a minute.
    pub fn forget(&self, now: Millis) {
        let mut timelines = self.vms.write().unwrap_or_else(PoisonError::into_inner);
        let mut gone: Vec<Millis> = timelines.values().map(|timeline| lock(timeline).seen).collect();
        gone.sort_unstable_by(|a, b| b.cmp(a));
        // The newest snapshot's time, which is not now after this program was suspended.
        let newest = gone.first().copied().unwrap_or(now);
        gone.retain(|seen| *seen < newest - GONE_AFTER);
        // Those that went at the same time go together.
        let first = gone.get(MOST_GONE).copied().unwrap_or(Millis::MIN);
        timelines.retain(|_, timeline| {
            let seen = lock(timeline).seen;
            seen > now - KEEP && seen >= first
        });
    }

    /// Puts points of an archive where there are gaps; nothing that was measured is overwritten. Each stands for the
    /// `step` up to its time.
    pub(super) fn fill(&self, uid: &str, resource: Resource, step: Millis, points: &[(Millis, Point)]) {
        if let Some(timeline) = self.of(uid) {
            lock(&timeline).fill(resource, step, points);
        }
    }

    /// What is known of the span, as far as the memory reaches: an hour or a day.
    pub fn history(&self, uid: &str, span: Span, now: Millis) -> History {
        match self.of(uid) {
            Some(timeline) => lock(&timeline).history(span, now),
            None => Timeline::default().history(span, now),
        }
    }

    pub fn sparks(&self, uid: &str, now: Millis) -> Sparklines {
        self.of(uid).map(|timeline| lock(&timeline).sparks(now)).unwrap_or_default()
    }

    /// The day's five-minute means, oldest first, without those of another size of the VM.
    pub(super) fn day(&self, uid: &str, now: Millis) -> [Series; FIGURES] {
        match self.of(uid) {
            Some(timeline) => lock(&timeline).day(now),
            None => Timeline::default().day(now),
        }
    }

    fn of(&self, uid: &str) -> Option<Arc<Mutex<Timeline>>> {
        self.vms.read().unwrap_or_else(PoisonError::into_inner).get(uid).cloned()
    }

    /// VMs that are remembered.
    pub fn len(&self) -> usize {
        self.vms.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes on the heap, by capacity.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        let timelines = self.vms.read().unwrap();
        // Key, pointer and control byte of each bucket of the map; and the two counts before what an `Arc` holds.
        let table = timelines.capacity() * 8 / 7 * (size_of::<(Box<str>, Arc<Mutex<Timeline>>)>() + 1);
        let each = |uid: &str, timeline: &Mutex<Timeline>| {
            let timeline = lock(timeline);
            let rings = timeline.fine.bytes() + timeline.coarse.bytes();
            uid.len() + 16 + size_of::<Mutex<Timeline>>() + rings
        };
        table + timelines.iter().map(|(uid, timeline)| each(uid, timeline)).sum::<usize>()
    }
}

/// What a panic left half done is a point at most.
fn lock(timeline: &Mutex<Timeline>) -> MutexGuard<'_, Timeline> {
    timeline.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One VM's past.
#[derive(Debug, Default)]
struct Timeline {
    fine: Ring,
    coarse: Ring,
    traces: [Trace; FIGURES],
    /// When a snapshot last had the VM.
    seen: Millis,
    /// An archive filled gaps of it.
    filled: bool,
}

/// Where the record of one figure ends.
#[derive(Clone, Copy, Debug, Default)]
struct Trace {
    /// The newest sample's time; 0 before the first.
    at: Millis,
    /// What it was out of, and since when.
    of: u64,
    since: Millis,
}

impl Timeline {
    /// Always true: it is known now.
    fn record(&mut self, vm: &Vm, limits: &Limits, now: Millis) -> bool {
        self.seen = now;
        self.hold_to(now);
        let usage = &vm.summary.usage;
        for (figure, n) in [&usage.cpu, &usage.memory, &usage.disk].into_iter().zip(0..) {
            if let Figure::Known(sample) = figure {
                self.measured(n, sample, interval(sample.source, n, limits), now);
            }
        }
        true
    }

    /// A clock that was set back leaves nothing in the future, where nothing could follow it.
    fn hold_to(&mut self, now: Millis) {
        self.fine.hold_to(FINE.slot(now));
        self.coarse.hold_to(COARSE.slot(now));
        for trace in &mut self.traces {
            trace.at = trace.at.min(now);
        }
    }

    /// A sample is a point where it was taken, and over what it covers: its window, or the interval of its source.
    /// It joins up with the sample before it where that is no more than twice as far: intervals are never exact.
    fn measured(&mut self, n: usize, sample: &Sample, interval: Millis, now: Millis) {
        let trace = &mut self.traces[n];
        // A source's clock that runs ahead tells of no future.
        let at = sample.at.min(now);
        if at <= trace.at || at <= now - KEEP {
            return;
        }
        let longest = FINE.step * FINE.len as Millis;
        let covers = Millis::from(sample.window_ms).max(interval).clamp(0, longest);
        let from = if at - trace.at <= 2 * covers { trace.at } else { at - covers };
        if trace.of != 0 && is_resized(trace.of, sample.of) {
            trace.since = at;
        }
        (trace.at, trace.of) = (at, sample.of);
        let last = FINE.slot(at);
        let first = (FINE.slot(from) + 1).min(last);
        let point = Point::of(sample.used, sample.of);
        for slot in first..=last {
            self.fine.put(FINE, slot, n, point);
        }
        self.roll_up(n, first * FINE.step, last * FINE.step, true);
    }

    /// Means of the five minutes that the fine points from `from` to `to` lie in.
    fn roll_up(&mut self, n: usize, from: Millis, to: Millis, over: bool) {
        for slot in COARSE.slot(from)..=COARSE.slot(to) {
            let first = slot * COARSE.step / FINE.step;
            let points = (first..first + COARSE.step / FINE.step).map(|fine| self.fine.get(fine, n));
            let mean = mean(points);
            if mean != Point::GAP && (over || self.coarse.get(slot, n) == Point::GAP) {
                self.coarse.put(COARSE, slot, n, mean);
            }
        }
    }

    fn fill(&mut self, resource: Resource, step: Millis, points: &[(Millis, Point)]) {
        let n = index(resource);
        let grid = if step < COARSE.step { FINE } else { COARSE };
        for (at, point) in points {
            let (first, last) = (grid.slot(at - step), grid.slot(at - 1));
            for slot in first..=last {
                let ring = if grid == FINE { &mut self.fine } else { &mut self.coarse };
                if *point != Point::GAP && ring.get(slot, n) == Point::GAP {
                    self.filled |= ring.put(grid, slot, n, *point);
                }
            }
            if grid == FINE {
                self.roll_up(n, first * grid.step, last * grid.step, false);
            }
        }
    }

    fn history(&self, span: Span, now: Millis) -> History {
        let (grid, ring) = if span == Span::Hour { (FINE, &self.fine) } else { (COARSE, &self.coarse) };
        let [cpu, memory, disk] = [0, 1, 2].map(|n| ring.series(grid, n, now));
        let keeper = if self.filled { HistoryOrigin::Both } else { HistoryOrigin::Memory };
        History { span, cpu, memory, disk, keeper, lacks: None }
    }

    fn day(&self, now: Millis) -> [Series; FIGURES] {
        [0, 1, 2].map(|n| {
            let mut series = self.coarse.series(COARSE, n, now);
            let foreign = (self.traces[n].since - series.start).div_euclid(COARSE.step) + 1;
            if self.traces[n].since > series.start {
                let foreign = (foreign as usize).min(series.points.len());
                series.points[..foreign].fill(Point::GAP);
            }
            series
        })
    }

    fn sparks(&self, now: Millis) -> Sparklines {
        let [cpu, memory, disk] = [0, 1, 2].map(|n| self.spark(n, now));
        Sparklines { cpu, memory, disk }
    }

    /// Two-minute means, on a grid of their own so that they stand still between two of them.
    fn spark(&self, n: usize, now: Millis) -> Sparkline {
        let last = now.div_euclid(SPARK);
        let each = SPARK / FINE.step;
        let of = |spark: i64| mean((spark * each..(spark + 1) * each).map(|slot| self.fine.get(slot, n)));
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

/// How often a figure's source measures, at the most.
fn interval(source: Source, n: usize, limits: &Limits) -> Millis {
    match source {
        Source::Ceph => limits.ceph_interval,
        _ if n == index(Resource::Disk) => limits.disk_interval.max(KUBELET_PERIOD),
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

/// By more than a hundredth: what is less is no other size.
fn is_resized(before: u64, now: u64) -> bool {
    before.abs_diff(now) > before / 100
}

/// Of the points that are there, rounded half up; a gap where there are none.
fn mean(points: impl Iterator<Item = Point>) -> Point {
    let (sum, count) = points
        .filter_map(Point::tenths)
        .fold((0u64, 0u64), |(sum, count), tenths| (sum + u64::from(tenths), count + 1));
    (sum + count / 2).checked_div(count).map_or(Point::GAP, Point::from_tenths)
}

/// The newest points of one grid, of all figures side by side.
#[derive(Debug, Default)]
struct Ring {
    /// The slot behind the newest point.
    end: i64,
    points: VecDeque<[Point; FIGURES]>,
}

impl Ring {
    fn get(&self, slot: i64, n: usize) -> Point {
        let from_end = self.end - slot;
        let index = self.points.len() as i64 - from_end;
        if from_end < 1 || index < 0 {
            return Point::GAP;
        }
        self.points.get(index as usize).map_or(Point::GAP, |points| points[n])
    }

    /// False where the slot is older than what is kept.
    fn put(&mut self, grid: Grid, slot: i64, n: usize, point: Point) -> bool {
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
            self.room(grid);
            self.points.push_back([Point::GAP; FIGURES]);
            self.end += 1;
        }
        while slot < self.end - self.points.len() as i64 {
            self.room(grid);
            self.points.push_front([Point::GAP; FIGURES]);
        }
        let index = self.points.len() as i64 - (self.end - slot);
        self.points[index as usize][n] = point;
        true
    }

    fn hold_to(&mut self, slot: i64) {
        while self.end > slot + 1 && self.points.pop_back().is_some() {
            self.end -= 1;
        }
    }

    fn room(&mut self, grid: Grid) {
        if self.points.len() == self.points.capacity() {
            self.points.reserve_exact(GROWTH.min(grid.len - self.points.len()));
        }
    }

    /// The whole grid up to `now`.
    fn series(&self, grid: Grid, n: usize, now: Millis) -> Series {
        let last = grid.slot(now);
        let first = last + 1 - grid.len as i64;
        let points = (first..=last).map(|slot| self.get(slot, n)).collect();
        Series { start: first * grid.step, step: grid.step as u32, points }
    }

    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.points.capacity() * size_of::<[Point; FIGURES]>()
    }
}
