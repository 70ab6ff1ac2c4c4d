//! Whose pod is it?

use super::*;
use crate::pod_names::cut_prefix;

fn with_pods(pods: Vec<PodFacts>, samples: Vec<PodMetricsFacts>) -> ClusterState {
    let mut state = state();
    state.apply(Observation::Wukongs(applied(wukong("a", "web"))));
    state.apply(Observation::Pods(replaced(pods)));
    state.apply(metrics(samples));
    state
}

#[test]
fn a_name_prefix_is_no_match() {
    let mut named = wukong("a", "web");
    named.vm_name = "web".into();
    let mut state = with_pods(
        vec![pod("a", "virt-launcher-web-db-x7k2p", "n1")],
        vec![sample("a", "virt-launcher-web-db-x7k2p", 900, GI)],
    );
    state.apply(Observation::Wukongs(applied(named)));
    assert_eq!(milli(&web(&mut state)), Err(Reason::NoPod));
    state.apply(Observation::Pods(applied(pod("a", "virt-launcher-web-q9w8e", "n1"))));
    state.apply(metrics(vec![sample("a", "virt-launcher-web-q9w8e", 100, GI)]));
    assert_eq!(milli(&web(&mut state)), Ok(100));
}

#[test]
fn the_creators_uid_beats_a_name_that_fits() {
    let mut labelled = pod("a", "virt-launcher-renamed-zzzzz", "n1");
    labelled.created_by = "vmi-a-web-vm".into();
    let mut state = with_pods(
        vec![pod("a", "virt-launcher-web-vm-abc12", "n1"), labelled],
        vec![
            sample("a", "virt-launcher-web-vm-abc12", 900, GI),
            sample("a", "virt-launcher-renamed-zzzzz", 100, GI),
        ],
    );
    state.apply(Observation::Instances(applied(instance("a", "web-vm", "n1"))));
    assert_eq!(milli(&web(&mut state)), Ok(100));
}

#[test]
fn a_pod_of_another_instance_is_never_taken_by_name() {
    let mut other = pod("a", "virt-launcher-web-vm-abc12", "n1");
    other.created_by = "vmi-of-yesterday".into();
    let mut state = with_pods(vec![other], vec![sample("a", "virt-launcher-web-vm-abc12", 900, GI)]);
    state.apply(Observation::Instances(applied(instance("a", "web-vm", "n1"))));
    assert_eq!(milli(&web(&mut state)), Err(Reason::NoPod));
}

#[test]
fn the_domain_annotation_beats_the_name() {
    let mut annotated = pod("a", "virt-launcher-other-zzzzz", "n1");
    annotated.domain = "web-vm".into();
    let mut not_ours = pod("a", "virt-launcher-web-vm-abc12", "n1");
    not_ours.domain = "another".into();
    let mut state = with_pods(
        vec![not_ours, annotated],
        vec![
            sample("a", "virt-launcher-web-vm-abc12", 900, GI),
            sample("a", "virt-launcher-other-zzzzz", 100, GI),
        ],
    );
    assert_eq!(milli(&web(&mut state)), Ok(100));
}

#[test]
fn without_instances_the_seeds_path_works() {
    let mut state = silent_state();
    state.apply(Observation::Wukongs(replaced(vec![wukong("a", "web")])));
    for source in [SourceId::VirtualMachines, SourceId::Instances] {
        let error = refused(Reason::Forbidden);
        state.apply(Observation::WatchFailed { source, namespace: None, error });
    }
    state.apply(Observation::Pods(replaced(vec![pod("a", "virt-launcher-web-vm-abc12", "n1")])));
    state.apply(metrics(vec![sample("a", "virt-launcher-web-vm-abc12", 100, GI)]));
    assert_eq!(milli(&web(&mut state)), Ok(100));
}

#[test]
fn without_pods_the_metrics_own_labels_do() {
    let mut state = silent_state();
    state.apply(Observation::Wukongs(replaced(vec![wukong("a", "web")])));
    state.apply(Observation::Instances(replaced(vec![instance("a", "web-vm", "n1")])));
    let error = refused(Reason::Forbidden);
    state.apply(Observation::WatchFailed { source: SourceId::Pods, namespace: None, error });
    let mut item = sample("a", "virt-launcher-zzzzz", 100, GI);
    item.created_by = "vmi-a-web-vm".into();
    state.apply(metrics(vec![item]));
    assert_eq!(milli(&web(&mut state)), Ok(100));
}

#[test]
fn the_same_name_in_two_namespaces_is_two_vms() {
    let mut state = state();
    add_vm(&mut state, "a", "web", 100, GI);
    add_vm(&mut state, "b", "web", 700, 2 * GI);
    let snapshot = state.join(NOW);
    assert_eq!(milli(&find(&snapshot, "a", "web")), Ok(100));
    assert_eq!(milli(&find(&snapshot, "b", "web")), Ok(700));
}

fn long(tail: &str) -> String {
    format!("customer-analytics-warehouse-replica-eu-central-1-{tail}")
}

fn long_named(tail: &str) -> WukongFacts {
    WukongFacts { vm_name: long(tail), ..wukong("a", tail) }
}

#[test]
fn long_names_are_cut_as_kubernetes_cuts_them() {
    assert_eq!(cut_prefix("web"), "virt-launcher-web-");
    assert_eq!(cut_prefix(&long("one")).len(), 58);
    let name = format!("{}k2p9x", cut_prefix(&long("one")));
    let mut state = with_pods(vec![pod("a", &name, "n1")], vec![sample("a", &name, 100, GI)]);
    state.apply(Observation::Wukongs(applied(long_named("one"))));
    assert_eq!(milli(&find(&state.join(NOW), "a", "one")), Ok(100));
}

#[test]
fn two_vms_with_one_truncated_name_have_no_figures_unless_a_label_identifies_the_pod() {
    let name = format!("{}k2p9x", cut_prefix(&long("one")));
    let mut state = with_pods(vec![pod("a", &name, "n1")], vec![sample("a", &name, 100, GI)]);
    state.apply(Observation::Wukongs(applied(long_named("one"))));
    state.apply(Observation::Wukongs(applied(long_named("two"))));
    let snapshot = state.join(NOW);
    for vm in ["one", "two"] {
        assert_eq!(milli(&find(&snapshot, "a", vm)), Err(Reason::AmbiguousPod));
    }
    let mut labelled = pod("a", &name, "n1");
    labelled.created_by = format!("vmi-a-{}", long("two"));
    state.apply(Observation::Pods(applied(labelled)));
    state.apply(Observation::Instances(applied(instance("a", &long("one"), "n1"))));
    state.apply(Observation::Instances(applied(instance("a", &long("two"), "n1"))));
    let snapshot = state.join(NOW);
    assert_eq!(milli(&find(&snapshot, "a", "one")), Err(Reason::NoPod));
    assert_eq!(milli(&find(&snapshot, "a", "two")), Ok(100));
}

#[test]
fn completed_pods_linger_and_do_not_count() {
    let mut done = pod("a", "virt-launcher-web-vm-old11", "n1");
    done.phase = "Succeeded".into();
    let mut state = with_pods(vec![done], vec![sample("a", "virt-launcher-web-vm-old11", 900, GI)]);
    assert_eq!(milli(&web(&mut state)), Err(Reason::NoPod));
    state.apply(Observation::Pods(applied(pod("a", "virt-launcher-web-vm-new22", "n2"))));
    state.apply(metrics(vec![sample("a", "virt-launcher-web-vm-new22", 100, GI)]));
    assert_eq!(milli(&web(&mut state)), Ok(100));
}

/// Source on `n1` uses 800 m, target on `n2` idles at 5 m.
fn migrating(instance: Option<InstanceFacts>) -> ClusterState {
    let (mut source, mut target) =
        (pod("a", "virt-launcher-web-vm-src11", "n1"), pod("a", "virt-launcher-web-vm-tgt22", "n2"));
    if let Some(instance) = &instance {
        source.created_by = instance.uid.clone();
        target.created_by = instance.uid.clone();
    }
    let samples = vec![
        sample("a", "virt-launcher-web-vm-tgt22", 5, GI),
        sample("a", "virt-launcher-web-vm-src11", 800, GI),
    ];
    let mut state = with_pods(vec![target, source], samples);
    instance.into_iter().for_each(|instance| state.apply(Observation::Instances(applied(instance))));
    state
}

fn migration(completed: bool, failed: bool) -> Migration {
    Migration {
        source_node: "n1".into(),
        target_node: "n2".into(),
        source_pod: "virt-launcher-web-vm-src11".into(),
        target_pod: "virt-launcher-web-vm-tgt22".into(),
        completed,
        failed,
    }
}

#[test]
fn of_a_migrating_vms_two_pods_the_one_with_the_guest_counts() {
    let under_way =
        InstanceFacts { migration: Some(migration(false, false).into()), ..instance("a", "web-vm", "n1") };
    let vm = web(&mut migrating(Some(under_way)));
    assert_eq!(
        (milli(&vm), vm.summary.migrating_to.as_str(), vm.summary.node.as_str()),
        (Ok(800), "n2", "n1")
    );

    let moved =
        InstanceFacts { migration: Some(migration(true, false).into()), ..instance("a", "web-vm", "n2") };
    let vm = web(&mut migrating(Some(moved)));
    assert_eq!((milli(&vm), vm.summary.migrating_to.as_str(), vm.summary.node.as_str()), (Ok(5), "", "n2"));
}

#[test]
fn migration_state_or_active_pods_decide_where_the_node_does_not() {
    for (completed, failed, want) in [(false, false, 800), (true, true, 800), (true, false, 5)] {
        let said = InstanceFacts {
            migration: Some(migration(completed, failed).into()),
            ..instance("a", "web-vm", "")
        };
        assert_eq!(milli(&web(&mut migrating(Some(said)))), Ok(want), "{completed} {failed}");
    }
    // A stale pod object places both pods on one node: the uid in activePods decides.
    let active = [("pod-a-virt-launcher-web-vm-tgt22".to_owned(), "n3".to_owned())].into();
    let said = InstanceFacts { active_pods: active, ..instance("a", "web-vm", "n3") };
    assert_eq!(milli(&web(&mut migrating(Some(said)))), Ok(5));
}

/// kubevirt/kubevirt#12773: `activePods` goes on naming a source that has ended. #10695: that has failed. #11895: a sidecar keeps
/// its pod running. #5373: a target runs on for minutes after its migration was cancelled.
#[test]
fn of_the_pods_that_migrations_leave_behind_the_one_on_the_guests_node_counts() {
    let (source, target) = ("virt-launcher-web-vm-src11", "virt-launcher-web-vm-tgt22");
    for (what, node, source_phase, left, want) in [
        ("the source has ended", "n2", "Succeeded", Some(migration(true, false)), 5),
        ("the source has failed", "n2", "Failed", Some(migration(true, false)), 5),
        ("a sidecar of the source runs on", "n2", "Running", Some(migration(true, false)), 5),
        ("the target of a cancelled migration runs on", "n1", "Running", None, 800),
        ("the target of a failed migration runs on", "n1", "Running", Some(migration(true, true)), 800),
    ] {
        let both = [(source, "n1"), (target, "n2")];
        let both = both.map(|(pod, node)| (format!("pod-a-{pod}"), node.to_owned()));
        for active_pods in [both.to_vec(), Vec::new()] {
            let migration = left.clone().map(Box::new);
            let said =
                InstanceFacts { migration, active_pods: active_pods.into(), ..instance("a", "web-vm", node) };
            let left_behind = PodFacts {
                phase: source_phase.into(),
                created_by: said.uid.clone(),
                ..pod("a", source, "n1")
            };
            let mut state = migrating(Some(said));
            state.apply(Observation::Pods(applied(left_behind)));
            let vm = web(&mut state);
            assert_eq!((milli(&vm), &*vm.summary.node), (Ok(want), node), "{what}");
        }
    }
}

#[test]
fn without_the_instance_only_the_wukongs_node_chooses_between_two_pods() {
    let mut state = migrating(None);
    assert_eq!(milli(&web(&mut state)), Err(Reason::TwoPods));
    state.apply(Observation::Wukongs(applied(WukongFacts { node_name: "n1".into(), ..wukong("a", "web") })));
    assert_eq!(milli(&web(&mut state)), Ok(800));
}

#[test]
fn without_the_instance_a_pod_that_is_not_running_yet_is_not_taken() {
    let mut state = migrating(None);
    let mut pending = pod("a", "virt-launcher-web-vm-tgt22", "n2");
    pending.phase = "Pending".into();
    state.apply(Observation::Pods(applied(pending)));
    assert_eq!(milli(&web(&mut state)), Ok(800));
}

#[test]
fn an_empty_vm_name_is_filled_by_the_owner_never_by_a_guess() {
    let mut state = with_pods(
        vec![pod("a", "virt-launcher-web-abc12", "n1"), pod("a", "virt-launcher-web-vm-abc12", "n1")],
        vec![
            sample("a", "virt-launcher-web-abc12", 900, GI),
            sample("a", "virt-launcher-web-vm-abc12", 100, GI),
        ],
    );
    state.apply(Observation::Wukongs(applied(WukongFacts { vm_name: String::new(), ..wukong("a", "web") })));
    assert_eq!(milli(&web(&mut state)), Err(Reason::NoVmName));
    let owned = VmFacts {
        uid: "vm".into(),
        namespace: "a".into(),
        name: "web-vm".into(),
        owner_wukong: "wukong-a-web".into(),
        printable_status: "Running".into(),
        ..Default::default()
    };
    state.apply(Observation::VirtualMachines(applied(owned)));
    assert_eq!(milli(&web(&mut state)), Ok(100));
    assert_eq!(state.join(NOW).vms.len(), 1, "the owned VirtualMachine is no second VM");
}

/// A tenant may make thousands of pods and Wukongs that name one another.
#[test]
fn many_pods_and_many_vms_of_one_name_are_not_compared_each_with_each() {
    let mut state = state();
    let wukongs = (0..5000).map(|n| WukongFacts { vm_name: "web-vm".into(), ..wukong("a", &n.to_string()) });
    state.apply(Observation::Wukongs(replaced(wukongs.collect())));
    let live =
        |n: u32| PodFacts { domain: "web-vm".into(), ..pod("a", &format!("virt-launcher-x-{n:05}"), "n1") };
    let done = |n| PodFacts { phase: "Succeeded".into(), ..live(n) };
    state.apply(Observation::Pods(replaced((1..5000).map(done).chain([live(0)]).collect())));
    state.apply(metrics(vec![sample("a", "virt-launcher-x-00000", 100, GI)]));
    let begun = std::time::Instant::now();
    let snapshot = state.join(NOW);
    assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(
        milli(&find(&snapshot, "a", "0")),
        Ok(100),
        "the one that lives is among those that are looked at"
    );
}

#[test]
fn pods_of_another_namespace_do_not_push_out_a_vms_own() {
    let mut state = state();
    add_vm(&mut state, "a", "web", 500, GI);
    let uid = "vmi-a-web-vm";
    for n in 0..200 {
        let false_one =
            PodFacts { created_by: uid.into(), ..pod("evil", &format!("virt-launcher-x-{n:05}"), "n1") };
        state.apply(Observation::Pods(applied(false_one)));
    }
    assert_eq!(milli(&web(&mut state)), Ok(500));
}
