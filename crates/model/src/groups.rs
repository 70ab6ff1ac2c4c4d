//! VMs by node or by namespace: what a group's VMs are allocated, what they use, and how far they overcommit
//! their node. The groups page and `/api/groups` show it; `core::groups` computes it.

use core::{cmp::Ordering, net::IpAddr};

use serde::{Deserialize, Serialize};

use super::{
    Millis,
    bad_param::{BadParam, Expected},
    figure::{Figure, ratio},
    name::is_dns_label,
    params::Params,
    query::{GroupBy, Order, index, push},
    totals::Totals,
    view::Frame,
};

/// Groups on one page.
pub const PAGE_SIZE: u32 = 100;
/// How many of the largest consumers of each figure are listed.
pub const TOP: usize = 5;

/// What groups are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum GroupSort {
    #[default]
    Name,
    Vms,
    /// Allocated amount: for a node, as a part of what it can allocate; for a namespace, absolute.
    CpuAllocated,
    MemoryAllocated,
    /// Percent used: of a node, by everything on it; of a namespace, by the measured VMs.
    Cpu,
    Memory,
    Disk,
}

impl GroupSort {
    pub const ALL: [Self; 7] = [
        Self::Name,
        Self::Vms,
        Self::CpuAllocated,
        Self::MemoryAllocated,
        Self::Cpu,
        Self::Memory,
        Self::Disk,
    ];

    const CODES: [&str; 7] = ["name", "vms", "cpu-allocated", "memory-allocated", "cpu", "memory", "disk"];

    pub fn code(self) -> &'static str {
        Self::CODES[self as usize]
    }

    /// The order when the address names none: names ascending, figures descending.
    pub fn default_order(self) -> Order {
        if self == Self::Name { Order::Asc } else { Order::Desc }
    }
}

/// The validated query of the page and of `/api/groups`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupsQuery {
    pub by: GroupBy,
    /// Limits the largest consumers to a namespace; empty for all.
    pub namespace: String,
    pub sort: GroupSort,
    pub order: Order,
    /// Counted from 1.
    pub page: u32,
}

impl Default for GroupsQuery {
    fn default() -> Self {
        let (by, sort) = (GroupBy::default(), GroupSort::default());
        Self { by, namespace: String::new(), sort, order: sort.default_order(), page: 1 }
    }
}

impl GroupsQuery {
    /// Reads the query string of an address. Fails if a parameter is not valid.
    pub fn of_address(query: &str) -> Result<Self, BadParam> {
        let params = Params::parse(query)?;
        Self::parse(|field| params.get(field))
    }

    /// Reads the query through `get`, which returns a parameter's value. Empty means absent. Fails if a value
    /// is not valid.
    pub fn parse(get: impl Fn(&str) -> Option<String>) -> Result<Self, BadParam> {
        let value = |field: &str| get(field).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
        let one_of = |field: &str, codes: &[&str], expected: &str| match value(field) {
            None => Ok(None),
            Some(v) => index(codes, &v).map(Some).ok_or_else(|| BadParam::new(field, expected)),
        };
        let namespace = value("namespace").unwrap_or_default();
        if !namespace.is_empty() && !is_dns_label(&namespace) {
            return Err(BadParam::new("namespace", Expected::Namespace));
        }
        let by = one_of("by", &GroupBy::CODES, "node or namespace")?.unwrap_or_default();
        let sort = GroupSort::ALL[one_of("sort", &GroupSort::CODES, SORTS)?.unwrap_or_default()];
        let order = one_of("order", &Order::CODES, "asc or desc")?;
        let page = match value("page") {
            None => 1,
            Some(v) => v
                .parse()
                .ok()
                .filter(|page| *page > 0)
                .ok_or_else(|| BadParam::new("page", Expected::Number))?,
        };
        let order = order.map_or(sort.default_order(), |at| Order::ALL[at]);
        Ok(Self { by: GroupBy::ALL[by], namespace, sort, order, page })
    }

    /// Returns the page's address without default parts; the grouping is always in it.
    pub fn address(&self) -> String {
        let mut query = String::new();
        push(&mut query, "by", self.by.code());
        push(&mut query, "namespace", &self.namespace);
        if self.sort != GroupSort::Name {
            push(&mut query, "sort", self.sort.code());
        }
        if self.order != self.sort.default_order() {
            push(&mut query, "order", self.order.code());
        }
        if self.page > 1 {
            push(&mut query, "page", &self.page.to_string());
        }
        ["/groups", &query].concat()
    }
}

const SORTS: &str = "name, vms, cpu-allocated, memory-allocated, cpu, memory or disk";

/// A node, from its own object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    pub name: String,
    /// `status.allocatable` in nanocores and bytes; `None` if it is not a quantity.
    pub cpu: Option<u64>,
    pub memory: Option<u64>,
    /// Condition `Ready`; `None` if it is unknown because the kubelet does not report, or was never set.
    pub ready: Option<bool>,
    /// When `ready` last changed, if the node says.
    pub ready_since: Option<Millis>,
    /// Cordoned: `spec.unschedulable`.
    pub unschedulable: bool,
    /// KubeVirt's label `kubevirt.io/schedulable`, whatever its value: KubeVirt manages the node.
    pub takes_vms: bool,
    /// Whether that label is `true`: KubeVirt can place VMs on the node now.
    pub schedulable: bool,
    /// The first address of the type `InternalIP`. Only the core reads it.
    #[serde(skip)]
    pub address: Option<IpAddr>,
    pub pressure: NodePressure,
    /// `status.nodeInfo.kubeletVersion`, such as `v1.34.1`; empty if it is not known.
    pub kubelet_version: String,
    /// What its kubelet measures. The core adds it; `None` in the node's own object.
    pub used: Option<Box<NodeUse>>,
}

/// The conditions by which a kubelet reports that it runs short of something, and evicts pods. `None` if a condition is
/// unknown or was never set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodePressure {
    pub memory: Option<bool>,
    pub disk: Option<bool>,
    /// Process IDs.
    pub pids: Option<bool>,
}

/// What everything on a node uses, VMs or not, of what the node can allocate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeUse {
    pub cpu: Figure,
    /// The working set: memory that the kernel cannot take back at once.
    pub memory: Figure,
}

impl Node {
    /// Percent that is used of the node's CPU and memory, as far as that is known.
    pub fn percent_used(&self) -> [Option<u64>; 2] {
        let used = self.used.as_deref();
        [used.map(|used| &used.cpu), used.map(|used| &used.memory)]
            .map(|figure| Some(figure?.sample()?.percent()))
    }
}

/// What a node's VMs are allocated of it. Stopped and failed VMs are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    pub allocated: u64,
    /// VMs whose allocation cannot be read and is not in `allocated`.
    pub unreadable: u32,
    pub allocatable: Option<u64>,
}

impl Share {
    /// Whole percent, truncated; above 100 if the node is overcommitted. `None` if the allocatable amount is
    /// unknown or 0.
    pub fn percent(&self) -> Option<u64> {
        let allocatable = self.allocatable.filter(|amount| *amount > 0)?;
        Some(ratio(self.allocated, allocatable, 100))
    }
}

/// One row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Empty for VMs that are on no node.
    pub name: String,
    /// Over all VMs of the group, in any state.
    pub totals: Totals,
    /// VMs whose CPU cannot be read and is not in the total.
    pub cpu_unreadable: u32,
    /// What the group's VMs are allocated; for a node, compared with what it can allocate.
    pub cpu: Share,
    pub memory: Share,
    /// The node's own object; `None` if it cannot be read, or if the group is not a node.
    pub node: Option<Node>,
}

impl Group {
    /// Compares by the figure that is sorted by. Groups without it come last in either order, and so does the
    /// group without a name.
    pub fn order(&self, other: &Self, query: &GroupsQuery) -> Ordering {
        let figures = match (self.key(query), other.key(query)) {
            (Some(a), Some(b)) => query.order.apply(a.cmp(&b)),
            (a, b) => b.is_some().cmp(&a.is_some()),
        };
        let by_name = match query.sort {
            GroupSort::Name => query.order.apply(self.name.cmp(&other.name)),
            _ => self.name.cmp(&other.name),
        };
        self.name.is_empty().cmp(&other.name.is_empty()).then(figures).then(by_name)
    }

    fn key(&self, query: &GroupsQuery) -> Option<u64> {
        let totals = &self.totals;
        let share = |share: &Share| match query.by {
            GroupBy::Node => share.percent(),
            GroupBy::Namespace => Some(share.allocated),
        };
        match query.sort {
            GroupSort::Name => None,
            GroupSort::Vms => Some(totals.counts.total.into()),
            GroupSort::CpuAllocated => share(&self.cpu),
            GroupSort::MemoryAllocated => share(&self.memory),
            GroupSort::Cpu | GroupSort::Memory if query.by == GroupBy::Node => {
                self.node.as_ref()?.percent_used()[usize::from(query.sort == GroupSort::Memory)]
            }
            GroupSort::Cpu => totals.cpu_used.percent(),
            GroupSort::Memory => totals.memory_used.percent(),
            GroupSort::Disk => totals.disk_used.share(),
        }
    }
}

/// A VM with a large absolute usage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consumer {
    pub namespace: String,
    pub name: String,
    /// Nanocores, bytes, or thousandths of a byte per second.
    pub used: u64,
    /// The allocation or the capacity; `None` for traffic.
    pub of: Option<u64>,
    /// Whether a part of the figure is old.
    pub stale: bool,
    /// Whether some of its volumes or interfaces are unknown: it uses at least this much.
    pub partial: bool,
}

/// The largest consumers, largest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Top {
    pub cpu: Vec<Consumer>,
    pub memory: Vec<Consumer>,
    /// Without volumes on a shared file system, as in the totals.
    pub disk: Vec<Consumer>,
    /// VMs with a volume that is known but not counted.
    pub disk_left_out: u32,
}

/// The groups page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupsView {
    pub frame: Frame,
    /// The query that was answered; its `page` is limited to pages that exist.
    pub query: GroupsQuery,
    pub pages: u32,
    /// Nodes or namespaces on all pages. VMs that are on no node do not count as a group.
    pub matching: u32,
    pub groups: Vec<Group>,
    pub top: Top,
    pub namespaces: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<GroupsQuery, BadParam> {
        GroupsQuery::parse(|key| pairs.iter().find(|(k, _)| *k == key).map(|(_, v)| (*v).to_owned()))
    }

    #[test]
    fn a_query_is_read_back_from_its_address() {
        let query =
            parse(&[("by", "namespace"), ("sort", "Memory"), ("order", "asc"), ("page", "2")]).unwrap();
        assert_eq!(query.address(), "/groups?by=namespace&sort=memory&order=asc&page=2");
        assert_eq!(GroupsQuery::default().address(), "/groups?by=node");
        assert_eq!(parse(&[("by", ""), ("page", " ")]), Ok(GroupsQuery::default()));
        assert_eq!(parse(&[("sort", "vms")]).unwrap().order, Order::Desc);
    }

    #[test]
    fn an_invalid_value_names_its_parameter() {
        for (field, value) in [("by", "pod"), ("sort", "age"), ("order", "up"), ("page", "0")] {
            assert_eq!(parse(&[(field, value)]).unwrap_err().field, field, "{value}");
        }
        assert_eq!(parse(&[("namespace", &"x".repeat(254))]).unwrap_err().field, "namespace");
    }

    #[test]
    fn without_an_allocatable_amount_there_is_no_percentage() {
        let share = |allocated, allocatable| Share { allocated, unreadable: 0, allocatable }.percent();
        assert_eq!(share(3, Some(2)), Some(150));
        assert_eq!(share(0, Some(2)), Some(0));
        assert_eq!([share(3, Some(0)), share(3, None)], [None, None]);
    }
}
