//! What views must say, computed from a list of VMs in the simplest way.

use std::collections::{BTreeMap, BTreeSet};

use model::{
    activity::Activity,
    attention::{Attention, AttentionKind},
    figure::{Basis, Figure, Sample},
    groups::{Consumer, GroupsQuery, GroupsView, Node, TOP},
    insight::{Finding, Insight, InsightTotals, Resource},
    map::Map,
    nodes::{LISTED, NodeView, TopBy},
    query::{GroupBy, PAGE_SIZE, Query, ViewKind},
    reason::Reason,
    totals::{Counts, Measured, Totals},
    view::{Facet, HomeView, InsightsView},
    vm::{Kind, Status, Vm},
};

/// What the user may know of VMs beside their own figures.
#[derive(Debug, Default)]
pub struct AttentionFacts {
    /// Nodes that are not ready.
    pub lost: BTreeSet<String>,
    /// VMs that are undersized by their history.
    pub undersized: BTreeSet<RowName>,
}

pub fn check_home(view: &HomeView, seen: &[Vm], query: &Query, beside: &AttentionFacts) {
    assert_eq!(view.totals, totals(&seen.iter().collect::<Vec<_>>()));
    let matching: Vec<&Vm> = seen.iter().filter(|vm| passes(vm, query, beside)).collect();
    assert_eq!(view.matching as usize, matching.len(), "{query:?}");
    assert_eq!(view.selected, totals(&matching), "{query:?}");
    let wanted = rows(&matching);
    if query.view() == ViewKind::Map {
        check_map(&Map::unpack(&view.map).unwrap(), &matching, query.by);
    } else if matching.len() <= PAGE_SIZE as usize {
        let shown: BTreeSet<_> = view.vms.iter().map(|vm| row((vm.kind, &vm.namespace, &vm.name))).collect();
        assert_eq!((view.vms.len(), shown), (matching.len(), wanted), "{query:?}");
    }
    assert_eq!(view.vms.len(), view.sparklines.len());
    if query.view() == ViewKind::Table {
        assert_eq!(view.vms.len(), view.activity.len());
    }
    check_facets(view, seen, query, beside);
    for row in &view.vms {
        let may_run = matches!(row.status, Status::Running | Status::Unknown);
        assert_eq!(row.lost, may_run && beside.lost.contains(&row.node), "{row:?}");
    }
}

fn check_facets(view: &HomeView, seen: &[Vm], query: &Query, beside: &AttentionFacts) {
    // Each filter is counted as if it had this value, and the others stayed.
    let count = |query: Query| seen.iter().filter(|vm| passes(vm, &query, beside)).count() as u32;
    let names = |of: fn(&Vm) -> Vec<&String>| {
        let names: BTreeSet<&String> = seen.iter().flat_map(of).filter(|name| !name.is_empty()).collect();
        names.into_iter().cloned().collect::<Vec<_>>()
    };
    let facet = |facet: &Facet| facet.iter().map(|(name, vms)| (name.clone(), vms)).collect::<Vec<_>>();
    let namespaces = names(|vm| vec![&vm.summary.namespace]).into_iter();
    let namespaces: Vec<_> = namespaces
        .map(|namespace| (namespace.clone(), count(Query { namespace, ..query.clone() })))
        .collect();
    assert_eq!(facet(&view.facets.namespaces), namespaces, "{query:?}");
    let nodes = names(|vm| vec![&vm.summary.node, &vm.summary.migrating_to]).into_iter();
    // A VM that moves from a node to another counts for both.
    let nodes: Vec<_> = nodes.map(|node| (node.clone(), count(Query { node, ..query.clone() }))).collect();
    assert_eq!(facet(&view.facets.nodes), nodes, "{query:?}");
    let statuses = Status::ALL.map(|status| count(Query { status: Some(status), ..query.clone() }));
    assert_eq!(view.facets.statuses, statuses, "{query:?}");
    let attention = |attention| count(Query { attention: Some(attention), ..query.clone() });
    assert_eq!(view.facets.attention, attention(Attention::default()), "{query:?}");
    let kinds = AttentionKind::ALL.map(|kind| attention(kind.into()));
    assert_eq!(view.facets.attention_kinds, kinds, "{query:?}");
}

fn check_map(map: &Map, matching: &[&Vm], by: GroupBy) {
    let mut groups: BTreeMap<&str, usize> = BTreeMap::new();
    matching.iter().for_each(|vm| *groups.entry(group_of(vm, by)).or_default() += 1);
    let shown: BTreeMap<&str, usize> =
        map.groups.iter().map(|group| (group.name.as_str(), group.cells.len())).collect();
    assert_eq!(shown, groups);
}

/// `nodes` are those that the viewer may list and that take VMs.
pub fn check_groups(view: &GroupsView, seen: &[Vm], nodes: &BTreeSet<String>, query: &GroupsQuery) {
    let mut groups: BTreeMap<String, Vec<&Vm>> = BTreeMap::new();
    seen.iter().for_each(|vm| groups.entry(group_of(vm, query.by).to_owned()).or_default().push(vm));
    if query.by == GroupBy::Node {
        for node in nodes {
            groups.entry(node.clone()).or_default();
        }
    }
    let wanted: BTreeMap<&str, Totals> =
        groups.iter().map(|(name, vms)| (name.as_str(), totals(vms))).collect();
    let shown: BTreeMap<&str, Totals> =
        view.groups.iter().map(|group| (group.name.as_str(), group.totals)).collect();
    assert_eq!(shown, wanted);
    assert_eq!(view.matching as usize, groups.keys().filter(|name| !name.is_empty()).count());
    let namespaces: BTreeSet<&String> = seen.iter().map(|vm| &vm.summary.namespace).collect();
    assert_eq!(view.namespaces.iter().collect::<BTreeSet<_>>(), namespaces);
    let running: Vec<&Vm> = seen
        .iter()
        .filter(|vm| vm.summary.status == Status::Running)
        .filter(|vm| query.namespace.is_empty() || vm.summary.namespace == query.namespace)
        .collect();
    let largest = |of: fn(&Vm) -> &Figure| {
        let mut used: Vec<u64> = running.iter().filter_map(|vm| Some(of(vm).sample()?.used)).collect();
        used.sort_unstable_by(|a, b| b.cmp(a));
        used.truncate(TOP);
        used
    };
    let used = |top: &[Consumer]| top.iter().map(|consumer| consumer.used).collect::<Vec<_>>();
    assert_eq!(used(&view.top.cpu), largest(|vm| &vm.summary.usage.cpu));
    assert_eq!(used(&view.top.memory), largest(|vm| &vm.summary.usage.memory));
    let own: BTreeSet<(&str, &str)> = running.iter().map(|vm| vm.key()).collect();
    for consumer in view.top.cpu.iter().chain(&view.top.memory).chain(&view.top.disk) {
        assert!(own.contains(&(consumer.namespace.as_str(), consumer.name.as_str())), "{consumer:?}");
    }
}

/// `object` is the node's own object, if there is one that the viewer may see.
pub fn check_node(view: &NodeView, seen: &[Vm], name: &str, object: Option<&Node>) {
    let own: Vec<&Vm> = seen.iter().filter(|vm| vm.summary.node == name).collect();
    let comes = seen.iter().filter(|vm| vm.summary.node != name && vm.summary.migrating_to == name).count();
    assert_eq!(view.node.is_some(), object.is_some() || !own.is_empty() || comes > 0, "{name}");
    let Some(node) = &view.node else { return };
    assert_eq!(node.group.totals, totals(&own));
    assert_eq!(node.group.node.as_ref().map(|node| &node.name), object.map(|node| &node.name));
    assert_eq!(node.group.node.as_ref().map(|node| node.ready), object.map(|node| node.ready));
    let running = || own.iter().filter(|vm| vm.summary.status == Status::Running);
    let mut used: Vec<u64> =
        running().filter_map(|vm| Some(vm.summary.usage.memory.sample()?.used)).collect();
    used.sort_unstable_by(|a, b| b.cmp(a));
    used.truncate(LISTED);
    let shown: Vec<u64> = node.top[TopBy::Memory as usize].vms.iter().map(|vm| vm.used).collect();
    assert_eq!(shown, used);
    let names: BTreeSet<(&str, &str)> = running().map(|vm| vm.key()).collect();
    for ranking in &node.top {
        assert_eq!(ranking.vms.len() + ranking.more as usize, own.len() + comes);
        assert!(ranking.vms.iter().all(|vm| names.contains(&(&*vm.namespace, &*vm.name))), "{ranking:?}");
    }
}

pub fn check_insights(view: &InsightsView, seen: &[Vm], findings: &[Insight]) {
    let mut totals = InsightTotals {
        running: seen.iter().filter(|vm| vm.summary.status == Status::Running).count() as u32,
        ..InsightTotals::default()
    };
    totals.judged = totals.running;
    for insight in findings {
        match &insight.finding {
            Finding::FillingUp(_) => totals.filling_up += 1,
            Finding::Undersized(_) => totals.undersized += 1,
            Finding::Oversized(sizing) if sizing.resource() == Resource::Cpu => {
                totals.oversized += 1;
                totals.cpu += sizing.reclaimable();
                totals.cpu_vms += 1;
            }
            Finding::Oversized(sizing) => {
                totals.oversized += 1;
                totals.memory += sizing.reclaimable();
                totals.memory_vms += 1;
            }
        }
    }
    assert_eq!(view.totals, totals);
    assert_eq!(view.matching as usize, findings.len());
    let names = |rows: &[Insight]| {
        rows.iter().map(|at| row((at.kind, &at.namespace, &at.name))).collect::<BTreeSet<_>>()
    };
    assert_eq!(names(&view.rows), names(findings));
    let namespaces: BTreeSet<&String> = findings.iter().map(|row| &row.namespace).collect();
    assert_eq!(view.namespaces.iter().collect::<BTreeSet<_>>(), namespaces);
}

/// A row as the answers identify it.
pub type RowName = (Kind, String, String);

fn row((kind, namespace, name): (Kind, &str, &str)) -> RowName {
    (kind, namespace.to_owned(), name.to_owned())
}

fn rows(vms: &[&Vm]) -> BTreeSet<RowName> {
    vms.iter().map(|vm| row(vm.summary.key())).collect()
}

pub fn group_of(vm: &Vm, by: GroupBy) -> &str {
    match by {
        GroupBy::Node => &vm.summary.node,
        GroupBy::Namespace => &vm.summary.namespace,
    }
}

fn passes(vm: &Vm, query: &Query, beside: &AttentionFacts) -> bool {
    let Query { q, namespace, status, node, attention, .. } = query;
    let summary = &vm.summary;
    let texts = [&summary.name, &summary.namespace, &summary.node, &summary.ip_address, &vm.os_image]
        .map(String::as_str);
    let status_of = |wanted: Status| {
        summary.status == wanted || wanted == Status::Pending && summary.status == Status::Creating
    };
    texts.iter().any(|text| text.contains(q.as_str()))
        && (namespace.is_empty() || summary.namespace == *namespace)
        && (node.is_empty() || [&summary.node, &summary.migrating_to].contains(&node))
        && status.is_none_or(status_of)
        && attention.as_ref().is_none_or(|wanted| {
            let kinds = kinds(vm, beside);
            assert_eq!(wanted.cause, "", "incidents have a test of their own");
            wanted.kind.map_or(!kinds.is_empty(), |kind| kinds.contains(&kind))
        })
}

/// Returns what a VM needs attention for.
pub fn kinds(vm: &Vm, beside: &AttentionFacts) -> BTreeSet<AttentionKind> {
    let summary = &vm.summary;
    let may_run = matches!(summary.status, Status::Running | Status::Unknown);
    if may_run && beside.lost.contains(&summary.node) {
        return BTreeSet::from([AttentionKind::Down]);
    }
    match summary.status {
        Status::Stopped => BTreeSet::new(),
        Status::Running if summary.fault.is_some() => BTreeSet::from([AttentionKind::Down]),
        Status::Running => running_kinds(vm, beside),
        Status::Error => BTreeSet::from([AttentionKind::Down]),
        Status::Unknown => BTreeSet::from([AttentionKind::Unknown]),
        Status::Pending | Status::Creating => BTreeSet::from([AttentionKind::NotStarting]),
    }
}

fn has_unknown(vm: &Vm) -> bool {
    let usage = &vm.summary.usage;
    let is_known = |figure: &Figure| match figure {
        Figure::Known(sample) => !sample.stale,
        Figure::Missing(missing) => missing.reason == Reason::NoVolumes,
    };
    usage.disk_known < usage.disk_volumes
        || ![&usage.cpu, &usage.memory, &usage.disk].into_iter().all(is_known)
}

/// What fresh activity the generator makes is always too much, and no file system is on one of its volumes.
fn running_kinds(vm: &Vm, beside: &AttentionFacts) -> BTreeSet<AttentionKind> {
    let usage = &vm.summary.usage;
    let is_full = |used: u64, of: u64, percent: u128| u128::from(used) * 100 >= u128::from(of) * percent;
    let is_high = |figure: &Figure| {
        figure.sample().is_some_and(|sample| {
            let used = match figure_is_cpu(sample) {
                true => sample.used.div_ceil(1_000_000) * 1_000_000,
                false => sample.used,
            };
            !sample.stale && is_full(used, sample.of, 90)
        })
    };
    let mut filesystems = vm.guest.filesystems.iter();
    let mut volumes = vm.volumes.iter().filter_map(|volume| volume.usage.sample());
    let fresh = match &vm.activity {
        Activity::Known(known) if !known.stale => Some(known),
        _ => None,
    };
    let cpu = is_high(&usage.cpu);
    let memory = usage.guest_memory.map_or_else(|| is_high(&usage.memory), |percent| percent >= 85);
    let swaps = fresh.is_some_and(|known| known.swap.is_ok());
    let sent = fresh.and_then(|known| known.migration.as_ref()?.processed);
    let is_stuck = !vm.summary.migrating_to.is_empty()
        && sent.zip(vm.summary.memory).is_some_and(|(sent, memory)| sent >= 2 * memory);
    let history = beside.undersized.contains(&row(vm.summary.key()));
    let is_full = volumes.any(|sample| is_full(sample.used, sample.of, 85))
        || filesystems.any(|of| is_full(of.used.unwrap(), of.total.unwrap(), 85));
    let needs = [
        (AttentionKind::FillingUp, is_full),
        (AttentionKind::Undersized, cpu || memory || swaps || history),
        // At its own limit, a VM waits for nobody else.
        (AttentionKind::Contended, fresh.is_some() && !cpu),
        (AttentionKind::SlowDisk, fresh.is_some()),
        (AttentionKind::Migration, is_stuck),
        (AttentionKind::Unknown, has_unknown(vm)),
    ];
    needs.into_iter().filter(|(_, is)| *is).map(|(kind, _)| kind).collect()
}

fn figure_is_cpu(sample: &Sample) -> bool {
    sample.unit == model::figure::Unit::Nanocores
}

pub fn totals(vms: &[&Vm]) -> Totals {
    let with =
        |statuses: &[Status]| vms.iter().filter(|vm| statuses.contains(&vm.summary.status)).count() as u32;
    let measured = |of: fn(&Vm) -> &Figure| {
        let samples: Vec<&Sample> = vms.iter().filter_map(|vm| of(vm).sample()).collect();
        Measured {
            used: samples.iter().map(|sample| sample.used).sum(),
            of: samples.iter().map(|sample| sample.of).sum(),
            vms: samples.len() as u32,
        }
    };
    let running = || vms.iter().filter(|vm| vm.summary.status == Status::Running);
    // No two VMs of the generator share a claim.
    let volumes = || {
        let volumes = running().flat_map(|vm| &vm.volumes).filter_map(|volume| volume.usage.sample());
        volumes.filter(|sample| sample.basis == Basis::Own)
    };
    Totals {
        counts: Counts {
            total: vms.len() as u32,
            running: with(&[Status::Running]),
            stopped: with(&[Status::Stopped]),
            error: with(&[Status::Error]),
            pending: with(&[Status::Pending, Status::Creating]),
            unknown: with(&[Status::Unknown]),
            migrating: vms.iter().filter(|vm| !vm.summary.migrating_to.is_empty()).count() as u32,
        },
        memory: vms.iter().filter_map(|vm| vm.summary.memory).sum(),
        memory_unreadable: vms.iter().filter(|vm| vm.summary.memory.is_none()).count() as u32,
        cpu: vms.iter().filter_map(|vm| vm.summary.cpu).sum(),
        cpu_used: measured(|vm| &vm.summary.usage.cpu),
        memory_used: measured(|vm| &vm.summary.usage.memory),
        disk_used: Measured {
            used: volumes().map(|sample| sample.used).sum(),
            of: volumes().map(|sample| sample.of).sum(),
            vms: running()
                .filter(|vm| vm.summary.usage.disk_volumes > 0)
                .filter(|vm| vm.summary.usage.disk_known == vm.summary.usage.disk_volumes)
                .count() as u32,
        },
    }
}
