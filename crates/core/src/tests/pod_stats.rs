//! What kubelets count of launcher pods: the traffic where virt-handler has none, and the pressure.

use super::*;
use i18n::Render;
use model::{
    activity::{Activity, GuestActivity, Traffic},
    figure::Missing,
    instance::InstanceDetails,
    pressure::{Pressure, PressureSample, Stall},
    rates::Rate,
};

const MINUTE: Millis = 60 * SECOND;
const POD: &str = "virt-launcher-web-vm-abc12";

fn with_web() -> ClusterState {
    let mut state = state();
    add_vm(&mut state, "a", "web", 100, GI);
    state
}

/// The launcher pod of `a/web`, whose guest has received 2 kB and transmitted 1 kB in each of so many seconds.
fn pod_stats(seconds: u64, at: Millis) -> PodStats {
    let stall = |some| Some(Stall { some, full: some / 2 });
    PodStats {
        pod: Key::new("a", POD),
        uid: format!("pod-a-{POD}").into(),
        taps: Some(TapBytes { receive: seconds * 2000, transmit: seconds * 1000, devices: 1 }),
        taps_at: Some(at),
        pressure: Pressure { cpu: stall(33_250), memory: stall(0), io: stall(1_500) },
        pressure_at: Some(at),
    }
}

fn answer(node: &str, at: Millis, pods: Vec<PodStats>) -> Observation {
    let facts = SummaryFacts { pods, source: Source::KubeletDirect, ..summary_facts(Vec::new()) };
    Observation::Summary { node: node.into(), at, result: Ok(facts) }
}

fn failed(at: Millis, reason: Reason) -> Observation {
    Observation::Summary { node: "n1".into(), at, result: Err(refused(reason)) }
}

fn vm_at(state: &mut ClusterState, now: Millis) -> Arc<Vm> {
    find(&state.join(now), "a", "web")
}

fn known(vm: &Vm) -> GuestActivity {
    match &vm.activity {
        Activity::Known(known) => (**known).clone(),
        Activity::Missing(missing) => panic!("{missing:?}"),
    }
}

fn missing(vm: &Vm) -> Missing {
    match &vm.activity {
        Activity::Known(known) => panic!("{known:?}"),
        Activity::Missing(missing) => (**missing).clone(),
    }
}

const TRAFFIC: Traffic = Traffic { receive: Rate(2_000_000), transmit: Rate(1_000_000), uncounted: 0 };

#[test]
fn traffic_is_the_kubelet_s_where_virt_handler_is_not_asked() {
    let mut state = with_web();
    state.apply(answer("n1", NOW - MINUTE, vec![pod_stats(100, NOW - MINUTE)]));
    assert_eq!(missing(&vm_at(&mut state, NOW - MINUTE)).reason, Reason::NotConfigured, "a rate needs two");
    state.apply(answer("n1", NOW, vec![pod_stats(160, NOW)]));
    let snapshot = state.join(NOW);
    let of = known(&find(&snapshot, "a", "web"));
    assert_eq!((of.source, of.at, of.window_ms, of.stale), (Source::KubeletDirect, NOW, 60_000, false));
    assert_eq!((of.network, of.network_from), (Ok(TRAFFIC), None));
    for missing in [of.memory.err(), of.swap.err(), of.storage.err(), of.contention.err()] {
        assert_eq!(missing.unwrap().reason, Reason::NotConfigured, "the kubelet knows nothing else");
    }
    assert_eq!(health(&snapshot, SourceId::Kubelet).vms, 1);
}

/// What virt-handler says of another guest: it receives nothing.
fn counted(at: Millis, seconds: u64) -> Observation {
    let traffic = TrafficCounters { bytes: Some(7), ..TrafficCounters::default() };
    let interface = InterfaceCounters { name: "default".into(), receive: traffic, transmit: traffic };
    let counters = GuestCounters {
        cpu_time: Some(seconds * 1_000_000_000),
        interfaces: vec![interface],
        ..GuestCounters::default()
    };
    let instance = Key::new("a", "web-vm");
    let guest = GuestFacts { instance, memory: GuestMemory::default(), migration: None, counters };
    let facts = GuestsFacts { guests: vec![guest], contention_since: None };
    Observation::Guests { node: "n1".into(), at, result: Ok(facts) }
}

/// A minute is an interval of both sources.
#[test]
fn a_virt_handler_that_answers_decides_and_an_old_figure_of_it_does_not() {
    let mut state = with_web();
    state.limits.virt_handler = true;
    for minute in 0..=4 {
        let at = NOW + minute * MINUTE;
        state.apply(answer("n1", at, vec![pod_stats(100 + 60 * minute as u64, at)]));
        if minute < 2 {
            state.apply(counted(at, 100 + 60 * minute as u64));
        }
    }
    let idle = Traffic { receive: Rate(0), transmit: Rate(0), uncounted: 0 };
    let of = known(&vm_at(&mut state, NOW + 4 * MINUTE));
    assert_eq!(
        (of.source, of.stale, of.network, of.network_from),
        (Source::VirtHandler, false, Ok(idle), None)
    );
    let of = known(&vm_at(&mut state, NOW + 4 * MINUTE + SECOND));
    let from = of.network_from.unwrap();
    assert_eq!(
        (of.source, of.stale, of.at),
        (Source::VirtHandler, true, NOW + MINUTE),
        "the rest of it stays"
    );
    assert_eq!((of.network, from.source, from.stale), (Ok(TRAFFIC), Source::KubeletDirect, false));
    // A minute later both are old, and the first source decides again.
    let of = known(&vm_at(&mut state, NOW + 8 * MINUTE));
    assert_eq!((of.network, of.network_from, of.stale), (Ok(idle), None, true));
}

#[test]
fn a_kubelet_is_believed_about_the_pods_of_its_node() {
    let mut state = with_web();
    let lie = |at, seconds| answer("n2", at, vec![pod_stats(seconds, at)]);
    state.apply(lie(NOW - MINUTE, 0));
    state.apply(lie(NOW, 1_000_000));
    assert_eq!(missing(&vm_at(&mut state, NOW)).reason, Reason::NotConfigured);
    let pod =
        |name: &str, uid: &str| PodStats { pod: Key::new("a", name), uid: uid.into(), ..pod_stats(7, NOW) };
    let strangers = vec![pod(POD, "another"), pod("virt-launcher-none-abc12", "")];
    state.apply(answer("n1", NOW - MINUTE, strangers.clone()));
    state.apply(answer("n1", NOW, strangers));
    let vm = vm_at(&mut state, NOW);
    assert_eq!(missing(&vm).reason, Reason::NotConfigured);
    assert_eq!(vm.pressure.as_ref().unwrap_err().reason, Reason::NotReported);
}

#[test]
fn another_pod_of_the_vm_starts_over() {
    let mut state = with_web();
    state.apply(answer("n1", NOW - MINUTE, vec![pod_stats(100, NOW - MINUTE)]));
    state.apply(answer("n1", NOW, vec![pod_stats(160, NOW)]));
    assert!(known(&vm_at(&mut state, NOW)).network.is_ok());
    // The guest moves to a pod on n2, which has counted more.
    let mut moved = instance("a", "web-vm", "n2");
    moved.uid = "vmi-a-web-vm".into();
    let target = "virt-launcher-web-vm-zzzzz";
    let mut pod = pod("a", target, "n2");
    pod.created_by = moved.uid.clone();
    state.apply(Observation::Instances(applied(moved)));
    state.apply(Observation::Pods(applied(pod)));
    state.apply(Observation::Pods(Change::Deleted { key: Key::new("a", POD), at: NOW }));
    let of_target = |seconds, at| PodStats {
        pod: Key::new("a", target),
        uid: format!("pod-a-{target}").into(),
        ..pod_stats(seconds, at)
    };
    state.apply(answer("n2", NOW + MINUTE, vec![of_target(10_000, NOW + MINUTE)]));
    assert!(matches!(vm_at(&mut state, NOW + MINUTE).activity, Activity::Missing(_)), "a gap, never a peak");
    state.apply(answer("n2", NOW + 2 * MINUTE, vec![of_target(10_060, NOW + 2 * MINUTE)]));
    assert_eq!(known(&vm_at(&mut state, NOW + 2 * MINUTE)).network, Ok(TRAFFIC));
    assert_eq!(state.launcher_stats.len(), 1, "the source's pod is gone");
}

#[test]
fn a_pod_that_an_answer_has_twice_counts_once() {
    let mut state = with_web();
    for (at, seconds) in [(NOW - MINUTE, 100), (NOW, 160)] {
        let twice = PodStats { taps: None, ..pod_stats(seconds + 900, at + SECOND) };
        state.apply(answer("n1", at, vec![pod_stats(seconds, at), twice]));
    }
    assert_eq!(known(&vm_at(&mut state, NOW)).network, Ok(TRAFFIC));
}

#[test]
fn devices_that_are_not_known_once_start_over() {
    let mut state = with_web();
    for (minute, taps) in [(0, true), (1, true), (2, false), (3, true)] {
        let at = NOW + minute * MINUTE;
        let stats = pod_stats(100 + 60 * minute as u64, at);
        let taps = stats.taps.filter(|_| taps);
        state.apply(answer("n1", at, vec![PodStats { taps, ..stats }]));
    }
    assert!(matches!(vm_at(&mut state, NOW + 3 * MINUTE).activity, Activity::Missing(_)));
    state.apply(answer("n1", NOW + 4 * MINUTE, vec![pod_stats(340, NOW + 4 * MINUTE)]));
    assert_eq!(known(&vm_at(&mut state, NOW + 4 * MINUTE)).network, Ok(TRAFFIC));
}

#[test]
fn a_refusal_ends_the_traffic_at_once_and_silence_in_time() {
    let mut state = with_web();
    state.apply(answer("n1", NOW - MINUTE, vec![pod_stats(100, NOW - MINUTE)]));
    state.apply(answer("n1", NOW, vec![pod_stats(160, NOW)]));
    state.apply(failed(NOW + SECOND, Reason::TimedOut));
    for (minutes, stale) in [(3, Some(false)), (4, Some(true)), (20, Some(true)), (21, None)] {
        let vm = vm_at(&mut state, NOW + minutes * MINUTE);
        let known = matches!(&vm.activity, Activity::Known(_)).then(|| known(&vm).stale);
        assert_eq!(known, stale, "{minutes}");
        assert_eq!(vm.pressure.as_ref().ok().map(|sample| sample.origin.stale), stale, "{minutes}");
    }
    let why = |state: &mut ClusterState| vm_at(state, NOW + 21 * MINUTE).pressure.clone().unwrap_err().reason;
    assert_eq!(why(&mut state), Reason::TimedOut);
    state.apply(failed(NOW + SECOND, Reason::Forbidden));
    let vm = vm_at(&mut state, NOW + 2 * SECOND);
    assert!(matches!(vm.activity, Activity::Missing(_)));
    assert_eq!(vm.pressure.as_ref().unwrap_err().reason, Reason::Forbidden);
}

/// The instance of `a/web` with a card that is passed through.
fn pass_through(state: &mut ClusterState) {
    let interface = |name: &str, is_sriov| InstanceInterface {
        name: name.into(),
        is_sriov,
        ..InstanceInterface::default()
    };
    let details = InstanceDetails {
        interfaces: [interface("default", false), interface("fast", true)].into(),
        ..InstanceDetails::default()
    };
    let instance = InstanceFacts { details: details.into(), ..instance("a", "web-vm", "n1") };
    state.apply(Observation::Instances(applied(instance)));
}

#[test]
fn a_sum_says_that_it_does_not_count_sriov_interfaces() {
    let mut state = with_web();
    pass_through(&mut state);
    state.apply(answer("n1", NOW - MINUTE, vec![pod_stats(100, NOW - MINUTE)]));
    state.apply(answer("n1", NOW, vec![pod_stats(160, NOW)]));
    let vm = vm_at(&mut state, NOW);
    assert_eq!(known(&vm).network.unwrap().uncounted, 1);
    assert_eq!(crate::amounts::network(&vm), model::activity::Amount::AtLeast(3_000_000));
    state.limits.virt_handler = true;
    state.apply(counted(NOW - MINUTE, 100));
    state.apply(counted(NOW, 160));
    let vm = vm_at(&mut state, NOW);
    let Traffic { receive, uncounted, .. } = known(&vm).network.unwrap();
    assert_eq!((known(&vm).source, receive, uncounted), (Source::VirtHandler, Rate(0), 1));
}

#[test]
fn the_pressure_is_what_the_kubelet_says_of_the_pod() {
    let mut state = with_web();
    assert_eq!(vm_at(&mut state, NOW).pressure.as_ref().unwrap_err().reason, Reason::Starting);
    state.apply(answer("n1", NOW, vec![pod_stats(100, NOW - SECOND)]));
    let vm = vm_at(&mut state, NOW);
    let PressureSample { pressure, origin } = vm.pressure.clone().unwrap();
    assert_eq!(pressure.cpu, Some(Stall { some: 33_250, full: 16_625 }));
    assert_eq!((origin.source, origin.at), (Source::KubeletDirect, NOW - SECOND));
    assert_eq!((origin.window_ms, origin.stale), (60_000, false));
    let text = |vm: &Vm| crate::details::details(vm, &[]).pressure.english();
    assert_eq!(text(&vm), "CPU 33.2 %, memory 0.0 %, I/O 1.5 %");
    assert_eq!(text(&vm_at(&mut state, NOW + 4 * MINUTE)), "CPU 33.2 %, memory 0.0 %, I/O 1.5 % (stale)");
    let pressure = Pressure { io: None, ..pressure };
    state.apply(answer("n1", NOW + MINUTE, vec![PodStats { pressure, ..pod_stats(160, NOW + MINUTE) }]));
    assert_eq!(text(&vm_at(&mut state, NOW + MINUTE)), "CPU 33.2 %, memory 0.0 %, I/O —");
}

#[test]
fn a_kubelet_without_pressure_says_since_when_there_is_one() {
    let mut state = with_web();
    let old = PodStats { pressure: Pressure::default(), pressure_at: None, ..pod_stats(100, NOW) };
    state.apply(answer("n1", NOW, vec![old]));
    let vm = vm_at(&mut state, NOW);
    let gap = crate::details::details(&vm, &[]).pressure_gap.unwrap();
    assert_eq!(gap.reason, Reason::NotReported);
    assert!(gap.detail.english().contains("PSI"));
    let fix = gap.fix.english();
    assert!(fix.contains("1.34") && fix.contains("/api/v1/nodes/n1/proxy/stats/summary"), "{fix}");
    state.limits.disk_sources.clear();
    state.forget_rows();
    let gap = vm_at(&mut state, NOW).pressure.clone().unwrap_err();
    assert_eq!(gap.reason, Reason::NotConfigured);
    assert!(gap.fix.english().contains("--disk-sources"));
}

/// A kubelet may say that all pods of the cluster are its own, and invent others.
#[test]
fn nothing_is_kept_of_pods_of_other_nodes() {
    let mut state = state();
    let name = |n: usize| format!("virt-launcher-{n}-abc12");
    let exists = |n: usize| pod("a", &name(n), &format!("n{}", n % 100));
    state.apply(Observation::Pods(replaced((0..10_000).map(exists).collect())));
    let all = |at: Millis| -> Vec<PodStats> {
        let stats = |n: usize| PodStats {
            pod: Key::new("a", &name(n)),
            uid: Box::default(),
            ..pod_stats(n as u64, at)
        };
        (0..12_000).map(stats).collect()
    };
    let lie = |state: &mut ClusterState| {
        for node in 0..60 {
            state.apply(answer(&format!("n{node}"), NOW, all(NOW)));
        }
    };
    let bytes = allocation_counter::measure(|| lie(&mut state)).bytes_current;
    assert_eq!(state.launcher_stats.len(), 6_000, "each pod of these nodes");
    assert!(bytes < 4 << 20, "{bytes} bytes");
}
