//! Every VM is shown, and none is shown twice.

use super::*;
use i18n::Render;
use model::vm::{Kind, Status};

fn vm(name: &str) -> VmFacts {
    VmFacts {
        uid: format!("vm-{name}"),
        namespace: "a".into(),
        name: name.into(),
        printable_status: "Running".into(),
        vcpus: Some(2),
        memory: "4Gi".into(),
        ..Default::default()
    }
}

fn controlled(name: &str) -> InstanceFacts {
    InstanceFacts { owner_vm: format!("vm-{name}"), ..instance("a", name, "n1") }
}

fn shown(state: &mut ClusterState) -> Vec<(Kind, String)> {
    state.join(NOW).vms.iter().map(|vm| (vm.summary.kind, vm.summary.name.clone())).collect()
}

#[test]
fn an_instance_that_stands_alone_is_a_vm() {
    let mut state = state();
    let alone = InstanceFacts {
        owner_vm: String::new(),
        vcpus: Some(4),
        memory: "8Gi".into(),
        ..instance("a", "solo", "n1")
    };
    state.apply(Observation::Instances(applied(alone)));
    let mut pod = pod("a", "virt-launcher-solo-abc12", "n1");
    pod.created_by = "vmi-a-solo".into();
    state.apply(Observation::Pods(applied(pod)));
    state.apply(metrics(vec![sample("a", "virt-launcher-solo-abc12", 1000, GI)]));
    let vm = find(&state.join(NOW), "a", "solo");
    assert_eq!((vm.summary.kind, vm.summary.status), (Kind::VirtualMachineInstance, Status::Running));
    assert_eq!((vm.summary.cpu, vm.summary.memory), (Some(4_000_000_000), Some(8 * GI)));
    assert_eq!((milli(&vm), &*vm.uid), (Ok(1000), "vmi-a-solo"));
}

#[test]
fn an_instance_shows_once_beside_its_vm_or_wukong() {
    let mut state = state();
    add_vm(&mut state, "a", "web", 500, GI);
    state.apply(Observation::VirtualMachines(applied(vm("db"))));
    state.apply(Observation::Instances(applied(controlled("db"))));
    // Its VirtualMachine is not listed yet, or was just deleted: the instance is not shown as a VM.
    let late = InstanceFacts { created: NOW - 5 * SECOND, ..controlled("late") };
    state.apply(Observation::Instances(applied(late)));
    assert_eq!(
        shown(&mut state),
        [(Kind::VirtualMachine, "db".to_owned()), (Kind::Wukong, "web".to_owned())]
    );
}

#[test]
fn if_virtual_machines_cannot_be_read_their_instances_are_shown() {
    let mut state = silent_state();
    let error = refused(Reason::Forbidden);
    state.apply(Observation::WatchFailed { source: SourceId::VirtualMachines, namespace: None, error });
    add_vm(&mut state, "a", "web", 500, GI);
    state.apply(Observation::Instances(applied(controlled("db"))));
    assert_eq!(
        shown(&mut state),
        [(Kind::VirtualMachineInstance, "db".to_owned()), (Kind::Wukong, "web".to_owned())]
    );
}

#[test]
fn an_instance_type_or_a_hot_plug_is_what_the_instance_reports() {
    let mut state = state();
    let bare = VmFacts { vcpus: None, memory: String::new(), ..vm("typed") };
    state.apply(Observation::VirtualMachines(replaced(vec![bare, vm("plugged"), vm("off")])));
    let now = |name: &str| InstanceFacts { vcpus: Some(8), memory: "16Gi".into(), ..controlled(name) };
    state.apply(Observation::Instances(replaced(vec![now("typed"), now("plugged")])));
    let snapshot = state.join(NOW);
    let size = |name: &str| {
        let vm = find(&snapshot, "a", name);
        (vm.summary.cpu, vm.summary.memory)
    };
    assert_eq!(size("typed"), (Some(8_000_000_000), Some(16 * GI)));
    assert_eq!(size("plugged"), (Some(8_000_000_000), Some(16 * GI)));
    assert_eq!(size("off"), (Some(2_000_000_000), Some(4 * GI)));
}

#[test]
fn the_size_in_a_wukongs_spec_counts_before_the_instances() {
    let mut state = state();
    let plugged = InstanceFacts { vcpus: Some(8), memory: "16Gi".into(), ..instance("a", "web-vm", "n1") };
    add_vm(&mut state, "a", "web", 500, GI);
    state.apply(Observation::Instances(applied(plugged)));
    assert_eq!(web(&mut state).summary.memory, Some(4 * GI));
}

fn owned(namespace: &str, name: &str, uid: &str) -> VmFacts {
    VmFacts {
        uid: format!("vm-{namespace}-{name}"),
        namespace: namespace.into(),
        owner_wukong: uid.into(),
        owner_name: format!("name-of-{uid}"),
        ..vm(name)
    }
}

fn naming(namespace: &str, name: &str, vm_name: &str) -> WukongFacts {
    WukongFacts { vm_name: vm_name.into(), ..wukong(namespace, name) }
}

/// Kind, name, VirtualMachine and contradiction of every entry of one namespace.
fn entries(wukongs: Vec<WukongFacts>, vms: Vec<VmFacts>) -> Vec<(Kind, String, String, String)> {
    let mut state = state();
    state.apply(Observation::Wukongs(replaced(wukongs)));
    state.apply(Observation::VirtualMachines(replaced(vms)));
    let entry = |vm: &Arc<Vm>| {
        let conflict = vm.conflict.as_ref().map(|conflict| conflict.english()).unwrap_or_default();
        (vm.summary.kind, vm.summary.name.clone(), vm.vm_name.clone(), conflict)
    };
    state.join(NOW).vms.iter().map(entry).collect()
}

#[test]
fn an_owner_reference_hides_no_vm() {
    let w = |name: &str, vm: &str| (Kind::Wukong, name.to_owned(), vm.to_owned());
    let v = |name: &str| (Kind::VirtualMachine, name.to_owned(), name.to_owned());
    for (what, wukongs, vms, want) in [
        (
            "the Wukong names its VM",
            vec![naming("a", "web", "x")],
            vec![owned("a", "x", "wukong-a-web")],
            vec![(w("web", "x"), "")],
        ),
        (
            "the Wukong names none: its only VM",
            vec![naming("a", "web", "")],
            vec![owned("a", "x", "wukong-a-web")],
            vec![(w("web", "x"), "")],
        ),
        (
            "a tenant's VM names a Wukong that has another one",
            vec![naming("a", "web", "x")],
            vec![owned("a", "x", "wukong-a-web"), owned("a", "y", "wukong-a-web")],
            vec![(w("web", "x"), ""), (v("y"), "the Wukong web, has the status.vmName x.")],
        ),
        (
            "a Wukong of another namespace",
            vec![naming("b", "web", "")],
            vec![owned("a", "x", "wukong-b-web")],
            vec![(w("web", ""), ""), (v("x"), "name-of-wukong-b-web, is not in the namespace a.")],
        ),
        (
            "a Wukong that does not exist",
            vec![],
            vec![owned("a", "x", "gone")],
            vec![(v("x"), "name-of-gone, is not in the namespace a.")],
        ),
        (
            "two VMs of a Wukong that names none",
            vec![naming("a", "web", "")],
            vec![owned("a", "x", "wukong-a-web"), owned("a", "y", "wukong-a-web")],
            vec![
                (w("web", ""), ""),
                (v("x"), "and others have the same owner"),
                (v("y"), "and others have the same owner"),
            ],
        ),
        (
            "two Wukongs name one VM: it says whose it is",
            vec![naming("a", "old", "x"), naming("a", "web", "x")],
            vec![owned("a", "x", "wukong-a-web")],
            vec![(w("old", ""), "names the VM x, which the Wukong web names too."), (w("web", "x"), "")],
        ),
        (
            "it says nothing: the older Wukong",
            vec![
                WukongFacts { created: 2, ..naming("a", "a", "x") },
                WukongFacts { created: 1, ..naming("a", "b", "x") },
            ],
            vec![],
            vec![(w("a", ""), "which the Wukong b names too."), (w("b", "x"), "")],
        ),
        (
            "one Wukong names it, it names another",
            vec![naming("a", "web", "x"), naming("a", "other", "")],
            vec![owned("a", "x", "wukong-a-other")],
            vec![
                (w("other", ""), ""),
                (w("web", "x"), "names another owner, the Wukong name-of-wukong-a-other."),
            ],
        ),
    ] {
        let got = entries(wukongs, vms);
        assert_eq!(got.len(), want.len(), "{what}: {got:?}");
        for ((kind, name, vm, conflict), (entry, words)) in got.into_iter().zip(want) {
            assert_eq!((kind, name, vm), entry, "{what}");
            assert_eq!(conflict.is_empty(), words.is_empty(), "{what}: {conflict}");
            assert!(conflict.contains(words), "{what}: {conflict}");
        }
    }
}

#[test]
fn of_two_wukongs_with_one_vm_the_other_has_no_figures_and_says_why() {
    let mut state = state();
    add_vm(&mut state, "a", "web", 500, GI);
    state.apply(Observation::Wukongs(applied(WukongFacts { created: 1, ..naming("a", "twin", "web-vm") })));
    let snapshot = state.join(NOW);
    assert_eq!(milli(&find(&snapshot, "a", "web")), Ok(500));
    assert_eq!(milli(&find(&snapshot, "a", "twin")), Err(Reason::SharedVm));
    assert_eq!(snapshot.totals.cpu_used.used, 500_000_000, "it is counted once");
}

#[test]
fn an_instance_that_names_another_vms_uid_is_not_hidden() {
    let mut state = state();
    state.apply(Observation::VirtualMachines(replaced(vec![vm("db")])));
    let forged = InstanceFacts { owner_vm: "vm-db".into(), ..instance("a", "miner", "n1") };
    let unknown = InstanceFacts { owner_vm: "no such uid".into(), ..instance("a", "old", "n1") };
    state.apply(Observation::Instances(replaced(vec![forged, unknown])));
    assert_eq!(shown(&mut state).len(), 3, "{:?}", shown(&mut state));
}

#[test]
fn while_wukongs_cannot_be_read_no_owner_contradicts() {
    let mut state = silent_state();
    let error = refused(Reason::Forbidden);
    state.apply(Observation::WatchFailed { source: SourceId::Wukongs, namespace: None, error });
    state.apply(Observation::VirtualMachines(replaced(vec![owned("a", "x", "wukong-a-web")])));
    let snapshot = state.join(NOW);
    assert_eq!(snapshot.vms[0].conflict, None);
}
