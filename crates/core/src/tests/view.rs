//! Filter, sort, pages.

use super::*;
use crate::{
    frame::Identity,
    view::{home, vm},
};
use model::{
    attention::Attention,
    figure::{Basis, Figure, Sample, Source, Unit},
    query::{Order, Query, Sort, ViewKind},
    view::Facet,
    vm::{Status, VmSummary},
};

fn identity() -> Identity {
    Identity { cluster: "test".into(), demo: false, refresh: 15_000 }
}

fn names(snapshot: &Snapshot, query: &Query) -> Vec<String> {
    let view = home(&everything(snapshot), &identity(), query, NOW);
    view.vms.iter().map(|vm| vm.name.clone()).collect()
}

fn three() -> Snapshot {
    let mut state = state();
    add_vm(&mut state, "a", "low", 100, GI);
    add_vm(&mut state, "a", "high", 1900, GI);
    state.apply(Observation::Wukongs(applied(WukongFacts { phase: "Stopped".into(), ..wukong("b", "off") })));
    state.join(NOW)
}

#[test]
fn a_missing_figure_sorts_last_in_either_order() {
    let snapshot = three();
    let by = |order| names(&snapshot, &Query { sort: Sort::Cpu, order, ..Query::default() });
    assert_eq!(by(Order::Desc), ["high", "low", "off"]);
    assert_eq!(by(Order::Asc), ["low", "high", "off"]);
}

#[test]
fn vms_are_sorted_by_their_fullest_disk() {
    let mut snapshot = three();
    for (vm, percent) in snapshot.vms.iter_mut().zip([Some(40), None, Some(97)]) {
        Arc::make_mut(vm).summary.usage.fullest_disk = percent;
    }
    let by = |order| names(&snapshot, &Query { sort: Sort::FullestDisk, order, ..Query::default() });
    assert_eq!(snapshot.vms.iter().map(|vm| &*vm.summary.name).collect::<Vec<_>>(), ["high", "low", "off"]);
    assert_eq!(by(Order::Desc), ["off", "high", "low"]);
    assert_eq!(by(Order::Asc), ["high", "off", "low"]);
}

#[test]
fn filters_narrow_together() {
    let snapshot = three();
    let query = Query { namespace: "a".into(), q: "HIG".into(), ..Query::default() };
    assert_eq!(names(&snapshot, &query), ["high"]);
    assert_eq!(names(&snapshot, &Query { node: "n1".into(), ..Query::default() }), ["high", "low"]);
    let stopped = Query { status: Some(Status::Stopped), ..Query::default() };
    assert_eq!(names(&snapshot, &stopped), ["off"]);
}

#[test]
fn pages_are_cut_and_held_to_those_that_exist() {
    let mut state = state();
    let many = (0..120).map(|n| wukong("a", &format!("vm-{n:03}"))).collect();
    state.apply(Observation::Wukongs(replaced(many)));
    let snapshot = state.join(NOW);
    let page = |page| home(&everything(&snapshot), &identity(), &Query { page, ..Query::default() }, NOW);
    assert_eq!((page(1).vms.len(), page(1).pages, page(1).matching), (50, 3, 120));
    assert_eq!(page(3).vms.len(), 20);
    assert_eq!((page(99).query.page, page(99).vms[0].name.as_str()), (3, "vm-100"));
}

#[test]
fn a_vm_is_found_by_both_names() {
    let snapshot = three();
    let found = |namespace, name| vm(&everything(&snapshot), &identity(), namespace, name, NOW).vm.is_some();
    assert!(found("a", "low"));
    assert!(!found("b", "low"));
}

/// One VM for each cause: high, old, missing, in trouble; and three that need nothing.
fn troubles() -> Snapshot {
    let vm = |name: &str, change: fn(&mut VmSummary)| {
        let mut vm = Vm::clone(&find(&three(), "a", "low"));
        vm.summary.name = name.to_owned();
        vm.summary.usage.disk = known(Unit::Bytes, 10, 100);
        (vm.summary.usage.disk_known, vm.summary.usage.disk_volumes) = (1, 1);
        change(&mut vm.summary);
        Arc::new(vm)
    };
    let vms = vec![
        vm("calm", |_| {}),
        vm("diskless", |vm| vm.usage.disk = Figure::Missing(Reason::NoVolumes.into())),
        vm("error", |vm| vm.status = Status::Error),
        vm("high", |vm| vm.usage.memory = known(Unit::Bytes, 90, 100)),
        vm("missing", |vm| vm.usage.cpu = Figure::Missing(Reason::TimedOut.into())),
        vm("nearly", |vm| vm.usage.memory = known(Unit::Bytes, 899, 1000)),
        vm("off", |vm| {
            (vm.status, vm.usage.cpu) = (Status::Stopped, Figure::Missing(Reason::NotRunning.into()))
        }),
        vm("old", |vm| {
            if let Figure::Known(sample) = &mut vm.usage.cpu {
                sample.stale = true;
            }
        }),
        vm("partial", |vm| vm.usage.disk_volumes = 2),
        vm("pending", |vm| vm.status = Status::Pending),
    ];
    Snapshot { vms, ready: true, ..Snapshot::default() }
}

fn known(unit: Unit, used: u64, of: u64) -> Figure {
    let (source, basis) = (Source::PodMetrics, Basis::Own);
    Figure::Known(Sample { unit, used, of, at: NOW, window_ms: 0, source, basis, stale: false })
}

#[test]
fn what_needs_attention_is_high_old_missing_or_in_trouble() {
    let snapshot = troubles();
    let wanted = ["error", "high", "missing", "old", "partial", "pending"];
    let query = Query { attention: Some(Attention::default()), ..Query::default() };
    assert_eq!(names(&snapshot, &query), wanted);
    let whole = home(&everything(&snapshot), &identity(), &Query::default(), NOW);
    assert_eq!(whole.facets.attention as usize, wanted.len(), "counted, asked for or not");
    assert_eq!(whole.matching, 10);
}

#[test]
fn a_facet_counts_what_its_filter_would_leave_beside_the_others() {
    let snapshot = three();
    let view = |query: &Query| home(&everything(&snapshot), &identity(), query, NOW).facets;
    let counts = |facet: Facet| facet.iter().map(|(name, vms)| (name.clone(), vms)).collect::<Vec<_>>();
    let facets = view(&Query { namespace: "b".into(), q: "o".into(), ..Query::default() });
    assert_eq!(counts(facets.namespaces), [("a".into(), 1), ("b".into(), 1)], "low, and off");
    assert_eq!(counts(facets.nodes), [("n1".into(), 0)], "none of namespace b is on it");
    assert_eq!(facets.statuses, [0, 0, 0, 0, 1, 0]);
}

#[test]
fn what_is_being_created_is_found_as_pending_too() {
    let mut snapshot = troubles();
    Arc::make_mut(&mut snapshot.vms[0]).summary.status = Status::Creating;
    let by = |status| names(&snapshot, &Query { status: Some(status), ..Query::default() });
    assert_eq!(by(Status::Pending), ["calm", "pending"]);
    assert_eq!(by(Status::Creating), ["calm"]);
    let view = home(&everything(&snapshot), &identity(), &Query::default(), NOW);
    assert_eq!(view.facets.statuses, [6, 1, 2, 1, 1, 0]);
}

#[test]
fn text_is_found_in_any_field_and_case() {
    let mut snapshot = three();
    Arc::make_mut(&mut snapshot.vms[0]).os_image = "Ünix 10.İ".into();
    let first = snapshot.vms[0].summary.name.clone();
    for (text, found) in
        [("ünix", true), ("ÜNIX 10", true), ("10.i", true), ("unix", false), ("xxxxxxxxxxxxxxxxx", false)]
    {
        let query = Query { q: text.into(), ..Query::default() };
        assert_eq!(names(&snapshot, &query).contains(&first), found, "{text}");
    }
    assert_eq!(names(&snapshot, &Query { q: "N1".into(), ..Query::default() }), ["high", "low"]);
}

/// One VM for each amount, in thousandths of a unit; `none` has none, and `idle` does nothing.
#[test]
fn activity_sorts_by_the_amount_and_what_is_unknown_comes_last() {
    use model::{
        activity::{Activity, GuestActivity, MemoryUse, Storage, Traffic},
        rates::{OperationRates, Rate},
    };
    let vm = |name: &str, amount: u64| {
        let mut vm = Vm::clone(&find(&three(), "a", "low"));
        vm.summary.name = name.to_owned();
        let not_reported = || Box::new(Reason::NotReported.into());
        let latency = (amount > 0).then_some(amount);
        let operations =
            OperationRates { bytes: Some(Rate(amount)), operations: Some(Rate(amount)), latency };
        vm.guest.memory = known(Unit::Bytes, amount, 100).sample().copied();
        vm.activity = Activity::Known(Box::new(GuestActivity {
            source: Source::VirtHandler,
            at: NOW,
            window_ms: 60_000,
            stale: false,
            memory: Ok(MemoryUse { used: amount, total: 100 }),
            swap: Err(not_reported()),
            major_faults: Err(not_reported()),
            network: Ok(Traffic { receive: Rate(amount), transmit: Rate(amount), uncounted: 0 }),
            network_from: None,
            storage: Ok(Storage { read: operations, write: operations }),
            contention: Ok(amount as u32),
            migration: None,
            rates: None,
        }));
        Arc::new(vm)
    };
    let mut none = Vm::clone(&vm("c-none", 1));
    (none.activity, none.guest.memory) = (Activity::default(), None);
    let vms = vec![vm("a-idle", 0), vm("b", 7), Arc::new(none), vm("d", 30)];
    let snapshot = Snapshot { vms, ..Snapshot::default() };
    let by = |sort, order| names(&snapshot, &Query { sort, order, ..Query::default() }).join(" ");
    for sort in [Sort::GuestMemory, Sort::Network, Sort::Storage, Sort::Operations, Sort::Contention] {
        assert_eq!(by(sort, Order::Desc), "d b a-idle c-none", "{sort:?}");
        assert_eq!(by(sort, Order::Asc), "a-idle b d c-none", "{sort:?}");
    }
    assert_eq!(by(Sort::Latency, Order::Desc), "d b a-idle c-none", "no operation has no latency");
    assert_eq!(by(Sort::Latency, Order::Asc), "b d a-idle c-none");
}

#[test]
fn rows_have_their_activity_in_the_table_alone() {
    let snapshot = three();
    for (view, rows) in [(ViewKind::Cards, 0), (ViewKind::Table, 3), (ViewKind::Map, 0)] {
        let query = Query { view: Some(view), ..Query::default() };
        assert_eq!(home(&everything(&snapshot), &identity(), &query, NOW).activity.len(), rows, "{view:?}");
    }
}

/// Names in the order of the sort, each VM's figure said once; `none` has none of it.
#[test]
fn every_sort_puts_what_it_lacks_last_and_ties_by_name() {
    let vm = |name: &str, node: &str, used: u64, of: u64, at: Millis| {
        let mut vm = Vm::clone(&find(&three(), "a", "low"));
        let figure = |unit| Figure::Known(Sample { at, ..*known(unit, used, of).sample().unwrap() });
        vm.summary.name = name.to_owned();
        vm.summary.namespace = name.chars().rev().collect();
        vm.summary.node = node.to_owned();
        vm.summary.usage.cpu = figure(Unit::Nanocores);
        vm.summary.usage.memory = figure(Unit::Bytes);
        vm.summary.usage.disk = figure(Unit::Bytes);
        Arc::new(vm)
    };
    let mut none = Vm::clone(&vm("e", "", 1, 1, NOW));
    for figure in [&mut none.summary.usage.cpu, &mut none.summary.usage.memory, &mut none.summary.usage.disk]
    {
        *figure = Figure::Missing(Reason::TimedOut.into());
    }
    let vms = vec![
        vm("a", "n2", 10, 100, NOW - 5),
        vm("b", "n1", 50, 1000, NOW - 9),
        vm("c", "n3", 10, 100, NOW - 5),
        vm("d", "n1", 40, 50, NOW),
        Arc::new(none),
    ];
    let snapshot = Snapshot { vms, ..Snapshot::default() };
    for (sort, down) in [
        (Sort::Cpu, "dacbe"),
        (Sort::Memory, "dacbe"),
        (Sort::Disk, "dacbe"),
        (Sort::CpuUsed, "bdace"),
        (Sort::MemoryUsed, "bdace"),
        (Sort::DiskUsed, "bdace"),
        (Sort::Age, "bacde"),
        (Sort::Node, "cabde"),
        (Sort::Name, "edcba"),
        (Sort::Namespace, "edcba"),
        (Sort::Status, "abcde"),
    ] {
        let query = Query { sort, order: Order::Desc, ..Query::default() };
        assert_eq!(names(&snapshot, &query).concat(), down, "{sort:?}");
    }
    for (sort, up) in
        [(Sort::CpuUsed, "acdbe"), (Sort::Age, "dacbe"), (Sort::Node, "bdace"), (Sort::Namespace, "abcde")]
    {
        let query = Query { sort, order: Order::Asc, ..Query::default() };
        assert_eq!(names(&snapshot, &query).concat(), up, "{sort:?}");
    }
}
