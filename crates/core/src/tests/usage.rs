//! CPU and memory: Running only, exact, aged, and never zero for missing.

mod missing;
mod status;

use super::*;
use i18n::Render;
use model::vm::Kind;

fn one() -> ClusterState {
    let mut state = state();
    add_vm(&mut state, "a", "web", 500, 3 * GI);
    state
}

fn vm_facts(status: &str) -> VmFacts {
    VmFacts {
        uid: "vm".into(),
        namespace: "a".into(),
        name: "web-vm".into(),
        printable_status: status.into(),
        vcpus: Some(2),
        memory: "2Gi".into(),
        ..Default::default()
    }
}

fn fail(state: &mut ClusterState, reason: Reason) {
    let result = Err(refused(reason));
    state.apply(Observation::PodMetrics { namespace: None, at: NOW, result });
}

#[test]
fn used_out_of_allocated() {
    let vm = web(&mut one());
    let usage = &vm.summary.usage;
    let (cpu, memory) = (usage.cpu.sample().unwrap(), usage.memory.sample().unwrap());
    assert_eq!((cpu.percent(), cpu.of), (25, 2_000_000_000));
    assert_eq!((memory.percent(), memory.of, memory.window_ms), (75, 4 * GI, 15_000));
    assert!(!cpu.stale);
}

#[test]
fn more_than_allocated_is_said_exactly() {
    let mut state = state();
    add_vm(&mut state, "a", "web", 500, 5 * GI);
    let sample = *web(&mut state).summary.usage.memory.sample().unwrap();
    assert_eq!((sample.percent(), sample.contract_percent()), (125, 100));
}

#[test]
fn a_pod_without_samples_is_too_new_or_not_scraped_never_idle() {
    let mut state = one();
    state.apply(Observation::Pods(applied(PodFacts {
        created: NOW - 20_000,
        created_by: "vmi-a-new-vm".into(),
        ..pod("a", "virt-launcher-new-vm-abc12", "n1")
    })));
    state.apply(Observation::Wukongs(applied(wukong("a", "new"))));
    assert_eq!(milli(&find(&state.join(NOW), "a", "new")), Err(Reason::TooNew));
    let later = state.join(NOW + 600_000);
    assert_eq!(milli(&find(&later, "a", "new")), Err(Reason::NotSampled));
    let health = health(&later, SourceId::PodMetrics);
    assert_eq!(
        (health.reason, health.vms_missing),
        (Some(Reason::NotSampled), 2),
        "and one that has expired"
    );
    assert_eq!(health.error.english(), "no samples of launcher pods on n1");
    assert!(health.fix.english().ends_with("kubectl top nodes"));
    assert_eq!(health.node, "n1");
}

#[test]
fn a_quantity_that_cannot_be_read_is_unknown_alone() {
    let mut state = one();
    let mut item = sample("a", "virt-launcher-web-vm-abc12", 0, 3 * GI);
    item.containers[0].cpu_nanocores = None;
    state.apply(metrics(vec![item]));
    let vm = web(&mut state);
    assert_eq!(milli(&vm), Err(Reason::BadAnswer));
    assert_eq!(used(&vm.summary.usage.memory), Ok(3 * GI));
}

/// As metrics-server answers when a counter of one container went back.
#[test]
fn an_item_without_the_guests_container_leaves_the_last_sample() {
    let mut state = one();
    let later = |name: Option<&str>, seconds: Millis| {
        let mut item = sample("a", "virt-launcher-web-vm-abc12", 700, GI);
        item.at = item.at.map(|at| at + seconds * SECOND);
        match name {
            Some(name) => item.containers[0].name = name.into(),
            None => item.containers.clear(),
        }
        Observation::PodMetrics { namespace: None, at: NOW + seconds * SECOND, result: Ok(vec![item]) }
    };
    let cpu = |state: &mut ClusterState, seconds| {
        find(&state.join(NOW + seconds * SECOND), "a", "web").summary.usage.cpu.clone()
    };
    for (item, words) in
        [(later(Some("guest-console-log"), 15), "compute"), (later(None, 30), "no container")]
    {
        state.apply(item);
        assert_eq!(used(&cpu(&mut state, 30)), Ok(500_000_000));
        let missing = cpu(&mut state, 310).missing().cloned().unwrap();
        assert_eq!((missing.reason, missing.last.unwrap().used), (Reason::Expired, 500_000_000));
        assert!(missing.detail.english().contains(words), "{}", missing.detail.english());
    }
    state.apply(later(Some("compute"), 45));
    assert_eq!(used(&cpu(&mut state, 45)), Ok(700_000_000));

    let mut never = state_without_samples();
    never.apply(later(Some("guest-console-log"), 0));
    let missing = web(&mut never).summary.usage.cpu.missing().cloned().unwrap();
    assert_eq!(missing.reason, Reason::BadAnswer);
    assert!(missing.detail.english().contains("compute"), "{}", missing.detail.english());
}

fn state_without_samples() -> ClusterState {
    let mut state = one();
    state.metrics.clear(None, &mut state.touched);
    state
}

/// kubernetes-sigs/metrics-server#210.
#[test]
fn a_pod_total_beside_its_containers_counts_no_second_time() {
    let mut state = one();
    let mut item = sample("a", "virt-launcher-web-vm-abc12", 200, 2 * GI);
    item.containers.push(ContainerUsage { name: "".into(), ..item.containers[0].clone() });
    state.apply(metrics(vec![item.clone()]));
    assert_eq!(milli(&web(&mut state)), Ok(200));
    // What is not in the pod's spec is not the pod's.
    let old = ContainerUsage { name: "k8s_old".into(), ..item.containers[0].clone() };
    let container = PodContainer { name: "compute".into(), required: true };
    let pod = PodFacts {
        created_by: "vmi-a-web-vm".into(),
        containers: [container].into(),
        ..pod("a", "virt-launcher-web-vm-abc12", "n1")
    };
    state.apply(Observation::Pods(applied(pod)));
    item.containers.push(old);
    state.apply(metrics(vec![item]));
    assert_eq!(milli(&web(&mut state)), Ok(200));
}

#[test]
fn an_allocation_that_cannot_be_read_takes_only_its_own_figure() {
    let mut state = one();
    state.apply(Observation::Wukongs(applied(WukongFacts { memory: "4 gigs".into(), ..wukong("a", "web") })));
    let snapshot = state.join(NOW);
    let vm = find(&snapshot, "a", "web");
    assert_eq!(used(&vm.summary.usage.memory), Err(Reason::NoAllocation));
    assert_eq!(milli(&vm), Ok(500));
    assert_eq!((snapshot.totals.memory, snapshot.totals.memory_unreadable), (0, 1));
}

#[test]
fn stale_after_three_intervals_missing_after_twenty_with_the_last_value() {
    let mut state = one();
    let at = NOW - 10_000;
    let cpu = |state: &mut ClusterState, age: Millis| {
        find(&state.join(at + age), "a", "web").summary.usage.cpu.clone()
    };
    assert!(!cpu(&mut state, 45_000).sample().unwrap().stale);
    assert!(cpu(&mut state, 45_001).sample().unwrap().stale);
    assert!(cpu(&mut state, 300_000).sample().is_some());
    let missing = cpu(&mut state, 300_001).missing().cloned().unwrap();
    assert_eq!((missing.reason, missing.last.unwrap().used), (Reason::Expired, 500_000_000));
}

#[test]
fn the_interval_is_never_shorter_than_the_samples_own_window() {
    let mut state = state();
    add_vm(&mut state, "a", "web", 500, GI);
    let mut item = sample("a", "virt-launcher-web-vm-abc12", 500, GI);
    item.window_ms = 60_000;
    state.apply(metrics(vec![item]));
    let stale = |state: &mut ClusterState, age| {
        find(&state.join(NOW - 10_000 + age), "a", "web").summary.usage.cpu.sample().unwrap().stale
    };
    assert!(!stale(&mut state, 180_000));
    assert!(stale(&mut state, 180_001));
}

#[test]
fn a_source_that_repeats_itself_or_runs_ahead_still_ages() {
    let mut state = one();
    let mut frozen = sample("a", "virt-launcher-web-vm-abc12", 500, GI);
    frozen.at = Some(NOW + 3_600_000);
    for second in 0..60 {
        let at = NOW + second * 1000;
        state.apply(Observation::PodMetrics { namespace: None, at, result: Ok(vec![frozen.clone()]) });
    }
    let snapshot = state.join(NOW + 59_000);
    assert!(find(&snapshot, "a", "web").summary.usage.cpu.sample().unwrap().stale);
}

#[test]
fn silence_ages_but_a_denial_counts_at_once() {
    for reason in [Reason::TimedOut, Reason::Unreachable, Reason::BadAnswer] {
        let mut state = one();
        fail(&mut state, reason);
        assert_eq!(milli(&web(&mut state)), Ok(500), "{reason:?}");
        let old = find(&state.join(NOW + 600_000), "a", "web");
        assert_eq!(milli(&old), Err(reason));
    }
    for reason in [Reason::Forbidden, Reason::ApiAbsent] {
        let mut state = one();
        fail(&mut state, reason);
        let vm = web(&mut state);
        let missing = vm.summary.usage.cpu.missing().unwrap();
        assert_eq!((missing.reason, missing.last.unwrap().used), (reason, 500_000_000));
        assert!(!missing.detail.is_empty() && !missing.fix.is_empty());
    }
}

#[test]
fn a_sample_that_vanishes_ages_and_does_not_turn_to_zero() {
    let mut state = one();
    state.apply(metrics(vec![]));
    assert_eq!(milli(&web(&mut state)), Ok(500));
}

#[test]
fn a_figure_before_the_first_answer_is_starting() {
    let mut state = silent_state();
    state.apply(Observation::Wukongs(replaced(vec![wukong("a", "web")])));
    state.apply(Observation::Pods(replaced(vec![pod("a", "virt-launcher-web-vm-abc12", "n1")])));
    let snapshot = state.join(NOW);
    assert_eq!(milli(&find(&snapshot, "a", "web")), Err(Reason::Starting));
    assert!(!snapshot.ready);
}

#[test]
fn a_virtual_machine_that_no_wukong_owns_stands_beside() {
    let mut state = one();
    state
        .apply(Observation::VirtualMachines(applied(VmFacts { name: "lone".into(), ..vm_facts("Running") })));
    state.apply(Observation::Pods(applied(pod("a", "virt-launcher-lone-abc12", "n1"))));
    state.apply(metrics(vec![sample("a", "virt-launcher-lone-abc12", 750, GI)]));
    let snapshot = state.join(NOW);
    let lone = find(&snapshot, "a", "lone");
    assert_eq!(
        (lone.summary.kind, lone.summary.usage.cpu.sample().unwrap().percent()),
        (Kind::VirtualMachine, 37)
    );
    assert_eq!(snapshot.totals.counts.total, 2);
}

#[test]
fn a_totals_percentage_is_of_the_measured_vms() {
    let mut state = one();
    let idle = WukongFacts { phase: "Stopped".into(), memory: "60Gi".into(), ..wukong("a", "idle") };
    state.apply(Observation::Wukongs(applied(idle)));
    let totals = state.join(NOW).totals;
    assert_eq!(totals.memory, 64 * GI);
    assert_eq!(
        (totals.memory_used.of, totals.memory_used.vms, totals.memory_used.percent()),
        (4 * GI, 1, Some(75))
    );
    assert_eq!((totals.counts.running, totals.counts.stopped), (1, 1));
}

#[test]
fn a_vm_of_which_nothing_changed_is_shared_between_snapshots() {
    let mut state = one();
    add_vm(&mut state, "a", "db", 100, GI);
    let before = state.join(NOW);
    let again = state.join(NOW + 1);
    assert!(Arc::ptr_eq(&find(&before, "a", "web"), &find(&again, "a", "web")));
    state.apply(metrics(vec![sample("a", "virt-launcher-web-vm-abc12", 900, GI)]));
    let after = state.join(NOW + 2);
    assert_eq!(milli(&find(&after, "a", "web")), Ok(900));
    assert!(Arc::ptr_eq(&find(&again, "a", "db"), &find(&after, "a", "db")));
}

/// A list that is cut off says nothing of the pods that may have stood in the rest.
#[test]
fn a_pod_that_may_have_been_left_out_is_not_said_to_be_unsampled() {
    let mut state = state();
    add_vm(&mut state, "a", "web", 500, GI);
    let pod = PodFacts { created: NOW - 3_600 * SECOND, ..pod("a", "virt-launcher-web-vm-abc12", "n1") };
    state.apply(Observation::Pods(replaced(vec![pod])));
    state.metrics.clear(None, &mut state.touched);
    assert_eq!(milli(&web(&mut state)), Err(Reason::NotSampled));
    let errors = vec![refused(Reason::TooLarge)];
    state.apply(Observation::Omitted { source: SourceId::PodMetrics, namespace: None, errors });
    assert_eq!(milli(&web(&mut state)), Err(Reason::TooLarge));
}

/// The error of a whole list may name objects of any namespace. A viewer of one VM may not be allowed to see those.
#[test]
fn a_figure_does_not_name_the_objects_that_were_left_out_beside_it() {
    let mut state = state();
    add_vm(&mut state, "a", "web", 500, GI);
    let pod = PodFacts { created: NOW - 3_600 * SECOND, ..pod("a", "virt-launcher-web-vm-abc12", "n1") };
    state.apply(Observation::Pods(replaced(vec![pod])));
    state.metrics.clear(None, &mut state.touched);
    let errors =
        vec![SourceError { reason: Reason::TooLarge, detail: "left out: b/virt-launcher-bank".into() }];
    state.apply(Observation::Omitted { source: SourceId::PodMetrics, namespace: None, errors });
    let vm = web(&mut state);
    let missing = vm.summary.usage.cpu.missing().unwrap();
    assert_eq!((missing.reason, missing.detail.is_empty()), (Reason::TooLarge, true), "{missing:?}");
}
