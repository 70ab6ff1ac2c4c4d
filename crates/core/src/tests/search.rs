//! What the search of the bar suggests.

use super::{
    history::{missing, vm_of},
    *,
};
use crate::{
    Snapshot,
    scope::Kinds,
    search::{Match, MatchKind, search},
};
use model::{groups::Node, vm::Kind};

fn cluster(vms: &[(&str, &str, &str)], nodes: &[&str]) -> Arc<Snapshot> {
    let vm = |(namespace, name, node): &(&str, &str, &str)| {
        let mut vm = vm_of(name, missing(), missing(), missing());
        (vm.summary.namespace, vm.summary.node) = ((*namespace).into(), (*node).into());
        Arc::new(vm)
    };
    let node = |name: &&str| Node { name: (*name).into(), ..Node::default() };
    let (vms, nodes) = (vms.iter().map(vm).collect(), nodes.iter().map(node).collect());
    Arc::new(Snapshot { vms, nodes, ..Snapshot::default() })
}

fn found(visible: &Visible, text: &str) -> Vec<String> {
    let text_of = |found: &Match| match found.kind {
        MatchKind::Vm => format!("{}/{}", found.namespace, found.name),
        MatchKind::Node => format!("node {}", found.name),
        MatchKind::Namespace => format!("namespace {}", found.name),
    };
    search(visible, text).iter().map(text_of).collect()
}

const VMS: [(&str, &str, &str); 5] = [
    ("shop", "db-web", "web-1"),
    ("shop", "web", "web-1"),
    ("web", "api", "n2"),
    ("lab", "web-2", ""),
    ("lab", "web", "n2"),
];

#[test]
fn the_closest_names_come_first() {
    let all = cluster(&VMS, &["web-1", "web-3"]);
    let visible = Visible::new(&all, &Scope::all());
    let wanted =
        ["namespace web", "lab/web", "shop/web", "node web-1", "node web-3", "lab/web-2", "shop/db-web"];
    assert_eq!(found(&visible, "web"), wanted);
    assert_eq!(found(&visible, " WEB-"), ["node web-1", "node web-3", "lab/web-2"]);
    assert_eq!(found(&visible, "3"), ["node web-3"]);
    for none in ["", "  ", "zzz", "web/", "<b>"] {
        assert_eq!(found(&visible, none), [""; 0], "{none:?}");
    }
}

#[test]
fn nothing_is_suggested_that_the_viewer_may_not_see() {
    let all = cluster(&VMS, &["web-1", "web-3"]);
    let lab = [("lab".into(), Kinds::default().with(Kind::Wukong))].into();
    let visible = Visible::new(&all, &Scope::new(Kinds::default(), lab, false));
    assert_eq!(found(&visible, "web"), ["lab/web", "lab/web-2"]);
    assert_eq!(found(&visible, "n2"), ["node n2"], "the node of a VM that they see");
    assert_eq!(found(&visible, "shop"), [""; 0]);
}

#[test]
fn a_wukong_and_a_virtual_machine_of_one_name_are_suggested_once_and_no_more_than_eight_are() {
    let twice = cluster(&[("a", "web", ""), ("a", "web", "")], &[]);
    assert_eq!(found(&Visible::new(&twice, &Scope::all()), "web"), ["a/web"]);
    let names: Vec<String> = (0..20).map(|n| format!("web-{n:02}")).collect();
    let vms: Vec<_> = names.iter().map(|name| ("a", name.as_str(), "")).collect();
    let many = cluster(&vms, &[]);
    assert_eq!(found(&Visible::new(&many, &Scope::all()), "web").len(), 8);
}
