//! Groups by node and by namespace: which VM counts in which group, and what is unknown.

use std::sync::Arc;

use super::*;
use crate::groups;
use i18n::Render;
use model::{
    figure::Basis,
    groups::{Group, GroupSort, GroupsQuery, Node},
    query::{GroupBy, Order},
    source::SourceState,
    totals::Capacity,
    vm::Status,
};

fn rows(snapshot: &Snapshot, query: &GroupsQuery) -> Vec<Group> {
    groups::groups(&everything(snapshot), query)
}

fn by(by: GroupBy) -> GroupsQuery {
    GroupsQuery { by, ..GroupsQuery::default() }
}

fn row(snapshot: &Snapshot, query: &GroupsQuery, name: &str) -> Group {
    let rows = rows(snapshot, query);
    let names: Vec<&String> = rows.iter().map(|row| &row.name).collect();
    let found = rows.iter().find(|row| row.name == name);
    found.unwrap_or_else(|| panic!("no {name} in {names:?}")).clone()
}

fn node(name: &str, cores: u64, memory: u64) -> Node {
    Node {
        name: name.into(),
        cpu: Some(cores * 1_000_000_000),
        memory: Some(memory),
        ready: Some(true),
        takes_vms: true,
        schedulable: true,
        ..Node::default()
    }
}

fn with_nodes(state: &mut ClusterState, nodes: Vec<Node>) {
    state.apply(Observation::Nodes(replaced(nodes)));
}

#[test]
fn a_node_is_overcommitted_by_what_the_vms_on_it_were_given() {
    let mut state = state();
    for name in ["one", "two", "three"] {
        add_vm(&mut state, "a", name, 500, GI);
    }
    with_nodes(&mut state, vec![node("n1", 4, 16 * GI)]);
    let row = row(&state.join(NOW), &by(GroupBy::Node), "n1");
    assert_eq!((row.cpu.allocated, row.cpu.percent()), (6_000_000_000, Some(150)));
    assert_eq!((row.memory.allocated, row.memory.percent()), (12 * GI, Some(75)));
    assert_eq!((row.totals.counts.running, row.cpu.unreadable), (3, 0));
    assert_eq!(row.node.unwrap().ready, Some(true));
}

#[test]
fn a_vm_that_migrates_counts_where_it_comes_from() {
    let mut state = state();
    add_vm(&mut state, "a", "web", 500, GI);
    let migration = Migration {
        source_node: "n1".into(),
        target_node: "n2".into(),
        source_pod: "virt-launcher-web-vm-abc12".into(),
        target_pod: "virt-launcher-web-vm-def34".into(),
        ..Migration::default()
    };
    let mut moving = instance("a", "web-vm", "n1");
    moving.migration = Some(Box::new(migration));
    state.apply(Observation::Instances(applied(moving)));
    with_nodes(&mut state, vec![node("n1", 4, GI), node("n2", 4, GI)]);
    let snapshot = state.join(NOW);
    assert_eq!(find(&snapshot, "a", "web").summary.migrating_to, "n2");
    let [source, target] = ["n1", "n2"].map(|name| row(&snapshot, &by(GroupBy::Node), name));
    assert_eq!((source.totals.counts.total, source.totals.counts.migrating), (1, 1));
    assert_eq!(
        (target.totals.counts.total, target.cpu.percent()),
        (0, Some(0)),
        "an empty node is a row too"
    );
}

#[test]
fn a_stopped_vm_is_on_no_node_though_its_wukong_goes_on_naming_one() {
    let mut state = state();
    let mut stopped = wukong("a", "web");
    stopped.phase = "Stopped".into();
    stopped.node_name = "n1".into();
    state.apply(Observation::Wukongs(applied(stopped)));
    with_nodes(&mut state, vec![node("n1", 4, 16 * GI)]);
    let snapshot = state.join(NOW);
    let n1 = row(&snapshot, &by(GroupBy::Node), "n1");
    assert_eq!((n1.totals.counts.total, n1.cpu.allocated, n1.memory.percent()), (0, 0, Some(0)));
    let nowhere = row(&snapshot, &by(GroupBy::Node), "");
    assert_eq!((nowhere.totals.counts.stopped, nowhere.totals.memory), (1, 4 * GI));
}

/// A tenant writes `status.nodeName`, and with it the node groups, the filter's list, and the kubelets that are asked.
#[test]
fn the_node_in_a_wukong_counts_while_instances_are_unknown_and_if_the_node_exists() {
    let placed = |node: &str| WukongFacts { node_name: node.into(), ..wukong("a", "web") };
    let node_of = |state: &mut ClusterState| find(&state.join(NOW), "a", "web").summary.node.clone();
    let mut state = state();
    let error = refused(Reason::Forbidden);
    state.apply(Observation::WatchFailed { source: SourceId::Instances, namespace: None, error });
    state.apply(Observation::Wukongs(applied(placed("n1"))));
    assert_eq!(node_of(&mut state), "n1", "neither nodes nor instances are known");
    with_nodes(&mut state, vec![node("n1", 4, 16 * GI)]);
    assert_eq!(node_of(&mut state), "n1");
    state.apply(Observation::Wukongs(applied(placed("n1 "))));
    assert_eq!(node_of(&mut state), "", "there is no such node");
    state.apply(Observation::Wukongs(applied(placed("n1"))));
    state.apply(Observation::Instances(replaced(Vec::new())));
    assert_eq!(node_of(&mut state), "", "it has no instance, so that it is nowhere");
}

#[test]
fn vms_on_no_node_are_a_group_without_a_name_and_come_last() {
    let mut state = state();
    let mut pending = wukong("a", "queued");
    pending.phase = "Pending".into();
    state.apply(Observation::Wukongs(applied(pending)));
    add_vm(&mut state, "a", "web", 500, GI);
    let snapshot = state.join(NOW);
    for (sort, order) in
        [(GroupSort::Name, Order::Asc), (GroupSort::Name, Order::Desc), (GroupSort::Vms, Order::Desc)]
    {
        let query = GroupsQuery { sort, order, ..by(GroupBy::Node) };
        let names: Vec<String> = rows(&snapshot, &query).into_iter().map(|row| row.name).collect();
        assert_eq!(names, ["n1", ""], "{sort:?} {order:?}");
    }
    assert_eq!(row(&snapshot, &by(GroupBy::Node), "").totals.counts.pending, 1);
}

#[test]
fn an_allocation_that_cannot_be_read_is_counted_and_not_taken_for_zero() {
    let mut state = state();
    add_vm(&mut state, "a", "web", 500, GI);
    let mut odd = wukong("a", "web");
    odd.cpu = None;
    odd.memory = "lots".into();
    state.apply(Observation::Wukongs(applied(odd)));
    with_nodes(&mut state, vec![node("n1", 4, 16 * GI)]);
    let row = row(&state.join(NOW), &by(GroupBy::Node), "n1");
    assert_eq!((row.cpu_unreadable, row.totals.memory_unreadable), (1, 1));
    assert_eq!((row.cpu.unreadable, row.memory.unreadable), (1, 1));
    assert_eq!(row.totals.cpu_used.share(), None, "there is nothing to divide by");
}

#[test]
fn unknown_usage_is_missing_and_sorts_last() {
    let mut state = state();
    add_vm(&mut state, "known", "web", 500, GI);
    state.apply(Observation::Wukongs(applied(wukong("blind", "db"))));
    let snapshot = state.join(NOW);
    let blind = row(&snapshot, &by(GroupBy::Namespace), "blind");
    assert_eq!((blind.totals.counts.running, blind.totals.cpu_used.share()), (1, None));
    assert_eq!(blind.totals.disk_used.share(), None);
    for order in [Order::Asc, Order::Desc] {
        let query = GroupsQuery { sort: GroupSort::Cpu, order, ..by(GroupBy::Namespace) };
        assert_eq!(rows(&snapshot, &query)[0].name, "known", "{order:?}");
    }
}

#[test]
fn a_node_that_says_nothing_allocatable_has_no_percentage() {
    let mut state = state();
    add_vm(&mut state, "a", "web", 500, GI);
    let unknown = row(&state.join(NOW), &by(GroupBy::Node), "n1");
    assert_eq!((unknown.node, unknown.cpu.percent(), unknown.cpu.allocated), (None, None, 2_000_000_000));
    with_nodes(&mut state, vec![Node { cpu: Some(0), memory: None, ..node("n1", 0, 0) }]);
    let reported = row(&state.join(NOW), &by(GroupBy::Node), "n1");
    assert_eq!(
        (reported.node.is_some(), reported.cpu.percent(), reported.memory.percent()),
        (true, None, None)
    );
}

#[test]
fn a_node_that_kubevirt_does_not_work_on_shows_only_with_a_vm() {
    let mut state = state();
    with_nodes(&mut state, vec![Node { takes_vms: false, ..node("control-plane", 4, GI) }]);
    assert!(rows(&state.join(NOW), &by(GroupBy::Node)).is_empty());
    let failed = Observation::WatchFailed {
        source: SourceId::Nodes,
        namespace: None,
        error: refused(Reason::ApiAbsent),
    };
    state.apply(failed);
    assert!(state.join(NOW).nodes.is_empty());
}

#[test]
fn without_the_permission_nodes_are_forbidden_and_nothing_else_suffers() {
    let mut state = state();
    add_vm(&mut state, "a", "web", 500, GI);
    let error = refused(Reason::Forbidden);
    state.apply(Observation::WatchFailed { source: SourceId::Nodes, namespace: None, error });
    let snapshot = state.join(NOW);
    let nodes = health(&snapshot, SourceId::Nodes);
    assert_eq!(nodes.reason, Some(Reason::Forbidden));
    assert!(
        nodes.fix.english().contains("list and watch nodes")
            && nodes.fix.english().contains("deploy/cluster"),
        "{}",
        nodes.fix.english()
    );
    assert!(nodes.id.is_second() && nodes.state == SourceState::Forbidden);
    assert_eq!(milli(&find(&snapshot, "a", "web")), Ok(500));
}

#[test]
fn the_largest_consumers_are_found_by_amount_and_not_by_percent() {
    let mut state = state();
    for (name, milli) in [("a", 100), ("b", 700), ("c", 300), ("d", 300), ("e", 900), ("f", 200), ("g", 50)] {
        add_vm(&mut state, "one", name, milli, milli * GI / 1000);
    }
    add_vm(&mut state, "two", "x", 5_000, GI);
    let snapshot = state.join(NOW);
    let names = |namespace: &str| -> Vec<String> {
        groups::top(&everything(&snapshot), namespace).cpu.into_iter().map(|vm| vm.name).collect()
    };
    // Of equal ones the name decides.
    assert_eq!(names(""), ["x", "e", "b", "c", "d"]);
    assert_eq!(names("one"), ["e", "b", "c", "d", "f"]);
    assert_eq!(names("none"), Vec::<String>::new());
}

#[test]
fn a_shared_file_system_makes_nobody_the_largest_consumer_of_disk() {
    let mut state = state();
    add_vm(&mut state, "a", "web", 500, GI);
    let mut snapshot = state.join(NOW);
    let mut vm = Vm::clone(&snapshot.vms[0]);
    let volume = |used: Option<u64>, basis| {
        let figure = match used {
            Some(used) => match vm.summary.usage.cpu.clone() {
                model::figure::Figure::Known(sample) => {
                    model::figure::Figure::Known(model::figure::Sample { used, of: 10 * GI, basis, ..sample })
                }
                missing => missing,
            },
            None => model::figure::Figure::Missing(Reason::BlockVolume.into()),
        };
        model::vm::Volume {
            name: "v".into(),
            claim: "v".into(),
            size: None,
            block: false,
            storage_class: String::new(),
            backing: 0,
            source: SourceId::Kubelet,
            usage: figure,
            readings: vec![],
        }
    };
    let volumes = vec![
        volume(Some(900 * GI), Basis::SharedFilesystem),
        volume(Some(3 * GI), Basis::Own),
        volume(None, Basis::Own),
    ];
    vm.volumes = volumes;
    snapshot.vms = vec![Arc::new(vm.clone())];
    let top = groups::top(&everything(&snapshot), "");
    assert_eq!(top.disk_left_out, 1, "and it is said that something is left out");
    assert_eq!(
        top.disk.iter().map(|vm| (vm.used, vm.of, vm.partial)).collect::<Vec<_>>(),
        [(3 * GI, Some(10 * GI), true)]
    );
    vm.volumes.truncate(1);
    snapshot.vms = vec![Arc::new(vm.clone())];
    assert!(groups::top(&everything(&snapshot), "").disk.is_empty());
    vm.summary.status = Status::Stopped;
    snapshot.vms = vec![Arc::new(vm)];
    assert!(groups::top(&everything(&snapshot), "").cpu.is_empty(), "a VM that does not run uses nothing");
}

#[test]
fn the_capacity_is_that_of_the_nodes_that_have_or_take_vms() {
    let mut state = state();
    add_vm(&mut state, "a", "one", 500, GI);
    let control_plane = Node { takes_vms: false, ..node("control-plane", 8, 64 * GI) };
    let cordoned = Node { takes_vms: false, ..node("n1", 4, 16 * GI) };
    let of = |state: &mut ClusterState, name| {
        let snapshot = state.join(NOW);
        let mut vms: Vec<_> = snapshot.vms.iter().map(|vm| vm.summary.clone()).collect();
        let one = vms[0].clone();
        // What takes up no room on a node, and one whose size is unknown.
        for status in [Status::Stopped, Status::Error] {
            vms.push(model::vm::VmSummary { status, ..one.clone() });
        }
        vms.push(model::vm::VmSummary { status: Status::Pending, node: String::new(), ..one.clone() });
        vms.push(model::vm::VmSummary { cpu: None, memory: None, ..one });
        groups::capacity(&everything(&snapshot), name, vms.iter())
    };
    let cores = |cores: u64| Some(cores * 1_000_000_000);
    let held = of(&mut state, "");
    assert_eq!((held.cpu, held.memory), (None, None), "no node is known");
    assert_eq!((held.cpu_held, held.memory_held), (2_000_000_000, 4 * GI), "of the VM that runs");
    with_nodes(&mut state, vec![control_plane, cordoned, node("n2", 2, 8 * GI)]);
    assert_eq!(of(&mut state, ""), Capacity { cpu: cores(6), memory: Some(24 * GI), ..held });
    assert_eq!(
        of(&mut state, "n2"),
        Capacity { cpu: cores(2), memory: Some(8 * GI), cpu_held: 0, memory_held: 0 }
    );
    assert_eq!(of(&mut state, "gone"), Capacity::default());
    with_nodes(&mut state, vec![node("n1", 4, 16 * GI), Node { memory: None, ..node("n2", 2, 0) }]);
    assert_eq!(
        of(&mut state, ""),
        Capacity { cpu: cores(6), memory: None, ..held },
        "a part is not the whole"
    );
}
