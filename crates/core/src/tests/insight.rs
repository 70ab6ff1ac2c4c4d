//! Hints, and what must give none.

use super::{
    history::{HOUR, MINUTE, START, figure, missing, vm_of},
    problems::{activity, calm},
    *,
};
use crate::{
    Snapshot,
    frame::Identity,
    history::HistoryStore,
    insight::{Findings, Line, compute_findings, filling, hints, median, medians, page, sizing},
    scope::Kinds,
};
use model::{
    activity::{MemoryUse, Swap},
    figure::{Basis, Figure, Sample, Source, Unit},
    history::{Point, Series},
    insight::{
        Filling, Finding, FindingKind, Hints, Insight, InsightQuery, InsightSort, NoHint, Resource, Sizing,
        Verdict,
    },
    query::Order,
    rates::Rate,
    source::SourceId,
    vm::Volume,
};

const CORE: u64 = 1_000_000_000;
const GI: u64 = 1 << 30;

/// A day of five-minute means, in tenths of a percent.
fn day(tenths: impl Fn(usize) -> Option<u64>) -> Series {
    let points = (0..288).map(|n| tenths(n).map_or(Point::GAP, Point::from_tenths)).collect();
    Series { start: START, step: 300_000, points }
}

/// Deterministic noise of -3 to 3 tenths.
fn noise(n: usize) -> f64 {
    ((n * 7_919 + n * n * 31) % 7) as f64 - 3.0
}

fn line(n: usize, from: f64, per_day: f64) -> u64 {
    (from + per_day * n as f64 / 288.0).round() as u64
}

fn fill(tenths: impl Fn(usize) -> Option<u64>) -> Result<Filling, NoHint> {
    let day = day(tenths);
    let last = day.points.iter().rev().find_map(|point| point.tenths()).unwrap_or(0);
    filling(&day, u64::from(last) * GI / 10, 100 * GI)
}

#[test]
fn a_disk_that_grows_evenly_gives_a_prediction() {
    // 5 % a day from 80 %: the last 15 % take three days.
    let reported = fill(|n| Some((line(n, 800.0, 50.0) as f64 + noise(n)) as u64)).unwrap();
    assert!((2..=3).contains(&reported.days), "{reported:?}");
    assert!(
        reported.earliest <= reported.days
            && reported.days <= reported.latest
            && reported.latest <= 3 * reported.days + 1,
        "{reported:?}"
    );
    assert!(reported.per_day.abs_diff(5 * GI) < GI / 4, "{reported:?}");
    assert_eq!((reported.window.known, reported.window.all), (288, 288));
    assert_eq!((reported.window.from, reported.window.to), (START, START + 24 * HOUR));
    let slow = fill(|n| Some(line(n, 300.0, 10.0))).unwrap();
    assert!((65..=73).contains(&slow.days), "{slow:?}");
}

#[test]
fn a_disk_without_steady_growth_gives_no_prediction() {
    let steady = |tenths: &dyn Fn(usize) -> u64| fill(|n| Some(tenths(n)));
    // Flat; flat with noise; shrinking; full and flat; growing by less than a point can tell.
    assert_eq!(steady(&|_| 500), Err(NoHint::Steady));
    assert_eq!(steady(&|n| (500.0 + noise(n)) as u64), Err(NoHint::Steady));
    assert_eq!(steady(&|n| line(n, 500.0, -80.0)), Err(NoHint::Steady));
    assert_eq!(steady(&|_| 1000), Err(NoHint::Steady));
    assert_eq!(steady(&|n| line(n, 500.0, 3.0)), Err(NoHint::Steady));
    // Somebody copied an image: one step is no trend.
    for at in [30, 144, 250] {
        let step = steady(&|n| if n < at { 400 } else { 700 });
        assert!(matches!(step, Err(NoHint::Steady | NoHint::Unclear)), "step at {at}: {step:?}");
    }
    // It grew until somebody cleaned it up.
    for at in [72, 144, 216, 264] {
        let cleaned = steady(&|n| line(n, 400.0, 300.0) - if n < at { 0 } else { 250 });
        assert!(matches!(cleaned, Err(NoHint::Steady | NoHint::Unclear)), "cleaned at {at}: {cleaned:?}");
    }
    // A saw: filled and cleaned every six hours.
    assert!(matches!(steady(&|n| 500 + (n % 72) as u64), Err(NoHint::Steady | NoHint::Unclear)));
    // It grew, and has stopped.
    assert_eq!(steady(&|n| line(n.min(170), 300.0, 200.0)), Err(NoHint::Unclear));
    // A night's job alone.
    let night = steady(&|n| line(n.clamp(60, 110), 300.0, 400.0));
    assert!(matches!(night, Err(NoHint::Steady | NoHint::Unclear)), "{night:?}");
}

#[test]
fn a_short_or_incomplete_history_gives_no_hint() {
    let grows = |n| Some(line(n, 800.0, 50.0));
    let short = |known: u32| NoHint::TooShort { minutes: known * 5, needed: 1_440 };
    assert_eq!(fill(|n| grows(n).filter(|_| n >= 144)), Err(short(144)), "twelve hours");
    assert_eq!(fill(|n| grows(n).filter(|_| n >= 13)), Err(short(275)), "an hour is lacking");
    assert_eq!(fill(|n| grows(n).filter(|_| n % 5 != 0)), Err(short(230)), "too many gaps");
    assert_eq!(fill(|_| None), Err(short(0)));
    // Gaps that are few enough hurt nothing.
    let reported = fill(|n| grows(n).filter(|_| !(100..120).contains(&n))).unwrap();
    assert!((2..=3).contains(&reported.days) && reported.window.known == 268, "{reported:?}");
    assert_eq!(sizing(&day(|n| (n >= 144).then_some(10)), Unit::Bytes, GI), Err(short(144)));
}

#[test]
fn nine_of_ten_points_are_enough_wherever_the_gaps_are() {
    let grows = |n| Some(line(n, 800.0, 50.0));
    // All gaps side by side, which leaves the fewest hours with a median.
    let with_gaps = |count: usize| fill(|n| grows(n).filter(|_| !(120..120 + count).contains(&n)));
    assert_eq!(with_gaps(29).map(|filling| filling.window.known), Ok(259));
    assert_eq!(with_gaps(30), Err(NoHint::TooShort { minutes: 258 * 5, needed: 1_440 }));
}

#[test]
fn an_unknown_allocation_gives_no_hint() {
    let nothing = sizing(&day(|_| Some(100)), Unit::Bytes, 0);
    assert_eq!(nothing, Err(NoHint::TooShort { minutes: 0, needed: 1_440 }));
}

#[test]
fn a_median_is_the_middle_value_or_the_mean_of_the_middle_two() {
    for (mut values, want) in
        [(vec![7.0], 7.0), (vec![3.0, 1.0, 8.0], 3.0), (vec![9.0, 1.0], 5.0), (vec![9.0, 1.0, 4.0, 2.0], 3.0)]
    {
        assert_eq!(median(&mut values), want, "{values:?}");
    }
}

#[test]
fn an_hour_needs_half_of_its_points_for_a_median() {
    let known = |hour: usize| [12, 6, 5, 0].get(hour).copied().unwrap_or(12);
    let day = day(|n| (n % 12 < known(n / 12)).then_some(10 * (n / 12) as u64));
    let medians = medians(&day);
    assert_eq!((medians.len(), &medians[..3]), (22, &[(0.0, 0.0), (1.0, 10.0), (4.0, 40.0)][..]));
}

/// Of 28 slopes the bounds are the 7th and the 23rd: 1.96 · √(8 · 7 · 21 / 18) is 15.8.
#[test]
fn a_line_has_the_median_slope_and_sens_bounds() {
    let powers: Vec<(f64, f64)> = (0..8).map(|n| (f64::from(n), f64::from(1 << n))).collect();
    assert_eq!(Line::through(&powers), Line { slope: 11.25, low: 4.0, high: 24.8 });
}

#[test]
fn a_line_is_credible_within_each_of_its_limits() {
    let hours = |y: &dyn Fn(f64) -> f64| -> Vec<(f64, f64)> {
        (0..24).map(|n| (f64::from(n), y(f64::from(n)))).collect()
    };
    let is_credible = |slope: f64, low: f64, rise: f64, y: &dyn Fn(f64) -> f64| {
        Line { slope, low, high: slope }.is_credible(&hours(y), rise)
    };
    let straight = |x: f64| 4.0 * x;
    assert!(is_credible(4.0, 1.4, 96.0, &straight));
    assert!(!is_credible(4.0, 1.3, 96.0, &straight), "the bounds are too far apart");
    // The newest hour may be off by 0.2 %, however little the disk grows.
    let newest_off = |off: f64| move |x: f64| 0.25 * x + if x == 23.0 { off } else { 0.0 };
    assert!(is_credible(0.25, 0.25, 6.0, &newest_off(1.9)));
    assert!(!is_credible(0.25, 0.25, 6.0, &newest_off(2.5)));
    // Otherwise it may be off by a fifth of the rise, here 19.2.
    let newest_off = |off: f64| move |x: f64| 4.0 * x + if x == 23.0 { off } else { 0.0 };
    assert!(is_credible(4.0, 4.0, 96.0, &newest_off(19.0)));
    assert!(!is_credible(4.0, 4.0, 96.0, &newest_off(20.0)));
    // The last third decides whether the growth has ended.
    let ended = |x: f64| 4.0 * x.min(16.0);
    assert!(is_credible(4.0, 4.0, 200.0, &straight));
    assert!(!is_credible(4.0, 4.0, 200.0, &ended));
}

#[test]
fn a_disk_that_fills_in_more_than_90_days_gives_no_finding() {
    // One percent a day: from 10 % it takes 90 days, from 1 % more than that.
    assert_eq!(fill(|n| Some(line(n, 5.0, 10.0))), Err(NoHint::Far));
    assert!(fill(|n| Some(line(n, 500.0, 10.0))).is_ok());
    let nothing = filling(&day(|n| Some(line(n, 10.0, 50.0))), GI, 0);
    assert_eq!(nothing, Err(NoHint::TooShort { minutes: 1_440, needed: 1_440 }));
}

/// Tenths of a percent of an allocation that is large enough for Kubernetes' rounding of quantities.
fn part(at: Millis, tenths: u64, unit: Unit) -> Figure {
    match figure(at, tenths * CORE, 0) {
        Figure::Known(sample) => Figure::Known(Sample { unit, of: 1_000 * CORE, ..sample }),
        Figure::Missing(_) => unreachable!("it is known"),
    }
}

fn cpu(tenths: impl Fn(usize) -> u64, cores: u64) -> Sizing {
    sizing(&day(|n| Some(tenths(n))), Unit::Nanocores, cores * CORE).unwrap()
}

#[test]
fn idle_cores_are_reclaimable_with_head_room() {
    // One core of eight is used for 95 % of the time: a quarter more makes two.
    let idle = cpu(|n| if n < 10 { 900 } else { 125 }, 8);
    assert_eq!((idle.p95, idle.peak), (CORE, 7_200_000_000));
    assert_eq!(idle.verdict, Verdict::Oversized { enough: 2 * CORE });
    assert_eq!(idle.reclaimable(), 6 * CORE);
    // Nothing used still needs a core; of one core nothing can be given back.
    assert_eq!(cpu(|_| 0, 4).verdict, Verdict::Oversized { enough: CORE });
    assert_eq!(cpu(|_| 0, 1).verdict, Verdict::Fits);
    assert_eq!(cpu(|_| 500, 8).verdict, Verdict::Fits, "half is not idle");
    assert_eq!(cpu(|_| 499, 8).reclaimable(), 3 * CORE);
}

#[test]
fn an_undersized_vm_uses_most_of_its_cpu_nearly_always() {
    assert_eq!(cpu(|_| 900, 2).verdict, Verdict::Undersized);
    assert_eq!(cpu(|_| 1_200, 2).verdict, Verdict::Undersized, "a launcher pod has overhead");
    // For a twentieth of the time it may be busy; for more it may not.
    assert_eq!(cpu(|n| if n < 14 { 990 } else { 600 }, 2).verdict, Verdict::Fits);
    assert_eq!(cpu(|n| if n < 15 { 990 } else { 600 }, 2).verdict, Verdict::Undersized);
}

#[test]
fn memory_is_reclaimable_only_beyond_its_peak() {
    let memory = |tenths: fn(usize) -> u64| sizing(&day(|n| Some(tenths(n))), Unit::Bytes, 16 * GI).unwrap();
    // 1.44 Gi, and a quarter more, in whole Gi.
    assert_eq!(memory(|_| 90).verdict, Verdict::Oversized { enough: 2 * GI });
    // The same, but once 8 Gi were needed: an image that is too small kills the guest.
    assert_eq!(memory(|n| if n == 7 { 500 } else { 90 }).verdict, Verdict::Oversized { enough: 8 * GI });
    assert_eq!(memory(|n| if n == 7 { 1_000 } else { 90 }).verdict, Verdict::Fits);
}

/// A store in which each VM of `used` has used that much CPU and memory, in tenths, for a day.
fn kept(used: &[(&str, u64, u64)]) -> (HistoryStore, Vec<Arc<Vm>>) {
    let now = START + 24 * HOUR;
    let store = HistoryStore::default();
    let vms: Vec<Arc<Vm>> = used
        .iter()
        .map(|(uid, cpu, memory)| {
            let mut vm =
                vm_of(uid, part(now, *cpu, Unit::Nanocores), part(now, *memory, Unit::Bytes), missing());
            (vm.summary.cpu, vm.summary.memory) = (Some(8 * CORE), Some(16 * GI));
            Arc::new(vm)
        })
        .collect();
    store.record(&vms, &limits(), now);
    for (vm, (_, cpu, memory)) in vms.iter().zip(used) {
        for (resource, tenths) in [(Resource::Cpu, cpu), (Resource::Memory, memory)] {
            let points: Vec<_> =
                (0..288).map(|n| (now - n * 5 * MINUTE, Point::from_tenths(*tenths))).collect();
            store.fill(&vm.uid, resource, 5 * MINUTE, &points);
        }
    }
    (store, vms)
}

/// A store with a day of one figure each, for `cpu`, `memory` and `disk`.
fn one_figure_each() -> (HistoryStore, Vec<Arc<Vm>>) {
    let store = HistoryStore::default();
    let of = |name: &str, at: Millis| {
        let only = |which: &str| if which == name { figure(at, 500, 300_000) } else { missing() };
        Arc::new(vm_of(name, only("cpu"), only("memory"), only("disk")))
    };
    let mut vms = Vec::new();
    for n in 1..=288 {
        let at = START + n * 5 * MINUTE;
        vms = ["cpu", "memory", "disk"].map(|name| of(name, at)).to_vec();
        store.record(&vms, &limits(), at);
    }
    (store, vms)
}

#[test]
fn one_figure_with_a_day_of_history_is_enough_to_judge_a_vm() {
    let (store, vms) = one_figure_each();
    for vm in &vms {
        let totals =
            compute_findings(std::slice::from_ref(vm), &store, START + 24 * HOUR).totals(&Scope::all());
        assert_eq!((totals.running, totals.judged), (1, 1), "{}", vm.summary.name);
    }
}

#[test]
fn every_oversized_vm_is_counted() {
    let (store, vms) = kept(&[("a", 100, 90), ("b", 100, 90), ("c", 100, 90)]);
    let totals = compute_findings(&vms, &store, START + 24 * HOUR).totals(&Scope::all());
    assert_eq!((totals.oversized, totals.cpu_vms, totals.memory_vms), (6, 3, 3));
    assert_eq!((totals.cpu, totals.memory), (21 * CORE, 42 * GI));
}

#[test]
fn findings_and_their_totals_are_of_the_scope() {
    let (store, mut vms) = kept(&[("a", 100, 90), ("b", 100, 90)]);
    let mut theirs = Vm::clone(&vms[1]);
    theirs.summary.namespace = "theirs".into();
    vms[1] = Arc::new(theirs);
    let findings = compute_findings(&vms, &store, START + 24 * HOUR);
    let mine = Kinds::default().with(model::vm::Kind::Wukong);
    let scope = Scope::new(Kinds::default(), [("a".into(), mine)].into(), false);
    let totals = findings.totals(&scope);
    assert_eq!((totals.running, totals.judged, totals.cpu_vms), (1, 1, 1));
    assert!(findings.of(&scope).all(|row| row.name == "a") && findings.of(&scope).count() == 2);
    let snapshot = Arc::new(Snapshot::default());
    let identity = Identity { cluster: "c".into(), demo: false, refresh: 1 };
    let view = page(&Visible::new(&snapshot, &scope), &findings, &identity, &InsightQuery::default(), 0);
    assert_eq!((view.matching, view.namespaces, view.totals), (2, vec!["a".to_owned()], totals));
}

#[test]
fn findings_are_counted_and_summed_up() {
    let (store, mut vms) =
        kept(&[("idle", 100, 90), ("busy", 950, 700), ("fine", 600, 600), ("off", 100, 90)]);
    let mut off = Vm::clone(&vms[3]);
    off.summary.status = model::vm::Status::Stopped;
    vms[3] = Arc::new(off);
    vms.push(Arc::new(vm_of("new", missing(), missing(), missing())));
    let now = START + 24 * HOUR;
    let findings = compute_findings(&vms, &store, now);
    assert_eq!(findings.at, Some(now));
    let totals = findings.totals(&Scope::all());
    assert_eq!((totals.running, totals.judged), (4, 3), "one is off, one is new");
    assert_eq!((totals.filling_up, totals.undersized, totals.oversized), (0, 1, 2));
    assert_eq!((totals.cpu, totals.cpu_vms), (7 * CORE, 1));
    assert_eq!((totals.memory, totals.memory_vms), (14 * GI, 1));
    let rows: Vec<_> = findings.findings.iter().map(|row| (row.name.as_str(), row.finding.kind())).collect();
    assert_eq!(
        rows,
        [
            ("busy", FindingKind::Undersized),
            ("idle", FindingKind::Oversized),
            ("idle", FindingKind::Oversized)
        ]
    );
}

#[test]
fn a_window_ends_now_and_not_with_the_five_minutes_that_are_under_way() {
    let (store, vms) = kept(&[("idle", 100, 90)]);
    let now = START + 24 * HOUR + MINUTE;
    assert_eq!(hints(&vms[0], &store, now).memory.unwrap().window.to, now);
}

fn volume(name: &str) -> Volume {
    Volume {
        backing: 0,
        name: name.into(),
        claim: name.into(),
        size: None,
        block: false,
        storage_class: String::new(),
        source: SourceId::Kubelet,
        usage: missing(),
        readings: Vec::new(),
    }
}

/// A day of a guest that used this much of its 16 Gi, and of volumes of 100 Gi that held this much; a tenth of a percent
/// each. The host counts 95 % of the memory.
fn recorded(
    guest: impl Fn(usize) -> u64,
    volumes: &[(&str, &dyn Fn(usize) -> u64)],
) -> (HistoryStore, Arc<Vm>) {
    let store = HistoryStore::default();
    let mut last = None;
    for n in 1..=288 {
        let at = START + n as Millis * 5 * MINUTE;
        let mut vm = vm_of("u", missing(), figure(at, 950, 300_000), missing());
        vm.summary.memory = Some(16 * GI);
        let memory = MemoryUse { used: guest(n) * 16 * GI / 1_000, total: 16 * GI };
        vm.activity = calm().activity;
        vm.summary.usage.guest_memory = Some(guest(n) / 10);
        let known = activity(&mut vm);
        (known.at, known.window_ms, known.memory) = (at, 300_000, Ok(memory));
        vm.volumes = volumes
            .iter()
            .map(|(name, tenths)| {
                let sample = match figure(at, 0, 300_000) {
                    Figure::Known(sample) => sample,
                    Figure::Missing(_) => unreachable!("it is known"),
                };
                let used = tenths(n) * GI / 10;
                let (of, source) = (100 * GI, Source::KubeletProxy);
                let usage = Figure::Known(Sample { unit: Unit::Bytes, used, of, source, ..sample });
                Volume { usage, ..volume(name) }
            })
            .collect();
        let vm = Arc::new(vm);
        store.record(std::slice::from_ref(&vm), &limits(), at);
        last = Some(vm);
    }
    (store, last.expect("a day"))
}

fn hints_of(guest: impl Fn(usize) -> u64, volumes: &[(&str, &dyn Fn(usize) -> u64)]) -> Hints {
    let (store, vm) = recorded(guest, volumes);
    hints(&vm, &store, START + 24 * HOUR)
}

#[test]
fn memory_is_judged_by_the_guest_where_it_is_known_for_a_day() {
    let used = |tenths: u64| hints_of(move |_| tenths, &[]).memory.unwrap();
    let (low, high) = (used(90), used(920));
    assert_eq!((low.verdict, low.by_guest), (Verdict::Oversized { enough: 2 * GI }, true));
    assert_eq!((high.verdict, high.by_guest), (Verdict::Undersized, true));
    assert_eq!(used(550).verdict, Verdict::Fits, "the host counts 95 %");
    let (store, vm) = recorded(|_| 100, &[]);
    let late = hints(&vm, &store, START + 30 * HOUR).memory.unwrap_err();
    assert!(matches!(late, NoHint::TooShort { .. }), "{late:?}");
    let mut unseen = vm_of("u", missing(), figure(START, 950, 300_000), missing());
    unseen.summary.memory = Some(16 * GI);
    let now = START + 24 * HOUR;
    let store = HistoryStore::default();
    store.record(&[Arc::new(unseen.clone())], &limits(), START);
    let points: Vec<_> = (0..288).map(|n| (now - n * 5 * MINUTE, Point::from_tenths(950))).collect();
    store.fill("u", Resource::Memory, 5 * MINUTE, &points);
    let by_host = hints(&unseen, &store, now).memory.unwrap();
    assert_eq!((by_host.verdict, by_host.by_guest), (Verdict::Undersized, false));
}

#[test]
fn the_volume_that_is_full_first_decides() {
    let steady = |_: usize| 900;
    let slow = |n: usize| line(n, 300.0, 10.0);
    let fast = |n: usize| line(n, 800.0, 50.0);
    let of = |volumes: &[(&str, &dyn Fn(usize) -> u64)]| hints_of(|_| 500, volumes).disk;
    let first = of(&[("root", &steady), ("logs", &slow), ("data", &fast)]).unwrap();
    assert_eq!((first.volume.as_deref(), first.of), (Some("data"), 100 * GI));
    assert!((2..=3).contains(&first.days), "{first:?}");
    assert_eq!(of(&[("root", &steady), ("logs", &slow)]).unwrap().volume.as_deref(), Some("logs"));
    assert_eq!(of(&[("root", &steady)]), Err(NoHint::Steady));
    let (store, vm) = recorded(|_| 500, &[("data", &fast)]);
    let mut backend = Vm::clone(&vm);
    if let Figure::Known(sample) = &mut backend.volumes[0].usage {
        sample.basis = Basis::Backend;
    }
    let hint = hints(&backend, &store, START + 24 * HOUR).disk;
    assert!(matches!(hint, Err(NoHint::TooShort { .. })), "a backend gives nothing back: {hint:?}");
}

#[test]
fn a_vm_that_lacks_something_now_is_not_oversized() {
    let (store, vms) = kept(&[("idle", 100, 90)]);
    let judge = |change: fn(&mut Vm)| {
        let mut vm = Vm::clone(&vms[0]);
        vm.activity = calm().activity;
        change(&mut vm);
        let Hints { cpu, memory, .. } = hints(&vm, &store, START + 24 * HOUR);
        let is_oversized =
            |hint: Result<Sizing, _>| matches!(hint.unwrap().verdict, Verdict::Oversized { .. });
        (is_oversized(cpu), is_oversized(memory))
    };
    assert_eq!(judge(|_| {}), (true, true));
    assert_eq!(judge(|vm| activity(vm).contention = Ok(6_000)), (false, true));
    assert_eq!(judge(|vm| vm.summary.usage.guest_memory = Some(90)), (true, false));
    let swaps = |vm: &mut Vm| activity(vm).swap = Ok(Swap { r#in: Rate(2_000 << 20), out: Rate(0) });
    assert_eq!(judge(swaps), (true, false));
}

#[test]
fn a_vm_that_became_busy_in_the_last_hour_is_not_oversized() {
    let (store, vms) = kept(&[("idle", 100, 90)]);
    let now = START + 24 * HOUR;
    let before = hints(&vms[0], &store, now).cpu.unwrap();
    assert_eq!(before.verdict, Verdict::Oversized { enough: CORE });
    let mut busy = Vm::clone(&vms[0]);
    busy.summary.usage.cpu = part(now + 5 * MINUTE, 130, Unit::Nanocores);
    store.record(&[Arc::new(busy.clone())], &limits(), now + 5 * MINUTE);
    assert_eq!(hints(&busy, &store, now + 5 * MINUTE).cpu.unwrap().verdict, Verdict::Fits);
}

fn listed(query: InsightQuery) -> (Vec<String>, u32) {
    let (store, vms) = kept(&[("a", 100, 300), ("b", 950, 700), ("c", 200, 600), ("d", 600, 920)]);
    let findings = compute_findings(&vms, &store, START + 24 * HOUR);
    let identity = Identity { cluster: "c".into(), demo: false, refresh: 1 };
    let view = page(&everything(&Snapshot::default()), &findings, &identity, &query, 0);
    let row = |row: &Insight| format!("{} {}", row.name, row.finding.resource().code());
    (view.rows.iter().map(row).collect(), view.matching)
}

#[test]
fn the_list_is_filtered_sorted_and_cut_on_the_server() {
    let query = InsightQuery::default();
    let (all, matching) = listed(query.clone());
    assert_eq!(
        all,
        ["b cpu", "d memory", "a cpu", "c cpu", "a memory"],
        "undersized first, each by how much"
    );
    assert_eq!(matching, 5);
    let sorted = |sort: InsightSort, order: Order| listed(InsightQuery { sort, order, ..query.clone() }).0;
    assert_eq!(sorted(InsightSort::Name, Order::Desc)[0], "d memory");
    assert_eq!(sorted(InsightSort::Usage, Order::Asc)[0], "a cpu");
    // Memory before CPU, and last what has nothing to give.
    assert_eq!(
        sorted(InsightSort::Reclaimable, Order::Desc),
        ["a memory", "a cpu", "c cpu", "d memory", "b cpu"]
    );
    let memory = InsightQuery { resource: Some(Resource::Memory), ..query.clone() };
    assert_eq!(listed(memory).0, ["d memory", "a memory"]);
    let undersized = InsightQuery { kind: Some(FindingKind::Undersized), page: 9, ..query.clone() };
    assert_eq!(
        listed(undersized),
        (vec!["b cpu".to_owned(), "d memory".to_owned()], 2),
        "the last page there is"
    );
    assert_eq!(listed(InsightQuery { namespace: "z".into(), ..query }).1, 0);
}

#[test]
fn a_page_has_fifty_findings_and_a_page_beyond_the_last_is_the_last() {
    let names: Vec<String> = (0..60).map(|n| format!("vm-{n:02}")).collect();
    let used: Vec<_> = names.iter().map(|name| (name.as_str(), 100, 90)).collect();
    let (store, vms) = kept(&used);
    let findings = compute_findings(&vms, &store, START + 24 * HOUR);
    let identity = Identity { cluster: "c".into(), demo: false, refresh: 1 };
    let at = |number: u32| {
        let query = InsightQuery { page: number, sort: InsightSort::Name, ..InsightQuery::default() };
        let view = page(&everything(&Snapshot::default()), &findings, &identity, &query, 0);
        let names = [view.rows.first(), view.rows.last()].map(|row| row.unwrap().name.clone());
        (view.query.page, view.pages, view.rows.len(), names)
    };
    let named = |first: &str, last: &str| [first.to_owned(), last.to_owned()];
    assert_eq!(at(1), (1, 3, 50, named("vm-00", "vm-24")));
    assert_eq!(at(2), (2, 3, 50, named("vm-25", "vm-49")));
    assert_eq!(at(9), (3, 3, 20, named("vm-50", "vm-59")));
}

#[test]
fn a_page_before_the_first_findings_says_so() {
    let identity = Identity { cluster: "c".into(), demo: false, refresh: 1 };
    let query = InsightQuery::default();
    let view = page(&everything(&Snapshot::default()), &Findings::default(), &identity, &query, 0);
    assert_eq!((view.computed_at, view.matching, view.pages), (None, 0, 1));
    assert!(!matches!(view.rows.first().map(|row| &row.finding), Some(Finding::Undersized(_))));
}
