//! Whether a VM runs, and why not: by its instance, its VirtualMachine, its pod and its Wukong.

use super::*;
use model::vm::Status;

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
        let mut state = one();
        state.apply(Observation::Instances(replaced(vec![])));
        state.apply(Observation::Wukongs(applied(WukongFacts { phase: phase.into(), ..wukong("a", "web") })));
        let vm = web(&mut state);
        assert_eq!((vm.summary.status, milli(&vm)), (want, Err(Reason::NotRunning)), "{phase}");
    }
}

#[test]
fn printable_status_counts_before_the_wukongs_phase() {
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
        let mut state = one();
        state.apply(Observation::Instances(replaced(vec![])));
        state.apply(Observation::VirtualMachines(applied(vm_facts(printable))));
        let vm = web(&mut state);
        assert_eq!((vm.summary.status, vm.summary.kubevirt_status.as_str()), (want, printable));
    }
}

/// A guest may ignore its shutdown for as long as its grace period, an hour on Windows.
#[test]
fn a_guest_that_is_being_stopped_is_measured_until_it_is_off() {
    let mut state = one();
    let mut word = |printable: &str, instance: Option<InstanceFacts>| {
        state.apply(Observation::VirtualMachines(applied(vm_facts(printable))));
        state.apply(Observation::Instances(replaced(instance.into_iter().collect())));
        let vm = web(&mut state);
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
fn if_instances_cannot_be_read_a_live_pod_shows_that_a_stopping_guest_runs() {
    let mut state = one();
    state.apply(Observation::VirtualMachines(applied(vm_facts("Stopping"))));
    let (source, error) = (SourceId::Instances, refused(Reason::Forbidden));
    state.apply(Observation::WatchFailed { source, namespace: None, error });
    assert_eq!((web(&mut state).summary.status, milli(&web(&mut state))), (Status::Running, Ok(500)));
    let pod = PodFacts { phase: "Succeeded".into(), ..pod("a", "virt-launcher-web-vm-abc12", "n1") };
    state.apply(Observation::Pods(replaced(vec![pod])));
    assert_eq!(web(&mut state).summary.status, Status::Stopped);
}

/// kubevirt/kubevirt#4502: Kubernetes deletes the pod of a host that has crashed. The pod and the instance keep their phases,
/// until somebody removes the pod by force.
#[test]
fn a_vm_whose_host_has_crashed_has_its_last_figures_until_they_expire() {
    let mut state = one();
    let gone = PodFacts {
        deleting: true,
        created_by: "vmi-a-web-vm".into(),
        ..pod("a", "virt-launcher-web-vm-abc12", "n1")
    };
    state.apply(Observation::Pods(replaced(vec![gone])));
    let later = NOW + 60 * SECOND;
    state.apply(Observation::PodMetrics { namespace: None, at: later, result: Ok(vec![]) });
    let cpu = find(&state.join(later), "a", "web").summary.usage.cpu.clone();
    assert!(cpu.sample().is_some_and(|sample| sample.stale && sample.used == 500_000_000), "{cpu:?}");
    let vm = find(&state.join(NOW + 600 * SECOND), "a", "web");
    let missing = vm.summary.usage.cpu.missing().unwrap();
    assert_eq!((vm.summary.status, missing.reason), (Status::Running, Reason::Expired));
    assert_eq!(missing.last.unwrap().used, 500_000_000);
    state.apply(Observation::Pods(replaced(vec![])));
    let vm = web(&mut state);
    assert_eq!((vm.summary.status, milli(&vm)), (Status::Running, Err(Reason::NoPod)));
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
        let mut state = one();
        state.apply(Observation::VirtualMachines(applied(vm_facts(printable))));
        let moving = Migration { source_node: "n1".into(), target_node: "n2".into(), ..Default::default() };
        let migration = (printable == "Migrating").then(|| Box::new(moving));
        let paused = InstanceFacts { pause: pause(reason), migration, ..instance("a", "web-vm", "n1") };
        state.apply(Observation::Instances(applied(paused)));
        let vm = web(&mut state);
        assert_eq!((vm.summary.status, milli(&vm)), (Status::Running, Ok(500)), "it is measured");
        let said = vm.summary.fault.as_ref().map(|message| message.english());
        assert_eq!(said.as_deref(), fault.then_some(message), "{printable} {reason}");
        assert_eq!(vm.failure.as_ref().map(|of| of.reason), fault.then_some(Reason::Paused));
        let mut calm = Vm::clone(&vm);
        calm.summary.usage.disk = model::figure::Figure::Missing(Reason::NoVolumes.into());
        let kinds = crate::attention::kinds(&calm, &Default::default());
        assert_eq!(!kinds.is_empty(), fault, "{printable} {reason}");
    }
    // The VirtualMachine has a copy of the condition.
    let mut state = one();
    let facts = VmFacts { pause: pause("PausedIOError"), ..vm_facts("Paused") };
    state.apply(Observation::VirtualMachines(applied(facts)));
    state.apply(Observation::Instances(replaced(vec![])));
    assert!(web(&mut state).summary.fault.is_some());
}

#[test]
fn a_vm_in_error_says_why_and_where_to_look() {
    let mut state = one();
    state.apply(Observation::Instances(replaced(vec![])));
    let facts =
        |printable: &str, message: &str| VmFacts { failure_message: message.into(), ..vm_facts(printable) };
    state.apply(Observation::VirtualMachines(applied(facts("ErrorUnschedulable", "4 Insufficient gpu"))));
    let failure = web(&mut state).failure.clone().unwrap();
    assert_eq!((failure.reason, failure.detail.english()), (Reason::NotRunning, "4 Insufficient gpu".into()));
    let fix = failure.fix.english();
    assert!(fix.ends_with("kubectl -n a describe virtualmachine web-vm"), "{fix}");
    state.apply(Observation::VirtualMachines(applied(facts("Running", ""))));
    assert_eq!(web(&mut state).failure, None);
    state.apply(Observation::Wukongs(applied(WukongFacts {
        phase: "Failed".into(),
        vm_name: String::new(),
        ..wukong("b", "lost")
    })));
    let fix = find(&state.join(NOW), "b", "lost").failure.clone().unwrap().fix.english();
    assert!(fix.ends_with("kubectl -n b describe wukong lost"), "{fix}");
}
