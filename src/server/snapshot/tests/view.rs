//! Filter, sort, pages.

use super::*;
use crate::{
    model::query::{Order, Query, Sort},
    server::snapshot::{
        Scope,
        view::{Identity, home, vm},
    },
};

fn identity() -> Identity {
    Identity { cluster: "test".into(), demo: false, refresh: 15_000 }
}

fn names(snapshot: &Snapshot, query: &Query) -> Vec<String> {
    let view = home(snapshot, &identity(), &Scope::All, query, NOW);
    view.vms.iter().map(|vm| vm.name.clone()).collect()
}

fn three() -> Snapshot {
    let mut world = world();
    add_vm(&mut world, "a", "low", 100, GI);
    add_vm(&mut world, "a", "high", 1900, GI);
    world.apply(Observation::Wukongs(applied(WukongFacts { phase: "Stopped".into(), ..wukong("b", "off") })));
    world.join(NOW)
}

#[test]
fn a_missing_figure_sorts_last_in_either_order() {
    let snapshot = three();
    let by = |order| names(&snapshot, &Query { sort: Sort::Cpu, order, ..Query::default() });
    assert_eq!(by(Order::Desc), ["high", "low", "off"]);
    assert_eq!(by(Order::Asc), ["low", "high", "off"]);
}

#[test]
fn filters_narrow_together() {
    let snapshot = three();
    let query = Query { namespace: "a".into(), q: "HIG".into(), ..Query::default() };
    assert_eq!(names(&snapshot, &query), ["high"]);
    assert_eq!(names(&snapshot, &Query { node: "n1".into(), ..Query::default() }), ["high", "low"]);
    let stopped = Query { status: Some(crate::model::vm::Status::Stopped), ..Query::default() };
    assert_eq!(names(&snapshot, &stopped), ["off"]);
}

#[test]
fn pages_are_cut_and_held_to_those_that_exist() {
    let mut world = world();
    let many = (0..120).map(|n| wukong("a", &format!("vm-{n:03}"))).collect();
    world.apply(Observation::Wukongs(replaced(many)));
    let snapshot = world.join(NOW);
    let page = |page| home(&snapshot, &identity(), &Scope::All, &Query { page, ..Query::default() }, NOW);
    assert_eq!((page(1).vms.len(), page(1).pages, page(1).matching), (50, 3, 120));
    assert_eq!(page(3).vms.len(), 20);
    assert_eq!((page(99).query.page, page(99).vms[0].name.as_str()), (3, "vm-100"));
}

#[test]
fn a_vm_is_found_by_both_names() {
    let snapshot = three();
    let found = |namespace, name| vm(&snapshot, &identity(), &Scope::All, namespace, name, NOW).vm.is_some();
    assert!(found("a", "low"));
    assert!(!found("b", "low"));
}
