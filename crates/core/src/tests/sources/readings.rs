//! What one source's reading of a volume says at the edges of its rules.

use super::*;
use i18n::msg;
use model::groups::Node;

/// The reading of one source, whichever gives the volume's figure.
fn reading(state: &mut ClusterState, name: &str, source: SourceId) -> Figure {
    let volume = volume(state, name);
    let taken = Reading { source: volume.source, figure: volume.usage.clone() };
    let mut all = volume.readings.iter().chain([&taken]);
    all.find(|reading| reading.source == source).unwrap().figure.clone()
}

fn on_node(state: &mut ClusterState, name: &str) {
    let mut pod = pod("a", "virt-launcher-web-vm-abc12", name);
    pod.created_by = "vmi-a-web-vm".into();
    state.apply(Observation::Pods(replaced(vec![pod])));
    let volumes = vec![InstanceVolume { name: "root".into(), claim: "web-root".into() }];
    let instance = InstanceFacts { volumes: volumes.into(), ..instance("a", "web-vm", name) };
    state.apply(Observation::Instances(replaced(vec![instance])));
}

#[test]
fn a_node_that_was_not_asked_yet_differs_from_a_node_that_does_not_exist() {
    for (node, nodes, want) in [
        ("n1", vec![], Reason::Starting),
        ("n1", vec!["n1"], Reason::Starting),
        ("n1", vec!["n2"], Reason::NoNode),
        ("", vec![], Reason::NoNode),
        ("", vec!["n1"], Reason::NoNode),
    ] {
        let mut state = state();
        add_vm(&mut state, "a", "web", 500, GI);
        on_node(&mut state, node);
        let named = |name: &str| Node { name: name.into(), ..Node::default() };
        state.apply(Observation::Nodes(replaced(nodes.iter().map(|name| named(name)).collect())));
        assert_eq!(
            shown(&reading(&mut state, "root", SourceId::Kubelet)),
            Err(want),
            "{node:?} of {nodes:?}"
        );
    }
}

#[test]
fn the_fix_of_a_block_volume_names_what_the_guest_lacks() {
    for (serial, agent, want) in [
        ("", false, msg!(fix.agent)),
        ("S1", false, msg!(fix.agent_alone)),
        ("", true, msg!(fix.serial)),
        ("S1", true, msg!(fix.agent_tells)),
    ] {
        let mut state = all();
        with(&mut state, &["block-root"], &[("block-root", serial)]);
        let mut instance = (*state.instances[&Key::new("a", "web-vm")]).clone();
        instance.agent_connected = agent;
        state.apply(Observation::Instances(applied(instance)));
        let missing = reading(&mut state, "block-root", SourceId::Kubelet).missing().cloned().unwrap();
        assert_eq!((missing.reason, missing.fix), (Reason::BlockVolume, want));
    }
}

#[test]
fn a_longhorn_volume_without_a_size_is_as_large_as_its_disk() {
    for (size, want) in [(Some(30 * GI), 30 * GI), (Some(0), 20 * GI), (None, 20 * GI)] {
        let mut state = all();
        with(&mut state, &["root"], &[]);
        longhorn(&mut state, "root", 12 * GI);
        let mut facts = (*state.longhorn[&Key::new("longhorn-system", "handle-root")]).clone();
        facts.size = size;
        state.apply(Observation::LonghornVolumes(applied(facts)));
        let figure = reading(&mut state, "root", SourceId::Longhorn);
        assert_eq!(figure.sample().map(|sample| sample.of), Some(want), "{size:?}");
    }
}

/// Otherwise each VM on Longhorn would differ in each snapshot.
#[test]
fn the_time_of_a_longhorn_figure_changes_once_an_interval() {
    let mut state = all();
    with(&mut state, &["root"], &[]);
    longhorn(&mut state, "root", 12 * GI);
    for (alive, want) in [(10, 0), (59, 0), (60, 60), (119, 60)] {
        let at = NOW + alive * SECOND;
        state.apply(Observation::WatchAlive { source: SourceId::Longhorn, namespace: None, at });
        let figure = reading(&mut state, "root", SourceId::Longhorn);
        assert_eq!(figure.sample().unwrap().at, NOW + want * SECOND, "after {alive} s");
    }
}

#[test]
fn a_backend_that_has_not_answered_yet_differs_from_one_without_the_image() {
    let mut state = all();
    with(&mut state, &["root"], &[]);
    persistent(&mut state, "root", Backend::Rbd(Box::new(image("root"))));
    assert_eq!(shown(&reading(&mut state, "root", SourceId::Ceph)), Err(Reason::Starting));
    state.apply(Observation::Ceph { at: NOW, result: Ok(Vec::new()) });
    assert_eq!(shown(&reading(&mut state, "root", SourceId::Ceph)), Err(Reason::NotReported));
}

#[test]
fn an_invalid_object_map_is_told_apart_from_an_image_without_fast_diff() {
    for (used, want) in
        [(Uncounted::InvalidMap, msg!(error.invalid_map)), (Uncounted::NoFastDiff, Message::default())]
    {
        let mut state = all();
        with(&mut state, &["root"], &[]);
        ceph(&mut state, "root", Err(used));
        let figure = reading(&mut state, "root", SourceId::Ceph);
        let missing = figure.missing().unwrap();
        assert_eq!((missing.reason, &missing.detail), (Reason::NoFastDiff, &want));
    }
}

#[test]
fn a_figure_that_has_expired_is_shown_as_the_last_one() {
    let mut state = all();
    with(&mut state, &["root"], &[]);
    report(&mut state, summary("n1", vec![stats("a", "web-root", 5 * GI, 20 * GI)]));
    let later = find(&state.join(NOW + 3_600 * SECOND), "a", "web");
    let missing = later.volumes[0].usage.missing().unwrap();
    assert_eq!((missing.reason, missing.last.map(|sample| sample.used)), (Reason::Expired, Some(5 * GI)));
}

#[test]
fn a_guest_without_file_systems_says_that_none_was_listed() {
    let mut state = all();
    with(&mut state, &["root"], &[("root", "S1")]);
    agent(&mut state, Vec::new());
    let figure = reading(&mut state, "root", SourceId::GuestAgent);
    let missing = figure.missing().unwrap();
    assert_eq!((missing.reason, &missing.detail), (Reason::Starting, &msg!(error.nothing_listed)));
}

#[test]
fn a_guest_agents_figure_survives_an_absent_api_but_not_a_denial() {
    let mut state = all();
    with(&mut state, &["root"], &[("root", "S1")]);
    agent(&mut state, vec![fs("vda1", "/", "S1", 5 * GI, 10 * GI)]);
    for (reason, want) in
        [(Reason::ApiAbsent, Ok(("guest-agent", 5))), (Reason::Forbidden, Err(Reason::Forbidden))]
    {
        let (instance, result) = (Key::new("a", "web-vm"), Err(refused(reason)));
        state.apply(Observation::Filesystems { instance, at: NOW, result });
        assert_eq!(shown(&reading(&mut state, "root", SourceId::GuestAgent)), want);
    }
}
