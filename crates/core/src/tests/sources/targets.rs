//! What collectors are told to ask, and what is not asked.

use super::*;

#[test]
fn what_nobody_asks_is_not_configured_and_holds_nothing_back() {
    let snapshot = world().join(NOW);
    for id in [SourceId::Prometheus, SourceId::Ceph, SourceId::GuestAgent] {
        assert_eq!(health(&snapshot, id).state, model::source::SourceState::NotConfigured, "{id:?}");
    }
    assert!(snapshot.ready);
}

#[test]
fn collectors_are_told_of_what_running_vms_need() {
    let mut world = all();
    with(&mut world, &["root"], &[("root", "S1")]);
    ceph(&mut world, "root", Ok(1));
    let address = "10.0.0.7".parse().ok();
    let pod = PodFacts { host_ip: address, ..pod("a", "virt-launcher-web-vm-abc12", "n1") };
    world.apply(Observation::Pods(applied(pod)));
    let targets = world.join(NOW).targets;
    assert_eq!(*targets.nodes, [NodeTarget { name: "n1".into(), address }]);
    assert_eq!((&*targets.guests, &*targets.images), (&[Key::new("a", "web-vm")][..], &[image("root")][..]));
    stop(&mut world);
    assert_eq!(world.join(NOW).targets, Targets { names: targets.names, ..Targets::default() });
}

/// A Wukong may name any node: a thousand of them would cost the API server a thousand requests a minute.
#[test]
fn a_node_that_is_none_is_not_asked() {
    let mut world = world();
    let error = refused(Reason::Forbidden);
    world.apply(Observation::WatchFailed { source: SourceId::Instances, namespace: None, error });
    for n in 0..3 {
        let node_name = format!("node-{n}");
        let volumes = vec![WukongVolume { name: "root".into(), claim: "c".into(), size: "1Gi".into() }];
        let wukong = WukongFacts { node_name, volumes, ..wukong("a", &n.to_string()) };
        world.apply(Observation::Wukongs(applied(wukong)));
    }
    let asked = |world: &mut ClusterState| world.join(NOW).targets.nodes.len();
    assert_eq!(asked(&mut world), 3, "nodes cannot be read");
    let node = |name: &str| model::groups::Node { name: name.into(), ..Default::default() };
    world.apply(Observation::Nodes(replaced(vec![node("node-1"), node("node-9")])));
    assert_eq!(asked(&mut world), 1);
    let volume = find(&world.join(NOW), "a", "2").volumes[0].clone();
    assert_eq!(volume.usage.missing().map(|missing| missing.reason), Some(Reason::NoNode));
}

/// Its watch says something once a minute, however often others are asked.
#[test]
fn what_is_watched_is_not_stale_between_two_bookmarks() {
    let mut world = all();
    world.limits.disk_interval = 3_000;
    with(&mut world, &["block-lake"], &[]);
    longhorn(&mut world, "block-lake", 12 * GI);
    let stale = |world: &mut ClusterState, at| {
        let figure = find(&world.join(NOW + at), "a", "web").volumes[0].usage.clone();
        figure.sample().map(|sample| sample.stale)
    };
    assert_eq!((stale(&mut world, 90_000), stale(&mut world, 190_000)), (Some(false), Some(true)));
}

/// Claims that exist and those that a VM names; the same for instances.
#[test]
fn sources_are_told_the_names_that_exist_or_that_a_vm_names() {
    let mut world = silent_world();
    let names = |world: &mut ClusterState, at| world.join(NOW + at).targets.names;
    let volumes = vec![WukongVolume { name: "root".into(), claim: "of-vm".into(), size: "1Gi".into() }];
    world.apply(Observation::Wukongs(replaced(vec![WukongFacts { volumes, ..wukong("a", "web") }])));
    world.apply(Observation::VirtualMachines(replaced(vec![])));
    world.apply(Observation::Instances(replaced(vec![instance("a", "alone", "n1")])));
    assert_eq!(names(&mut world, 0), None, "claims may be about to be listed");
    let failed = |reason| {
        let (source, namespace) = (SourceId::Claims, None);
        Observation::WatchFailed { source, namespace, error: refused(reason) }
    };
    world.apply(failed(Reason::Unreachable));
    assert_eq!(names(&mut world, 0), None);
    world.apply(failed(Reason::Forbidden));
    let known = names(&mut world, 0).expect("claims will not be listed");
    let claims = [("a", "of-vm"), ("a", "listed"), ("b", "of-vm")];
    assert_eq!(claims.map(|(namespace, name)| known.has_claim(namespace, name)), [true, false, false]);
    let instances = [("a", "web-vm"), ("a", "alone"), ("a", "of-vm"), ("a", "invented")];
    assert_eq!(
        instances.map(|(namespace, name)| known.has_instance(namespace, name)),
        [true, true, false, false]
    );
    let listed = ClaimFacts { namespace: "a".into(), name: "listed".into(), ..ClaimFacts::default() };
    world.apply(Observation::Claims(replaced(vec![listed])));
    assert_eq!(names(&mut world, 4 * SECOND), Some(known), "they are collected every 5 s");
    let known = names(&mut world, 5 * SECOND).unwrap();
    assert_eq!(claims.map(|(namespace, name)| known.has_claim(namespace, name)), [true, true, false]);
}
