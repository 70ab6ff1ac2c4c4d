//! One node's page: who knows the node, what is wrong with it, and its largest consumers.

use std::collections::BTreeMap;

use super::{
    incidents::fixtures::{calm, cluster, contended, figure, filling, found, with},
    problems::activity,
    *,
};
use crate::{
    delta::{self, Outcome},
    frame::Identity,
    insight::page,
    nodes::{neighbours, report, view},
    scope::{Kinds, Scope},
};
use i18n::Render;
use model::{
    activity::{Activity, Storage, Traffic},
    figure::{Figure, Sample, Unit},
    groups::{Node, NodePressure, NodeUse},
    insight::InsightQuery,
    nodes::{NodeReport, TopBy},
    rates::{OperationRates, Rate},
    vm::Kind,
    vm_health::Level,
};

/// Percent of the CPU and of the memory that are used.
fn node(name: &str, [cpu, memory]: [u64; 2]) -> Node {
    let used = NodeUse { cpu: figure(Unit::Nanocores, cpu), memory: figure(Unit::Bytes, memory) };
    Node {
        name: name.into(),
        cpu: Some(100_000_000_000),
        memory: Some(100_000_000_000),
        ready: Some(true),
        takes_vms: true,
        schedulable: true,
        used: Some(Box::new(used)),
        ..Node::default()
    }
}

fn everything_of(vms: Vec<Vm>, nodes: Vec<Node>) -> Visible {
    Visible::new(&cluster(vms, nodes), &Scope::all())
}

fn of(vms: Vec<Vm>, of: Node) -> NodeReport {
    let name = of.name.clone();
    report(&everything_of(vms, vec![of]), &name).unwrap()
}

/// What is said of a node, and how serious it is.
fn said(node: Node) -> (Level, Vec<String>) {
    let report = of(vec![calm("a", "web")], node);
    let texts = report.problems.iter().map(|problem| {
        assert!(!problem.advice.english().is_empty(), "{problem:?}");
        problem.text.english()
    });
    (report.level, texts.collect())
}

fn first(node: Node) -> (Level, String) {
    let (level, mut texts) = said(node);
    texts.truncate(1);
    (level, texts.pop().unwrap_or_default())
}

#[test]
fn a_node_is_known_by_its_object_or_by_a_vm_that_the_viewer_sees() {
    let mut moving = calm("mine", "moving");
    moving.summary.migrating_to = "n2".into();
    let snapshot = cluster(
        vec![calm("mine", "web"), moving, with(calm("theirs", "db"), |vm| vm.summary.node = "n3".into())],
        vec![node("n1", [1, 1]), node("n4", [1, 1])],
    );
    let knows = |scope: &Scope| {
        let visible = Visible::new(&snapshot, scope);
        ["n1", "n2", "n3", "n4", "n5", ""].map(|name| report(&visible, name).is_some())
    };
    let places = BTreeMap::from([("mine".into(), Kinds::default().with(Kind::Wukong))]);
    let tenant = |nodes| Scope::new(Kinds::default(), places.clone(), nodes);
    assert_eq!(knows(&Scope::all()), [true, true, true, true, false, false]);
    assert_eq!(knows(&tenant(false)), [true, true, false, false, false, false]);
    assert_eq!(knows(&tenant(true)), [true, true, false, true, false, false]);
    assert_eq!(knows(&Scope::none()), [false; 6]);
    let seen = report(&Visible::new(&snapshot, &tenant(false)), "n1").unwrap();
    assert!(seen.group.node.is_none() && seen.problems.is_empty() && seen.splits() == [None, None]);
}

#[test]
fn a_node_without_a_problem_is_calm() {
    // Everything is allocated, and nothing more.
    let vm = with(calm("a", "web"), |vm| vm.summary.memory = Some(100_000_000_000));
    let report = of(vec![vm], node("n1", [89, 84]));
    assert_eq!((report.level, report.problems), (Level::Normal, Vec::new()));
    // Nothing is known, and nothing is invented.
    let unmeasured = Node { used: None, cpu: None, memory: None, ..node("n1", [0, 0]) };
    assert_eq!(said(unmeasured), (Level::Normal, Vec::new()));
}

#[test]
fn a_node_that_is_not_ready_says_since_when() {
    let of = |ready, ready_since| first(Node { ready, ready_since, ..node("n1", [1, 1]) });
    let critical = |text: &str| (Level::Critical, text.to_owned());
    let since = Some(1_767_225_601_000);
    assert_eq!(
        of(None, since),
        critical("Not ready since 2026-01-01 00:00 UTC: its kubelet has stopped reporting.")
    );
    assert_eq!(of(None, None), critical("Not ready: its kubelet has stopped reporting."));
    assert_eq!(
        of(Some(false), since),
        critical("Not ready since 2026-01-01 00:00 UTC: its kubelet reports that the node is not ready.")
    );
    assert_eq!(of(Some(false), None).0, Level::Critical);
}

#[test]
fn use_is_judged_by_its_thresholds_and_said_in_amounts() {
    for (cpu, memory, level, text) in [
        (1, 85, Level::High, "79.2 Gi of 93.1 Gi of memory used, 85 %."),
        (1, 94, Level::High, "87.5 Gi of 93.1 Gi of memory used, 94 %."),
        (1, 95, Level::Critical, "88.5 Gi of 93.1 Gi of memory used, 95 %."),
        (90, 1, Level::High, "90 vCPU of 100 vCPU are used, 90 %."),
        (130, 1, Level::High, "130 vCPU of 100 vCPU are used, 130 %."),
    ] {
        assert_eq!(first(node("n1", [cpu, memory])), (level, text.to_owned()));
    }
}

/// An old figure is shown as old, and says nothing of now.
#[test]
fn an_old_figure_is_no_problem() {
    let old = |figure: Figure| match figure {
        Figure::Known(sample) => Figure::Known(Sample { stale: true, ..sample }),
        missing => missing,
    };
    let mut node = node("n1", [99, 99]);
    let NodeUse { cpu, memory } = *node.used.take().unwrap();
    node.used = Some(Box::new(NodeUse { cpu: old(cpu), memory: old(memory) }));
    assert_eq!(said(node), (Level::Normal, Vec::new()));
}

#[test]
fn pressure_cordon_and_overcommitment_are_said() {
    let pressure = |memory, disk, pids| {
        first(Node { pressure: NodePressure { memory, disk, pids }, ..node("n1", [1, 1]) })
    };
    for (found, word) in [
        (pressure(Some(true), Some(false), None), "memory pressure"),
        (pressure(None, Some(true), None), "disk pressure"),
        (pressure(None, None, Some(true)), "process IDs"),
    ] {
        assert!(found.0 == Level::Critical && found.1.contains(word), "{found:?}");
    }
    assert_eq!(pressure(Some(false), Some(false), Some(false)).0, Level::Normal);
    let unlabelled = Node { schedulable: false, ..node("n1", [1, 1]) };
    let problems = of(vec![], unlabelled.clone()).problems;
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].text.english().contains("kubevirt.io/schedulable is not true"), "{problems:?}");
    assert!(problems[0].advice.english().contains("spec.nodeName=n1"), "{problems:?}");
    for calm in [Node { takes_vms: false, ..unlabelled.clone() }, Node { schedulable: true, ..unlabelled }] {
        assert!(
            of(vec![], calm).problems.is_empty(),
            "KubeVirt does not manage the node, or places VMs there"
        );
    }
    let cordoned = Node { unschedulable: true, ..node("n1", [1, 1]) };
    let report = of(vec![], cordoned.clone());
    assert_eq!(report.problems[0].text.english(), "Cordoned: no new VM is placed on the node.");
    assert!(report.problems[0].advice.english().ends_with("kubectl uncordon n1"));
    assert_eq!(report.level, Level::High);
    let given = |gi: u64| {
        let vm = with(calm("a", "web"), |vm| vm.summary.memory = Some(gi << 30));
        let mut report = of(vec![vm], Node { memory: Some(8 << 30), ..node("n1", [1, 1]) });
        report.problems.pop().map(|problem| problem.text.english())
    };
    assert_eq!(given(8), None);
    assert_eq!(given(16).as_deref(), Some("VMs are allocated 16 Gi of 8 Gi of memory, 200 %."));
    // The most serious first.
    let (level, texts) = said(Node { unschedulable: true, ready: None, ..node("n1", [95, 96]) });
    assert_eq!((level, texts.len()), (Level::Critical, 4));
    assert!(texts[0].starts_with("Not ready") && texts[1].contains("96 %") && texts[3].contains("95 %"));
}

#[test]
fn the_largest_consumers_are_those_of_the_node_and_the_list_has_the_others() {
    let running =
        |name: &str, cpu| with(calm("a", name), |vm| vm.summary.usage.cpu = figure(Unit::Nanocores, cpu));
    let mut vms: Vec<Vm> = (0..10).map(|n| running(&format!("vm-{n}"), 10 + n)).collect();
    vms.push(with(running("elsewhere", 80), |vm| vm.summary.node = "n2".into()));
    vms.push(with(running("moves-away", 70), |vm| vm.summary.migrating_to = "n2".into()));
    let incoming = |vm: &mut Vm| (vm.summary.node, vm.summary.migrating_to) = ("n2".into(), "n1".into());
    vms.push(with(running("comes", 90), incoming));
    vms.push(with(running("blind", 0), |vm| vm.summary.usage.cpu = Figure::Missing(Reason::TooNew.into())));
    let report = of(vms, node("n1", [1, 1]));
    let ranking = &report.top[TopBy::Cpu as usize];
    let names: Vec<&str> = ranking.vms.iter().map(|vm| vm.name.as_str()).collect();
    assert_eq!(names, ["moves-away", "vm-9", "vm-8", "vm-7", "vm-6", "vm-5", "vm-4", "vm-3"]);
    assert_eq!((ranking.vms[0].used, ranking.vms[0].of), (70_000_000_000, Some(100_000_000_000)));
    // Three small ones, the unknown one, and the one that comes.
    assert_eq!((ranking.more, report.group.totals.counts.total), (5, 12));
    assert_eq!(report.splits()[0], None, "one is not measured");
}

#[test]
fn traffic_is_ranked_too_and_says_if_it_is_old_or_not_all() {
    let active = |name: &str, bytes: u64, uncounted, stale| {
        with(calm("a", name), |vm| {
            let mut of_problems = super::problems::calm();
            let known = activity(&mut of_problems);
            let half = Rate(bytes * 500);
            known.network = Ok(Traffic { receive: half, transmit: half, uncounted });
            let operations = OperationRates { bytes: Some(half), ..OperationRates::default() };
            known.storage = Ok(Storage { read: operations, write: operations });
            known.stale = stale;
            vm.activity = of_problems.activity;
        })
    };
    let silent = with(calm("a", "silent"), |vm| vm.activity = Activity::default());
    let vms = vec![active("small", 2, 0, true), active("large", 8, 1, false), silent];
    let report = of(vms, node("n1", [1, 1]));
    for by in [TopBy::Network, TopBy::DiskIo] {
        let ranking = &report.top[by as usize];
        let is_network = by == TopBy::Network;
        let rows: Vec<_> =
            ranking.vms.iter().map(|of| (&*of.name, of.used, of.of, of.stale, of.partial)).collect();
        let wanted = [("large", 8_000, None, false, is_network), ("small", 2_000, None, true, false)];
        assert_eq!((rows, ranking.more), (wanted.to_vec(), 1), "{by:?}");
    }
}

#[test]
fn findings_are_those_of_the_vms_of_the_node() {
    let (here, away) = (calm("a", "here"), with(calm("a", "away"), |vm| vm.summary.node = "n2".into()));
    let comes = with(calm("a", "comes"), |vm| {
        (vm.summary.node, vm.summary.migrating_to) = ("n2".into(), "n1".into());
    });
    let rows = vec![filling(&here, 1), filling(&away, 2), filling(&comes, 3)];
    let rows = found(rows);
    let visible =
        everything_of(vec![here, away, comes], vec![node("n1", [1, 1])]).with_findings(rows.clone());
    assert_eq!(["n1", "n2"].map(|name| report(&visible, name).unwrap().findings), [2, 2]);
    let listed = |node: &str| {
        let query = InsightQuery { node: node.into(), ..InsightQuery::default() };
        let view = page(&visible, &rows, &identity(), &query, NOW);
        let names: Vec<String> = view.rows.iter().map(|row| row.name.clone()).collect();
        (names, view.matching, view.totals.filling_up)
    };
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(listed("n1"), (names(&["here", "comes"]), 2, 3), "the totals are of all");
    assert_eq!(listed("n2"), (names(&["away", "comes"]), 2, 3));
    assert_eq!(listed(""), (names(&["here", "away", "comes"]), 3, 3));
    assert_eq!(listed("n9"), (Vec::new(), 0, 3));
}

fn identity() -> Identity {
    Identity { cluster: "test".into(), demo: false, refresh: 15_000 }
}

#[test]
fn a_change_of_a_node_makes_the_new_page_of_the_old_one() {
    let views = [
        (vec![calm("a", "web")], vec![node("n1", [1, 1])]),
        (vec![calm("a", "web")], vec![node("n1", [1, 2])]),
        (vec![calm("a", "web"), calm("a", "db")], vec![]),
        (vec![], vec![]),
    ]
    .map(|(vms, nodes)| view(&everything_of(vms, nodes), &identity(), "n1", NOW));
    assert!(views[2].node.is_some() && views[3].node.is_none());
    for before in &views {
        for after in &views {
            match delta::node(before, after) {
                Outcome::Same => assert_eq!(before, after),
                Outcome::Change(change) => {
                    let mut made = before.clone();
                    made.apply(change).expect("it is a change of this view");
                    assert_eq!(made, *after);
                }
                Outcome::Other => panic!("the frame is the same"),
            }
        }
    }
    let other = everything_of(vec![with(calm("a", "x"), |vm| vm.summary.node = "n2".into())], vec![]);
    assert_eq!(delta::node(&views[3], &view(&other, &identity(), "n1", NOW)), Outcome::Same);
}

#[test]
fn a_vm_has_the_neighbours_that_use_the_most_cpu() {
    let on = |name: &str, node: &str, percent| {
        with(with(calm("a", name), contended(20)), |vm| {
            (vm.summary.node, vm.summary.usage.cpu) = (node.into(), figure(Unit::Nanocores, percent));
        })
    };
    let calm_one = with(calm("a", "calm"), |vm| vm.summary.usage.cpu = figure(Unit::Nanocores, 5));
    let off = with(on("off", "n1", 90), |vm| vm.summary.status = model::vm::Status::Stopped);
    let hidden = with(on("hidden", "n1", 80), |vm| vm.summary.namespace = "b".into());
    let unknown = with(on("unknown", "n1", 0), |vm| {
        vm.summary.usage.cpu = Figure::Missing(model::reason::Reason::TimedOut.into());
    });
    let vms = vec![
        on("web", "n1", 70),
        on("one", "n1", 10),
        on("two", "n1", 20),
        on("three", "n1", 30),
        on("four", "n1", 40),
        on("far", "n2", 90),
        on("nowhere", "", 50),
        on("lost", "", 50),
        off,
        hidden,
        unknown,
        calm_one,
    ];
    let namespace = [("a".into(), Kinds::default().with(Kind::Wukong))].into();
    let scope = Scope::new(Kinds::default(), namespace, false);
    let visible = Visible::new(&cluster(vms, Vec::new()), &scope);
    let of = |name: &str| {
        let vm = visible.vms().iter().find(|vm| vm.summary.name == name).unwrap();
        neighbours(&visible, vm).into_iter().map(|of| of.name).collect::<Vec<_>>()
    };
    assert_eq!(of("web"), ["four", "three", "two"]);
    assert_eq!(of("four"), ["web", "three", "two"]);
    assert_eq!(of("far"), [""; 0]);
    assert_eq!(of("calm"), [""; 0], "it waits for nobody");
    assert_eq!(of("nowhere"), [""; 0], "two VMs on no node are no neighbours");
}
