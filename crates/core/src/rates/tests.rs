use proptest::prelude::*;

use super::{super::observation::TapBytes, *};

const SECOND: Millis = 1_000;
const LONGEST: Millis = 20 * 60 * SECOND;
const START: Millis = 1_800_000_000_000;
/// Bytes, operations and nanoseconds that the guests of the tests count per second.
const BYTES: u64 = 7_000_000;
const OPERATIONS: u64 = 250;
const WAITED: u64 = 150_000_000;
const VCPUS: u32 = 2;

fn run(instance: &str, node: &str) -> GuestRun {
    GuestRun { instance: instance.into(), node: node.into() }
}

/// The counters of a guest that has run for this many milliseconds, with one interface and one drive.
fn counters(uptime: Millis) -> GuestCounters {
    let counted = |per_second: u64| Some(u64::try_from(uptime).unwrap() * per_second / 1000);
    let traffic = TrafficCounters {
        bytes: counted(BYTES),
        packets: counted(BYTES / 100),
        errors: Some(0),
        drops: Some(3),
    };
    let operations =
        OperationCounters { bytes: counted(BYTES), operations: counted(OPERATIONS), time: counted(WAITED) };
    GuestCounters {
        cpu_time: counted(1_000_000_000),
        delay: counted(WAITED).map(|nanos| VcpuDelay { nanos, vcpus: VCPUS }),
        paging: PagingCounters {
            swap_in: counted(BYTES),
            swap_out: counted(BYTES),
            major_faults: counted(OPERATIONS),
        },
        interfaces: vec![InterfaceCounters { name: "default".into(), receive: traffic, transmit: traffic }],
        drives: vec![DriveCounters { name: "rootdisk".into(), read: operations, write: operations }],
        ..GuestCounters::default()
    }
}

fn sample(at: Millis, uptime: Millis) -> GuestSample {
    GuestSample { run: run("vmi-1", "n1"), at: START + at, counters: counters(uptime) }
}

/// The rates after these samples.
fn after(samples: impl IntoIterator<Item = GuestSample>) -> Option<GuestRates> {
    let mut samples = samples.into_iter();
    let mut tracker = RateTracker::new(samples.next().unwrap());
    samples.for_each(|sample| tracker.add(sample, LONGEST));
    tracker.rates().map(|rates| GuestRates::clone(rates))
}

/// Every rate of the guest, in units per second.
fn rates(of: &GuestRates) -> Vec<(u64, f64)> {
    let pair = |want: u64, rate: Option<Rate>| rate.map(|rate| (want, rate.per_second()));
    let interface = of.interfaces.iter().flat_map(|of| [of.receive, of.transmit]);
    let drive: Vec<_> = of.drives.iter().flat_map(|of| [of.read, of.write]).collect();
    interface
        .map(|of| pair(BYTES, of.bytes))
        .chain(drive.iter().map(|of| pair(BYTES, of.bytes)))
        .chain(drive.iter().map(|of| pair(OPERATIONS, of.operations)))
        .chain([pair(BYTES, of.swap_in), pair(BYTES, of.swap_out), pair(OPERATIONS, of.major_faults)])
        .flatten()
        .collect()
}

#[test]
fn a_rate_is_the_growth_between_two_samples() {
    let of = after([sample(0, 10 * SECOND), sample(60 * SECOND, 70 * SECOND)]).unwrap();
    assert_eq!(of.window_ms, 60_000);
    let rates = rates(&of);
    assert_eq!(rates.len(), 9);
    assert!(rates.iter().all(|(want, got)| *want as f64 == *got), "{rates:?}");
    let interface = &of.interfaces[0];
    assert_eq!((interface.receive.errors, interface.transmit.drops), (Some(Rate(0)), Some(Rate(0))));
    assert_eq!(interface.transmit.packets, Some(Rate(BYTES / 100 * 1000)));
    assert_eq!(of.drives[0].read.latency, Some(WAITED / OPERATIONS), "time ÷ operations");
    assert_eq!(of.contention, Some(7_500), "150 ms of each second of 2 vCPUs are 7.5 %");
}

#[test]
fn the_first_sample_has_no_rate() {
    assert_eq!(after([sample(0, 10 * SECOND)]), None);
}

#[test]
fn another_run_of_the_guest_starts_over() {
    let before = sample(0, 10 * SECOND);
    for (what, run) in [("a restart", run("vmi-2", "n1")), ("a migration", run("vmi-1", "n2"))] {
        // The new run has counted more than the old one.
        let moved = |at, uptime| GuestSample { run: run.clone(), ..sample(at, uptime) };
        assert_eq!(after([before.clone(), moved(60 * SECOND, 900 * SECOND)]), None, "{what}");
        let again = [before.clone(), moved(60 * SECOND, 900 * SECOND), moved(120 * SECOND, 960 * SECOND)];
        assert_eq!(rates(&after(again).unwrap())[0], (BYTES, BYTES as f64), "{what}, a minute later");
    }
}

#[test]
fn if_the_cpu_time_fell_everything_starts_over() {
    let mut restarted = sample(60 * SECOND, 70 * SECOND);
    restarted.counters.cpu_time = Some(1);
    assert_eq!(after([sample(0, 10 * SECOND), restarted.clone()]), None);
    restarted.counters.cpu_time = None;
    assert!(after([sample(0, 10 * SECOND), restarted]).is_some(), "it is not reported");
}

#[test]
fn a_device_that_fell_starts_over_alone() {
    let plugged = |bytes: u64| {
        let mut sample = sample(60 * SECOND, 70 * SECOND);
        sample.counters.drives[0].read.bytes = Some(bytes);
        after([self::sample(0, 10 * SECOND), sample]).unwrap()
    };
    let of = plugged(5);
    assert_eq!(of.drives[0].read, OperationRates::default(), "its operations did not fall, and are as new");
    assert_eq!(of.drives[0].write, OperationRates::default());
    assert!(of.interfaces[0].receive.bytes.is_some() && of.swap_in.is_some() && of.contention.is_some());
    assert_eq!(of.storage()[0], OperationRates::default());
}

#[test]
fn a_driver_in_the_guest_that_starts_again_hides_no_figure_of_the_host() {
    let mut reloaded = sample(60 * SECOND, 70 * SECOND);
    reloaded.counters.paging.major_faults = Some(0);
    let of = after([sample(0, 10 * SECOND), reloaded]).unwrap();
    assert_eq!((of.swap_in, of.swap_out, of.major_faults), (None, None, None));
    assert!(of.interfaces[0].receive.bytes.is_some());
}

#[test]
fn a_device_that_was_just_plugged_in_has_no_rate() {
    let mut later = sample(60 * SECOND, 70 * SECOND);
    later
        .counters
        .interfaces
        .insert(0, InterfaceCounters { name: "new".into(), ..later.counters.interfaces[0].clone() });
    let of = after([sample(0, 10 * SECOND), later]).unwrap();
    assert_eq!(of.interfaces[0].receive, TrafficRates::default());
    assert!(of.interfaces[1].receive.bytes.is_some(), "found by its name, not by its place");
    assert_eq!(of.network(), [None, None]);
}

#[test]
fn a_drive_without_an_operation_has_no_latency() {
    let mut later = sample(60 * SECOND, 10 * SECOND);
    later.counters.cpu_time = Some(u64::MAX);
    let of = after([sample(0, 10 * SECOND), later]).unwrap();
    let read = of.drives[0].read;
    assert_eq!((read.bytes, read.operations, read.latency), (Some(Rate(0)), Some(Rate(0)), None));
}

#[test]
fn contention_is_unknown_while_vcpus_are_plugged_and_never_more_than_all() {
    let with = |delay: Option<VcpuDelay>| {
        let mut later = sample(60 * SECOND, 70 * SECOND);
        later.counters.delay = delay;
        after([sample(0, 10 * SECOND), later]).unwrap().contention
    };
    assert_eq!(with(Some(VcpuDelay { nanos: u64::MAX, vcpus: VCPUS })), Some(100_000));
    assert_eq!(with(Some(VcpuDelay { nanos: u64::MAX, vcpus: VCPUS + 1 })), None);
    assert_eq!(with(Some(VcpuDelay { nanos: 0, vcpus: VCPUS })), None, "it fell");
    assert_eq!(with(None), None, "KubeVirt 1.0 does not report it");
}

#[test]
fn times_that_cannot_be_compared_start_over_and_repeated_samples_change_nothing() {
    let (first, second) = (sample(0, 100 * SECOND), sample(60 * SECOND, 160 * SECOND));
    let followed_by = |next: GuestSample| after([first.clone(), second.clone(), next]);
    let known = followed_by(sample(120 * SECOND, 220 * SECOND));
    assert!(known.is_some());
    assert_eq!(followed_by(second.clone()), known, "the same sample again");
    assert_eq!(followed_by(sample(60 * SECOND + SHORTEST_WINDOW - 1, 900 * SECOND)), known, "too near");
    assert_eq!(followed_by(sample(59 * SECOND, 159 * SECOND)), None, "an earlier one");
    assert_eq!(followed_by(sample(60 * SECOND + LONGEST + 1, 9000 * SECOND)), None, "too far");
    let extreme = GuestSample { at: Millis::MIN, ..second.clone() };
    assert_eq!(after([second.clone(), extreme.clone()]), None, "their distance is no number");
    assert_eq!(after([extreme, second]), None);
}

/// What may happen to a guest between two samples.
#[derive(Clone, Debug)]
enum Event {
    /// Time passes, in milliseconds.
    Run(Millis),
    /// Time passes, of which this program's clock shows another amount.
    Jump(Millis, Millis),
    Restart,
    /// The process starts again as the same instance.
    Reset,
    Migrate,
    /// A sample of the past is delivered once more.
    Repeat(usize),
    /// A counter is not a number.
    Garble,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (1..600_000i64).prop_map(Event::Run),
        1 => (1..60_000i64, -4_000_000..4_000_000i64).prop_map(|(run, shown)| Event::Jump(run, shown)),
        1 => Just(Event::Restart),
        1 => Just(Event::Reset),
        1 => Just(Event::Migrate),
        1 => (0..20usize).prop_map(Event::Repeat),
        1 => Just(Event::Garble),
    ]
}

/// A guest whose counters grow steadily while it runs, and the samples of it that were delivered.
struct Guest {
    clock: Millis,
    uptime: Millis,
    restarts: usize,
    migrations: usize,
    delivered: Vec<GuestSample>,
}

impl Guest {
    fn meet(&mut self, event: &Event) {
        match event {
            Event::Run(time) => (self.clock, self.uptime) = (self.clock + time, self.uptime + time),
            Event::Jump(time, shown) => (self.clock, self.uptime) = (self.clock + shown, self.uptime + time),
            Event::Restart => (self.restarts, self.uptime) = (self.restarts + 1, 0),
            Event::Reset => self.uptime = 0,
            // The target's process begins to count at zero.
            Event::Migrate => (self.migrations, self.uptime) = (self.migrations + 1, 0),
            Event::Repeat(_) | Event::Garble => {}
        }
    }

    fn sample(&mut self, event: &Event) -> GuestSample {
        if let Event::Repeat(back) = event
            && let Some(old) = self.delivered.iter().rev().nth(*back)
        {
            return old.clone();
        }
        let mut sample = sample(self.clock, self.uptime);
        sample.run = run(&format!("vmi-{}", self.restarts), &format!("n{}", self.migrations));
        if matches!(event, Event::Garble) {
            sample.counters = GuestCounters { cpu_time: None, drives: Vec::new(), ..sample.counters };
            sample.counters.interfaces[0].receive.bytes = None;
        }
        sample
    }
}

/// Whether the clock of a sample can be compared with that of the last one: no jump was in between.
fn jumped(event: &Event) -> bool {
    matches!(event, Event::Jump(..))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever happens to the guest, and in whatever order its samples come: no rate is higher than what the
    /// guest really did, and between two samples of one run the rate is the true one.
    #[test]
    fn no_rate_is_higher_than_what_happened(events in prop::collection::vec(event(), 1..40)) {
        let mut guest = Guest { clock: 0, uptime: 5_000, restarts: 0, migrations: 0, delivered: Vec::new() };
        let mut tracker: Option<RateTracker> = None;
        let mut true_clock = true;
        for event in &events {
            guest.meet(event);
            // After a jump, samples of both sides are compared only if the jump is small: then no test is made.
            true_clock &= !jumped(event);
            let sample = guest.sample(event);
            guest.delivered.push(sample.clone());
            match &mut tracker {
                Some(tracker) => tracker.add(sample.clone(), LONGEST),
                none => *none = Some(RateTracker::new(sample.clone())),
            }
            let Some(of) = tracker.as_ref().and_then(RateTracker::rates) else { continue };
            prop_assert!(Millis::from(of.window_ms) >= SHORTEST_WINDOW);
            prop_assert!(of.contention.is_none_or(|contention| contention <= 100_000));
            for (truth, rate) in rates(of).into_iter().filter(|_| true_clock) {
                // A counter is a whole number, so it may be one off at either end.
                let rounding = 2_000.0 / f64::from(of.window_ms);
                prop_assert!(rate <= truth as f64 + rounding, "{} for {} in {} ms", rate, truth, of.window_ms);
            }
        }
    }

    /// Samples of one run of a guest in any order: each rate is the true one.
    #[test]
    fn the_order_of_samples_changes_no_rate(times in prop::collection::vec(0..1_000_000i64, 2..30)) {
        let mut tracker = RateTracker::new(sample(0, SECOND));
        for time in times {
            tracker.add(sample(time, time + SECOND), LONGEST);
            let Some(of) = tracker.rates() else { continue };
            let rounding = 2_000.0 / f64::from(of.window_ms);
            prop_assert_eq!(rates(of).len(), 9);
            for (truth, rate) in rates(of) {
                prop_assert!((rate - truth as f64).abs() <= rounding, "{} for {}", rate, truth);
            }
        }
    }

    /// Any counters at all: nothing panics, and what is reported of a device is reported once.
    #[test]
    fn no_counters_cause_a_panic(old in any_counters(), new in any_counters(), at in any::<Millis>(), apart in any::<Millis>()) {
        let sample = |at, counters| GuestSample { run: run("vmi-1", "n1"), at, counters };
        let devices = (new.interfaces.len(), new.drives.len());
        if let Some(of) = between(&sample(at, old), &sample(at.wrapping_add(apart), new), Millis::MAX) {
            prop_assert_eq!((of.interfaces.len(), of.drives.len()), devices);
            let _ = (of.network(), of.storage());
        }
    }
}

prop_compose! {
    fn any_counters()(cpu_time in any::<Option<u64>>(), delay in any::<Option<(u64, u32)>>(), swap_in in any::<Option<u64>>(),
        names in prop::collection::vec("[ab]", 0..3), a in any::<Option<u64>>(), b in any::<Option<u64>>(), c in any::<Option<u64>>()) -> GuestCounters {
        let traffic = TrafficCounters { bytes: a, packets: c, errors: b, drops: c };
        let operations = OperationCounters { bytes: a, operations: b, time: c };
        GuestCounters {
            cpu_time,
            delay: delay.map(|(nanos, vcpus)| VcpuDelay { nanos, vcpus }),
            paging: PagingCounters { swap_in, swap_out: b, major_faults: c },
            interfaces: names.iter().map(|name| InterfaceCounters { name: name.as_str().into(), receive: traffic, transmit: traffic }).collect(),
            drives: names.iter().map(|name| DriveCounters { name: name.as_str().into(), read: operations, write: operations }).collect(),
            ..GuestCounters::default()
        }
    }
}

/// The tap devices of a pod that has counted for this many milliseconds, by the node's clock.
fn taps(at: Millis, measured: Option<Millis>, uptime: Millis) -> TapSample {
    let counted = |per_second: u64| u64::try_from(uptime).unwrap() * per_second / 1000;
    let bytes = TapBytes { receive: counted(BYTES), transmit: counted(OPERATIONS), devices: 1 };
    TapSample { at: START + at, measured, bytes }
}

fn tap_rates(samples: impl IntoIterator<Item = TapSample>) -> Option<TapRates> {
    let mut samples = samples.into_iter();
    let mut tracker = TapTracker::new(samples.next().unwrap());
    samples.for_each(|sample| tracker.add(sample, LONGEST));
    tracker.rates()
}

/// A kubelet answers with what it measured up to 30 s ago.
#[test]
fn the_rate_of_taps_is_by_the_time_between_two_measurements() {
    let want =
        |window_ms| TapRates { receive: Rate(BYTES * 1000), transmit: Rate(OPERATIONS * 1000), window_ms };
    let first = taps(0, Some(7_000), 20 * SECOND);
    for apart in [30, 60, 90] {
        let later = taps(60 * SECOND, Some(7_000 + apart * SECOND), (20 + apart) * SECOND);
        assert_eq!(tap_rates([first, later]), Some(want(apart as u32 * 1000)), "{apart} s");
    }
    let untimed = [taps(0, None, 20 * SECOND), taps(60 * SECOND, None, 80 * SECOND)];
    assert_eq!(tap_rates(untimed), Some(want(60_000)), "the answers tell the time");
}

#[test]
fn taps_that_cannot_be_compared_start_over() {
    let first = taps(0, Some(0), 20 * SECOND);
    let later = taps(60 * SECOND, Some(60 * SECOND), 80 * SECOND);
    assert!(tap_rates([first, later]).is_some());
    let bytes = |bytes| TapSample { bytes, ..later };
    for (what, next) in [
        ("other devices", bytes(TapBytes { devices: 2, ..later.bytes })),
        ("a counter fell", bytes(TapBytes { receive: 1, ..later.bytes })),
        ("the other counter fell", bytes(TapBytes { transmit: 1, ..later.bytes })),
        ("the clock was set back", TapSample { measured: Some(-SECOND), ..later }),
        ("by half a minute", TapSample { measured: Some(29 * SECOND), ..later }),
        ("the clock was set forward", TapSample { measured: Some(91 * SECOND), ..later }),
        ("it tells no time any more", TapSample { measured: None, ..later }),
        ("it is of the past", taps(-60 * SECOND, Some(60 * SECOND), 80 * SECOND)),
        ("too far", taps(2 * LONGEST, Some(2 * LONGEST), 4 * LONGEST)),
        ("extreme times", TapSample { at: Millis::MAX, measured: Some(Millis::MIN), ..later }),
    ] {
        assert_eq!(tap_rates([first, next]), None, "{what}");
        let again = TapSample {
            at: next.at.saturating_add(60 * SECOND),
            measured: next.measured.map(|at| at.saturating_add(60 * SECOND)),
            bytes: TapBytes { receive: u64::MAX, transmit: u64::MAX, ..next.bytes },
        };
        assert!(
            next.at == Millis::MAX || tap_rates([first, next, again]).is_some(),
            "{what}, a minute later"
        );
    }
}

#[test]
fn a_repeated_measurement_of_taps_changes_nothing() {
    let first = [taps(0, Some(0), 20 * SECOND), taps(60 * SECOND, Some(60 * SECOND), 80 * SECOND)];
    let known = tap_rates(first);
    let repeated = taps(63 * SECOND, Some(60 * SECOND), 80 * SECOND);
    assert_eq!(tap_rates([first[0], first[1], repeated, repeated]), known);
    let near = taps(70 * SECOND, Some(69 * SECOND), 900 * SECOND);
    assert_eq!(tap_rates([first[0], first[1], near]), known, "a second more or less would be a tenth of it");
    // The next measurement is compared with the time when that one was received first.
    let next = taps(120 * SECOND, Some(120 * SECOND), 140 * SECOND);
    assert_eq!(tap_rates([first[0], first[1], taps(119 * SECOND, Some(60 * SECOND), 0), next]), known);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever happens to the devices, and in whatever order answers come: no rate is higher than what was really sent,
    /// and nothing panics. `delays` is how old each measurement is when it is received.
    #[test]
    fn no_rate_of_taps_is_higher_than_what_happened(
        events in prop::collection::vec(event(), 1..40),
        delays in prop::collection::vec(0..30_000i64, 40),
        timed in any::<bool>(),
    ) {
        let mut guest = Guest { clock: 0, uptime: 60_000, restarts: 0, migrations: 0, delivered: Vec::new() };
        let (mut tracker, mut delivered): (Option<TapTracker>, Vec<TapSample>) = (None, Vec::new());
        let mut true_clock = true;
        for (event, delay) in events.iter().zip(&delays) {
            guest.meet(event);
            true_clock &= !jumped(event);
            // A reset is seen only by counters that fell: what has counted for longer than before looks like the same.
            let delay = if timed { *delay.min(&guest.uptime) } else { 0 };
            let measured = timed.then_some(START + guest.clock - delay);
            let mut sample = taps(guest.clock, measured, guest.uptime - delay);
            sample.bytes.devices = (guest.restarts * 1000 + guest.migrations) as u64;
            if let Event::Repeat(back) = event && let Some(old) = delivered.iter().rev().nth(*back) {
                sample = *old;
            }
            delivered.push(sample);
            match &mut tracker {
                Some(tracker) => tracker.add(sample, LONGEST),
                none => *none = Some(TapTracker::new(sample)),
            }
            let Some(of) = tracker.as_ref().and_then(TapTracker::rates) else { continue };
            prop_assert!(Millis::from(of.window_ms) >= SHORTEST_WINDOW);
            for (truth, rate) in [(BYTES, of.receive), (OPERATIONS, of.transmit)] {
                let rounding = 2_000.0 / f64::from(of.window_ms);
                let rate = rate.per_second();
                prop_assert!(!true_clock || rate <= truth as f64 + rounding, "{} for {} in {} ms", rate, truth, of.window_ms);
            }
        }
    }

    #[test]
    fn no_tap_counters_cause_a_panic(old in any_taps(), new in any_taps(), longest in any::<Millis>()) {
        let mut tracker = TapTracker::new(old);
        tracker.add(new, longest);
        prop_assert!(tracker.rates().is_none_or(|of| of.window_ms > 0));
    }
}

prop_compose! {
    fn any_taps()(at in any::<Millis>(), measured in any::<Option<Millis>>(), receive in any::<u64>(), transmit in any::<u64>(), devices in 0..2u64) -> TapSample {
        TapSample { at, measured, bytes: TapBytes { receive, transmit, devices } }
    }
}
