//! Cuts what one page shows out of a snapshot, for `http`. Pure: the same snapshot, query and time give the
//! same view.

use std::sync::Arc;

use model::{
    Millis,
    delta::RowKey,
    map::MapNames,
    query::{PAGE_SIZE, Query, ViewKind},
    view::{HomeView, SourcesView, VmView},
    vm::{Kind, Vm, VmSummary},
};

use super::{
    Scope, Snapshot,
    frame::{Identity, frame},
    map,
    select::Selection,
};

/// Returns the home page. `sparks` is left empty for the caller to fill.
pub fn home(snapshot: &Snapshot, identity: &Identity, scope: &Scope, query: &Query, now: Millis) -> HomeView {
    let mut selection = Selection::of(snapshot, scope, query);
    let matching = selection.vms.len() as u32;
    let map = match query.view {
        ViewKind::Map => map::map(&std::mem::take(&mut selection.vms), query.by, query.color).pack(),
        ViewKind::Cards | ViewKind::Table => Vec::new(),
    };
    selection.sort(query);
    let pages = (selection.vms.len() as u32).div_ceil(PAGE_SIZE).max(1);
    let page = query.page.clamp(1, pages);
    let vms = selection.vms.iter().skip(((page - 1) * PAGE_SIZE) as usize).take(PAGE_SIZE as usize);
    HomeView {
        frame: frame(snapshot, identity, now),
        totals: snapshot.totals,
        query: Query { page, ..query.clone() },
        matching,
        pages,
        vms: vms.map(|vm| vm.summary.clone()).collect(),
        sparks: Vec::new(),
        facets: selection.facets,
        map,
    }
}

/// Returns the names behind the cells of one block of the query's map.
pub fn map_names(snapshot: &Snapshot, scope: &Scope, query: &Query, group: &str, block: u32) -> MapNames {
    let selection = Selection::of(snapshot, scope, query);
    map::names(&selection.vms, query.by, query.color, group, block)
}

/// Returns the page of one VM; its `vm` is `None` if the VM is not known.
pub fn vm(
    snapshot: &Snapshot,
    identity: &Identity,
    scope: &Scope,
    namespace: &str,
    name: &str,
    now: Millis,
) -> VmView {
    let vm = find(snapshot, scope, namespace, name);
    VmView { frame: frame(snapshot, identity, now), vm: vm.cloned() }
}

/// Finds a VM by namespace and name; if several kinds share the name, the first one.
pub fn find<'a>(snapshot: &'a Snapshot, _: &Scope, namespace: &str, name: &str) -> Option<&'a Vm> {
    snapshot.vms.iter().find(|vm| vm.key() == (namespace, name)).map(|vm| &**vm)
}

/// Returns the VM of a summary.
pub fn of_summary<'a>(snapshot: &'a Snapshot, summary: &VmSummary) -> Option<&'a Arc<Vm>> {
    one(snapshot, summary.key())
}

/// Returns the VM of a row.
pub fn of_row<'a>(snapshot: &'a Snapshot, (kind, namespace, name): &RowKey) -> Option<&'a Vm> {
    one(snapshot, (*kind, namespace, name)).map(|vm| &**vm)
}

fn one<'a>(snapshot: &'a Snapshot, (kind, namespace, name): (Kind, &str, &str)) -> Option<&'a Arc<Vm>> {
    let by_name = |vm: &Vm| (vm.summary.name.as_str(), vm.summary.namespace.as_str()) < (name, namespace);
    let first = snapshot.vms.partition_point(|vm| by_name(vm));
    let mut alike = snapshot.vms[first..].iter().take_while(|vm| vm.key() == (namespace, name));
    alike.find(|vm| vm.summary.kind == kind)
}

/// Returns the sources page.
pub fn sources(snapshot: &Snapshot, identity: &Identity, _: &Scope, now: Millis) -> SourcesView {
    SourcesView { frame: frame(snapshot, identity, now) }
}
