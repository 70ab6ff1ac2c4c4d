//! Disk: a claim counts once, raw devices are unknown, and what is no disk of the VM is left out.

use super::*;
use crate::volumes;
use i18n::Render;
use model::{
    figure::{Basis, Figure, Sample, Source},
    vm::Volume,
};

fn volume(name: &str, claim: &str, size: &str) -> WukongVolume {
    WukongVolume { name: name.into(), claim: claim.into(), size: size.into() }
}

fn with_volumes(volumes: Vec<WukongVolume>) -> ClusterState {
    let mut state = state();
    add_vm(&mut state, "a", "web", 500, GI);
    state.apply(Observation::Wukongs(applied(WukongFacts { volumes: volumes.into(), ..wukong("a", "web") })));
    state
}

fn two() -> ClusterState {
    with_volumes(vec![volume("root", "web-root", "20Gi"), volume("data", "web-data", "40Gi")])
}

fn disk(state: &mut ClusterState) -> Result<(u64, u64), Reason> {
    let vm = web(state);
    let figure = &vm.summary.usage.disk;
    figure.sample().map(|sample| (sample.used, sample.of)).ok_or_else(|| figure.missing().unwrap().reason)
}

#[test]
fn the_sum_over_the_volumes_that_are_known() {
    let mut state = two();
    report(
        &mut state,
        summary("n1", vec![stats("a", "web-root", 5 * GI, 20 * GI), stats("a", "web-data", GI, 40 * GI)]),
    );
    assert_eq!(disk(&mut state), Ok((6 * GI, 60 * GI)));
    report(&mut state, summary("n1", vec![stats("a", "web-root", 5 * GI, 20 * GI)]));
    assert_eq!(disk(&mut state), Ok((5 * GI, 20 * GI)));
    let usage = web(&mut state).summary.usage.clone();
    assert_eq!((usage.disk_known, usage.disk_volumes), (1, 2));
}

#[test]
fn a_sum_names_the_source_that_is_as_old_as_it_says() {
    let mut state = two();
    report(&mut state, summary("n1", vec![stats("a", "web-root", 5 * GI, 20 * GI)]));
    let root = web(&mut state).volumes[0].clone();
    let of = |source, at| {
        let sample = Sample { source, at, ..*root.usage.sample().unwrap() };
        Volume { usage: Figure::Known(sample), ..root.clone() }
    };
    let named = |volumes: &[Volume]| {
        let figure = volumes::disk(volumes, true);
        figure.sample().map(|sample| (sample.source, sample.at))
    };
    let (fresh, old) = (of(Source::KubeletProxy, 9), of(Source::Ceph, 3));
    assert_eq!(named(&[fresh.clone(), old.clone()]), Some((Source::Ceph, 3)));
    assert_eq!(named(&[old, fresh]), Some((Source::Ceph, 3)));
}

#[test]
fn a_claim_of_the_same_name_in_another_namespace_is_another_claim() {
    let mut state = two();
    report(&mut state, summary("n1", vec![stats("b", "web-root", 5 * GI, 20 * GI)]));
    assert_eq!(disk(&mut state), Err(Reason::NotReported));
}

#[test]
fn the_pods_volume_name_tells_the_claim() {
    let mut state = two();
    let data = ClaimFacts { namespace: "a".into(), name: "web-data".into(), ..ClaimFacts::default() };
    state.apply(Observation::Claims(applied(data)));
    let named = |volume: &str| VolumeStats {
        of: VolumeRef::PodVolume { pod: Key::new("a", "virt-launcher-web-vm-xyz98"), volume: volume.into() },
        ..stats("a", "", GI, 20 * GI)
    };
    report(&mut state, summary("n1", vec![named("datadisk"), named("private")]));
    assert_eq!(disk(&mut state), Err(Reason::NotReported));
    let mut pod = pod("a", "virt-launcher-web-vm-xyz98", "n1");
    pod.created_by = "vmi-a-web-vm".into();
    pod.claims = [("datadisk".into(), "web-data".into())].into();
    state.apply(Observation::Pods(applied(pod)));
    assert_eq!(disk(&mut state), Ok((GI, 20 * GI)), "the pod became known after its kubelet answered");
    report(&mut state, summary("n1", vec![named("datadisk"), named("private")]));
    assert_eq!(disk(&mut state), Ok((GI, 20 * GI)), "the pod was known before");
}

#[test]
fn a_claim_mounted_twice_counts_once_from_the_guests_node() {
    let mut state = two();
    let older = VolumeStats { at: Some(NOW - 50_000), ..stats("a", "web-root", 5 * GI, 20 * GI) };
    report(&mut state, summary("n1", vec![older.clone(), older]));
    report(&mut state, summary("n2", vec![stats("a", "web-root", 19 * GI, 20 * GI)]));
    assert_eq!(disk(&mut state), Ok((5 * GI, 20 * GI)));
    let twice = [volume("root", "web-root", "20Gi"), volume("again", "web-root", "20Gi")].into();
    state.apply(Observation::Wukongs(applied(WukongFacts { volumes: twice, ..wukong("a", "web") })));
    assert_eq!(disk(&mut state), Ok((5 * GI, 20 * GI)));
}

#[test]
fn a_block_volume_is_unknown_not_empty() {
    let zeros = VolumeStats { available: Some(0), inodes: Some(0), ..stats("a", "web-root", 0, 20 * GI) };
    let mut state = two();
    report(&mut state, summary("n1", vec![zeros, stats("a", "web-data", 4 * GI, 40 * GI)]));
    assert_eq!(disk(&mut state), Ok((4 * GI, 40 * GI)));
    let vm = web(&mut state);
    assert_eq!((used(&vm.volumes[0].usage), vm.volumes[0].block), (Err(Reason::BlockVolume), true));
    let claim =
        ClaimFacts { namespace: "a".into(), name: "web-data".into(), block: true, ..Default::default() };
    state.apply(Observation::Claims(applied(claim)));
    assert_eq!(disk(&mut state), Err(Reason::BlockVolume));
}

#[test]
fn an_empty_file_system_is_zero_not_unknown() {
    let mut state = two();
    report(&mut state, summary("n1", vec![stats("a", "web-root", 0, 20 * GI)]));
    assert_eq!(disk(&mut state), Ok((0, 20 * GI)));
}

#[test]
fn capacity_is_the_sources_else_the_size() {
    let mut state = two();
    let unsized_stats = VolumeStats { capacity: None, available: None, ..stats("a", "web-root", GI, 0) };
    report(&mut state, summary("n1", vec![unsized_stats]));
    assert_eq!(disk(&mut state), Ok((GI, 20 * GI)));
}

#[test]
fn a_shared_file_system_counts_for_the_vm_and_not_for_totals() {
    let mut state = two();
    report(
        &mut state,
        summary("n1", vec![stats("a", "web-root", 300 * GI, 500 * GI), stats("a", "web-data", GI, 40 * GI)]),
    );
    let snapshot = state.join(NOW);
    let vm = find(&snapshot, "a", "web");
    assert_eq!(vm.summary.usage.disk.sample().unwrap().basis, Basis::SharedFilesystem);
    assert_eq!(vm.summary.usage.disk.sample().unwrap().of, 540 * GI);
    assert_eq!((snapshot.totals.disk_used.used, snapshot.totals.disk_used.of), (GI, 40 * GI));
}

#[test]
fn without_the_wukongs_volumes_the_instances_count_less_its_state() {
    let mut state = with_volumes(vec![]);
    assert_eq!(disk(&mut state), Err(Reason::NoVolumes));
    let volumes = [("rootdisk", "web-root"), ("state", "persistent-state-for-web-vm-x7k2p")];
    let volumes = volumes.map(|(name, claim)| InstanceVolume { name: name.into(), claim: claim.into() });
    state.apply(Observation::Instances(applied(InstanceFacts {
        volumes: volumes.into(),
        ..instance("a", "web-vm", "n1")
    })));
    let persistent = stats("a", "persistent-state-for-web-vm-x7k2p", 9 * GI, 10 * GI);
    report(&mut state, summary("n1", vec![stats("a", "web-root", GI, 20 * GI), persistent]));
    assert_eq!(disk(&mut state), Ok((GI, 20 * GI)));
}

#[test]
fn a_dead_node_costs_its_own_volumes_only() {
    let mut state = two();
    add_vm(&mut state, "b", "other", 100, GI);
    let there = instance("b", "other-vm", "n2");
    state.apply(Observation::Instances(applied(there)));
    let other = WukongFacts { volumes: [volume("root", "o", "20Gi")].into(), ..wukong("b", "other") };
    state.apply(Observation::Wukongs(applied(other)));
    report(&mut state, summary("n2", vec![stats("b", "o", GI, 20 * GI)]));
    state.apply(Observation::Summary { node: "n1".into(), at: NOW, result: Err(refused(Reason::TimedOut)) });
    let snapshot = state.join(NOW);
    assert_eq!(used(&find(&snapshot, "b", "other").summary.usage.disk), Ok(GI));
    let missing = find(&snapshot, "a", "web").summary.usage.disk.missing().cloned().unwrap();
    assert_eq!(missing.reason, Reason::TimedOut);
    assert!(missing.fix.english().contains("n1"), "{}", missing.fix.english());
}

/// A node that was taken over may say anything of any claim.
#[test]
fn a_kubelet_is_believed_about_what_its_own_pods_mount() {
    let mut state = two();
    report(&mut state, summary("n2", vec![stats("a", "web-root", 19 * GI, 20 * GI)]));
    report(&mut state, summary("n1", vec![]));
    let root = |state: &mut ClusterState| used(&find(&state.join(NOW), "a", "web").volumes[0].usage);
    assert!(root(&mut state).is_err(), "the kubelet of its node leaves it out, and no pod on n2 mounts it");
    let target = PodFacts {
        claims: [("rootdisk".into(), "web-root".into())].into(),
        ..pod("a", "virt-launcher-web-vm-zzzzz", "n2")
    };
    state.apply(Observation::Pods(applied(target)));
    assert_eq!(root(&mut state), Ok(19 * GI));
}

#[test]
fn the_last_figure_of_a_silent_kubelet_ages_and_expires() {
    let mut state = two();
    report(&mut state, summary("n1", vec![stats("a", "web-root", GI, 20 * GI)]));
    state.apply(Observation::Summary {
        node: "n1".into(),
        at: NOW,
        result: Err(refused(Reason::Unreachable)),
    });
    let at = NOW - 30_000;
    let root =
        |state: &mut ClusterState, age| find(&state.join(at + age), "a", "web").volumes[0].usage.clone();
    assert!(!root(&mut state, 360_000).sample().unwrap().stale);
    assert!(root(&mut state, 360_001).sample().unwrap().stale);
    let missing = root(&mut state, 2_400_001).missing().cloned().unwrap();
    assert_eq!((missing.reason, missing.last.unwrap().used), (Reason::Unreachable, GI));
}

#[test]
fn a_forbidden_kubelet_is_said_at_once() {
    let mut state = two();
    report(&mut state, summary("n1", vec![stats("a", "web-root", GI, 20 * GI)]));
    state.apply(Observation::Summary { node: "n1".into(), at: NOW, result: Err(refused(Reason::Forbidden)) });
    assert_eq!(disk(&mut state), Err(Reason::Forbidden));
}

#[test]
fn a_stopped_vms_volumes_are_listed_without_usage() {
    let mut state = two();
    report(&mut state, summary("n1", vec![stats("a", "web-root", GI, 20 * GI)]));
    let volumes = vec![volume("root", "web-root", "20Gi")];
    let stopped = WukongFacts { phase: "Stopped".into(), volumes: volumes.into(), ..wukong("a", "web") };
    state.apply(Observation::Wukongs(applied(stopped)));
    state.apply(Observation::Instances(replaced(vec![])));
    let vm = web(&mut state);
    assert_eq!((used(&vm.summary.usage.disk), vm.volumes.len()), (Err(Reason::NotRunning), 1));
    assert_eq!(vm.summary.disk, 20 * GI);
}

#[test]
fn a_sum_over_some_of_the_volumes_says_so() {
    let mut state = two();
    let volumes = vec![volume("root", "web-root", "20Gi"), volume("data", "web-data", "40Gi")];
    let cut = WukongFacts { volumes: volumes.into(), volumes_left_out: 40, ..wukong("a", "web") };
    state.apply(Observation::Wukongs(applied(cut)));
    report(
        &mut state,
        summary("n1", vec![stats("a", "web-root", 5 * GI, 20 * GI), stats("a", "web-data", GI, 40 * GI)]),
    );
    let usage = web(&mut state).summary.usage.clone();
    assert_eq!((usage.disk_known, usage.disk_volumes), (2, 42));
    let disks = vec![model::vm::Disk { size: "1Gi".into(), ..Default::default() }];
    let cut = WukongFacts { disks: disks.into(), disks_left_out: 3, ..wukong("a", "web") };
    state.apply(Observation::Wukongs(applied(cut)));
    assert_eq!(web(&mut state).summary.disk, 0, "what was ordered is not known");
    let instance = InstanceFacts { volumes_left_out: 5, ..instance("a", "web-vm", "n1") };
    state.apply(Observation::Instances(applied(instance)));
    assert_eq!(web(&mut state).summary.usage.disk_volumes, 5);
}
