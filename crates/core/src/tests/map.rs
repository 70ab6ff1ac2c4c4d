//! Cells and names: two answers that must be of the same VMs, in the same order.

use std::sync::Arc;

use super::*;
use crate::{frame::Identity, view};
use model::{
    figure::Unit,
    map::{BLOCK, Cell, Map, MapNames},
    query::{GroupBy, Measure, Query, ViewKind},
    vm::Status,
};

fn query() -> Query {
    Query { view: Some(ViewKind::Map), ..Query::default() }
}

fn map(snapshot: &Snapshot, query: &Query) -> Map {
    let identity = Identity { cluster: "test".into(), demo: false, refresh: 1 };
    let view = view::home(&everything(snapshot), &identity, query, NOW);
    assert_eq!((view.vms.len(), view.pages), (0, 1), "cells in place of rows");
    let map = Map::unpack(&view.map).expect("a map");
    assert_eq!(map.groups.iter().map(|group| group.cells.len()).sum::<usize>(), view.matching as usize);
    map
}

fn names(snapshot: &Snapshot, query: &Query, group: &str, block: u32) -> MapNames {
    view::map_names(&everything(snapshot), query, group, block)
}

fn keys(names: &MapNames) -> Vec<(&str, &str)> {
    names.vms.iter().map(|vm| (vm.namespace.as_str(), vm.name.as_str())).collect()
}

#[test]
fn cells_are_grouped_and_those_on_no_node_come_last() {
    let mut state = state();
    add_vm(&mut state, "b", "web", 1_900, GI);
    add_vm(&mut state, "a", "db", 100, GI);
    let mut queued = wukong("a", "queued");
    queued.phase = "Pending".into();
    state.apply(Observation::Wukongs(applied(queued)));
    let snapshot = state.join(NOW);
    let map = map(&snapshot, &query());
    let groups: Vec<_> = map.groups.iter().map(|group| (group.name.as_str(), group.cells.clone())).collect();
    let [low, hot, pending] = [Cell::Step(0), Cell::Hot, Cell::Off(Status::Pending)].map(Cell::byte);
    assert_eq!(groups, [("n1", vec![low, hot]), ("", vec![pending])], "by namespace, then name");
    assert_eq!(keys(&names(&snapshot, &query(), "n1", 0)), [("a", "db"), ("b", "web")]);
    assert_eq!((map.groups[0].used.share(), map.groups[1].used.share()), (Some(50), None));
    assert_eq!(map.groups[0].attention, 1, "the hot one");
}

#[test]
fn colour_and_grouping_are_the_querys() {
    let mut state = state();
    add_vm(&mut state, "a", "web", 100, 4 * GI);
    let snapshot = state.join(NOW);
    let cell = |color| map(&snapshot, &Query { color, ..query() }).groups[0].cells[0];
    let [cpu, memory, disk] = [Measure::Cpu, Measure::Memory, Measure::Disk].map(cell);
    assert_eq!([cpu, memory, disk], [Cell::Step(0), Cell::Hot, Cell::Unknown].map(Cell::byte));
    let by = map(&snapshot, &Query { by: GroupBy::Namespace, ..query() });
    assert_eq!(by.groups[0].name, "a");
}

#[test]
fn the_fullest_disk_decides_the_colour() {
    let mut state = state();
    add_vm(&mut state, "a", "web", 100, 4 * GI);
    let mut snapshot = state.join(NOW);
    let mut cell = |fullest: Option<u64>| {
        let usage = &mut Arc::make_mut(&mut snapshot.vms[0]).summary.usage;
        (usage.disk, usage.fullest_disk) = (super::incidents::fixtures::figure(Unit::Bytes, 10), fullest);
        map(&snapshot, &Query { color: Measure::Disk, ..query() }).groups[0].cells[0]
    };
    assert_eq!(
        [None, Some(50), Some(97)].map(&mut cell),
        [Cell::Step(0), Cell::Step(2), Cell::Hot].map(Cell::byte)
    );
}

#[test]
fn cells_answer_to_the_filters() {
    let mut state = state();
    for name in ["web-1", "web-2", "db"] {
        add_vm(&mut state, "a", name, 100, GI);
    }
    let snapshot = state.join(NOW);
    let filtered = Query { q: "web".into(), ..query() };
    assert_eq!(map(&snapshot, &filtered).groups[0].cells.len(), 2);
    assert_eq!(keys(&names(&snapshot, &filtered, "n1", 0)), [("a", "web-1"), ("a", "web-2")]);
    assert_eq!(map(&snapshot, &Query { q: "nobody".into(), ..query() }), Map::default());
}

#[test]
fn a_figure_that_ages_is_never_shown_as_fresh() {
    let mut state = state();
    add_vm(&mut state, "a", "web", 100, GI);
    let cell = |state: &mut ClusterState, now| map(&state.join(now), &query()).groups[0].cells[0];
    assert_eq!(cell(&mut state, NOW), Cell::Step(0).byte());
    assert_eq!(cell(&mut state, NOW + 100 * 1000), Cell::Old(0).byte());
    assert_eq!(cell(&mut state, NOW + 1_000 * 1000), Cell::Unknown.byte());
}

#[test]
fn names_say_whether_they_are_of_the_same_vms() {
    let mut state = state();
    add_vm(&mut state, "a", "web", 100, GI);
    let before = state.join(NOW);
    let mark = |snapshot: &Snapshot| map(snapshot, &query()).groups[0].marks.clone();
    assert_eq!(mark(&before), [names(&before, &query(), "n1", 0).mark]);
    // Figures change no mark; another VM does.
    state.apply(metrics(vec![sample("a", "virt-launcher-web-vm-abc12", 900, GI)]));
    assert_eq!(mark(&state.join(NOW)), mark(&before));
    add_vm(&mut state, "a", "app", 100, GI);
    let after = state.join(NOW);
    assert_ne!(mark(&after), mark(&before));
    assert_eq!(mark(&after), [names(&after, &query(), "n1", 0).mark]);
}

#[test]
fn names_come_a_block_at_a_time() {
    let mut state = state();
    let wukongs = (0..BLOCK + 1).map(|index| wukong("a", &format!("vm-{index:03}"))).collect();
    state.apply(Observation::Wukongs(replaced(wukongs)));
    let snapshot = state.join(NOW);
    let by = Query { by: GroupBy::Namespace, ..query() };
    let map = map(&snapshot, &by);
    assert_eq!(map.groups[0].marks.len(), 2);
    assert_eq!(names(&snapshot, &by, "a", 0).vms.len(), BLOCK);
    let last = names(&snapshot, &by, "a", 1);
    assert_eq!((keys(&last), last.mark), (vec![("a", "vm-100")], map.groups[0].marks[1]));
    for (group, block) in [("a", 2), ("a", u32::MAX), ("b", 0), ("", 0)] {
        assert_eq!(names(&snapshot, &by, group, block), MapNames::default(), "{group} {block}");
    }
}

#[test]
fn ten_thousand_cells_are_ten_kilobytes() {
    let vm = {
        let mut state = state();
        add_vm(&mut state, "a", "web", 100, GI);
        Vm::clone(&state.join(NOW).vms[0])
    };
    let made = |index: usize| {
        let mut vm = vm.clone();
        vm.summary.name = format!("vm-{index:05}");
        vm.summary.node = format!("node-{:03}", index % 500);
        Arc::new(vm)
    };
    let snapshot = Snapshot { vms: (0..10_000).map(made).collect(), ..Snapshot::default() };
    let bytes = map(&snapshot, &query()).pack().len();
    assert!((10_000..30_000).contains(&bytes), "{bytes} bytes, names of 500 groups among them");
}
