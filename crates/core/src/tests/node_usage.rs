//! What everything on a node uses, as its kubelet says.

use super::*;
use i18n::Render;
use model::{
    figure::{Figure, Missing},
    groups::{Group, GroupSort, GroupsQuery, Node, NodeUse},
    query::GroupBy,
};

const CORE: u64 = 1_000_000_000;

fn node(name: &str) -> Node {
    Node { name: name.into(), cpu: Some(4 * CORE), memory: Some(16 * GI), takes_vms: true, ..Node::default() }
}

/// Two nodes, with a VM on the first.
fn two_nodes() -> ClusterState {
    let mut state = state();
    add_vm(&mut state, "a", "web", 500, GI);
    state.apply(Observation::Nodes(replaced(vec![node("n1"), node("n2")])));
    state
}

fn answer(node: &str, at: Millis, cpu: u64, memory: u64) -> Observation {
    let measured = Some(at - 5 * SECOND);
    let node_usage = NodeUsage { cpu: Some((cpu, measured)), memory: Some((memory, measured)) };
    let facts = SummaryFacts { node_usage, ..summary_facts(Vec::new()) };
    Observation::Summary { node: node.into(), at, result: Ok(facts) }
}

fn used(state: &mut ClusterState, node: &str, now: Millis) -> NodeUse {
    let snapshot = state.join(now);
    let found = snapshot.nodes.iter().find(|of| of.name == node).unwrap_or_else(|| panic!("no {node}"));
    *found.used.clone().unwrap()
}

fn missing(figure: &Figure) -> &Missing {
    figure.missing().unwrap_or_else(|| panic!("{figure:?}"))
}

#[test]
fn a_node_is_as_full_as_everything_on_it_makes_it() {
    let mut state = two_nodes();
    state.apply(answer("n1", NOW, 3 * CORE, 15 * GI + GI / 2));
    let NodeUse { cpu, memory } = used(&mut state, "n1", NOW);
    let (cpu, memory) = (cpu.sample().unwrap(), memory.sample().unwrap());
    assert_eq!((cpu.used, cpu.of, cpu.percent()), (3 * CORE, 4 * CORE, 75));
    assert_eq!((memory.used, memory.percent()), (15 * GI + GI / 2, 96));
    assert_eq!((memory.source, memory.at, memory.stale), (Source::KubeletProxy, NOW - 5 * SECOND, false));
    let n2 = used(&mut state, "n2", NOW);
    assert_eq!(missing(&n2.cpu).reason, Reason::NotReported, "nobody asks a node without a VM");
}

#[test]
fn the_use_of_a_node_without_vms_is_known_or_the_reason_says_why_nobody_asks() {
    let mut state = two_nodes();
    let why = |state: &mut ClusterState, name: &str| {
        let Missing { reason, detail, .. } = missing(&used(state, name, NOW).cpu).clone();
        (reason, detail.english())
    };
    assert_eq!(why(&mut state, "n1"), (Reason::Starting, String::new()), "its VM runs, its kubelet is asked");
    let (reason, detail) = why(&mut state, "n2");
    assert_eq!(reason, Reason::NotReported);
    assert!(detail.starts_with("no VM runs on the node, so"), "{detail}");
    let labelled = |name: &str| Node { schedulable: true, ..node(name) };
    state.apply(Observation::Nodes(applied(labelled("n3"))));
    let (reason, detail) = why(&mut state, "n2");
    assert!(
        reason == Reason::NotReported && detail.contains("kubevirt.io/schedulable is not true"),
        "{detail}"
    );
    assert_eq!(why(&mut state, "n3").0, Reason::Starting);
    state.apply(answer("n3", NOW, CORE, GI));
    assert_eq!(used(&mut state, "n3", NOW).cpu.sample().map(|of| of.used), Some(CORE));
    state.apply(Observation::Nodes(applied(node("n3"))));
    state.apply(Observation::Nodes(applied(labelled("n2"))));
    let later = NOW + 20 * limits().disk_interval + 1;
    let unknown = missing(&used(&mut state, "n3", later).cpu).detail.english();
    assert!(unknown.contains("so its kubelet is not asked"), "and not that it is old: {unknown}");
}

#[test]
fn the_use_of_a_node_grows_old_and_never_becomes_zero() {
    let mut state = two_nodes();
    state.apply(answer("n1", NOW, CORE, GI));
    state.apply(answer("n1", NOW + 60 * SECOND, 2 * CORE, GI));
    let interval = limits().disk_interval;
    let at = |state: &mut ClusterState, age| used(state, "n1", NOW + 60 * SECOND + age);
    assert_eq!(
        at(&mut state, 3 * interval).cpu.sample().map(|of| (of.used, of.stale)),
        Some((2 * CORE, false))
    );
    assert_eq!(at(&mut state, 3 * interval + 1).cpu.sample().map(|of| of.stale), Some(true));
    assert_eq!(missing(&at(&mut state, 20 * interval + 1).memory).reason, Reason::Expired);
}

#[test]
fn a_kubelet_that_fails_says_why_once_its_figures_are_too_old() {
    let mut state = two_nodes();
    let fails =
        |at| Observation::Summary { node: "n1".into(), at, result: Err(refused(Reason::Unreachable)) };
    state.apply(fails(NOW));
    assert_eq!(missing(&used(&mut state, "n1", NOW).cpu).reason, Reason::Unreachable);
    state.apply(answer("n1", NOW + SECOND, CORE, GI));
    state.apply(fails(NOW + 2 * SECOND));
    assert!(used(&mut state, "n1", NOW + 2 * SECOND).cpu.sample().is_some(), "the last one is fresh");
    let later = NOW + SECOND + 20 * limits().disk_interval + 1;
    state.apply(fails(later));
    let unknown = used(&mut state, "n1", later);
    assert_eq!(missing(&unknown.memory).reason, Reason::Unreachable);
    assert!(!missing(&unknown.memory).fix.is_empty());
}

#[test]
fn without_what_a_node_can_allocate_there_is_no_percentage() {
    let mut state = two_nodes();
    state.apply(Observation::Nodes(applied(Node { memory: None, cpu: Some(0), ..node("n1") })));
    state.apply(answer("n1", NOW, CORE, GI));
    let NodeUse { cpu, memory } = used(&mut state, "n1", NOW);
    assert_eq!([&cpu, &memory].map(|figure| missing(figure).reason), [Reason::NoAllocation; 2]);
}

#[test]
fn what_an_answer_leaves_out_is_not_reported() {
    let mut state = two_nodes();
    state.apply(answer("n1", NOW, CORE, GI));
    state.apply(summary_at("n1", NOW + SECOND, Vec::new()));
    let NodeUse { cpu, memory } = used(&mut state, "n1", NOW + SECOND);
    assert_eq!([&cpu, &memory].map(|figure| missing(figure).reason), [Reason::NotReported; 2]);
}

/// The VMs of a node may use half of what they are allocated while the node is full.
#[test]
fn nodes_are_sorted_by_what_everything_on_them_uses() {
    let mut state = two_nodes();
    state.apply(answer("n1", NOW, 3 * CORE, GI));
    state.apply(answer("n2", NOW, CORE, 15 * GI));
    let snapshot = state.join(NOW);
    let first = |sort: GroupSort| {
        let query =
            GroupsQuery { by: GroupBy::Node, sort, order: sort.default_order(), ..GroupsQuery::default() };
        let rows: Vec<Group> = crate::groups::groups(&everything(&snapshot), &query);
        rows[0].name.clone()
    };
    assert_eq!([first(GroupSort::Cpu), first(GroupSort::Memory)], ["n1", "n2"]);
}
