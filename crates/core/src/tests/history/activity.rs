//! What is kept of what guests do: rates fill their windows, and nothing is invented between them.

use super::*;
use crate::tests::activity as handlers;
use model::{
    activity::{Activity, GuestActivity, MemoryUse, Origin, Part, Storage, Traffic},
    activity_history::{ActivityFigure, AmountPoint},
    rates::{OperationRates, Rate},
};

use ActivityFigure::*;

/// What is stored of an amount.
fn kept(amount: u64) -> Option<u64> {
    AmountPoint::of(amount).amount()
}

fn unknown<T>() -> Part<T> {
    Err(Box::new(Reason::FirstSample.into()))
}

/// A guest that was sampled at `at`, with rates over the `window` seconds before. Each figure is another multiple of
/// `amount`. Without a window, it is the first sample, which has memory alone.
pub fn guest(at: Millis, window: u32, amount: u64) -> GuestActivity {
    let operations = |times: u64| OperationRates {
        bytes: Some(Rate(amount * times)),
        operations: Some(Rate(1_000)),
        latency: Some(amount * times * 10),
    };
    let is_first = window == 0;
    GuestActivity {
        source: Source::VirtHandler,
        at,
        window_ms: window * 1_000,
        stale: false,
        memory: Ok(MemoryUse { used: amount * 5, total: GI }),
        swap: unknown(),
        major_faults: unknown(),
        network: if is_first {
            unknown()
        } else {
            Ok(Traffic { receive: Rate(amount), transmit: Rate(amount * 2), uncounted: 0 })
        },
        network_from: None,
        storage: if is_first { unknown() } else { Ok(Storage { read: operations(3), write: operations(4) }) },
        contention: if is_first { unknown() } else { Ok((amount * 6) as u32) },
        migration: None,
        rates: None,
    }
}

fn record_activity(store: &HistoryStore, activity: Activity, now: Millis) {
    let vm = Vm { activity, ..vm_of("u", missing(), missing(), missing()) };
    store.record(&[Arc::new(vm)], &limits(), now);
}

fn record_guest(store: &HistoryStore, guest: GuestActivity, now: Millis) {
    record_activity(store, Activity::Known(Box::new(guest)), now);
}

/// The last points of a figure.
fn points(
    store: &HistoryStore,
    figure: ActivityFigure,
    span: Span,
    count: usize,
    now: Millis,
) -> Vec<Option<u64>> {
    let points = &store.history("u", &[], span, now).activity[figure as usize].series.points;
    points[points.len() - count..].iter().map(|point| point.amount()).collect()
}

#[test]
fn the_last_point_of_each_figure_is_what_usage_says() {
    let store = HistoryStore::default();
    for (minute, amount) in [(0, 7_000), (1, 123_456_789)] {
        record_guest(&store, guest(START + minute * MINUTE, 60, amount), START + minute * MINUTE);
    }
    let now = START + MINUTE;
    let history = store.history("u", &[], Span::Hour, now);
    let times = [1, 2, 3, 4, 5, 6, 30, 40];
    for (figure, times) in ActivityFigure::ALL.into_iter().zip(times) {
        let amount =
            if figure == Contention { u64::from((123_456_789u64 * 6) as u32) } else { 123_456_789 * times };
        let kept = history.activity[figure as usize].series.newest().unwrap();
        assert!(kept.abs_diff(amount) <= amount / 2048, "{figure:?}: {kept} is not {amount}");
        assert_eq!(history.activity[figure as usize].source, Some(Source::VirtHandler));
        assert_eq!(points(&store, figure, Span::Hour, 2, now)[1], Some(kept), "at the time of the sample");
    }
    let series = &history.activity[0].series;
    assert_eq!((series.points.len(), series.step), (60, 60_000));
}

#[test]
fn a_restart_leaves_a_gap() {
    let store = HistoryStore::default();
    record_guest(&store, guest(START, 60, 100), START);
    record_guest(&store, guest(START + MINUTE, 0, 100), START + MINUTE);
    record_guest(&store, guest(START + 2 * MINUTE, 60, 900), START + 2 * MINUTE);
    let now = START + 2 * MINUTE;
    assert_eq!(points(&store, NetworkReceive, Span::Hour, 4, now), [None, kept(100), None, kept(900)]);
    assert_eq!(points(&store, WriteLatency, Span::Hour, 3, now), [kept(4_000), None, kept(36_000)]);
    let memory = points(&store, GuestMemory, Span::Hour, 4, now);
    assert_eq!(memory, [None, kept(500), kept(500), kept(4_500)], "it was measured");
}

/// The new node's virt-handler counts from its own start.
#[test]
fn a_migration_leaves_a_gap_and_no_spike() {
    let store = HistoryStore::default();
    let mut state = handlers::found();
    for minute in 0..10 {
        let now = NOW + minute * MINUTE;
        let (node, ran) =
            if minute < 5 { ("n1", 1_000 + minute as u64 * 60) } else { ("n2", (minute as u64 - 5) * 60) };
        if minute == 5 {
            state.apply(Observation::Instances(applied(instance("a", "web-vm", "n2"))));
        }
        state.apply(handlers::answer(node, now, vec![handlers::guest(ran)]));
        store.record(&state.join(now).vms, &limits(), now);
    }
    let now = NOW + 9 * MINUTE;
    let uid = find(&state.join(now), "a", "web").uid.clone();
    let history = store.history(&uid, &[], Span::Hour, now);
    let series = &history.activity[NetworkReceive as usize].series.points;
    let known: Vec<_> = series[series.len() - 10..].iter().map(|point| point.amount()).collect();
    let rate = kept(2 * 1024 * 1000);
    assert_eq!(known, [None, rate, rate, rate, rate, None, rate, rate, rate, rate]);
}

#[test]
fn what_is_missing_or_stale_is_a_gap() {
    let store = HistoryStore::default();
    record_guest(&store, guest(START, 60, 100), START);
    for minute in 1..5 {
        let old = GuestActivity { stale: true, ..guest(START + minute * MINUTE, 60, 700) };
        record_guest(&store, old, START + minute * MINUTE);
        record_activity(&store, Activity::Missing(Box::new(Reason::Expired.into())), START + minute * MINUTE);
    }
    let now = START + 5 * MINUTE;
    record_guest(&store, guest(now, 60, 200), now);
    let want = [kept(100), None, None, None, None, kept(200)];
    assert_eq!(points(&store, NetworkReceive, Span::Hour, 6, now), want);
    assert_eq!(points(&store, Contention, Span::Hour, 6, now).iter().flatten().count(), 2);
}

/// Where virt-handler is away, the kubelet may still count the traffic.
#[test]
fn traffic_of_another_source_is_recorded_as_its_own() {
    let store = HistoryStore::default();
    let kubelet = |at: Millis, stale: bool| {
        let origin = Origin { source: Source::KubeletProxy, at, window_ms: 60_000, stale };
        GuestActivity { stale: true, network_from: Some(origin), ..guest(START, 60, 100) }
    };
    record_guest(&store, guest(START, 60, 100), START);
    record_guest(&store, kubelet(START + MINUTE, false), START + MINUTE);
    record_guest(&store, kubelet(START + 2 * MINUTE, true), START + 2 * MINUTE);
    let now = START + 2 * MINUTE;
    assert_eq!(points(&store, NetworkReceive, Span::Hour, 3, now), [kept(100), kept(100), None]);
    assert_eq!(points(&store, StorageRead, Span::Hour, 3, now), [kept(300), None, None]);
    let history = store.history("u", &[], Span::Hour, now);
    assert_eq!(history.activity[NetworkReceive as usize].source, Some(Source::KubeletProxy));
    assert_eq!(history.activity[StorageRead as usize].source, Some(Source::VirtHandler));
}

/// Rates are means of the time between two samples, however far apart. Memory is of an instant.
#[test]
fn a_long_window_is_filled_with_rates_and_not_with_memory() {
    let store = HistoryStore::default();
    record_guest(&store, guest(START + 4 * MINUTE, 240, 100), START + 4 * MINUTE);
    let now = START + 4 * MINUTE;
    assert_eq!(points(&store, StorageRead, Span::Hour, 5, now)[1..], [kept(300); 4]);
    assert_eq!(points(&store, GuestMemory, Span::Hour, 5, now), [None, None, None, None, kept(500)]);
}

#[test]
fn without_an_operation_there_is_no_latency() {
    let store = HistoryStore::default();
    let mut idle = guest(START, 60, 100);
    let still = OperationRates { bytes: Some(Rate(0)), operations: Some(Rate(0)), latency: None };
    idle.storage = Ok(Storage { read: still, write: still });
    record_guest(&store, idle, START);
    assert_eq!(points(&store, ReadLatency, Span::Hour, 1, START), [None]);
    assert_eq!(points(&store, StorageRead, Span::Hour, 1, START), [Some(0)], "nothing was read: a zero");
}

#[test]
fn a_day_has_the_means_of_five_minutes() {
    let store = HistoryStore::default();
    for minute in 0..7 {
        let now = START + minute * MINUTE;
        record_guest(&store, guest(now, 60, 100 + 10 * minute as u64), now);
    }
    let now = START + 6 * MINUTE;
    assert_eq!(points(&store, NetworkReceive, Span::Day, 3, now), [None, Some(120), Some(155)]);
    assert_eq!(store.history("u", &[], Span::Day, now).activity[0].series.points.len(), 288);
}

#[test]
fn a_guest_that_no_source_measures_takes_no_memory() {
    let store = HistoryStore::default();
    record_activity(&store, Activity::default(), START);
    let without = store.bytes();
    record_guest(&store, guest(START, 60, 100), START);
    assert!(store.bytes() > without + 1_000);
    let history = store.history("nobody", &[], Span::Hour, START);
    assert!(history.activity.iter().all(|of| of.source.is_none() && of.series.newest().is_none()));
}

#[test]
fn a_clock_that_is_set_back_leaves_no_future() {
    let store = HistoryStore::default();
    record_guest(&store, guest(START + 24 * HOUR, 60, 700), START + 24 * HOUR);
    record_guest(&store, guest(START - MINUTE, 60, 100), START - MINUTE);
    record_guest(&store, guest(START, 60, 200), START);
    assert_eq!(points(&store, NetworkReceive, Span::Hour, 2, START), [None, Some(200)]);
    record_guest(&store, guest(START + 10 * HOUR, 60, 300), START + MINUTE);
    let now = START + MINUTE;
    assert_eq!(
        points(&store, NetworkReceive, Span::Hour, 2, now),
        [Some(200), Some(300)],
        "a clock runs ahead"
    );
    assert_eq!(points(&store, NetworkReceive, Span::Hour, 1, now + MINUTE), [None]);
}

proptest! {
    /// Whatever is recorded in whatever order: no point is above or below everything that was recorded, none is in
    /// the future, and after a day there is none.
    #[test]
    fn no_point_lies_outside_of_what_was_recorded(
        steps in prop::collection::vec((0..400_000i64, -90_000..90_000i64, 0..400u32, any::<u32>(), any::<bool>()), 1..60),
    ) {
        let store = HistoryStore::default();
        let (mut now, mut given) = (START, Vec::new());
        for (step, skew, window, amount, stale) in steps {
            now += step;
            let of = GuestActivity { stale, ..guest(now + skew, window, amount.into()) };
            given.extend((!stale && window > 0).then_some(u64::from(amount)));
            record_guest(&store, of, now);
        }
        let (least, most) = (given.iter().min().copied(), given.iter().max().copied());
        for (figure, times) in [(NetworkReceive, 1), (NetworkTransmit, 2), (WriteLatency, 40)] {
            for span in [Span::Hour, Span::Day] {
                let series = store.history("u", &[], span, now).activity[figure as usize].series.clone();
                for point in series.points.iter().filter_map(|point| point.amount()) {
                    let (least, most) = (kept(least.unwrap() * times).unwrap(), kept(most.unwrap() * times).unwrap());
                    prop_assert!((least..=most).contains(&point), "{figure:?}: {point} of {least} to {most}");
                }
                prop_assert!(series.at(series.points.len() - 1) <= now);
                prop_assert_eq!(store.history("u", &[], span, now + 90_000_000).activity[figure as usize].series.stats(), None);
            }
        }
    }
}
