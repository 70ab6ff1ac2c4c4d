//! How old a kubelet's figures may be: it measures once in one to two minutes, however often it is asked.

use super::{
    super::{apply::node::MOST_UNVERIFIED_BYTES, kubelet::NodeVolumes},
    *,
};
use model::{message::Message, vm::Volume};

/// Of a kubelet that is asked every 3 s, the VM's one volume as measured then.
fn answered(state: &mut ClusterState, at: Millis, measured: Millis) {
    let stats = VolumeStats { at: Some(measured), ..stats("a", "web-root", 5 * GI, 20 * GI) };
    report(state, summary_at("n1", at, vec![stats]));
}

fn asked_often() -> ClusterState {
    let mut state = ClusterState::new(Limits { disk_interval: 3 * SECOND, ..limits() });
    add_vm(&mut state, "a", "web", 500, GI);
    let volume = WukongVolume { name: "root".into(), claim: "web-root".into(), size: "20Gi".into() };
    state
        .apply(Observation::Wukongs(applied(WukongFacts { volumes: [volume].into(), ..wukong("a", "web") })));
    state
}

fn stale(state: &mut ClusterState, now: Millis) -> Option<bool> {
    let volume: Volume = find(&state.join(now), "a", "web").volumes[0].clone();
    volume.usage.sample().map(|sample| sample.stale)
}

#[test]
fn a_volume_that_is_polled_more_often_than_measured_is_not_stale() {
    let mut state = asked_often();
    (0..=20).for_each(|n| answered(&mut state, NOW + n * 3 * SECOND, NOW));
    assert_eq!(stale(&mut state, NOW + 60 * SECOND), Some(false), "a minute old, as it should be");
    answered(&mut state, NOW + 63 * SECOND, NOW + 60 * SECOND);
    assert_eq!(stale(&mut state, NOW + 183 * SECOND), Some(false));
    assert_eq!(
        stale(&mut state, NOW + (63 + 360) * SECOND),
        Some(false),
        "its periods are of one to two minutes"
    );
    assert_eq!(stale(&mut state, NOW + (63 + 361) * SECOND), Some(true), "three of the longest");
    assert_eq!(stale(&mut state, NOW + (63 + 20 * 120) * SECOND + 1), None, "and twenty");
}

/// The kubelet's answer was too large, so that the volumes of some namespaces are left out of it.
#[test]
fn an_answer_without_some_namespaces_gives_the_figures_of_the_others() {
    let mut state = asked_often();
    add_vm(&mut state, "b", "db", 500, GI);
    let volume = WukongVolume { name: "root".into(), claim: "db-root".into(), size: "20Gi".into() };
    state.apply(Observation::Wukongs(applied(WukongFacts { volumes: [volume].into(), ..wukong("b", "db") })));
    let mut answer = summary_at("n1", NOW, vec![stats("a", "web-root", 5 * GI, 20 * GI)]);
    if let Observation::Summary { result: Ok(facts), .. } = &mut answer {
        facts.left_out = Some(SourceError { reason: Reason::TooLarge, detail: Message::default() });
    }
    report(&mut state, answer);
    let snapshot = state.join(NOW);
    let used = |namespace, name| find(&snapshot, namespace, name).volumes[0].usage.clone();
    assert_eq!(used("a", "web").sample().map(|sample| sample.used), Some(5 * GI));
    assert_eq!(used("b", "db").missing().map(|missing| missing.reason), Some(Reason::TooLarge));
    let kubelet = health(&snapshot, SourceId::Kubelet);
    assert!(kubelet.error != Message::default(), "{kubelet:?}");
    // The next answer is complete.
    report(&mut state, summary_at("n1", NOW, vec![stats("b", "db-root", 6 * GI, 20 * GI)]));
    assert_eq!(
        find(&state.join(NOW), "b", "db").summary.usage.disk.sample().map(|sample| sample.used),
        Some(6 * GI)
    );
}

#[test]
fn a_kubelet_that_measures_more_often_is_held_to_that() {
    let mut state = asked_often();
    (0..4).for_each(|n| answered(&mut state, NOW + n * 3 * SECOND, NOW + n * 3 * SECOND));
    assert_eq!(stale(&mut state, NOW + 27 * SECOND), Some(false));
    assert_eq!(stale(&mut state, NOW + 28 * SECOND), Some(true), "three times 6 s after 9 s");
    // A pause between two answers is not the kubelet's interval.
    answered(&mut state, NOW + 600 * SECOND, NOW + 600 * SECOND);
    assert_eq!(stale(&mut state, NOW + 619 * SECOND), Some(true));
}

/// As a kubelet could answer that means harm: compared each with each they would take minutes.
#[test]
fn volumes_in_another_order_are_compared_once_each() {
    let answer = |at: Millis, reversed: bool| {
        let name = |n: u32| stats("a", &format!("claim-{n}"), 5 * GI, 20 * GI);
        let mut volumes: Vec<_> = (0..60_000).map(|n| VolumeStats { at: Some(at), ..name(n) }).collect();
        if reversed {
            volumes.reverse();
        }
        summary_at("n1", at, volumes)
    };
    // While claims are not listed, whatever a kubelet names may exist.
    let mut state = ClusterState::new(limits());
    let answers = [answer(NOW, false), answer(NOW + SECOND, true), answer(NOW + 2 * SECOND, false)];
    let begun = std::time::Instant::now();
    answers.into_iter().for_each(|answer| state.apply(answer));
    assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!(state.kubelets["n1"].interval(0), 2 * SECOND, "what they were apart is known all the same");
}

/// KubeVirt leaves a migration's source pod behind, ended. Its node measures nothing of the VM any more.
#[test]
fn the_node_of_a_pod_that_has_ended_is_not_believed() {
    for (phase, want) in [("Running", Some(6 * GI)), ("Succeeded", None), ("Failed", None)] {
        let mut state = asked_often();
        let claims = [("root".into(), "web-root".into())].into();
        let left = PodFacts {
            phase: phase.into(),
            created_by: "vmi-a-other".into(),
            claims,
            ..pod("a", "virt-launcher-web-vm-zzzzz", "n9")
        };
        state.apply(Observation::Pods(applied(left)));
        report(&mut state, summary_at("n9", NOW, vec![stats("a", "web-root", 6 * GI, 20 * GI)]));
        let volume: Volume = find(&state.join(NOW), "a", "web").volumes[0].clone();
        assert_eq!(volume.usage.sample().map(|sample| sample.used), want, "{phase}");
    }
}

/// A tenant whose exporter is scraped invents claims on nodes of others: their volumes would seem to share a disk.
#[test]
fn prometheus_series_of_claims_and_instances_that_do_not_exist_are_dropped() {
    let mut state = asked_often();
    let claim = |name: &str| ClaimFacts { namespace: "a".into(), name: name.into(), ..ClaimFacts::default() };
    state.apply(Observation::Claims(replaced(vec![claim("web-root")])));
    let reported = || PrometheusFacts {
        volumes: ["web-root", "invented"].map(|name| stats("a", name, GI, 20 * GI)).to_vec(),
        instances: ["web-vm", "invented"]
            .map(|name| InstanceSample {
                namespace: "a".into(),
                name: name.into(),
                at: NOW,
                ..InstanceSample::default()
            })
            .to_vec(),
        ..PrometheusFacts::default()
    };
    state.apply(Observation::Prometheus { at: NOW, result: Ok(reported()) });
    assert_eq!(state.prometheus.volumes.keys().collect::<Vec<_>>(), [&Key::new("a", "web-root")]);
    assert_eq!(state.prometheus.instances.keys().collect::<Vec<_>>(), [&Key::new("a", "web-vm")]);
    let mut blind = silent_state();
    blind.apply(Observation::Prometheus { at: NOW, result: Ok(reported()) });
    assert_eq!((blind.prometheus.volumes.len(), blind.prometheus.instances.len()), (2, 2), "it may exist");
}

/// A node can invent names: 8192 in each answer, of 250 characters.
#[test]
fn nothing_is_kept_of_claims_that_do_not_exist_and_little_of_pods_that_are_not_known() {
    let mut state = state();
    add_vm(&mut state, "a", "web", 500, GI);
    report(&mut state, summary("n1", vec![stats("a", "web-root", 5 * GI, 20 * GI)]));
    let invented = |n: usize| stats("a", &format!("claim-{n}"), 5 * GI, 20 * GI);
    let of_pod = |n: usize| VolumeStats {
        of: VolumeRef::PodVolume { pod: Key::new("a", "virt-launcher-none"), volume: format!("v{n}").into() },
        ..stats("a", "", GI, 20 * GI)
    };
    let mut volumes: Vec<_> = (0..4_000).map(invented).chain((0..4_000).map(of_pod)).collect();
    volumes.push(stats("a", "web-root", 6 * GI, 20 * GI));
    state.apply(summary_at("n1", NOW + SECOND, volumes));
    let kept: Vec<_> = state.kubelets["n1"].volumes().map(|(stats, _)| stats.used).collect();
    assert_eq!(kept.len(), 64 + 1);
    assert_eq!(kept.last(), Some(&Some(6 * GI)), "the claim that exists is kept wherever it stands");
    assert!(!state.kubelets["n1"].peers.has(&Key::new("a", "web-root"), 20 * GI, 15 * GI, |_| true));
}

/// Only what is kept is counted.
#[test]
fn a_volume_that_a_kubelet_repeats_takes_the_memory_of_one() {
    let mut state = silent_state();
    let volumes = |count: usize| vec![stats("a", "web-root", GI, 20 * GI); count];
    state.apply(summary_at("n1", NOW, volumes(1)));
    let repeat = || state.apply(summary_at("n1", NOW + SECOND, volumes(8192)));
    let more = allocation_counter::measure(repeat).bytes_current;
    assert!(more < 1000, "{more} bytes");
}

/// Where claims cannot be listed, 8192 invented names of each of thousands of nodes would fill the memory.
#[test]
fn claims_that_cannot_be_verified_are_left_out_of_the_node_that_reports_most() {
    let mut state = silent_state();
    let long = "x".repeat(240);
    let invented = |n: usize| stats(&format!("a-{long}"), &format!("{n}-{long}"), GI, 20 * GI);
    let count = |state: &ClusterState, node: &str| state.kubelets[node].volumes().count();
    let error =
        |state: &ClusterState, node: &str| state.kubelets[node].error.as_ref().map(|error| error.reason);
    state.apply(summary_at("honest", NOW, (0..500).map(invented).collect()));
    for n in 0..40 {
        let volumes = (0..8192 - n).map(invented).collect();
        state.apply(summary_at(&format!("lies-{n}"), NOW, volumes));
        let bytes: usize = state.kubelets.values().map(NodeVolumes::unverified_bytes).sum();
        assert!(bytes <= MOST_UNVERIFIED_BYTES, "{bytes}");
    }
    assert_eq!((count(&state, "honest"), error(&state, "honest")), (500, None));
    assert_eq!((count(&state, "lies-0"), error(&state, "lies-0")), (0, Some(Reason::TooLarge)));
    let kept = (0..40).filter(|n| count(&state, &format!("lies-{n}")) > 0).count();
    assert_eq!(kept, 2, "as many as there is room for");
    // A claim that a pod mounts on this node is no part of it.
    state.apply(Observation::Pods(applied(mounting("lies-0", "root"))));
    let volumes = (0..8192).map(invented).chain([stats("a", "root", GI, 20 * GI)]).collect();
    state.apply(summary_at("lies-0", NOW, volumes));
    assert_eq!((count(&state, "lies-0"), error(&state, "lies-0")), (1, Some(Reason::TooLarge)));
}

/// A pod that mounts one claim.
fn mounting(node: &str, claim: &str) -> PodFacts {
    let claims = [("root".into(), claim.into())].into();
    PodFacts { claims, ..pod("a", &format!("virt-launcher-{node}-{claim}"), node) }
}

/// The claims of a large cluster exist, and each node could report 8192 of them.
#[test]
fn nodes_that_repeat_the_claims_of_others_take_no_more_than_nodes_that_invent_claims() {
    let mut state = state();
    let name = |n: usize| format!("claim-{n}");
    let claim = |n: usize| ClaimFacts { namespace: "a".into(), name: name(n), ..ClaimFacts::default() };
    state.apply(Observation::Claims(replaced((0..8192).map(claim).collect())));
    let all = |_: usize| (0..8192).map(|n| stats("a", &name(n), GI, 20 * GI)).collect();
    state.apply(Observation::Pods(applied(mounting("lies-0", &name(7)))));
    let kept = |state: &ClusterState, node: usize| state.kubelets[&format!("lies-{node}")].volumes().count();
    let repeat = |state: &mut ClusterState, node: usize| {
        state.apply(summary_at(&format!("lies-{node}"), NOW, all(node)));
    };
    let bytes = allocation_counter::measure(|| (0..60).for_each(|node| repeat(&mut state, node)));
    assert!(bytes.bytes_current < (MOST_UNVERIFIED_BYTES * 3 / 2) as i64, "{} bytes", bytes.bytes_current);
    assert!((0..60).any(|node| kept(&state, node) == 0), "some are left out");
    assert!(kept(&state, 0) > 0, "what its own pod mounts stays");
}

/// The claims of 10,000 VMs, three each.
#[test]
fn the_claims_of_a_large_cluster_fit_where_claims_cannot_be_listed() {
    let mut state = silent_state();
    for node in 0..100 {
        let claim = |n: usize| stats("some-namespace", &format!("vm-{node}-{n}-root-disk"), GI, 20 * GI);
        state.apply(summary_at(&format!("n{node}"), NOW, (0..300).map(claim).collect()));
    }
    let bytes: usize = state.kubelets.values().map(NodeVolumes::unverified_bytes).sum();
    assert!(bytes < MOST_UNVERIFIED_BYTES / 2, "{bytes}");
    assert!(state.kubelets.values().all(|kubelet| kubelet.error.is_none()));
}
