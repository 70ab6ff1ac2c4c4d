//! Which targets the collector gets, and which it does not.

use super::*;

#[test]
fn a_source_that_is_not_configured_does_not_delay_readiness() {
    let snapshot = state().join(NOW);
    for id in [SourceId::Prometheus, SourceId::Ceph, SourceId::GuestAgent] {
        assert_eq!(health(&snapshot, id).state, model::source::SourceState::NotConfigured, "{id:?}");
    }
    assert!(snapshot.ready);
}

#[test]
fn targets_are_what_running_vms_need() {
    let mut state = all();
    with(&mut state, &["root"], &[("root", "S1")]);
    ceph(&mut state, "root", Ok(1));
    let address = "10.0.0.7".parse().ok();
    let pod = PodFacts { host_ip: address, ..pod("a", "virt-launcher-web-vm-abc12", "n1") };
    state.apply(Observation::Pods(applied(pod)));
    let targets = state.join(NOW).targets;
    assert_eq!(*targets.nodes, [NodeTarget { name: "n1".into(), address, has_vms: true }]);
    assert_eq!((&*targets.guests, &*targets.images), (&[Key::new("a", "web-vm")][..], &[image("root")][..]));
    stop(&mut state);
    assert_eq!(state.join(NOW).targets, Targets { names: targets.names, ..Targets::default() });
}

/// A Wukong may name any node: a thousand of them would cost the API server a thousand requests a minute.
#[test]
fn a_node_that_does_not_exist_is_not_asked() {
    let mut state = state();
    let error = refused(Reason::Forbidden);
    state.apply(Observation::WatchFailed { source: SourceId::Instances, namespace: None, error });
    for n in 0..3 {
        let node_name = format!("node-{n}");
        let volumes = vec![WukongVolume { name: "root".into(), claim: "c".into(), size: "1Gi".into() }];
        let wukong = WukongFacts { node_name, volumes: volumes.into(), ..wukong("a", &n.to_string()) };
        state.apply(Observation::Wukongs(applied(wukong)));
    }
    let asked = |state: &mut ClusterState| state.join(NOW).targets.nodes.len();
    assert_eq!(asked(&mut state), 3, "nodes cannot be read");
    let node = |name: &str| model::groups::Node { name: name.into(), ..Default::default() };
    state.apply(Observation::Nodes(replaced(vec![node("node-1"), node("node-9")])));
    assert_eq!(asked(&mut state), 1);
    let volume = find(&state.join(NOW), "a", "2").volumes[0].clone();
    assert_eq!(volume.usage.missing().map(|missing| missing.reason), Some(Reason::NoNode));
}

/// People choose by these nodes where a VM goes.
#[test]
fn a_node_on_which_a_vm_can_be_placed_is_asked_too() {
    let mut state = all();
    let address = "10.0.0.9".parse().ok();
    let node = |name: &str, schedulable| model::groups::Node {
        name: name.into(),
        takes_vms: true,
        schedulable,
        address,
        ..Default::default()
    };
    let asked = |state: &mut ClusterState| {
        let targets = state.join(NOW).targets;
        let nodes = targets.nodes.iter().map(|node| (node.name.to_string(), node.has_vms, node.address));
        nodes.collect::<Vec<_>>()
    };
    let (n1, n2) = (("n1".to_owned(), true, address), ("n2".to_owned(), false, address));
    state.apply(Observation::Nodes(replaced(vec![node("n1", true), node("n2", true), node("n3", false)])));
    assert_eq!(asked(&mut state), [n1.clone(), n2.clone()]);
    let host = PodFacts { host_ip: "10.0.0.7".parse().ok(), ..pod("a", "virt-launcher-web-vm-abc12", "n1") };
    state.apply(Observation::Pods(applied(host)));
    assert_eq!(asked(&mut state)[0].2, "10.0.0.7".parse().ok(), "a pod's comes first");
    stop(&mut state);
    assert_eq!(asked(&mut state), [(n1.0.clone(), false, "10.0.0.7".parse().ok()), n2]);
    state.apply(Observation::Nodes(applied(node("n2", false))));
    assert_eq!(asked(&mut state).len(), 1, "KubeVirt does not place VMs there any more");
    let mut without = all();
    without.limits.disk_sources.retain(|source| *source != SourceId::Kubelet);
    without.apply(Observation::Nodes(replaced(vec![node("n1", true), node("n2", true)])));
    assert_eq!(asked(&mut without), [n1], "only its virt-handler");
}

/// Its watch says something once a minute, however often others are asked.
#[test]
fn what_is_watched_is_not_stale_between_two_bookmarks() {
    let mut state = all();
    state.limits.disk_interval = 3_000;
    with(&mut state, &["block-lake"], &[]);
    longhorn(&mut state, "block-lake", 12 * GI);
    let stale = |state: &mut ClusterState, at| {
        let figure = find(&state.join(NOW + at), "a", "web").volumes[0].usage.clone();
        figure.sample().map(|sample| sample.stale)
    };
    assert_eq!((stale(&mut state, 90_000), stale(&mut state, 190_000)), (Some(false), Some(true)));
}

/// Claims that exist and those that a VM names; the same for instances.
#[test]
fn sources_are_told_the_names_that_exist_or_that_a_vm_names() {
    let mut state = silent_state();
    let names = |state: &mut ClusterState, at| state.join(NOW + at).targets.names;
    let volumes = vec![WukongVolume { name: "root".into(), claim: "of-vm".into(), size: "1Gi".into() }];
    state.apply(Observation::Wukongs(replaced(vec![WukongFacts {
        volumes: volumes.into(),
        ..wukong("a", "web")
    }])));
    state.apply(Observation::VirtualMachines(replaced(vec![])));
    state.apply(Observation::Instances(replaced(vec![instance("a", "alone", "n1")])));
    assert_eq!(names(&mut state, 0), None, "claims may be about to be listed");
    let failed = |reason| {
        let (source, namespace) = (SourceId::Claims, None);
        Observation::WatchFailed { source, namespace, error: refused(reason) }
    };
    state.apply(failed(Reason::Unreachable));
    assert_eq!(names(&mut state, 0), None);
    state.apply(failed(Reason::Forbidden));
    let known = names(&mut state, 0).expect("claims will not be listed");
    let claims = [("a", "of-vm"), ("a", "listed"), ("b", "of-vm")];
    assert_eq!(claims.map(|(namespace, name)| known.has_claim(namespace, name)), [true, false, false]);
    let instances = [("a", "web-vm"), ("a", "alone"), ("a", "of-vm"), ("a", "invented")];
    assert_eq!(
        instances.map(|(namespace, name)| known.has_instance(namespace, name)),
        [true, true, false, false]
    );
    let listed = ClaimFacts { namespace: "a".into(), name: "listed".into(), ..ClaimFacts::default() };
    state.apply(Observation::Claims(replaced(vec![listed])));
    assert_eq!(names(&mut state, 4 * SECOND), Some(known), "they are collected every 5 s");
    let known = names(&mut state, 5 * SECOND).unwrap();
    assert_eq!(claims.map(|(namespace, name)| known.has_claim(namespace, name)), [true, true, false]);
}
