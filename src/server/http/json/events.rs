//! The JSON of `GET /api/events`: `state` is the whole view, each `change` what differs since. It has the
//! fields of the rest of the API. A field that a change lacks has not changed. `events::cut` writes it.

use std::{collections::HashMap, sync::Arc};

use serde::Serialize;

use super::{NodePageJson, SourceJson, StatsJson, VmJson};
use model::{
    Millis,
    nodes::NodeView,
    view::{Frame, HomeView, VmView},
    vm::Vm,
};
use wukong_core::delta::{Outcome, changed_sources};

/// What every view shows around its content: the cluster and its sources.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FrameState<'a> {
    cluster: &'a str,
    demo: bool,
    now: Millis,
    /// When the cluster last answered anything.
    last_seen: Option<Millis>,
    ready: bool,
    sources: Vec<SourceJson>,
}

impl<'a> FrameState<'a> {
    pub fn new(frame: &'a Frame) -> Self {
        Self {
            cluster: &frame.cluster,
            demo: frame.demo,
            now: frame.now,
            last_seen: frame.last_seen,
            ready: frame.ready,
            sources: frame.sources.iter().map(SourceJson::new).collect(),
        }
    }
}

/// A page of the list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListState<'a> {
    #[serde(flatten)]
    frame: FrameState<'a>,
    stats: StatsJson,
    matching: u32,
    page: u32,
    pages: u32,
    /// The VMs of the page, in its order.
    vms: Vec<VmJson<'a>>,
}

impl<'a> ListState<'a> {
    pub fn new(view: &'a HomeView, vms: &'a [Arc<Vm>]) -> Self {
        Self {
            frame: FrameState::new(&view.frame),
            stats: StatsJson::new(&view.totals),
            matching: view.matching,
            page: view.query.page,
            pages: view.pages,
            vms: vms.iter().map(|vm| VmJson::new(vm)).collect(),
        }
    }
}

/// The view of one VM.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VmState<'a> {
    #[serde(flatten)]
    frame: FrameState<'a>,
    /// Null if no such VM is known.
    vm: Option<VmJson<'a>>,
}

impl<'a> VmState<'a> {
    pub fn new(view: &'a VmView) -> Self {
        Self { frame: FrameState::new(&view.frame), vm: one(view) }
    }
}

/// The view of one node.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeState<'a> {
    #[serde(flatten)]
    frame: FrameState<'a>,
    /// Null if no such node is known.
    node: Option<NodePageJson<'a>>,
}

impl<'a> NodeState<'a> {
    pub fn new(view: &'a NodeView) -> Self {
        Self { frame: FrameState::new(&view.frame), node: view.node.as_deref().map(NodePageJson::new) }
    }
}

/// What changed around the content of a view.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FrameChange {
    now: Millis,
    last_seen: Option<Millis>,
    ready: bool,
    /// The sources that changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sources: Vec<SourceJson>,
    #[serde(skip)]
    same: bool,
}

impl FrameChange {
    pub fn between(before: &Frame, after: &Frame) -> Outcome<Self> {
        match Self::new(before, after) {
            None => Outcome::Other,
            Some(change) if change.same => Outcome::Same,
            Some(change) => Outcome::Change(change),
        }
    }

    fn new(before: &Frame, after: &Frame) -> Option<Self> {
        let sources: Vec<_> = changed_sources(before, after)?.into_iter().map(SourceJson::new).collect();
        let same = sources.is_empty() && (before.last_seen, before.ready) == (after.last_seen, after.ready);
        Some(Self { now: after.now, last_seen: after.last_seen, ready: after.ready, sources, same })
    }
}

/// What changed on a page of the list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListChange<'a> {
    #[serde(flatten)]
    frame: FrameChange,
    #[serde(skip_serializing_if = "Option::is_none")]
    stats: Option<StatsJson>,
    #[serde(flatten)]
    extent: Option<ExtentJson>,
    /// The VMs that are new on the page, or that changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    vms: Vec<VmJson<'a>>,
    /// The ids of all VMs of the page, in its order.
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<Vec<&'a str>>,
}

#[derive(PartialEq, Serialize)]
struct ExtentJson {
    matching: u32,
    page: u32,
    pages: u32,
}

impl ExtentJson {
    fn new(view: &HomeView) -> Self {
        Self { matching: view.matching, page: view.query.page, pages: view.pages }
    }
}

impl<'a> ListChange<'a> {
    pub fn between(before: (&HomeView, &[Arc<Vm>]), after: (&'a HomeView, &'a [Arc<Vm>])) -> Outcome<Self> {
        let ((old, old_vms), (new, new_vms)) = (before, after);
        let Some(frame) = FrameChange::new(&old.frame, &new.frame) else { return Outcome::Other };
        let (order, old_order) = (ids(new_vms), ids(old_vms));
        let extent = ExtentJson::new(new);
        let change = Self {
            frame,
            stats: (old.totals != new.totals).then(|| StatsJson::new(&new.totals)),
            extent: (extent != ExtentJson::new(old)).then_some(extent),
            vms: changed(old_vms, new_vms),
            order: (order != old_order).then_some(order),
        };
        let same = change.frame.same
            && change.stats.is_none()
            && change.extent.is_none()
            && change.vms.is_empty()
            && change.order.is_none();
        if same { Outcome::Same } else { Outcome::Change(change) }
    }
}

fn ids(vms: &[Arc<Vm>]) -> Vec<&str> {
    vms.iter().map(|vm| vm.uid.as_str()).collect()
}

/// Returns the VMs that are new or changed. Snapshots share unchanged VMs, so most comparisons compare two
/// pointers.
fn changed<'a>(old: &[Arc<Vm>], new: &'a [Arc<Vm>]) -> Vec<VmJson<'a>> {
    let known: HashMap<&str, &Arc<Vm>> = old.iter().map(|vm| (vm.uid.as_str(), vm)).collect();
    let is_same =
        |vm: &Arc<Vm>| known.get(vm.uid.as_str()).is_some_and(|old| Arc::ptr_eq(old, vm) || ***old == **vm);
    new.iter().filter(|vm| !is_same(vm)).map(|vm| VmJson::new(vm)).collect()
}

/// What changed in the view of one VM.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VmChange<'a> {
    #[serde(flatten)]
    frame: FrameChange,
    /// Absent if unchanged; null if the VM is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    vm: Option<Option<VmJson<'a>>>,
}

impl<'a> VmChange<'a> {
    pub fn between(before: &VmView, after: &'a VmView) -> Outcome<Self> {
        let Some(frame) = FrameChange::new(&before.frame, &after.frame) else { return Outcome::Other };
        let is_same = (&before.vm, &before.details) == (&after.vm, &after.details);
        let vm = (!is_same).then(|| one(after));
        if frame.same && vm.is_none() { Outcome::Same } else { Outcome::Change(Self { frame, vm }) }
    }
}

/// What changed in the view of one node.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeChange<'a> {
    #[serde(flatten)]
    frame: FrameChange,
    /// Absent if unchanged; null if the node is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<Option<NodePageJson<'a>>>,
}

impl<'a> NodeChange<'a> {
    pub fn between(before: &NodeView, after: &'a NodeView) -> Outcome<Self> {
        let Some(frame) = FrameChange::new(&before.frame, &after.frame) else { return Outcome::Other };
        let node = (before.node != after.node).then(|| after.node.as_deref().map(NodePageJson::new));
        if frame.same && node.is_none() { Outcome::Same } else { Outcome::Change(Self { frame, node }) }
    }
}

fn one(view: &VmView) -> Option<VmJson<'_>> {
    view.vm.as_ref().map(|vm| VmJson::with_details(vm, &view.details))
}
