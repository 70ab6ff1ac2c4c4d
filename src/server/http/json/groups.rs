//! The JSON of `GET /api/groups`.

use serde::Serialize;

use super::{
    figure::{Denominator, FigureJson, percent, unit},
    totals::{SourceJson, StatsJson},
};
use model::{
    Millis,
    figure::Unit,
    groups::{Consumer, Group, GroupsQuery, NodePressure, NodeUse, Share, Top},
    query::GroupBy,
    source::{SourceHealth, SourceId},
};

/// `GET /api/groups`: all nodes or namespaces, and the largest consumers.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupsJson<'a> {
    by: &'static str,
    groups: Vec<GroupJson<'a>>,
    /// The largest consumers by amount, of the namespace that the query names or of all.
    top: TopJson<'a>,
    /// The source of what nodes can allocate; null for namespaces.
    nodes: Option<SourceJson>,
}

impl<'a> GroupsJson<'a> {
    pub fn new(query: &GroupsQuery, groups: &'a [Group], top: &'a Top, sources: &'a [SourceHealth]) -> Self {
        let by_node = query.by == GroupBy::Node;
        let source = sources.iter().find(|source| source.id == SourceId::Nodes);
        Self {
            by: query.by.code(),
            groups: groups.iter().map(|group| GroupJson::new(group, by_node)).collect(),
            top: TopJson::new(top),
            nodes: source.filter(|_| by_node).map(SourceJson::new),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GroupJson<'a> {
    /// Null for VMs that are on no node.
    name: Option<&'a str>,
    /// Totals of all its VMs, whatever their status, with the fields of `/api/stats`.
    #[serde(flatten)]
    stats: StatsJson,
    /// Number of VMs whose CPU cannot be read, and which the sum does not include.
    cpu_unreadable: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<NodeJson<'a>>,
}

impl<'a> GroupJson<'a> {
    pub(super) fn new(group: &'a Group, by_node: bool) -> Self {
        Self {
            name: Some(group.name.as_str()).filter(|name| !name.is_empty()),
            stats: StatsJson::new(&group.totals),
            cpu_unreadable: group.cpu_unreadable,
            node: (by_node && !group.name.is_empty()).then(|| NodeJson::new(group)),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NodeJson<'a> {
    /// Whether the Node object can be read.
    known: bool,
    /// Null if its kubelet has stopped reporting, or nothing is known.
    ready: Option<bool>,
    /// Since when `ready` is what it is, if the node says.
    ready_since: Option<Millis>,
    unschedulable: Option<bool>,
    pressure: PressureJson,
    /// Empty if it is not known.
    kubelet_version: &'a str,
    cpu: ShareJson,
    memory: ShareJson,
    /// What everything on the node uses, of what it can allocate. Null if the Node object cannot be read.
    used: Option<NodeUseJson>,
}

#[derive(Serialize)]
struct NodeUseJson {
    cpu: FigureJson,
    memory: FigureJson,
}

impl NodeUseJson {
    fn new(NodeUse { cpu, memory }: &NodeUse) -> Self {
        let [cpu, memory] = [cpu, memory].map(|figure| FigureJson::new(figure, Denominator::Allocatable));
        Self { cpu, memory }
    }
}

/// Whether its kubelet reports pressure; null if that is not known.
#[derive(Serialize)]
struct PressureJson {
    memory: Option<bool>,
    disk: Option<bool>,
    pids: Option<bool>,
}

impl<'a> NodeJson<'a> {
    fn new(group: &'a Group) -> Self {
        let NodePressure { memory, disk, pids } =
            group.node.as_ref().map(|node| node.pressure).unwrap_or_default();
        let node = group.node.as_ref();
        Self {
            known: node.is_some(),
            ready: node.and_then(|node| node.ready),
            ready_since: node.and_then(|node| node.ready_since),
            unschedulable: node.map(|node| node.unschedulable),
            pressure: PressureJson { memory, disk, pids },
            kubelet_version: node.map_or("", |node| &node.kubelet_version),
            cpu: ShareJson::new(&group.cpu, Unit::Nanocores),
            memory: ShareJson::new(&group.memory, Unit::Bytes),
            used: node.and_then(|node| node.used.as_deref()).map(NodeUseJson::new),
        }
    }
}

/// What is allocated to the VMs that hold capacity of the node: all but the stopped and the failed.
#[derive(Serialize)]
struct ShareJson {
    given: u64,
    allocatable: Option<u64>,
    unit: &'static str,
    /// Above 100 if the node is overcommitted; null if what it can allocate is unknown or 0.
    percent: Option<f64>,
    /// Number of VMs whose allocation cannot be read, and which `given` does not include.
    unreadable: u32,
}

impl ShareJson {
    fn new(share: &Share, kind: Unit) -> Self {
        Self {
            given: share.allocated,
            allocatable: share.allocatable,
            unit: unit(kind),
            percent: share.allocatable.and_then(|all| percent(share.allocated, all)),
            unreadable: share.unreadable,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TopJson<'a> {
    cpu: Vec<ConsumerJson<'a>>,
    memory: Vec<ConsumerJson<'a>>,
    disk: Vec<ConsumerJson<'a>>,
    /// Number of VMs with a known volume that is not counted, because it is on a shared file system or known
    /// to its backend alone.
    disk_left_out: u32,
}

impl<'a> TopJson<'a> {
    fn new(top: &'a Top) -> Self {
        let of = |consumers: &'a [Consumer], kind| {
            consumers.iter().map(|consumer| ConsumerJson::new(consumer, unit(kind))).collect()
        };
        Self {
            cpu: of(&top.cpu, Unit::Nanocores),
            memory: of(&top.memory, Unit::Bytes),
            disk: of(&top.disk, Unit::Bytes),
            disk_left_out: top.disk_left_out,
        }
    }
}

#[derive(Serialize)]
pub(super) struct ConsumerJson<'a> {
    namespace: &'a str,
    name: &'a str,
    used: u64,
    of: Option<u64>,
    unit: &'static str,
    stale: bool,
    /// Some of its volumes are not known, so it uses at least this much.
    partial: bool,
}

impl<'a> ConsumerJson<'a> {
    pub(super) fn new(consumer: &'a Consumer, unit: &'static str) -> Self {
        let Consumer { namespace, name, used, of, stale, partial } = consumer;
        Self { namespace, name, used: *used, of: *of, unit, stale: *stale, partial: *partial }
    }
}
