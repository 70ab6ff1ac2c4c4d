//! What is kept of figures, and that gaps stay gaps.

mod activity;
mod memory;
mod volumes;

use proptest::prelude::*;

use super::*;
use crate::history::{COARSE, FINE, HistoryStore};
use model::{
    figure::{Basis, Figure, Unit},
    history::{HistoryOrigin, Point, Series, Span, Sparkline},
    insight::Resource,
    vm::{Kind, Status, Usage, VmSummary},
};

/// A slot of both grids begins here.
pub const START: Millis = 1_700_000_100_000;
pub const MINUTE: Millis = 60_000;
pub const HOUR: Millis = 60 * MINUTE;

/// `used` of 1000, sampled at `at` over `window`.
pub fn figure(at: Millis, used: u64, window: u32) -> Figure {
    Figure::Known(model::figure::Sample {
        unit: Unit::Nanocores,
        used,
        of: 1000,
        at,
        window_ms: window,
        source: Source::PodMetrics,
        basis: Basis::Own,
        stale: false,
    })
}

pub fn missing() -> Figure {
    Figure::Missing(Reason::Expired.into())
}

pub fn vm_of(uid: &str, cpu: Figure, memory: Figure, disk: Figure) -> Vm {
    let usage =
        Usage { cpu, memory, disk, disk_known: 1, disk_volumes: 1, guest_memory: None, fullest_disk: None };
    Vm {
        uid: uid.into(),
        summary: VmSummary {
            kind: Kind::Wukong,
            namespace: "a".into(),
            name: uid.into(),
            status: Status::Running,
            kubevirt_status: String::new(),
            fault: None,
            node: String::new(),
            lost: false,
            migrating_to: String::new(),
            ip_address: String::new(),
            cpu: Some(1000),
            memory: Some(1000),
            disk: 1000,
            usage,
        },
        memory_text: String::new(),
        os_image: String::new(),
        created: 0,
        vm_name: uid.into(),
        pod: String::new(),
        failure: None,
        allocation_gap: None,
        conflict: None,
        networks: Vec::new(),
        disks: Vec::new(),
        volumes: Vec::new(),
        guest: Default::default(),
        activity: Default::default(),
        pressure: model::pressure::unknown(),
        instance: None,
        migrations: Vec::new(),
        attention: Default::default(),
    }
}

fn only_cpu(cpu: Figure) -> Arc<Vm> {
    Arc::new(vm_of("u", cpu, missing(), missing()))
}

fn record(store: &HistoryStore, at: Millis, used: u64, window: u32, now: Millis) {
    store.record(&[only_cpu(figure(at, used, window))], &limits(), now);
}

/// Tenths of the last `count` points of the span at `now`.
fn last(store: &HistoryStore, span: Span, count: usize, now: Millis) -> Vec<Option<u32>> {
    let points = store.history("u", &[], span, now).cpu.points;
    points[points.len() - count..].iter().map(|point| point.tenths()).collect()
}

#[test]
fn each_sample_is_a_point_of_its_fifteen_seconds() {
    let store = HistoryStore::default();
    for n in 0..4 {
        record(&store, START + n * 15_000, 100 + n as u64, 15_000, START + n * 15_000 + 9_000);
    }
    let now = START + 45_000;
    assert_eq!(last(&store, Span::Hour, 5, now), [None, Some(100), Some(101), Some(102), Some(103)]);
    let history = store.history("u", &[], Span::Hour, now);
    assert_eq!((history.cpu.points.len(), history.cpu.step), (240, 15_000));
    assert_eq!(history.cpu.at(239), START + 45_000);
    assert!(history.memory.stats().is_none() && history.disk.stats().is_none());
    assert_eq!(history.origin, HistoryOrigin::Memory);
}

#[test]
fn a_sample_of_a_minute_fills_the_minute_and_no_future() {
    let store = HistoryStore::default();
    record(&store, START + MINUTE, 100, 60_000, START + MINUTE + 5_000);
    record(&store, START + 2 * MINUTE, 200, 60_000, START + 2 * MINUTE + 5_000);
    let now = START + 2 * MINUTE + 30_000;
    let want = [
        None,
        Some(100),
        Some(100),
        Some(100),
        Some(100),
        Some(200),
        Some(200),
        Some(200),
        Some(200),
        None,
        None,
    ];
    assert_eq!(last(&store, Span::Hour, 11, now), want);
}

#[test]
fn what_is_late_by_less_than_an_interval_is_no_gap_and_what_is_later_is_one() {
    let store = HistoryStore::default();
    record(&store, START, 100, 15_000, START);
    record(&store, START + 30_000, 200, 15_000, START + 30_000);
    record(&store, START + 75_000, 300, 15_000, START + 75_000);
    let want = [Some(100), Some(200), Some(200), None, None, Some(300)];
    assert_eq!(last(&store, Span::Hour, 6, START + 75_000), want);
}

#[test]
fn an_old_figure_that_is_shown_again_is_no_new_point() {
    let store = HistoryStore::default();
    for n in 0..8 {
        record(&store, START, 100, 15_000, START + n * 15_000);
    }
    assert_eq!(last(&store, Span::Hour, 4, START + 105_000), [None; 4]);
    assert_eq!(store.history("u", &[], Span::Hour, START + 105_000).cpu.stats().unwrap().known, 1);
}

#[test]
fn a_clock_that_runs_ahead_and_one_that_is_set_back_leave_no_future() {
    let store = HistoryStore::default();
    record(&store, START + 10 * HOUR, 100, 15_000, START);
    assert_eq!(last(&store, Span::Hour, 1, START), [Some(100)]);
    // The dashboard's own clock was a day ahead, and is no more.
    record(&store, START + 24 * HOUR, 700, 15_000, START + 24 * HOUR);
    record(&store, START + MINUTE, 200, 15_000, START + MINUTE);
    record(&store, START + MINUTE + 15_000, 300, 15_000, START + MINUTE + 15_000);
    assert_eq!(last(&store, Span::Hour, 1, START + MINUTE + 15_000), [Some(300)]);
}

#[test]
fn five_minutes_are_the_mean_of_what_is_known() {
    let store = HistoryStore::default();
    for n in 0..10 {
        record(&store, START + n * 15_000, if n < 5 { 100 } else { 201 }, 15_000, START + n * 15_000);
    }
    assert_eq!(last(&store, Span::Day, 2, START + MINUTE), [None, Some(151)]);
    let now = START + 5 * MINUTE;
    record(&store, now, 900, 15_000, now);
    assert_eq!(last(&store, Span::Day, 2, now), [Some(151), Some(900)]);
}

#[test]
fn an_hour_is_kept_in_full_and_a_day_in_means() {
    let store = HistoryStore::default();
    let end = START + 25 * HOUR;
    for at in (START..=end).step_by(15_000) {
        record(&store, at, 500, 15_000, at);
    }
    assert_eq!(store.history("u", &[], Span::Hour, end).cpu.stats().unwrap().known, 240);
    assert_eq!(store.history("u", &[], Span::Day, end).cpu.stats().unwrap().known, 288);
    let later = end + 23 * HOUR;
    assert_eq!(store.history("u", &[], Span::Hour, later).cpu.stats(), None);
    assert_eq!(store.history("u", &[], Span::Day, later).cpu.stats().unwrap().known, 12);
}

#[test]
fn a_sample_older_than_the_last_one_changes_no_point() {
    let store = HistoryStore::default();
    record(&store, START + MINUTE, 100, 60_000, START + MINUTE);
    record(&store, START + 30_000, 700, 15_000, START + MINUTE);
    assert_eq!(last(&store, Span::Hour, 4, START + MINUTE), [Some(100); 4]);
}

/// Two samples of a source without a window, one interval apart, leave no gap between them.
#[test]
fn a_sample_covers_the_interval_of_its_source() {
    let of = |source: Source, at: Millis| match figure(at, 100, 0) {
        Figure::Known(sample) => Figure::Known(model::figure::Sample { source, ..sample }),
        missing => missing,
    };
    let limits = limits();
    for (source, interval) in [
        (Source::Ceph, limits.ceph_interval),
        (Source::KubeletDirect, limits.disk_interval),
        (Source::Longhorn, limits.disk_interval),
    ] {
        let store = HistoryStore::default();
        for at in [START, START + interval] {
            let vm = vm_of("u", missing(), missing(), of(source, at));
            store.record(&[Arc::new(vm)], &limits, at);
        }
        let now = START + interval;
        let points = store.history("u", &[], Span::Hour, now).disk.points;
        let slots = (interval / FINE.step) as usize;
        let known = points.iter().rev().take_while(|point| point.tenths().is_some()).count();
        assert!(
            (slots + 1..=2 * slots).contains(&known),
            "{source:?}: {known} points of {slots} an interval"
        );
    }
    let store = HistoryStore::default();
    let cpu = |at| Arc::new(vm_of("u", of(Source::PodMetrics, at), missing(), missing()));
    store.record(&[cpu(START)], &limits, START);
    store.record(&[cpu(START + limits.metrics_interval)], &limits, START + limits.metrics_interval);
    assert_eq!(last(&store, Span::Hour, 3, START + limits.metrics_interval), [None, Some(100), Some(100)]);
}

#[test]
fn a_change_of_up_to_a_hundredth_is_no_new_size() {
    let known_after = |of: u64| {
        let store = HistoryStore::default();
        let sized = |at: Millis, of: u64| match figure(at, 100, 60_000) {
            Figure::Known(sample) => Arc::new(vm_of(
                "u",
                Figure::Known(model::figure::Sample { of, ..sample }),
                missing(),
                missing(),
            )),
            Figure::Missing(_) => unreachable!("it is known"),
        };
        for minute in 1..=30 {
            let at = START + minute * MINUTE;
            store.record(&[sized(at, if minute <= 20 { 1_000 } else { of })], &limits(), at);
        }
        let [cpu, ..] = store.day(&sized(START, of), START + 30 * MINUTE).figures;
        cpu.points.iter().filter(|point| point.tenths().is_some()).count()
    };
    let whole = known_after(1_000);
    assert_eq!((known_after(1_010), known_after(990)), (whole, whole));
    assert!(known_after(1_011) < whole && known_after(989) < whole);
}

#[test]
fn a_long_term_history_fills_gaps_and_overwrites_nothing() {
    let store = HistoryStore::default();
    record(&store, START + 30_000, 100, 15_000, START + 30_000);
    let point = Point::from_tenths(777);
    // Each stands for the minute before it.
    store.fill(
        "u",
        Resource::Cpu,
        MINUTE,
        &[(START, point), (START + MINUTE, point), (START - MINUTE, Point::GAP)],
    );
    let want = [None, Some(777), Some(777), Some(777), Some(777), Some(777), Some(777), Some(100), Some(777)];
    assert_eq!(last(&store, Span::Hour, 9, START + 45_000), want);
    assert_eq!(store.history("u", &[], Span::Hour, START).origin, HistoryOrigin::Both);
    // The five minutes before are means of the fine points; what is older is filled by itself.
    assert_eq!(last(&store, Span::Day, 2, START), [Some(777), Some(100)]);
    let hours_ago = START - 5 * HOUR;
    store.fill(
        "u",
        Resource::Cpu,
        COARSE.step,
        &[(hours_ago, Point::from_tenths(42)), (START, Point::from_tenths(1))],
    );
    let day = store.history("u", &[], Span::Day, START).cpu;
    assert_eq!(day.points[287 - 61].tenths(), Some(42));
    assert_eq!(last(&store, Span::Day, 2, START), [Some(777), Some(100)]);
    store.fill("nobody", Resource::Cpu, MINUTE, &[(START, point)]);
    assert_eq!(store.len(), 1, "a VM that is in no snapshot is not restored from the long_term");
}

#[test]
fn sparklines_are_means_of_two_minutes_in_whole_percent() {
    let store = HistoryStore::default();
    assert_eq!(store.sparklines("u", START).cpu, Sparkline::default());
    // A whole two minutes begin here.
    let from = (START / 120_000 + 1) * 120_000;
    for n in 0..8 {
        record(&store, from + n * 15_000, if n % 2 == 0 { 100 } else { 115 }, 15_000, from + n * 15_000);
    }
    let much = from + 240_000;
    record(&store, much, 9_000, 15_000, much);
    let Sparkline(points) = store.sparklines("u", much).cpu;
    assert_eq!(points.len(), Sparkline::POINTS);
    assert_eq!(points[27..], [11, Sparkline::GAP, Sparkline::TOP], "10.75 %, nothing, and far over 100 %");
    assert_eq!(store.sparklines("u", much).memory, Sparkline::default());
    assert_eq!(store.sparklines("u", much + 2 * HOUR).cpu, Sparkline::default());
}

#[test]
fn points_of_another_size_of_the_vm_are_left_out_of_its_day() {
    let store = HistoryStore::default();
    let sized = |at, of| match figure(at, 500, 15_000) {
        Figure::Known(sample) => Figure::Known(model::figure::Sample { of, ..sample }),
        missing => missing,
    };
    for n in 0..20 {
        let at = START + n * 5 * MINUTE;
        let of = if n < 10 { 1000 } else { 2000 };
        store.record(&[only_cpu(sized(at, of))], &limits(), at);
    }
    let now = START + 19 * 5 * MINUTE;
    assert_eq!(store.history("u", &[], Span::Day, now).cpu.stats().unwrap().known, 20);
    let [cpu, ..] = store.day(&only_cpu(missing()), now).figures;
    // Of the five minutes in which it changed nobody knows which they are.
    assert_eq!(cpu.stats().map(|stats| (stats.known, stats.min, stats.max)), Some((9, 250, 250)));
}

proptest! {
    /// Whatever is recorded and filled: nothing panics, no point is in the future, and every known point is one that
    /// some sample or the long_term gave for that time or for what it covered.
    #[test]
    fn points_come_from_samples(
        steps in prop::collection::vec((0..200_000i64, -90_000..90_000i64, 0..1_000u64, 0..120_000u32), 1..60),
        filled in prop::collection::vec((-4_000..40i64, 5_000..6_000u64), 0..20),
    ) {
        let store = HistoryStore::default();
        let (mut now, mut given) = (START, Vec::new());
        for (step, skew, used, window) in steps {
            now += step;
            let at = now + skew;
            record(&store, at, used, window, now);
            given.push((at.min(now), used as u32, Millis::from(window).max(15_000) * 2 + FINE.step));
        }
        for (slot, tenths) in filled {
            let at = START + slot * MINUTE;
            store.fill("u", Resource::Cpu, MINUTE, &[(at, Point::from_tenths(tenths))]);
        }
        let Series { points, start, .. } = store.history("u", &[], Span::Hour, now).cpu;
        for (index, point) in points.iter().enumerate() {
            let Some(tenths) = point.tenths() else { continue };
            let from = start + index as Millis * FINE.step;
            prop_assert!(from <= now || tenths >= 5_000);
            let reported = |(at, used, covers): &(Millis, u32, Millis)|
                *used == tenths && from <= *at && from > at - covers - FINE.step;
            prop_assert!(tenths >= 5_000 || given.iter().any(reported), "{tenths} at {from}");
        }
        for span in [Span::Hour, Span::Day] {
            prop_assert!(store.history("u", &[], span, now + 90_000_000).cpu.stats().is_none());
        }
    }
}
