//! VMs with one problem each, and what incidents say of them.

use super::*;

pub fn figure(unit: Unit, percent: u64) -> Figure {
    let (used, of) = (percent * 1_000_000_000, 100_000_000_000);
    let (source, basis) = (Source::PodMetrics, Basis::Own);
    Figure::Known(Sample { unit, used, of, at: NOW, window_ms: 0, source, basis, stale: false })
}

/// A running VM of which everything is known and nothing is wrong.
pub fn calm(namespace: &str, name: &str) -> Vm {
    let low = |unit| figure(unit, 20);
    let mut vm = vm_of(name, low(Unit::Nanocores), low(Unit::Bytes), low(Unit::Bytes));
    vm.summary.namespace = namespace.into();
    vm.summary.node = "n1".into();
    vm
}

pub fn with(mut vm: Vm, change: impl FnOnce(&mut Vm)) -> Vm {
    change(&mut vm);
    vm
}

pub fn node(name: &str, ready: Option<bool>) -> Node {
    Node {
        name: name.into(),
        ready,
        ready_since: Some(NOW - 5),
        takes_vms: true,
        schedulable: true,
        ..Node::default()
    }
}

pub fn missing(reason: Reason) -> Figure {
    Figure::Missing(reason.into())
}

pub fn full(percent: u64) -> impl FnOnce(&mut Vm) {
    move |vm| {
        let (used, total) = (Some(percent << 30), Some(100 << 30));
        let of = GuestFilesystem { mount_point: "/srv".into(), used, total, ..GuestFilesystem::default() };
        vm.guest.filesystems = [of].into();
    }
}

pub fn hot(vm: &mut Vm) {
    vm.summary.usage.cpu = figure(Unit::Nanocores, 95);
}

pub fn waiting(message: &str) -> impl FnOnce(&mut Vm) + use<> {
    let failure = Missing {
        detail: message.into(),
        fix: "kubectl describe".into(),
        ..Missing::from(Reason::NotRunning)
    };
    move |vm| {
        vm.summary.status = Status::Error;
        vm.summary.kubevirt_status = "ErrorUnschedulable".into();
        vm.failure = Some(Box::new(failure));
    }
}

pub fn fault(message: &str) -> impl FnOnce(&mut Vm) + use<> {
    let message = Box::new(message.into());
    move |vm| vm.summary.fault = Some(message)
}

/// Waits for a CPU of its node this part of the time, in percent.
pub fn contended(percent: u32) -> impl FnOnce(&mut Vm) {
    move |vm| {
        let mut vm_of_problems = super::problems::calm();
        super::problems::activity(&mut vm_of_problems).contention = Ok(percent * 1_000);
        vm.activity = vm_of_problems.activity;
    }
}

/// Migrates, and has sent so many GiB of its four.
pub fn migrating(sent: u64) -> impl FnOnce(&mut Vm) {
    move |vm| {
        if let model::activity::Activity::Missing(_) = vm.activity {
            vm.activity = super::problems::calm().activity;
        }
        super::problems::migrates(vm, sent << 30, None);
    }
}

pub fn cluster(mut vms: Vec<Vm>, nodes: Vec<Node>) -> Arc<Snapshot> {
    vms.sort_by(|a, b| {
        let order = |vm: &Vm| (vm.summary.name.clone(), vm.summary.namespace.clone(), vm.summary.kind);
        order(a).cmp(&order(b))
    });
    let vms = vms.into_iter().map(Arc::new).collect();
    Arc::new(Snapshot { vms, nodes: nodes.into(), ready: true, ..Snapshot::default() })
}

pub fn seen(vms: Vec<Vm>) -> Visible {
    Visible::new(&cluster(vms, vec![node("n1", Some(true))]), &Scope::all())
}

pub fn filling(vm: &Vm, days: u32) -> Insight {
    let window = Window { from: 0, to: 1, known: 288, all: 288 };
    let (earliest, latest) = (days, days + 1);
    let filling = Filling {
        volume: None,
        used: 93 << 30,
        of: 100 << 30,
        per_day: 1 << 30,
        days,
        earliest,
        latest,
        window,
    };
    insight(vm, Finding::FillingUp(filling))
}

pub fn insight(vm: &Vm, finding: Finding) -> Insight {
    let (kind, namespace, name) = vm.summary.key();
    Insight { kind, namespace: namespace.into(), name: name.into(), finding }
}

pub fn found(findings: Vec<Insight>) -> Arc<Findings> {
    Arc::new(Findings { findings, ..Findings::default() })
}

pub fn title(incident: &Incident) -> String {
    incident.title(Lang::English).concat()
}

pub fn titles(incidents: &Incidents) -> Vec<String> {
    incidents.rows.iter().map(title).collect()
}

/// Returns the names of the VMs that a query selects.
pub fn selected(visible: &Visible, query: &Query) -> Vec<(Kind, String, String)> {
    let selection = crate::select::Selection::of(visible, query);
    selection.vms.iter().map(|vm| vm.summary.row_key()).collect()
}

/// Each incident counts what its query selects; what needs attention is in one of them, and nothing else.
pub fn check(visible: &Visible) -> Incidents {
    let all = incidents(visible, usize::MAX);
    let mut concerned = BTreeMap::new();
    for incident in &all.rows {
        let vms = selected(visible, &incident.query());
        assert_eq!(vms.len(), incident.vms as usize, "{incident:?}");
        let named: Vec<_> = incident.named.iter().map(|vm| (vm.namespace.clone(), vm.name.clone())).collect();
        assert!(named.iter().all(|of| vms.iter().any(|vm| (&vm.1, &vm.2) == (&of.0, &of.1))), "{named:?}");
        assert!(!title(incident).is_empty() && !incident.why.english().is_empty(), "{incident:?}");
        let of_kind = selected(visible, &Query { attention: Some(incident.kind.into()), ..Query::default() });
        for vm in vms {
            assert!(of_kind.contains(&vm), "{vm:?} is not {:?}", incident.kind);
            *concerned.entry(vm).or_insert(0) += 1;
        }
    }
    let any = Query { attention: Some(Attention::default()), ..Query::default() };
    let mut need = selected(visible, &any);
    need.sort();
    assert_eq!(concerned.keys().cloned().collect::<Vec<_>>(), need);
    assert_eq!(all.vms as usize, need.len());
    for (kind, count) in AttentionKind::ALL.into_iter().zip(all.kinds) {
        let of_kind = selected(visible, &Query { attention: Some(kind.into()), ..Query::default() });
        assert_eq!(of_kind.len(), count as usize, "{kind:?}");
        let has_row = all.rows.iter().any(|row| row.kind == kind);
        assert_eq!(has_row, count > 0, "{kind:?}");
    }
    let identity = Identity { cluster: "test".into(), demo: false, refresh: 1 };
    let facets = home(visible, &identity, &Query::default(), NOW).facets;
    assert_eq!((facets.attention, facets.attention_kinds), (all.vms, all.kinds));
    all
}
