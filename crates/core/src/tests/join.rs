//! What the join takes of the objects besides figures, and what two snapshots share.

use super::*;
use i18n::Render;
use model::vm::{Disk, Network, Status};

#[test]
fn each_snapshot_has_the_next_number() {
    let mut state = state();
    let first = state.join(NOW).seq;
    assert_eq!([state.join(NOW).seq, state.join(NOW).seq], [first + 1, first + 2]);
}

#[test]
fn vms_that_did_not_change_are_shared_when_others_come_and_go() {
    let mut state = state();
    ["b", "d", "f", "h"].into_iter().for_each(|name| add_vm(&mut state, "a", name, 500, GI));
    let before = state.join(NOW);
    state.apply(Observation::Wukongs(Change::Deleted { key: Key::new("a", "b"), at: NOW }));
    state.apply(Observation::Wukongs(applied(wukong("a", "c"))));
    let changed = WukongFacts { os_image: "new".into(), ..wukong("a", "f") };
    state.apply(Observation::Wukongs(applied(changed)));
    let after = state.join(NOW);
    let is_shared = |name| Arc::ptr_eq(&find(&before, "a", name), &find(&after, "a", name));
    assert_eq!(["d", "f", "h"].map(is_shared), [true, false, true]);
}

/// A list that leaves objects out does not prove that an object is absent.
#[test]
fn figures_of_a_claim_are_kept_while_some_claims_are_left_out() {
    let answer = || summary("n1", vec![stats("a", "unlisted", 5 * GI, 20 * GI)]);
    let mut state = state();
    state.apply(answer());
    assert_eq!(state.kubelets["n1"].volumes().count(), 0, "the list is complete");
    let errors = vec![refused(Reason::TooLarge)];
    state.apply(Observation::Omitted { source: SourceId::Claims, namespace: None, errors });
    state.apply(answer());
    assert_eq!(state.kubelets["n1"].volumes().count(), 1);
}

#[test]
fn memory_is_also_kept_as_the_object_writes_it() {
    let mut state = state();
    add_vm(&mut state, "a", "web", 500, GI);
    assert_eq!(web(&mut state).memory_text, "4Gi");
}

#[test]
fn the_instance_gives_the_address_else_the_first_network_that_has_one() {
    let networks =
        ["", "10.0.0.2", "10.0.0.3"].map(|ip| Network { ip_address: ip.into(), ..Network::default() });
    for (of_instance, networks, want) in [
        ("10.0.0.1", networks.to_vec(), "10.0.0.1"),
        ("", networks.to_vec(), "10.0.0.2"),
        ("", Vec::new(), ""),
    ] {
        let mut state = state();
        state.apply(Observation::Wukongs(applied(WukongFacts {
            networks: networks.into(),
            ..wukong("a", "web")
        })));
        let instance = InstanceFacts { ip_address: of_instance.into(), ..instance("a", "web-vm", "n1") };
        state.apply(Observation::Instances(applied(instance)));
        assert_eq!(web(&mut state).summary.ip_address, want);
    }
}

#[test]
fn the_disk_size_is_the_sum_of_the_specs_disks_else_of_the_volumes() {
    let volumes = ["20Gi", "10Gi"].map(|size| WukongVolume {
        name: size.into(),
        claim: size.into(),
        size: size.into(),
    });
    for (sizes, want) in [(vec!["40Gi", "5Gi"], 45 * GI), (vec!["40Gi", "?"], 40 * GI), (vec![], 30 * GI)] {
        let disks = sizes.iter().map(|size| Disk { size: (*size).into(), ..Disk::default() }).collect();
        let mut state = state();
        let spec = WukongFacts { disks, volumes: volumes.clone().into(), ..wukong("a", "web") };
        state.apply(Observation::Wukongs(applied(spec)));
        assert_eq!(web(&mut state).summary.disk, want, "{sizes:?}");
    }
}

#[test]
fn a_vm_that_does_not_run_well_says_why_and_how_to_fix_it() {
    let pause = Pause { reason: "PausedIOError".into(), message: "the disk is full".into() };
    let paused = InstanceFacts { pause: Some(Box::new(pause)), ..instance("a", "web-vm", "n1") };
    let stuck = VmFacts {
        namespace: "a".into(),
        name: "web-vm".into(),
        printable_status: "ErrorUnschedulable".into(),
        failure_message: "no node has room".into(),
        ..VmFacts::default()
    };
    for (observation, status, detail, command) in [
        (
            Observation::Instances(applied(paused)),
            Status::Running,
            "the disk is full",
            "kubectl -n a describe virtualmachineinstance web-vm",
        ),
        (
            Observation::VirtualMachines(applied(stuck)),
            Status::Error,
            "no node has room",
            "kubectl -n a describe virtualmachine web-vm",
        ),
    ] {
        let mut state = state();
        state.apply(Observation::Wukongs(applied(wukong("a", "web"))));
        state.apply(observation);
        let vm = web(&mut state);
        let failure = vm.failure.as_ref().unwrap();
        assert_eq!((vm.summary.status, &*failure.detail.english()), (status, detail));
        assert!(failure.fix.english().contains(command), "{}", failure.fix.english());
    }
}

#[test]
fn a_vm_is_as_old_as_the_object_that_shows_it() {
    let of_vm = VmFacts {
        uid: "vm-a-db".into(),
        namespace: "a".into(),
        name: "db".into(),
        created: 2_000,
        ..VmFacts::default()
    };
    let alone = InstanceFacts { owner_vm: String::new(), created: 3_000, ..instance("a", "solo", "n1") };
    let mut state = state();
    state.apply(Observation::Wukongs(applied(WukongFacts { created: 1_000, ..wukong("a", "web") })));
    state.apply(Observation::VirtualMachines(applied(of_vm)));
    state.apply(Observation::Instances(applied(alone)));
    let snapshot = state.join(NOW);
    assert_eq!(["web", "db", "solo"].map(|name| find(&snapshot, "a", name).created), [1_000, 2_000, 3_000]);
}
