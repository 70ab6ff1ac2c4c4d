//! Builds what one page shows from what the viewer may see of a snapshot, for `http`. Pure: the same
//! snapshot, query and time give the same view.

use std::sync::Arc;

use model::{
    Millis,
    delta::RowKey,
    details::VmDetails,
    map::MapNames,
    query::{PAGE_SIZE, Query, ViewKind},
    view::{HomeView, SourcesView, VmView},
    vm::{Kind, Vm, VmSummary},
};

use super::{
    Visible, amounts,
    details::details,
    frame::{Identity, frame},
    groups::capacity,
    map,
    nodes::neighbours,
    outlook::Outlooks,
    problems,
    select::Selection,
    similar::similar,
};

/// Returns the home page. `sparklines` and `attention` are left empty for the caller to fill.
pub fn home(visible: &Visible, identity: &Identity, query: &Query, now: Millis) -> HomeView {
    let mut selection = Selection::of(visible, query);
    let outlooks = Outlooks::of(visible);
    let matching = selection.vms.len() as u32;
    let selected = if query.is_filtered() { selection.totals() } else { *visible.totals() };
    let capacity = capacity(visible, &query.node, selection.vms.iter().map(|vm| &vm.summary));
    let map = match query.view() {
        ViewKind::Map => {
            let vms = std::mem::take(&mut selection.vms);
            map::map(&vms, &outlooks, query.by, query.color).pack()
        }
        ViewKind::Cards | ViewKind::Table => Vec::new(),
    };
    selection.sort(query);
    let pages = (selection.vms.len() as u32).div_ceil(PAGE_SIZE).max(1);
    let page = query.page.clamp(1, pages);
    let vms = || selection.vms.iter().skip(((page - 1) * PAGE_SIZE) as usize).take(PAGE_SIZE as usize);
    let activity = match query.view() {
        ViewKind::Table => vms().map(|vm| amounts::row(vm)).collect(),
        ViewKind::Cards | ViewKind::Map => Vec::new(),
    };
    HomeView {
        frame: frame(visible, identity, now),
        totals: *visible.totals(),
        selected,
        capacity,
        query: Query { page, ..query.clone() },
        matching,
        pages,
        vms: vms().map(|vm| summary(vm, &outlooks)).collect(),
        sparklines: Vec::new(),
        activity,
        facets: selection.facets,
        map,
        attention: Arc::default(),
    }
}

fn summary(vm: &Vm, outlooks: &Outlooks) -> VmSummary {
    VmSummary { lost: outlooks.is_lost(&vm.summary), ..vm.summary.clone() }
}

/// Returns the names behind the cells of one block of the query's map.
pub fn map_names(visible: &Visible, query: &Query, group: &str, block: u32) -> MapNames {
    let selection = Selection::of(visible, query);
    map::names(&selection.vms, query.by, query.color, group, block)
}

/// Returns the page of one VM; its `vm` is `None` if the VM is not known.
pub fn vm(visible: &Visible, identity: &Identity, namespace: &str, name: &str, now: Millis) -> VmView {
    let vm = find(visible, namespace, name);
    let outlooks = Outlooks::of(visible);
    VmView {
        frame: frame(visible, identity, now),
        similar: if vm.is_none() { similar(visible, namespace, name) } else { Vec::new() },
        vm: vm.map(|vm| Vm { summary: summary(vm, &outlooks), ..vm.clone() }),
        details: vm
            .map(|vm| VmDetails { neighbours: neighbours(visible, vm), ..details(vm, visible.sources()) })
            .unwrap_or_default(),
        health: vm.map(|vm| problems::health(vm, &outlooks.of_vm(vm))).unwrap_or_default(),
    }
}

/// Finds a VM by namespace and name; if several kinds share the name, the first one.
pub fn find<'a>(visible: &'a Visible, namespace: &str, name: &str) -> Option<&'a Vm> {
    visible.vms().iter().find(|vm| vm.key() == (namespace, name)).map(|vm| &**vm)
}

/// Returns the VM of a summary.
pub fn of_summary<'a>(visible: &'a Visible, summary: &VmSummary) -> Option<&'a Arc<Vm>> {
    find_row(visible, summary.key())
}

/// Returns the VM of a row.
pub fn of_row<'a>(visible: &'a Visible, (kind, namespace, name): &RowKey) -> Option<&'a Vm> {
    find_row(visible, (*kind, namespace, name)).map(|vm| &**vm)
}

fn find_row<'a>(visible: &'a Visible, (kind, namespace, name): (Kind, &str, &str)) -> Option<&'a Arc<Vm>> {
    let by_name = |vm: &Vm| (vm.summary.name.as_str(), vm.summary.namespace.as_str()) < (name, namespace);
    let first = visible.vms().partition_point(|vm| by_name(vm));
    let mut alike = visible.vms()[first..].iter().take_while(|vm| vm.key() == (namespace, name));
    alike.find(|vm| vm.summary.kind == kind)
}

/// Returns the sources page.
pub fn sources(visible: &Visible, identity: &Identity, now: Millis) -> SourcesView {
    SourcesView { frame: frame(visible, identity, now) }
}
