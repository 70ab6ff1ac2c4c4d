//! Clocks that are off, this program's among them: no figure stays fresh for longer than its sample is new to us, and none that is alive
//! is blanked.

use super::*;
use i18n::Render;
use model::figure::Figure;

const AHEAD: [Millis; 3] = [NOW + 60 * SECOND, NOW + 3_600_000, 4_102_444_800_000];
/// Of every source here at least: 20 intervals of 120 s.
const EXPIRED: Millis = 2_400 * SECOND;

/// A source whose samples have a future time: how it reports one, and how the figure of `a/web` is read.
struct Source {
    name: &'static str,
    tell: fn(&mut ClusterState, at: Millis, received: Millis),
    read: fn(&Vm) -> Option<(Millis, bool)>,
}

fn known(figure: &Figure) -> Option<(Millis, bool)> {
    figure.sample().map(|sample| (sample.at, sample.stale))
}

fn prometheus(volumes: Vec<VolumeStats>, at: Millis, received: Millis) -> Observation {
    let instance = InstanceSample {
        namespace: "a".into(),
        name: "web-vm".into(),
        cpu_nanocores: Some(1),
        cpu_window_ms: 15_000,
        memory_bytes: Some(GI),
        guest_available: Some(2 * GI),
        guest_usable: Some(GI),
        at,
        trusted_time: true,
    };
    let facts = PrometheusFacts { volumes, instances: vec![instance], ..Default::default() };
    Observation::Prometheus { at: received, result: Ok(facts) }
}

fn claim_stats(at: Millis) -> Vec<VolumeStats> {
    vec![VolumeStats { at: Some(at), ..stats("a", "web-root", 3, 10) }]
}

const SOURCES: [Source; 5] = [
    Source {
        name: "metrics.k8s.io",
        tell: |state, at, received| {
            let sample =
                PodMetricsFacts { at: Some(at), ..sample("a", "virt-launcher-web-vm-abc12", 500, GI) };
            state.apply(Observation::PodMetrics { namespace: None, at: received, result: Ok(vec![sample]) });
        },
        read: |vm| known(&vm.summary.usage.cpu),
    },
    Source {
        name: "kubelet",
        tell: |state, at, received| {
            report(state, summary_at("n1", received, claim_stats(at)));
        },
        read: |vm| known(&vm.summary.usage.disk),
    },
    Source {
        name: "prometheus, volumes",
        tell: |state, at, received| state.apply(prometheus(claim_stats(at), at, received)),
        read: |vm| known(&vm.summary.usage.disk),
    },
    Source {
        name: "prometheus, instances",
        tell: |state, at, received| state.apply(prometheus(Vec::new(), at, received)),
        read: |vm| known(&vm.summary.usage.memory),
    },
    Source {
        name: "prometheus, guests",
        tell: |state, at, received| state.apply(prometheus(Vec::new(), at, received)),
        read: |vm| vm.guest.memory.map(|sample| (sample.at, sample.stale)),
    },
];

/// A running `a/web` with one claim, of which no source has said anything yet.
fn state_of_one() -> ClusterState {
    let disk_sources = vec![SourceId::Kubelet, SourceId::Prometheus, SourceId::GuestAgent];
    let mut state = ClusterState::new(Limits { disk_sources, ..limits() });
    let volume = WukongVolume { name: "root".into(), claim: "web-root".into(), size: "10".into() };
    let wukong = WukongFacts { volumes: [volume].into(), ..wukong("a", "web") };
    let instance = InstanceFacts { agent_connected: true, ..instance("a", "web-vm", "n1") };
    let pod = PodFacts { created_by: instance.uid.clone(), ..pod("a", "virt-launcher-web-vm-abc12", "n1") };
    state.apply(Observation::Wukongs(replaced(vec![wukong])));
    state.apply(Observation::VirtualMachines(replaced(vec![])));
    state.apply(Observation::Instances(replaced(vec![instance])));
    state.apply(Observation::Pods(replaced(vec![pod])));
    let claim = ClaimFacts { namespace: "a".into(), name: "web-root".into(), ..ClaimFacts::default() };
    state.apply(Observation::Claims(replaced(vec![claim])));
    state.apply(metrics(vec![]));
    state
}

fn read_at(source: &Source, state: &mut ClusterState, now: Millis) -> Option<(Millis, bool)> {
    (source.read)(&find(&state.join(now), "a", "web"))
}

#[test]
fn a_sample_of_the_future_ages_from_when_it_was_first_received() {
    for source in SOURCES {
        for at in AHEAD {
            let mut state = state_of_one();
            (source.tell)(&mut state, at, NOW);
            let what = format!("{} at {at}", source.name);
            assert_eq!(read_at(&source, &mut state, NOW), Some((NOW, false)), "{what}");
            // It repeats itself, a minute apart.
            let mut now = NOW;
            while now < NOW + EXPIRED + 60 * SECOND {
                now += 60 * SECOND;
                (source.tell)(&mut state, at, now);
            }
            assert_eq!(read_at(&source, &mut state, now), None, "{what}: it is kept fresh");
        }
    }
}

#[test]
fn a_source_whose_clock_runs_ahead_is_no_less_alive() {
    for source in SOURCES {
        let mut state = state_of_one();
        for minute in 0..60 {
            let now = NOW + minute * 60 * SECOND;
            (source.tell)(&mut state, now + 3_600_000, now);
            assert_eq!(read_at(&source, &mut state, now), Some((now, false)), "{}", source.name);
        }
    }
}

/// A figure without a time is as old as its answer, by this program's clock, which may be set back.
#[test]
fn a_clock_that_is_set_back_keeps_nothing_fresh() {
    for source in SOURCES {
        let mut state = state_of_one();
        (source.tell)(&mut state, NOW, NOW);
        assert_eq!(read_at(&source, &mut state, NOW - 30 * 86_400 * SECOND), None, "{}", source.name);
    }
    let mut state = state_of_one();
    let filesystem =
        Filesystem { mount_point: "/".into(), used: Some(1), total: Some(2), ..Default::default() };
    let instance = Key::new("a", "web-vm");
    state.apply(Observation::Filesystems { instance, at: NOW, result: Ok(vec![filesystem]) });
    let filesystems =
        |state: &mut ClusterState, now| find(&state.join(now), "a", "web").guest.filesystems.len();
    assert_eq!(filesystems(&mut state, NOW), 1);
    assert_eq!(filesystems(&mut state, NOW - 30 * 86_400 * SECOND), 0);
}

#[test]
fn a_pod_created_in_the_future_is_not_new_for_ever() {
    let reason = |created: Millis| {
        let mut state = state_of_one();
        let pod = PodFacts {
            created,
            created_by: "vmi-a-web-vm".into(),
            ..pod("a", "virt-launcher-web-vm-abc12", "n1")
        };
        state.apply(Observation::Pods(replaced(vec![pod])));
        milli(&find(&state.join(NOW), "a", "web"))
    };
    assert_eq!(reason(NOW - 20 * SECOND), Err(Reason::TooNew));
    assert_eq!(reason(NOW + 20 * SECOND), Err(Reason::TooNew), "a clock that is a little off");
    for created in AHEAD.into_iter().skip(1) {
        assert_eq!(reason(created), Err(Reason::NotSampled), "{created}");
    }
}

#[test]
fn a_window_of_days_keeps_nothing_fresh() {
    let mut state = state_of_one();
    let sample =
        PodMetricsFacts { window_ms: 7 * 86_400_000, ..sample("a", "virt-launcher-web-vm-abc12", 500, GI) };
    state.apply(metrics(vec![sample]));
    assert_eq!(milli(&find(&state.join(NOW + 20 * 600 * SECOND), "a", "web")), Err(Reason::Expired));
}

/// The CPU figure of `a/web`, asked for each 15 s, whose samples are so far ahead of this program's clock.
fn told_each_interval(state: &mut ClusterState, rounds: Millis, ahead: Millis) -> Millis {
    for n in 0..rounds {
        let at = NOW + n * 15 * SECOND;
        let mut item = sample("a", "virt-launcher-web-vm-abc12", 500, GI);
        (item.at, item.made) = (Some(at + ahead), Some(at));
        state.apply(Observation::PodMetrics { namespace: None, at, result: Ok(vec![item]) });
    }
    NOW + (rounds - 1) * 15 * SECOND
}

const MINUTES_BEHIND: Millis = -7 * 60 * SECOND;

fn warning(snapshot: &Snapshot, id: SourceId) -> String {
    health(snapshot, id).warning.english()
}

/// kubernetes-retired/heapster#802.
#[test]
fn figures_of_a_node_whose_clock_is_behind_are_fresh_and_the_skew_is_reported() {
    let mut state = state_of_one();
    let cpu = |state: &mut ClusterState, now| find(&state.join(now), "a", "web").summary.usage.cpu.clone();
    let first = told_each_interval(&mut state, 1, MINUTES_BEHIND);
    assert!(cpu(&mut state, first).sample().is_some_and(|sample| sample.stale), "as old as it says, so far");
    assert!(cpu(&mut state, first + 45 * SECOND).sample().is_some());
    let missing = cpu(&mut state, first + 46 * SECOND).missing().cloned().unwrap();
    assert_eq!(missing.reason, Reason::Expired, "it had its chance");

    let now = told_each_interval(&mut state, 8, MINUTES_BEHIND);
    assert_eq!(known(&cpu(&mut state, now)), Some((now, false)), "as of now, by this program's clock");
    let snapshot = state.join(now);
    let warned = warning(&snapshot, SourceId::PodMetrics);
    assert!(warned.contains("n1") && warned.contains("7 min behind"), "{warned}");
    assert_eq!(warning(&snapshot, SourceId::Kubelet), "");
}

#[test]
fn this_programs_own_clock_skew_hides_no_figure_and_is_reported_once() {
    let mut state = state_of_one();
    let hour = 3_600 * SECOND;
    let mut now = NOW;
    for n in 0..8 {
        now = NOW + n * 15 * SECOND;
        let mut item = sample("a", "virt-launcher-web-vm-abc12", 500, GI);
        (item.at, item.made) = (Some(now - hour), Some(now - hour));
        state.apply(Observation::PodMetrics { namespace: None, at: now, result: Ok(vec![item]) });
        state.apply(prometheus(claim_stats(now - hour), now - hour, now));
    }
    let snapshot = state.join(now);
    let vm = find(&snapshot, "a", "web");
    for figure in [&vm.summary.usage.cpu, &vm.summary.usage.memory, &vm.summary.usage.disk] {
        assert_eq!(known(figure), Some((now, false)));
    }
    let warned: Vec<String> =
        snapshot.sources.iter().map(|of| of.warning.english()).filter(|warned| !warned.is_empty()).collect();
    assert_eq!(warned.len(), 1, "{warned:?}");
    assert!(warned[0].contains("60 min ahead of all others"), "{warned:?}");
}

fn with_instances(warned: Observation, trusted_time: bool) -> Observation {
    let Observation::Prometheus { at, result: Ok(mut facts) } = warned else { panic!("{warned:?}") };
    facts.instances[0].trusted_time = trusted_time;
    Observation::Prometheus { at, result: Ok(facts) }
}

/// A tenant's page may give its samples any time.
#[test]
fn only_trusted_exporters_tell_the_clock_of_prometheus() {
    let hour = 3_600 * SECOND;
    let warned = |of_volumes: bool, of_instances: bool| {
        let mut state = state_of_one();
        let mut now = NOW;
        for n in 0..8 {
            now = NOW + n * 15 * SECOND;
            let volumes = vec![VolumeStats { trusted_time: of_volumes, ..claim_stats(now + hour).remove(0) }];
            state.apply(with_instances(prometheus(volumes, now + hour, now), of_instances));
        }
        let snapshot = state.join(now);
        let vm = find(&snapshot, "a", "web");
        assert_eq!(known(&vm.summary.usage.disk), Some((now, false)), "it is alive all the same");
        assert_eq!(known(&vm.summary.usage.memory), Some((now, false)));
        warning(&snapshot, SourceId::Prometheus)
    };
    for (volumes, instances) in [(true, false), (false, true)] {
        let warned = warned(volumes, instances);
        assert!(warned.contains("60 min ahead"), "{volumes} {instances}: {warned}");
    }
    assert_eq!(warned(false, false), "");
}

#[test]
fn the_clock_skew_of_a_kubelet_is_reported() {
    let mut state = state_of_one();
    for minute in 0..8 {
        let now = NOW + minute * 60 * SECOND;
        report(&mut state, summary_at("n1", now, claim_stats(now + MINUTES_BEHIND)));
    }
    let warned = warning(&state.join(NOW + 7 * 60 * SECOND), SourceId::Kubelet);
    assert!(warned.contains("n1") && warned.contains("7 min behind"), "{warned}");
}

/// metrics-server writes its own time into each item, beside the node's.
#[test]
fn the_clock_skew_of_the_metrics_api_is_reported_if_its_clock_runs() {
    let warned = |made: fn(Millis) -> Millis| {
        let mut state = state_of_one();
        for n in 0..8 {
            let at = NOW + n * 15 * SECOND;
            let mut item = sample("a", "virt-launcher-web-vm-abc12", 500, GI);
            (item.at, item.made) = (Some(at), Some(made(at)));
            state.apply(Observation::PodMetrics { namespace: None, at, result: Ok(vec![item]) });
        }
        warning(&state.join(NOW + 7 * 15 * SECOND), SourceId::PodMetrics)
    };
    let behind = warned(|now| now + MINUTES_BEHIND);
    assert!(behind.contains("7 min behind") && !behind.contains("n1"), "{behind}");
    assert_eq!(warned(|_| NOW + MINUTES_BEHIND), "", "it stands still");
}

/// A pod is as new as the cluster's clocks say.
#[test]
fn a_new_pod_is_new_where_this_programs_clock_is_off() {
    let hour = 3_600 * SECOND;
    let mut state = state_of_one();
    add_vm(&mut state, "a", "new", 500, GI);
    let pod = PodFacts {
        created: NOW - hour,
        created_by: "vmi-a-new-vm".into(),
        ..pod("a", "virt-launcher-new-vm-abc12", "n1")
    };
    state.apply(Observation::Pods(applied(pod)));
    state.metrics.clear(None, &mut state.touched);
    let mut now = NOW;
    for n in 0..8 {
        now = NOW + n * 15 * SECOND;
        let mut item = sample("a", "virt-launcher-web-vm-abc12", 500, GI);
        (item.at, item.made) = (Some(now - hour), Some(now - hour));
        state.apply(Observation::PodMetrics { namespace: None, at: now, result: Ok(vec![item]) });
    }
    state.join(now);
    assert_eq!(milli(&find(&state.join(now), "a", "new")), Err(Reason::TooNew));
}

/// Where all clocks agree that this program's is off, that holds for samples that tell of no clock too.
#[test]
fn this_programs_own_clock_corrects_what_has_no_clock_of_its_own() {
    let mut state = state_of_one();
    let hour = 3_600 * SECOND;
    let mut now = NOW;
    for n in 0..8 {
        now = NOW + n * 15 * SECOND;
        let mut item = sample("a", "virt-launcher-web-vm-abc12", 500, GI);
        (item.at, item.made) = (Some(now - hour), Some(now - hour));
        state.apply(Observation::PodMetrics { namespace: None, at: now, result: Ok(vec![item]) });
        let volumes = vec![VolumeStats { trusted_time: false, ..claim_stats(now - hour).remove(0) }];
        state.apply(with_instances(prometheus(volumes, now - hour, now), false));
    }
    state.join(now);
    let vm = find(&state.join(now), "a", "web");
    assert_eq!(known(&vm.summary.usage.disk), Some((now, false)));
}

#[test]
fn a_wall_clock_that_is_set_blanks_nothing() {
    for step in [2 * 3_600 * SECOND, -2 * 3_600 * SECOND] {
        let mut state = state_of_one();
        let now = told_each_interval(&mut state, 4, 0);
        report(&mut state, summary_at("n1", now, claim_stats(now)));
        state.set_wall_step(step);
        let snapshot = state.join(now + 15 * SECOND);
        let vm = find(&snapshot, "a", "web");
        assert_eq!(snapshot.at, now + 15 * SECOND + step);
        assert!(known(&vm.summary.usage.cpu).is_some_and(|(_, stale)| !stale), "{step}");
        assert!(vm.summary.usage.disk.sample().is_some(), "{step}");
        for source in &snapshot.sources {
            assert!(source.last_success.is_none_or(|at| at <= snapshot.at), "{source:?}");
        }
    }
}

/// As on a node whose clock NTP has corrected.
#[test]
fn a_time_that_jumps_back_is_a_new_sample() {
    let mut state = state_of_one();
    told_each_interval(&mut state, 4, 0);
    let now = told_each_interval(&mut state, 30, -3_600 * SECOND);
    let cpu = find(&state.join(now), "a", "web").summary.usage.cpu.clone();
    assert!(known(&cpu).is_some_and(|(_, stale)| !stale), "{cpu:?}");
}
