//! Every VM shows, and none shows twice.

use super::*;
use crate::model::vm::{Kind, Status};

fn vm(name: &str) -> VmFacts {
    VmFacts {
        uid: format!("vm-{name}"),
        namespace: "a".into(),
        name: name.into(),
        printable_status: "Running".into(),
        cpu_milli: Some(2000),
        memory: "4Gi".into(),
        ..Default::default()
    }
}

fn controlled(name: &str) -> InstanceFacts {
    InstanceFacts { owner_vm: format!("vm-{name}"), ..instance("a", name, "n1") }
}

fn shown(world: &mut World) -> Vec<(Kind, String)> {
    world.join(NOW).vms.iter().map(|vm| (vm.summary.kind, vm.summary.name.clone())).collect()
}

#[test]
fn an_instance_that_stands_alone_is_a_vm() {
    let mut world = world();
    let alone = InstanceFacts {
        owner_vm: String::new(),
        cpu_milli: Some(4000),
        memory: "8Gi".into(),
        ..instance("a", "solo", "n1")
    };
    world.apply(Observation::Instances(applied(alone)));
    let mut pod = pod("a", "virt-launcher-solo-abc12", "n1");
    pod.created_by = "vmi-a-solo".into();
    world.apply(Observation::Pods(applied(pod)));
    world.apply(metrics(vec![sample("a", "virt-launcher-solo-abc12", 1000, GI)]));
    let vm = find(&world.join(NOW), "a", "solo");
    assert_eq!((vm.summary.kind, vm.summary.status), (Kind::VirtualMachineInstance, Status::Running));
    assert_eq!((vm.summary.cpu, vm.summary.memory), (Some(4_000_000_000), Some(8 * GI)));
    assert_eq!((milli(&vm), &*vm.uid), (Ok(1000), "vmi-a-solo"));
}

#[test]
fn an_instance_shows_once_beside_its_vm_or_wukong() {
    let mut world = world();
    add_vm(&mut world, "a", "web", 500, GI);
    world.apply(Observation::VirtualMachines(applied(vm("db"))));
    world.apply(Observation::Instances(applied(controlled("db"))));
    // Its VirtualMachine is on its way, or was deleted a moment ago: no VM of its own.
    world.apply(Observation::Instances(applied(controlled("late"))));
    assert_eq!(
        shown(&mut world),
        [(Kind::VirtualMachine, "db".to_owned()), (Kind::Wukong, "web".to_owned())]
    );
}

#[test]
fn where_virtual_machines_cannot_be_read_their_instances_show() {
    let mut world = silent_world();
    let error = refused(Reason::Forbidden);
    world.apply(Observation::WatchFailed { source: SourceId::VirtualMachines, namespace: None, error });
    add_vm(&mut world, "a", "web", 500, GI);
    world.apply(Observation::Instances(applied(controlled("db"))));
    assert_eq!(
        shown(&mut world),
        [(Kind::VirtualMachineInstance, "db".to_owned()), (Kind::Wukong, "web".to_owned())]
    );
}

#[test]
fn an_instance_type_or_a_hot_plug_is_what_the_instance_reports() {
    let mut world = world();
    let bare = VmFacts { cpu_milli: None, memory: String::new(), ..vm("typed") };
    world.apply(Observation::VirtualMachines(replaced(vec![bare, vm("plugged"), vm("off")])));
    let now = |name: &str| InstanceFacts { cpu_milli: Some(8000), memory: "16Gi".into(), ..controlled(name) };
    world.apply(Observation::Instances(replaced(vec![now("typed"), now("plugged")])));
    let snapshot = world.join(NOW);
    let size = |name: &str| {
        let vm = find(&snapshot, "a", name);
        (vm.summary.cpu, vm.summary.memory)
    };
    assert_eq!(size("typed"), (Some(8_000_000_000), Some(16 * GI)));
    assert_eq!(size("plugged"), (Some(8_000_000_000), Some(16 * GI)));
    assert_eq!(size("off"), (Some(2_000_000_000), Some(4 * GI)));
}

#[test]
fn what_a_wukong_orders_is_its_own_word() {
    let mut world = world();
    let plugged =
        InstanceFacts { cpu_milli: Some(8000), memory: "16Gi".into(), ..instance("a", "web-vm", "n1") };
    add_vm(&mut world, "a", "web", 500, GI);
    world.apply(Observation::Instances(applied(plugged)));
    assert_eq!(web(&mut world).summary.memory, Some(4 * GI));
}
