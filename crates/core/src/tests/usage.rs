//! CPU and memory: Running only, exact, aged, and never zero for missing.

use super::*;
use i18n::Render;
use model::vm::{Kind, Status};

fn one() -> ClusterState {
    let mut world = world();
    add_vm(&mut world, "a", "web", 500, 3 * GI);
    world
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

fn fail(world: &mut ClusterState, reason: Reason) {
    let result = Err(refused(reason));
    world.apply(Observation::PodMetrics { namespace: None, at: NOW, result });
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
fn only_a_running_vm_is_measured() {
    for (phase, want) in [
        ("Stopped", Status::Stopped),
        ("Error", Status::Error),
        ("Failed", Status::Error),
        ("Pending", Status::Pending),
        ("", Status::Unknown),
    ] {
        // Its instance would tell otherwise, whatever the phase is.
        let mut world = one();
        world.apply(Observation::Instances(replaced(vec![])));
        world.apply(Observation::Wukongs(applied(WukongFacts { phase: phase.into(), ..wukong("a", "web") })));
        let vm = web(&mut world);
        assert_eq!((vm.summary.status, milli(&vm)), (want, Err(Reason::NotRunning)), "{phase}");
    }
}

#[test]
fn kubevirts_own_word_is_truer_than_the_phase() {
    for (printable, want) in [
        ("Running", Status::Running),
        ("Migrating", Status::Running),
        ("Paused", Status::Running),
        ("Stopped", Status::Stopped),
        ("Starting", Status::Creating),
        ("WaitingForVolumeBinding", Status::Pending),
        ("CrashLoopBackOff", Status::Error),
        ("ErrorUnschedulable", Status::Error),
        ("Unknown", Status::Running),
        ("", Status::Running),
    ] {
        let mut world = one();
        world.apply(Observation::Instances(replaced(vec![])));
        world.apply(Observation::VirtualMachines(applied(vm_facts(printable))));
        let vm = web(&mut world);
        assert_eq!((vm.summary.status, vm.summary.kubevirt_status.as_str()), (want, printable));
    }
}

/// A guest may ignore its shutdown for as long as its grace period, an hour on Windows.
#[test]
fn a_guest_that_is_being_stopped_is_measured_until_it_is_off() {
    let mut world = one();
    let mut word = |printable: &str, instance: Option<InstanceFacts>| {
        world.apply(Observation::VirtualMachines(applied(vm_facts(printable))));
        world.apply(Observation::Instances(replaced(instance.into_iter().collect())));
        let vm = web(&mut world);
        (vm.summary.status, vm.summary.kubevirt_status.clone(), milli(&vm))
    };
    let leaving = || InstanceFacts { deleting: true, ..instance("a", "web-vm", "n1") };
    assert_eq!(word("Stopping", Some(leaving())), (Status::Running, "Stopping".into(), Ok(500)));
    assert_eq!(word("Running", Some(leaving())), (Status::Running, "Running".into(), Ok(500)));
    assert_eq!(word("Stopped", Some(leaving())), (Status::Running, "Stopping".into(), Ok(500)));
    assert_eq!(word("Stopping", None), (Status::Stopped, "Stopping".into(), Err(Reason::NotRunning)));
    let over = InstanceFacts { phase: "Failed".into(), ..leaving() };
    assert_eq!(word("Stopped", Some(over)), (Status::Stopped, "Stopped".into(), Err(Reason::NotRunning)));
}

#[test]
fn where_instances_cannot_be_read_a_live_pod_tells_that_a_stopping_guest_runs() {
    let mut world = one();
    world.apply(Observation::VirtualMachines(applied(vm_facts("Stopping"))));
    let (source, error) = (SourceId::Instances, refused(Reason::Forbidden));
    world.apply(Observation::WatchFailed { source, namespace: None, error });
    assert_eq!((web(&mut world).summary.status, milli(&web(&mut world))), (Status::Running, Ok(500)));
    let pod = PodFacts { phase: "Succeeded".into(), ..pod("a", "virt-launcher-web-vm-abc12", "n1") };
    world.apply(Observation::Pods(replaced(vec![pod])));
    assert_eq!(web(&mut world).summary.status, Status::Stopped);
}

#[test]
fn a_guest_that_a_fault_has_paused_says_so() {
    let message = "VMI was paused, low-level IO error detected";
    let pause = |reason: &str| Some(Box::new(Pause { reason: reason.into(), message: message.into() }));
    for (printable, reason, fault) in [
        ("Paused", "PausedIOError", true),
        // KubeVirt's word hides it.
        ("Migrating", "PausedIOError", true),
        ("Paused", "PausedByUser", false),
        ("Migrating", "PausedByMigrationMonitor", false),
    ] {
        let mut world = one();
        world.apply(Observation::VirtualMachines(applied(vm_facts(printable))));
        let moving = Migration { source_node: "n1".into(), target_node: "n2".into(), ..Default::default() };
        let migration = (printable == "Migrating").then(|| Box::new(moving));
        let paused = InstanceFacts { pause: pause(reason), migration, ..instance("a", "web-vm", "n1") };
        world.apply(Observation::Instances(applied(paused)));
        let vm = web(&mut world);
        assert_eq!((vm.summary.status, milli(&vm)), (Status::Running, Ok(500)), "it is measured");
        let said = vm.summary.fault.as_ref().map(|message| message.english());
        assert_eq!(said.as_deref(), fault.then_some(message), "{printable} {reason}");
        assert_eq!(vm.failure.as_ref().map(|of| of.reason), fault.then_some(Reason::Paused));
        let mut calm = vm.summary.clone();
        calm.usage.disk = model::figure::Figure::Missing(Reason::NoVolumes.into());
        assert_eq!(super::super::attention::needs_attention(&calm), fault, "{printable} {reason}");
    }
    // The VirtualMachine has a copy of the condition.
    let mut world = one();
    let facts = VmFacts { pause: pause("PausedIOError"), ..vm_facts("Paused") };
    world.apply(Observation::VirtualMachines(applied(facts)));
    world.apply(Observation::Instances(replaced(vec![])));
    assert!(web(&mut world).summary.fault.is_some());
}

#[test]
fn a_vm_in_error_says_why_and_where_to_look() {
    let mut world = one();
    world.apply(Observation::Instances(replaced(vec![])));
    let facts =
        |printable: &str, message: &str| VmFacts { failure_message: message.into(), ..vm_facts(printable) };
    world.apply(Observation::VirtualMachines(applied(facts("ErrorUnschedulable", "4 Insufficient gpu"))));
    let failure = web(&mut world).failure.clone().unwrap();
    assert_eq!((failure.reason, failure.detail.english()), (Reason::NotRunning, "4 Insufficient gpu".into()));
    let fix = failure.fix.english();
    assert!(fix.ends_with("kubectl -n a describe virtualmachine web-vm"), "{fix}");
    world.apply(Observation::VirtualMachines(applied(facts("Running", ""))));
    assert_eq!(web(&mut world).failure, None);
    world.apply(Observation::Wukongs(applied(WukongFacts {
        phase: "Failed".into(),
        vm_name: String::new(),
        ..wukong("b", "lost")
    })));
    let fix = find(&world.join(NOW), "b", "lost").failure.clone().unwrap().fix.english();
    assert!(fix.ends_with("kubectl -n b describe wukong lost"), "{fix}");
}

#[test]
fn more_than_allocated_is_said_exactly() {
    let mut world = world();
    add_vm(&mut world, "a", "web", 500, 5 * GI);
    let sample = *web(&mut world).summary.usage.memory.sample().unwrap();
    assert_eq!((sample.percent(), sample.contract_percent()), (125, 100));
}

#[test]
fn a_pod_without_samples_is_too_new_or_not_scraped_never_idle() {
    let mut world = one();
    world.apply(Observation::Pods(applied(PodFacts {
        created: NOW - 20_000,
        created_by: "vmi-a-new-vm".into(),
        ..pod("a", "virt-launcher-new-vm-abc12", "n1")
    })));
    world.apply(Observation::Wukongs(applied(wukong("a", "new"))));
    assert_eq!(milli(&find(&world.join(NOW), "a", "new")), Err(Reason::TooNew));
    let later = world.join(NOW + 600_000);
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
    let mut world = one();
    let mut item = sample("a", "virt-launcher-web-vm-abc12", 0, 3 * GI);
    item.containers[0].cpu_nanocores = None;
    world.apply(metrics(vec![item]));
    let vm = web(&mut world);
    assert_eq!(milli(&vm), Err(Reason::BadAnswer));
    assert_eq!(used(&vm.summary.usage.memory), Ok(3 * GI));
}

/// As metrics-server answers when a counter of one container went back.
#[test]
fn an_item_without_the_guests_container_leaves_the_last_sample() {
    let mut world = one();
    let later = |name: Option<&str>, seconds: Millis| {
        let mut item = sample("a", "virt-launcher-web-vm-abc12", 700, GI);
        item.at = item.at.map(|at| at + seconds * SECOND);
        match name {
            Some(name) => item.containers[0].name = name.into(),
            None => item.containers.clear(),
        }
        Observation::PodMetrics { namespace: None, at: NOW + seconds * SECOND, result: Ok(vec![item]) }
    };
    let cpu = |world: &mut ClusterState, seconds| {
        find(&world.join(NOW + seconds * SECOND), "a", "web").summary.usage.cpu.clone()
    };
    for (item, words) in
        [(later(Some("guest-console-log"), 15), "compute"), (later(None, 30), "no container")]
    {
        world.apply(item);
        assert_eq!(used(&cpu(&mut world, 30)), Ok(500_000_000));
        let missing = cpu(&mut world, 310).missing().cloned().unwrap();
        assert_eq!((missing.reason, missing.last.unwrap().used), (Reason::Expired, 500_000_000));
        assert!(missing.detail.english().contains(words), "{}", missing.detail.english());
    }
    world.apply(later(Some("compute"), 45));
    assert_eq!(used(&cpu(&mut world, 45)), Ok(700_000_000));

    let mut never = world_without_samples();
    never.apply(later(Some("guest-console-log"), 0));
    let missing = web(&mut never).summary.usage.cpu.missing().cloned().unwrap();
    assert_eq!(missing.reason, Reason::BadAnswer);
    assert!(missing.detail.english().contains("compute"), "{}", missing.detail.english());
}

fn world_without_samples() -> ClusterState {
    let mut world = one();
    world.metrics.clear();
    world
}

/// kubernetes-sigs/metrics-server#210.
#[test]
fn a_pod_total_beside_its_containers_counts_no_second_time() {
    let mut world = one();
    let mut item = sample("a", "virt-launcher-web-vm-abc12", 200, 2 * GI);
    item.containers.push(ContainerUsage { name: "".into(), ..item.containers[0].clone() });
    world.apply(metrics(vec![item.clone()]));
    assert_eq!(milli(&web(&mut world)), Ok(200));
    // What is not in the pod's spec is not the pod's.
    let old = ContainerUsage { name: "k8s_old".into(), ..item.containers[0].clone() };
    let container = PodContainer { name: "compute".into(), required: true };
    let pod = PodFacts {
        created_by: "vmi-a-web-vm".into(),
        containers: vec![container],
        ..pod("a", "virt-launcher-web-vm-abc12", "n1")
    };
    world.apply(Observation::Pods(applied(pod)));
    item.containers.push(old);
    world.apply(metrics(vec![item]));
    assert_eq!(milli(&web(&mut world)), Ok(200));
}

#[test]
fn an_allocation_that_cannot_be_read_takes_only_its_own_figure() {
    let mut world = one();
    world.apply(Observation::Wukongs(applied(WukongFacts { memory: "4 gigs".into(), ..wukong("a", "web") })));
    let snapshot = world.join(NOW);
    let vm = find(&snapshot, "a", "web");
    assert_eq!(used(&vm.summary.usage.memory), Err(Reason::NoAllocation));
    assert_eq!(milli(&vm), Ok(500));
    assert_eq!((snapshot.totals.memory, snapshot.totals.memory_unreadable), (0, 1));
}

#[test]
fn stale_after_three_intervals_missing_after_twenty_with_the_last_value() {
    let mut world = one();
    let at = NOW - 10_000;
    let cpu = |world: &mut ClusterState, age: Millis| {
        find(&world.join(at + age), "a", "web").summary.usage.cpu.clone()
    };
    assert!(!cpu(&mut world, 45_000).sample().unwrap().stale);
    assert!(cpu(&mut world, 45_001).sample().unwrap().stale);
    assert!(cpu(&mut world, 300_000).sample().is_some());
    let missing = cpu(&mut world, 300_001).missing().cloned().unwrap();
    assert_eq!((missing.reason, missing.last.unwrap().used), (Reason::Expired, 500_000_000));
}

#[test]
fn the_interval_is_never_shorter_than_the_samples_own_window() {
    let mut world = world();
    add_vm(&mut world, "a", "web", 500, GI);
    let mut item = sample("a", "virt-launcher-web-vm-abc12", 500, GI);
    item.window_ms = 60_000;
    world.apply(metrics(vec![item]));
    let stale = |world: &mut ClusterState, age| {
        find(&world.join(NOW - 10_000 + age), "a", "web").summary.usage.cpu.sample().unwrap().stale
    };
    assert!(!stale(&mut world, 180_000));
    assert!(stale(&mut world, 180_001));
}

#[test]
fn a_source_that_repeats_itself_or_runs_ahead_still_ages() {
    let mut world = one();
    let mut frozen = sample("a", "virt-launcher-web-vm-abc12", 500, GI);
    frozen.at = Some(NOW + 3_600_000);
    for second in 0..60 {
        let at = NOW + second * 1000;
        world.apply(Observation::PodMetrics { namespace: None, at, result: Ok(vec![frozen.clone()]) });
    }
    let snapshot = world.join(NOW + 59_000);
    assert!(find(&snapshot, "a", "web").summary.usage.cpu.sample().unwrap().stale);
}

#[test]
fn silence_ages_but_a_denial_counts_at_once() {
    for reason in [Reason::TimedOut, Reason::Unreachable, Reason::BadAnswer] {
        let mut world = one();
        fail(&mut world, reason);
        assert_eq!(milli(&web(&mut world)), Ok(500), "{reason:?}");
        let old = find(&world.join(NOW + 600_000), "a", "web");
        assert_eq!(milli(&old), Err(reason));
    }
    for reason in [Reason::Forbidden, Reason::ApiAbsent] {
        let mut world = one();
        fail(&mut world, reason);
        let vm = web(&mut world);
        let missing = vm.summary.usage.cpu.missing().unwrap();
        assert_eq!((missing.reason, missing.last.unwrap().used), (reason, 500_000_000));
        assert!(!missing.detail.is_empty() && !missing.fix.is_empty());
    }
}

#[test]
fn a_sample_that_vanishes_ages_and_does_not_turn_to_zero() {
    let mut world = one();
    world.apply(metrics(vec![]));
    assert_eq!(milli(&web(&mut world)), Ok(500));
}

#[test]
fn nothing_asked_yet_is_said_so() {
    let mut world = silent_world();
    world.apply(Observation::Wukongs(replaced(vec![wukong("a", "web")])));
    world.apply(Observation::Pods(replaced(vec![pod("a", "virt-launcher-web-vm-abc12", "n1")])));
    let snapshot = world.join(NOW);
    assert_eq!(milli(&find(&snapshot, "a", "web")), Err(Reason::Starting));
    assert!(!snapshot.ready);
}

#[test]
fn a_virtual_machine_that_no_wukong_owns_stands_beside() {
    let mut world = one();
    world
        .apply(Observation::VirtualMachines(applied(VmFacts { name: "lone".into(), ..vm_facts("Running") })));
    world.apply(Observation::Pods(applied(pod("a", "virt-launcher-lone-abc12", "n1"))));
    world.apply(metrics(vec![sample("a", "virt-launcher-lone-abc12", 750, GI)]));
    let snapshot = world.join(NOW);
    let lone = find(&snapshot, "a", "lone");
    assert_eq!(
        (lone.summary.kind, lone.summary.usage.cpu.sample().unwrap().percent()),
        (Kind::VirtualMachine, 37)
    );
    assert_eq!(snapshot.totals.counts.total, 2);
}

#[test]
fn a_totals_percentage_is_of_the_measured_vms() {
    let mut world = one();
    let idle = WukongFacts { phase: "Stopped".into(), memory: "60Gi".into(), ..wukong("a", "idle") };
    world.apply(Observation::Wukongs(applied(idle)));
    let totals = world.join(NOW).totals;
    assert_eq!(totals.memory, 64 * GI);
    assert_eq!(
        (totals.memory_used.of, totals.memory_used.vms, totals.memory_used.percent()),
        (4 * GI, 1, Some(75))
    );
    assert_eq!((totals.counts.running, totals.counts.stopped), (1, 1));
}

#[test]
fn a_vm_of_which_nothing_changed_is_shared_between_snapshots() {
    let mut world = one();
    add_vm(&mut world, "a", "db", 100, GI);
    let before = world.join(NOW);
    let again = world.join(NOW + 1);
    assert!(Arc::ptr_eq(&find(&before, "a", "web"), &find(&again, "a", "web")));
    world.apply(metrics(vec![sample("a", "virt-launcher-web-vm-abc12", 900, GI)]));
    let after = world.join(NOW + 2);
    assert_eq!(milli(&find(&after, "a", "web")), Ok(900));
    assert!(Arc::ptr_eq(&find(&again, "a", "db"), &find(&after, "a", "db")));
}

/// A list that is cut off says nothing of the pods that may have stood in the rest.
#[test]
fn a_pod_that_may_have_been_left_out_is_not_said_to_be_unsampled() {
    let mut world = world();
    add_vm(&mut world, "a", "web", 500, GI);
    let pod = PodFacts { created: NOW - 3_600 * SECOND, ..pod("a", "virt-launcher-web-vm-abc12", "n1") };
    world.apply(Observation::Pods(replaced(vec![pod])));
    world.metrics.clear();
    assert_eq!(milli(&web(&mut world)), Err(Reason::NotSampled));
    let errors = vec![refused(Reason::TooLarge)];
    world.apply(Observation::Omitted { source: SourceId::PodMetrics, namespace: None, errors });
    assert_eq!(milli(&web(&mut world)), Err(Reason::TooLarge));
}

/// The error of a whole list may name objects of any namespace. Whoever sees one VM need not see those.
#[test]
fn a_figure_does_not_name_the_objects_that_were_left_out_beside_it() {
    let mut world = world();
    add_vm(&mut world, "a", "web", 500, GI);
    let pod = PodFacts { created: NOW - 3_600 * SECOND, ..pod("a", "virt-launcher-web-vm-abc12", "n1") };
    world.apply(Observation::Pods(replaced(vec![pod])));
    world.metrics.clear();
    let errors =
        vec![SourceError { reason: Reason::TooLarge, detail: "left out: b/virt-launcher-bank".into() }];
    world.apply(Observation::Omitted { source: SourceId::PodMetrics, namespace: None, errors });
    let vm = web(&mut world);
    let missing = vm.summary.usage.cpu.missing().unwrap();
    assert_eq!((missing.reason, missing.detail.is_empty()), (Reason::TooLarge, true), "{missing:?}");
}
