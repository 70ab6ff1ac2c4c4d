//! VMs by node or by namespace: what a group was given, what it uses, and how far it overcommits its node.

use core::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::{
    bad_param::{BadParam, Expected},
    figure::ratio,
    name::is_dns_label,
    params::Params,
    query::{GroupBy, Order, index, push},
    totals::Totals,
    view::Frame,
};

/// Groups on one page.
pub const PAGE_SIZE: u32 = 100;
/// The largest consumers of each figure that are told.
pub const TOP: usize = 5;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum GroupSort {
    #[default]
    Name,
    Vms,
    /// What was given of what the node can allocate; of a namespace what was given.
    CpuGiven,
    MemoryGiven,
    /// Percent used, of the measured VMs.
    Cpu,
    Memory,
    Disk,
}

impl GroupSort {
    pub const ALL: [Self; 7] =
        [Self::Name, Self::Vms, Self::CpuGiven, Self::MemoryGiven, Self::Cpu, Self::Memory, Self::Disk];

    const CODES: [&str; 7] = ["name", "vms", "cpu-given", "memory-given", "cpu", "memory", "disk"];

    pub fn code(self) -> &'static str {
        Self::CODES[self as usize]
    }

    /// The order that people mean when they say none: names up, figures down.
    pub fn default_order(self) -> Order {
        if self == Self::Name { Order::Asc } else { Order::Desc }
    }
}

/// Validated query of the page and of `/api/groups`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupsQuery {
    pub by: GroupBy,
    /// Narrows the largest consumers; all where it is empty.
    pub namespace: String,
    pub sort: GroupSort,
    pub order: Order,
    /// From 1.
    pub page: u32,
}

impl Default for GroupsQuery {
    fn default() -> Self {
        let (by, sort) = (GroupBy::default(), GroupSort::default());
        Self { by, namespace: String::new(), sort, order: sort.default_order(), page: 1 }
    }
}

impl GroupsQuery {
    /// Reads the query string of an address.
    pub fn of_address(query: &str) -> Result<Self, BadParam> {
        let params = Params::parse(query)?;
        Self::parse(|field| params.get(field))
    }

    /// Reads the query through `get`, which answers a parameter's value. Empty means absent.
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

    /// The page's address, without the parts that are defaults; the grouping always stands in it.
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

const SORTS: &str = "name, vms, cpu-given, memory-given, cpu, memory or disk";

/// A node as its own object tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    pub name: String,
    /// `status.allocatable`: nanocores and bytes; none where it is no quantity.
    pub cpu: Option<u64>,
    pub memory: Option<u64>,
    /// Condition `Ready`; none where the node's kubelet has lost touch, or never said.
    pub ready: Option<bool>,
    /// Cordoned: `spec.unschedulable`.
    pub unschedulable: bool,
    /// KubeVirt's label `kubevirt.io/schedulable`: VMs may be placed here.
    pub takes_vms: bool,
}

/// What a node's VMs were given of it. Counted are those that hold it: not the stopped, not the failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    pub given: u64,
    /// VMs whose allocation cannot be read, and that `given` lacks.
    pub unreadable: u32,
    pub allocatable: Option<u64>,
}

impl Share {
    /// Whole percent, truncated; above 100 where the node is overcommitted. None where there is nothing to divide by.
    pub fn percent(&self) -> Option<u64> {
        let allocatable = self.allocatable.filter(|amount| *amount > 0)?;
        Some(ratio(self.given, allocatable, 100))
    }
}

/// One row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Empty for VMs that are on no node.
    pub name: String,
    /// Over all its VMs, in whatever state.
    pub totals: Totals,
    /// VMs whose CPU cannot be read, and that the total therefore lacks.
    pub cpu_unreadable: u32,
    /// What its VMs hold; of the node, where the group is one.
    pub cpu: Share,
    pub memory: Share,
    /// The node's own object; none where it cannot be read, or the group is no node.
    pub node: Option<Node>,
}

impl Group {
    /// By the sort's figure; groups without it come last in either order, as does the group that has no name.
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
            GroupBy::Namespace => Some(share.given),
        };
        match query.sort {
            GroupSort::Name => None,
            GroupSort::Vms => Some(totals.counts.total.into()),
            GroupSort::CpuGiven => share(&self.cpu),
            GroupSort::MemoryGiven => share(&self.memory),
            GroupSort::Cpu => totals.cpu_used.percent(),
            GroupSort::Memory => totals.memory_used.percent(),
            GroupSort::Disk => totals.disk_used.share(),
        }
    }
}

/// A VM that uses much of something, in absolute terms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consumer {
    pub namespace: String,
    pub name: String,
    /// Nanocores or bytes.
    pub used: u64,
    pub of: u64,
    /// A part of it is an old figure.
    pub stale: bool,
    /// Some of its volumes are not known: it uses this much at least.
    pub partial: bool,
}

/// The largest consumers, largest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Top {
    pub cpu: Vec<Consumer>,
    pub memory: Vec<Consumer>,
    /// Volumes that are no shared file system, as in the totals.
    pub disk: Vec<Consumer>,
    /// VMs of which a volume that is known is not counted.
    pub disk_left_out: u32,
}

/// The page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupsView {
    pub frame: Frame,
    /// The query that was answered; its `page` is held to those that exist.
    pub query: GroupsQuery,
    pub pages: u32,
    /// Nodes or namespaces on all pages: VMs that are on no node make none.
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
    fn a_query_survives_its_own_address() {
        let query =
            parse(&[("by", "namespace"), ("sort", "Memory"), ("order", "asc"), ("page", "2")]).unwrap();
        assert_eq!(query.address(), "/groups?by=namespace&sort=memory&order=asc&page=2");
        assert_eq!(GroupsQuery::default().address(), "/groups?by=node");
        assert_eq!(parse(&[("by", ""), ("page", " ")]), Ok(GroupsQuery::default()));
        assert_eq!(parse(&[("sort", "vms")]).unwrap().order, Order::Desc);
    }

    #[test]
    fn what_cannot_be_understood_names_its_field() {
        for (field, value) in [("by", "pod"), ("sort", "age"), ("order", "up"), ("page", "0")] {
            assert_eq!(parse(&[(field, value)]).unwrap_err().field, field, "{value}");
        }
        assert_eq!(parse(&[("namespace", &"x".repeat(254))]).unwrap_err().field, "namespace");
    }

    #[test]
    fn nothing_allocatable_is_no_overcommitment() {
        let share = |given, allocatable| Share { given, unreadable: 0, allocatable }.percent();
        assert_eq!(share(3, Some(2)), Some(150));
        assert_eq!(share(0, Some(2)), Some(0));
        assert_eq!([share(3, Some(0)), share(3, None)], [None, None]);
    }
}
