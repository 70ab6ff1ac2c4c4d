//! What a source's failure is called, and what it costs.

use super::*;
use crate::observation::ReviewFacts;
use i18n::Render;
use model::{
    source::{Latency, ReviewCounts, SourceState},
    vm::Kind,
};

pub(super) fn watch_failed(source: SourceId, reason: Reason) -> Observation {
    Observation::WatchFailed { source, namespace: None, error: refused(reason) }
}

#[test]
fn all_well_is_healthy_and_ready() {
    let snapshot = state().join(NOW);
    assert!(snapshot.ready);
    let asked = snapshot.sources.iter().filter(|source| source.state != SourceState::NotConfigured);
    let states: Vec<_> = asked.map(|source| (source.id, source.state)).collect();
    let want = [
        SourceId::Wukongs,
        SourceId::VirtualMachines,
        SourceId::Instances,
        SourceId::Migrations,
        SourceId::Pods,
        SourceId::Claims,
        SourceId::PersistentVolumes,
        SourceId::Nodes,
        SourceId::ClusterInstancetypes,
        SourceId::Instancetypes,
        SourceId::PodMetrics,
        SourceId::Kubelet,
    ];
    assert_eq!(states, want.map(|id| (id, SourceState::Healthy)));
    assert_eq!(snapshot.last_seen, Some(NOW));
}

#[test]
fn a_refused_watch_keeps_what_was_known() {
    let mut state = state();
    add_vm(&mut state, "a", "web", 500, GI);
    state.apply(watch_failed(SourceId::Wukongs, Reason::Forbidden));
    let snapshot = state.join(NOW);
    assert_eq!(snapshot.vms.len(), 1);
    let health = health(&snapshot, SourceId::Wukongs);
    assert_eq!((health.state, health.reason), (SourceState::Forbidden, Some(Reason::Forbidden)));
    assert!(health.fix.english().contains("kubectl apply -f deploy/cluster/rbac.yaml"));
}

#[test]
fn an_absent_crd_takes_its_objects_and_comes_back() {
    let mut state = state();
    add_vm(&mut state, "a", "web", 500, GI);
    state.apply(watch_failed(SourceId::Wukongs, Reason::ApiAbsent));
    // Its instance still runs, without a VirtualMachine.
    let kinds = |snapshot: &Snapshot| snapshot.vms.iter().map(|vm| vm.summary.kind).collect::<Vec<_>>();
    let snapshot = state.join(NOW);
    assert_eq!(health(&snapshot, SourceId::Wukongs).state, SourceState::Absent);
    assert_eq!(kinds(&snapshot), [Kind::VirtualMachineInstance]);
    state.apply(Observation::Wukongs(replaced(vec![wukong("a", "web")])));
    let snapshot = state.join(NOW);
    assert_eq!(health(&snapshot, SourceId::Wukongs).state, SourceState::Healthy);
    assert_eq!(kinds(&snapshot), [Kind::Wukong]);
}

fn bytes_at(at: Millis) -> Observation {
    Observation::WatchAlive { source: SourceId::Pods, namespace: None, at }
}

#[test]
fn bytes_on_a_watch_keep_it_fresh_and_end_its_failure() {
    let mut state = state();
    state.apply(bytes_at(NOW + 5));
    assert_eq!(health(&state.join(NOW), SourceId::Pods).last_success, Some(NOW + 5));
    state.apply(watch_failed(SourceId::Pods, Reason::Unreachable));
    assert_eq!(health(&state.join(NOW), SourceId::Pods).state, SourceState::Degraded);
    // Reopened where it was: nothing is listed again, and in a quiet cluster nothing changes either.
    state.apply(bytes_at(NOW + 9));
    let health = health(&state.join(NOW), SourceId::Pods);
    assert_eq!((health.state, health.last_success), (SourceState::Healthy, Some(NOW + 9)));
}

#[test]
fn bytes_on_a_watch_excuse_no_list_that_failed() {
    let mut state = silent_state();
    state.apply(watch_failed(SourceId::Pods, Reason::Unreachable));
    state.apply(bytes_at(NOW));
    assert_eq!(health(&state.join(NOW), SourceId::Pods).state, SourceState::Degraded);
    let mut state = self::state();
    state.apply(watch_failed(SourceId::Pods, Reason::ApiAbsent));
    state.apply(bytes_at(NOW));
    assert_eq!(health(&state.join(NOW), SourceId::Pods).state, SourceState::Absent);
}

#[test]
fn one_failing_node_of_two_degrades_the_source_and_counts_its_vms() {
    let mut state = state();
    add_vm(&mut state, "a", "web", 500, GI);
    let volumes = vec![WukongVolume { name: "root".into(), claim: "c".into(), size: "1Gi".into() }];
    state.apply(Observation::Wukongs(applied(WukongFacts { volumes: volumes.into(), ..wukong("a", "web") })));
    add_vm(&mut state, "a", "db", 500, GI);
    state.apply(Observation::Instances(applied(instance("a", "db-vm", "n2"))));
    assert_eq!(health(&state.join(NOW), SourceId::Kubelet).state, SourceState::Starting);
    report(&mut state, summary("n2", vec![]));
    state.apply(Observation::Summary { node: "n1".into(), at: NOW, result: Err(refused(Reason::TimedOut)) });
    let health = health(&state.join(NOW), SourceId::Kubelet);
    assert_eq!((health.state, health.vms_missing), (SourceState::Degraded, 1));
    assert_eq!(health.node, "n1", "its VMs can be listed");
    state.apply(Observation::Summary { node: "n2".into(), at: NOW, result: Err(refused(Reason::TimedOut)) });
    let both = super::health(&state.join(NOW), SourceId::Kubelet);
    assert_eq!(both.node, "", "there is no list of two nodes");
}

/// Otherwise no replica would be ready for a moment after an autoscaler has added a node.
#[test]
fn a_new_node_without_vms_is_not_waited_for() {
    let mut state = state();
    add_vm(&mut state, "a", "web", 500, GI);
    report(&mut state, summary("n1", vec![]));
    let node = |name: &str| model::groups::Node {
        name: name.into(),
        takes_vms: true,
        schedulable: true,
        ..Default::default()
    };
    state.apply(Observation::Nodes(replaced(vec![node("n1"), node("n2")])));
    let snapshot = state.join(NOW);
    assert_eq!(snapshot.targets.nodes.len(), 2, "both are asked");
    assert_eq!(health(&snapshot, SourceId::Kubelet).state, SourceState::Healthy);
}

#[test]
fn in_namespaces_the_oldest_one_speaks_for_the_source() {
    let mut state = silent_state();
    let replaced = |namespace: &str, at| {
        Observation::Wukongs(Change::Replaced { namespace: Some(namespace.into()), items: vec![], at })
    };
    state.apply(replaced("a", NOW));
    state.apply(replaced("b", NOW - 60_000));
    assert_eq!(health(&state.join(NOW), SourceId::Wukongs).last_success, Some(NOW - 60_000));
}

#[test]
fn a_relist_of_one_namespace_leaves_the_others_alone() {
    let mut state = state();
    state.apply(Observation::Wukongs(replaced(vec![wukong("a", "web"), wukong("b", "web")])));
    let items = vec![wukong("a", "new")];
    state.apply(Observation::Wukongs(Change::Replaced { namespace: Some("a".into()), items, at: NOW }));
    let names: Vec<_> = state
        .join(NOW)
        .vms
        .iter()
        .map(|vm| format!("{}/{}", vm.summary.namespace, vm.summary.name))
        .collect();
    assert_eq!(names, ["a/new", "b/web"]);
}

#[test]
fn the_sources_stand_in_one_order() {
    let in_order: Vec<_> = SourceId::ALL.iter().map(|id| *id as usize).collect();
    assert_eq!(in_order, (0..SourceId::ALL.len()).collect::<Vec<_>>(), "tallies are kept by number");
}

#[test]
fn a_node_that_is_not_asked_any_more_is_forgotten_in_time() {
    let mut state = state();
    report(&mut state, summary("n1", vec![]));
    state.join(NOW + 240 * 60 * SECOND);
    assert_eq!(state.kubelets.len(), 1, "a VM that has just left it may show what it said");
    let failed =
        Observation::Summary { node: "n2".into(), at: NOW + SECOND, result: Err(refused(Reason::TimedOut)) };
    state.apply(failed);
    state.join(NOW + 240 * 60 * SECOND + 1);
    assert_eq!(state.kubelets.keys().collect::<Vec<_>>(), ["n2"]);
}

#[test]
fn what_is_not_known_of_the_objects_degrades_and_heals() {
    let mut state = state();
    add_vm(&mut state, "a", "web", 500, GI);
    let omitted = |errors| Observation::Omitted { source: SourceId::Wukongs, namespace: None, errors };
    state.apply(omitted(vec![refused(Reason::TooLarge)]));
    // The next list does not clear it: omissions are observed separately.
    state.apply(Observation::Wukongs(replaced(vec![wukong("a", "web")])));
    let snapshot = state.join(NOW);
    let health = health(&snapshot, SourceId::Wukongs);
    assert_eq!((health.state, health.reason), (SourceState::Degraded, Some(Reason::TooLarge)));
    let fix = health.fix.english();
    assert!(fix.contains("kubectl get wukongs.vm.novasphere.dev --all-namespaces"), "{fix}");
    assert_eq!(milli(&find(&snapshot, "a", "web")), Ok(500), "what is known stands");
    state.apply(omitted(vec![]));
    assert_eq!(super::health(&state.join(NOW), SourceId::Wukongs).state, SourceState::Healthy);
}

#[test]
fn names_of_pods_that_come_and_go_do_not_add_up() {
    let mut state = state();
    for round in 0..12 {
        let names = (0..10_000).map(|n| format!("p-{round}-{n}"));
        let items = names.map(|name| sample("a", &name, 1, 1)).collect();
        let at = NOW + round * SECOND;
        state.apply(Observation::PodMetrics { namespace: None, at, result: Ok(items) });
    }
    assert!(state.metrics.len() <= 100_000, "{}", state.metrics.len());
}

/// How reviews are answered, with these failures.
fn reviews(errors: &[Reason]) -> Observation {
    Observation::AccessReviews(ReviewFacts {
        last_success: Some(NOW - 5_000),
        errors: errors.iter().map(|reason| refused(*reason)).collect(),
        took: vec![7, 9],
        counts: ReviewCounts { last_minute: 42, users: 3, namespaces: 12, waiting: 5, late: 1 },
    })
}

#[test]
fn access_reviews_are_a_source_where_people_sign_in() {
    let mut state = state();
    let is_there =
        |snapshot: &Snapshot| snapshot.sources.iter().any(|source| source.id == SourceId::AccessReviews);
    assert!(!is_there(&state.join(NOW)), "nobody signs in");
    state.apply(reviews(&[]));
    let snapshot = state.join(NOW);
    assert!(snapshot.ready);
    let shown = health(&snapshot, SourceId::AccessReviews);
    assert_eq!((shown.state, shown.last_success), (SourceState::Healthy, Some(NOW - 5_000)));
    assert_eq!(shown.reviews.unwrap().last_minute, 42);
    assert_eq!(shown.latency, Some(Latency { p50: 7, p99: 9 }));
    assert!(snapshot.sources.iter().all(|of| of.reviews.is_none() || of.id == SourceId::AccessReviews));
}

#[test]
fn access_reviews_that_fail_say_how_to_fix_it() {
    let mut state = state();
    for (errors, want, command) in [
        (vec![Reason::Forbidden], SourceState::Forbidden, "kubectl apply -f deploy/cluster/rbac.yaml"),
        (vec![Reason::Unreachable], SourceState::Degraded, "kubectl get --raw /readyz?verbose"),
        (vec![Reason::Forbidden, Reason::TimedOut], SourceState::Degraded, "kubectl apply -f deploy"),
    ] {
        state.apply(reviews(&errors));
        let snapshot = state.join(NOW);
        let shown = health(&snapshot, SourceId::AccessReviews);
        assert_eq!((shown.state, shown.reason), (want, Some(errors[0])));
        assert!(shown.fix.english().contains(command), "{}", shown.fix.english());
    }
    state.apply(reviews(&[]));
    let snapshot = Arc::new(state.join(NOW));
    let shown = Visible::new(&snapshot, &Scope::none());
    let shown = shown.sources().iter().find(|source| source.id == SourceId::AccessReviews).unwrap();
    assert_eq!((shown.state, shown.last_success, shown.reviews), (SourceState::Healthy, None, None));
}
