//! What virt-handlers count: whose it is, rates, ages, and why a part is missing.

use super::*;
use i18n::Render;
use model::{
    activity::{Activity, GuestActivity, MemoryUse, MigrationProgress, Part, Traffic},
    rates::Rate,
    source::SourceState,
};

const MINUTE: Millis = 60 * SECOND;
const KIB: u64 = 1 << 10;

/// A state in which virt-handlers were found, with the VM `a/web` on `n1`.
pub fn found() -> ClusterState {
    let mut state = state();
    state.limits.virt_handler = true;
    state.apply(Observation::HandlersFound { at: NOW });
    add_vm(&mut state, "a", "web", 100, GI);
    state
}

/// The guest of `a/web` that has run for so many seconds: it receives 2 KiB and transmits 1 KiB a second.
pub fn guest(seconds: u64) -> GuestFacts {
    let traffic = |bytes| TrafficCounters {
        bytes: Some(bytes),
        packets: Some(bytes / KIB),
        errors: Some(0),
        drops: Some(0),
    };
    let operations = OperationCounters {
        bytes: Some(seconds * 4 * KIB),
        operations: Some(seconds),
        time: Some(seconds * 1_000_000),
    };
    let interface = InterfaceCounters {
        name: "default".into(),
        receive: traffic(seconds * 2 * KIB),
        transmit: traffic(seconds * KIB),
    };
    let counters = GuestCounters {
        cpu_time: Some(seconds * 1_000_000_000),
        delay: Some(VcpuDelay { nanos: seconds * 100_000_000, vcpus: 2 }),
        interfaces: vec![interface],
        drives: vec![DriveCounters { name: "root".into(), read: operations, write: operations }],
        ..GuestCounters::default()
    };
    let memory = GuestMemory { available: Some(4 * GI), usable: Some(3 * GI), ..GuestMemory::default() };
    GuestFacts { instance: Key::new("a", "web-vm"), memory, migration: None, counters }
}

pub fn answer(node: &str, at: Millis, guests: Vec<GuestFacts>) -> Observation {
    let facts = GuestsFacts { guests, contention_since: None };
    Observation::Guests { node: node.into(), at, result: Ok(facts) }
}

fn activity_at(state: &mut ClusterState, now: Millis) -> Activity {
    find(&state.join(now), "a", "web").activity.clone()
}

fn known(state: &mut ClusterState, now: Millis) -> GuestActivity {
    match activity_at(state, now) {
        Activity::Known(known) => *known,
        Activity::Missing(missing) => panic!("{missing:?}"),
    }
}

fn reason(state: &mut ClusterState, now: Millis) -> Reason {
    match activity_at(state, now) {
        Activity::Known(known) => panic!("{known:?}"),
        Activity::Missing(missing) => missing.reason,
    }
}

fn why<T: std::fmt::Debug>(part: &Part<T>) -> Reason {
    part.as_ref().unwrap_err().reason
}

#[test]
fn rates_are_known_after_two_samples() {
    let mut state = found();
    state.apply(answer("n1", NOW - MINUTE, vec![guest(100)]));
    let first = known(&mut state, NOW - MINUTE);
    assert_eq!(first.memory, Ok(MemoryUse { used: GI, total: 4 * GI }), "memory needs one");
    for missing in [why(&first.network), why(&first.storage), why(&first.contention), why(&first.swap)] {
        assert_eq!(missing, Reason::FirstSample);
    }
    state.apply(answer("n1", NOW, vec![guest(160)]));
    let GuestActivity { at, window_ms, stale, network, storage, contention, swap, .. } =
        known(&mut state, NOW);
    assert_eq!((at, window_ms, stale), (NOW, 60_000, false));
    assert_eq!(
        network,
        Ok(Traffic { receive: Rate(2 * KIB * 1000), transmit: Rate(KIB * 1000), uncounted: 0 })
    );
    let read = storage.unwrap().read;
    assert_eq!(
        (read.bytes, read.operations, read.latency),
        (Some(Rate(4 * KIB * 1000)), Some(Rate(1000)), Some(1_000_000))
    );
    assert_eq!(contention, Ok(5_000));
    assert_eq!(why(&swap), Reason::NotReported, "there is no balloon driver");
    assert!(swap.unwrap_err().fix.english().contains("balloon"));
}

#[test]
fn a_long_interval_has_rates_too() {
    const HOUR: Millis = 60 * MINUTE;
    for (interval, has_rates) in [(HOUR, true), (MINUTE, false)] {
        let mut state = found();
        state.limits.disk_interval = interval;
        state.apply(answer("n1", NOW - HOUR, vec![guest(100)]));
        state.apply(answer("n1", NOW, vec![guest(3700)]));
        assert_eq!(known(&mut state, NOW).network.is_ok(), has_rates, "every {interval} ms");
    }
}

#[test]
fn only_the_virt_handler_of_the_guest_s_own_node_is_believed() {
    let mut state = found();
    let before = reason(&mut state, NOW);
    state.apply(answer("n2", NOW - MINUTE, vec![guest(100)]));
    state.apply(answer("n2", NOW, vec![guest(160)]));
    assert_eq!((before, reason(&mut state, NOW)), (Reason::Starting, Reason::Starting));
    let stranger = GuestFacts { instance: Key::new("a", "nobody"), ..guest(100) };
    state.apply(answer("n1", NOW, vec![stranger]));
    assert_eq!(reason(&mut state, NOW), Reason::FirstSample, "it answered without the guest");
    state.apply(answer("n1", NOW, vec![guest(160)]));
    state.apply(answer("n2", NOW + SECOND, vec![guest(900)]));
    assert_eq!(known(&mut state, NOW + SECOND).at, NOW, "another node does not take its place");
}

#[test]
fn a_restart_and_a_migration_start_over() {
    for change in [
        (|instance: &mut InstanceFacts| instance.uid = "another".into()) as fn(&mut InstanceFacts),
        |instance| instance.node_name = "n2".into(),
    ] {
        let mut state = found();
        state.apply(answer("n1", NOW - 2 * MINUTE, vec![guest(100)]));
        state.apply(answer("n1", NOW - MINUTE, vec![guest(160)]));
        let mut moved = instance("a", "web-vm", "n1");
        change(&mut moved);
        let node = moved.node_name.clone();
        state.apply(Observation::Instances(applied(moved)));
        assert!(
            matches!(activity_at(&mut state, NOW), Activity::Missing(_)),
            "what was counted before says nothing about this run"
        );
        state.apply(answer(&node, NOW, vec![guest(900)]));
        assert_eq!(why(&known(&mut state, NOW).network), Reason::FirstSample);
        state.apply(answer(&node, NOW + MINUTE, vec![guest(960)]));
        assert_eq!(known(&mut state, NOW + MINUTE).network.unwrap().transmit, Rate(KIB * 1000));
    }
}

#[test]
fn figures_of_a_silent_virt_handler_age() {
    let mut state = found();
    state.apply(answer("n1", NOW - MINUTE, vec![guest(100)]));
    state.apply(answer("n1", NOW, vec![guest(160)]));
    let error = refused(Reason::TimedOut);
    state.apply(Observation::Guests { node: "n1".into(), at: NOW + MINUTE, result: Err(error) });
    assert!(!known(&mut state, NOW + 3 * MINUTE).stale);
    assert!(known(&mut state, NOW + 4 * MINUTE).stale);
    assert_eq!(reason(&mut state, NOW + 21 * MINUTE), Reason::TimedOut);
}

#[test]
fn a_refusal_counts_at_once_and_is_one_error() {
    let mut state = found();
    state.apply(answer("n1", NOW - MINUTE, vec![guest(100)]));
    state.apply(answer("n1", NOW, vec![guest(160)]));
    let (source, error) = (SourceId::VirtHandler, refused(Reason::Forbidden));
    state.apply(Observation::WatchFailed { source, namespace: None, error });
    assert_eq!(reason(&mut state, NOW), Reason::Forbidden);
    let health = health(&state.join(NOW), SourceId::VirtHandler);
    assert_eq!(
        (health.state, health.error.english().as_str()),
        (SourceState::Forbidden, "Forbidden, in words")
    );
    state.apply(Observation::HandlersFound { at: NOW });
    assert!(matches!(activity_at(&mut state, NOW), Activity::Known(_)), "it is granted again");
}

/// The port of virt-handler is open: it answered too much.
#[test]
fn an_answer_that_is_too_large_points_to_the_labels_of_instances() {
    let fix = crate::fix::source(SourceId::VirtHandler, Reason::TooLarge).english();
    assert!(fix.contains("labels") && fix.contains("get virtualmachineinstances.kubevirt.io"), "{fix}");
}

#[test]
fn a_node_that_fails_is_told_with_the_source() {
    let mut state = found();
    let error = refused(Reason::Unreachable);
    state.apply(Observation::Guests { node: "n1".into(), at: NOW, result: Err(error) });
    let snapshot = state.join(NOW);
    let health = health(&snapshot, SourceId::VirtHandler);
    assert_eq!((health.state, health.node.as_str()), (SourceState::Degraded, "n1"));
    assert_eq!(reason(&mut state, NOW), Reason::Unreachable);
}

#[test]
fn what_is_not_asked_or_does_not_run_says_so() {
    let mut state = found();
    state.limits.virt_handler = false;
    assert_eq!(reason(&mut state, NOW), Reason::NotConfigured);
    let mut stopped = instance("a", "web-vm", "n1");
    stopped.phase = "Succeeded".into();
    state.apply(Observation::Instances(applied(stopped)));
    assert_eq!(reason(&mut state, NOW), Reason::NotRunning);
}

#[test]
fn an_old_kubevirt_says_what_to_upgrade_to() {
    let mut state = found();
    let without_delay = |seconds| {
        let mut guest = guest(seconds);
        guest.counters.delay = None;
        guest
    };
    for (at, seconds) in [(NOW - MINUTE, 100), (NOW, 160)] {
        let facts = GuestsFacts {
            guests: vec![without_delay(seconds)],
            contention_since: Some(KubevirtVersion(1, 1)),
        };
        state.apply(Observation::Guests { node: "n1".into(), at, result: Ok(facts) });
    }
    let missing = known(&mut state, NOW).contention.unwrap_err();
    assert_eq!(missing.reason, Reason::NotReported);
    assert_eq!(missing.fix.english(), "Upgrade KubeVirt to 1.1 or newer.");
}

#[test]
fn a_sum_without_a_device_says_why() {
    let mut state = found();
    let with = |seconds: u64, change: fn(&mut GuestCounters)| {
        let mut guest = guest(seconds);
        change(&mut guest.counters);
        vec![guest]
    };
    for (change, reason) in [
        (
            (|of: &mut GuestCounters| of.interfaces_left_out = true) as fn(&mut GuestCounters),
            Reason::TooLarge,
        ),
        (|of| of.interfaces.clear(), Reason::NotReported),
        (|of| of.interfaces[0].name = "new".into(), Reason::FirstSample),
        (|of| of.interfaces[0].transmit.bytes = None, Reason::NotReported),
    ] {
        state.apply(answer("n1", NOW - MINUTE, vec![guest(100)]));
        state.apply(answer("n1", NOW, with(160, change)));
        let known = known(&mut state, NOW);
        assert_eq!(why(&known.network), reason);
        assert!(known.storage.is_ok(), "the drives are known");
    }
}

#[test]
fn the_guest_s_memory_is_what_its_own_system_says() {
    let mut state = found();
    state.apply(answer("n1", NOW, vec![guest(100)]));
    let memory = find(&state.join(NOW), "a", "web").guest.memory.unwrap();
    assert_eq!((memory.used, memory.of, memory.source), (GI, 4 * GI, Source::VirtHandler));
    assert_eq!(health(&state.join(NOW), SourceId::VirtHandler).vms, 1);
    let impossible = GuestMemory { available: Some(1), usable: Some(2), ..GuestMemory::default() };
    state.apply(answer("n1", NOW + MINUTE, vec![GuestFacts { memory: impossible, ..guest(160) }]));
    assert_eq!(why(&known(&mut state, NOW + MINUTE).memory), Reason::BadAnswer);
}

#[test]
fn a_guest_that_is_gone_takes_no_memory() {
    let mut state = found();
    state.apply(answer("n1", NOW, vec![guest(100)]));
    state.join(NOW);
    let instance = instance("a", "web-vm", "n1");
    assert!(state.counted_guests.guest(&instance).is_some());
    state.apply(Observation::Instances(Change::Deleted { key: Key::new("a", "web-vm"), at: NOW }));
    state.join(NOW);
    assert!(state.counted_guests.guest(&instance).is_none());
}

#[test]
fn the_progress_of_a_migration_is_that_of_the_last_answer() {
    let mut state = found();
    let progress = MigrationProgress { processed: Some(7), remaining: Some(3), ..Default::default() };
    let moving = GuestFacts { migration: Some(Box::new(progress)), ..guest(100) };
    state.apply(answer("n1", NOW - MINUTE, vec![moving]));
    assert_eq!(known(&mut state, NOW - MINUTE).migration.as_deref(), Some(&progress));
    state.apply(answer("n1", NOW, vec![guest(160)]));
    assert_eq!(known(&mut state, NOW).migration, None, "it is over, or somebody else has asked");
}
