//! Cuts what one page shows out of a snapshot. Pure: the same snapshot, query and time give the same view.

use std::{cmp::Ordering, collections::BTreeSet, sync::Arc};

use crate::model::{
    Millis,
    figure::Figure,
    query::{PAGE_SIZE, Query, Sort},
    view::{Frame, HomeView, SourcesView, VmView},
    vm::{Status, Vm, VmSummary},
};

use super::{STALE_AFTER, Scope, Snapshot};

/// What does not change while the program runs.
#[derive(Clone, Debug)]
pub struct Identity {
    pub cluster: String,
    pub demo: bool,
    /// How often pages ask again: the shortest interval of a source, in milliseconds.
    pub refresh: u32,
}

pub fn frame(snapshot: &Snapshot, identity: &Identity, now: Millis) -> Frame {
    Frame {
        cluster: identity.cluster.clone(),
        demo: identity.demo,
        now,
        heard: snapshot.heard,
        stale_after: identity.refresh.saturating_mul(STALE_AFTER as u32),
        refresh: identity.refresh,
        ready: snapshot.ready,
        sources: snapshot.sources.clone(),
    }
}

pub fn home(snapshot: &Snapshot, identity: &Identity, _: &Scope, query: &Query, now: Millis) -> HomeView {
    let mut matching: Vec<&Arc<Vm>> = snapshot.vms.iter().filter(|vm| matches(vm, query)).collect();
    sort(&mut matching, query);
    let pages = (matching.len() as u32).div_ceil(PAGE_SIZE).max(1);
    let page = query.page.clamp(1, pages);
    let vms = matching.iter().skip(((page - 1) * PAGE_SIZE) as usize).take(PAGE_SIZE as usize);
    HomeView {
        frame: frame(snapshot, identity, now),
        totals: snapshot.totals,
        query: Query { page, ..query.clone() },
        matching: matching.len() as u32,
        pages,
        vms: vms.map(|vm| vm.summary.clone()).collect(),
        namespaces: facet(&snapshot.vms, |vm| &vm.namespace),
        nodes: facet(&snapshot.vms, |vm| &vm.node),
    }
}

pub fn vm(
    snapshot: &Snapshot,
    identity: &Identity,
    _: &Scope,
    namespace: &str,
    name: &str,
    now: Millis,
) -> VmView {
    let vm = snapshot.vms.iter().find(|vm| vm.key() == (namespace, name));
    VmView { frame: frame(snapshot, identity, now), vm: vm.map(|vm| Vm::clone(vm)) }
}

pub fn sources(snapshot: &Snapshot, identity: &Identity, _: &Scope, now: Millis) -> SourcesView {
    SourcesView { frame: frame(snapshot, identity, now) }
}

fn matches(vm: &Vm, query: &Query) -> bool {
    let summary = &vm.summary;
    (query.namespace.is_empty() || summary.namespace == query.namespace)
        && (query.node.is_empty() || summary.node == query.node || summary.migrating_to == query.node)
        && query.status.is_none_or(|status| is_counted_as(summary.status, status))
        && (query.q.is_empty() || contains(vm, &query.q.to_lowercase()))
}

/// As in the totals: what is being created is pending.
fn is_counted_as(status: Status, wanted: Status) -> bool {
    status == wanted || (wanted, status) == (Status::Pending, Status::Creating)
}

fn contains(vm: &Vm, text: &str) -> bool {
    let summary = &vm.summary;
    [&summary.name, &summary.namespace, &summary.node, &summary.ip_address, &vm.os_image]
        .iter()
        .any(|field| field.to_lowercase().contains(text))
}

/// Sorts by the query; VMs without the figure come last in either order, equal ones by name.
fn sort(vms: &mut [&Arc<Vm>], query: &Query) {
    let figure: fn(&VmSummary) -> &Figure = match query.sort {
        Sort::Cpu => |vm| &vm.usage.cpu,
        Sort::Memory => |vm| &vm.usage.memory,
        Sort::Disk => |vm| &vm.usage.disk,
        Sort::Name => return vms.sort_by(|a, b| query.order.apply(by_name(a, b))),
    };
    let percent = |vm: &Vm| figure(&vm.summary).sample().map(|sample| sample.percent_milli());
    vms.sort_by_cached_key(|vm| SortKey { percent: percent(vm), order: query.order, vm });
}

fn by_name(a: &Vm, b: &Vm) -> Ordering {
    (&a.summary.name, &a.summary.namespace).cmp(&(&b.summary.name, &b.summary.namespace))
}

struct SortKey<'a> {
    percent: Option<u64>,
    order: crate::model::query::Order,
    vm: &'a Vm,
}

impl Ord for SortKey<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let figures = match (self.percent, other.percent) {
            (Some(a), Some(b)) => self.order.apply(a.cmp(&b)),
            (a, b) => b.is_some().cmp(&a.is_some()),
        };
        figures.then_with(|| by_name(self.vm, other.vm))
    }
}

impl PartialOrd for SortKey<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for SortKey<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for SortKey<'_> {}

fn facet(vms: &[Arc<Vm>], field: impl Fn(&VmSummary) -> &String) -> Vec<String> {
    let distinct: BTreeSet<&String> =
        vms.iter().map(|vm| field(&vm.summary)).filter(|value| !value.is_empty()).collect();
    distinct.into_iter().cloned().collect()
}
