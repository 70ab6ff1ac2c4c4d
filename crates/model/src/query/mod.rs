//! The query of the list in its URL:
//! `q, namespace, status, node, attention, sort, order, view, by, color, columns, page`. Pages and the API
//! parse it; `core::select` evaluates it.

mod display;
mod encode;
mod sort;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::{
    attention::Attention,
    bad_param::{BadParam, Expected},
    name::{is_dns_label, is_dns_subdomain},
    params::Params,
    vm::Status,
};
pub use display::{Column, Columns, GroupBy, Measure, ViewKind};
pub use encode::encode;
pub(super) use encode::push;
pub use sort::{Order, Sort};

/// Cards or rows on one page.
pub const PAGE_SIZE: u32 = 50;

/// The validated query of a list page.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Query {
    /// A part of a name, namespace, node, address or image, ignoring case.
    pub q: String,
    pub namespace: String,
    pub status: Option<Status>,
    pub node: String,
    /// Only VMs that need attention; `None` for all VMs.
    pub attention: Option<Attention>,
    pub sort: Sort,
    pub order: Order,
    /// How the VMs are shown; `None` if the address does not say.
    pub view: Option<ViewKind>,
    /// How they are shown then. It is not part of the address.
    pub default_view: ViewKind,
    pub by: GroupBy,
    pub color: Measure,
    /// `None` if the address does not name columns.
    pub columns: Option<Columns>,
    /// Counted from 1.
    pub page: u32,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            q: String::new(),
            namespace: String::new(),
            status: None,
            node: String::new(),
            attention: None,
            sort: Sort::Name,
            order: Order::Asc,
            view: None,
            default_view: ViewKind::Cards,
            by: GroupBy::Node,
            color: Measure::Cpu,
            columns: None,
            page: 1,
        }
    }
}

/// The longest text that can be searched for: Kubernetes names have at most 253 characters.
pub const MAX_TEXT: usize = 253;

impl Query {
    /// The names of all parameters.
    pub const FIELDS: [&'static str; 12] = [
        "q",
        "namespace",
        "status",
        "node",
        "attention",
        "sort",
        "order",
        "view",
        "by",
        "color",
        "columns",
        "page",
    ];

    /// Reads the query string of an address. Fails if a parameter is not valid.
    pub fn of_address(query: &str) -> Result<Self, BadParam> {
        let params = Params::parse(query)?;
        Self::read(&|field| params.get(field))
    }

    /// Reads the query through `get`, which returns a parameter's value. Empty means absent. Fails if a value
    /// is not valid.
    pub fn parse(get: impl Fn(&str) -> Option<String>) -> Result<Self, BadParam> {
        Self::read(&get)
    }

    /// Reads the query through a trait object, so that the browser has one copy of the code for addresses and
    /// forms.
    fn read(get: &dyn Fn(&str) -> Option<String>) -> Result<Self, BadParam> {
        let value = |field: &str| get(field).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
        let text = |field: &str| {
            let text = value(field).unwrap_or_default();
            if text.len() > MAX_TEXT { Err(BadParam::new(field, Expected::Text)) } else { Ok(text) }
        };
        let name = |field: &str, is_name: fn(&str) -> bool, expected| match value(field) {
            Some(name) if !is_name(&name) => Err(BadParam::new(field, expected)),
            name => Ok(name.unwrap_or_default()),
        };
        let one_of = |field: &str, codes: &[&str], expected: &str| match value(field) {
            None => Ok(None),
            Some(v) => index(codes, &v).map(Some).ok_or_else(|| BadParam::new(field, expected)),
        };
        let sort = Sort::ALL[one_of("sort", &Sort::CODES, SORTS)?.unwrap_or_default()];
        let order = one_of("order", &Order::CODES, "asc or desc")?;
        let view = one_of("view", &ViewKind::CODES, "cards, table or map")?;
        let by = one_of("by", &GroupBy::CODES, "node or namespace")?;
        let color = one_of("color", &Measure::CODES, "cpu, memory or disk")?;
        let columns = match value("columns") {
            None => None,
            Some(v) => Some(
                Columns::parse(&v)
                    .ok_or_else(|| BadParam::new("columns", Expected::SomeOf(COLUMNS.to_owned())))?,
            ),
        };
        let attention = match value("attention") {
            Some(v) if v != "0" => {
                Some(Attention::parse(&v).ok_or_else(|| BadParam::new("attention", Attention::EXPECTED))?)
            }
            _ => None,
        };
        let page = match value("page") {
            None => 1,
            Some(v) => v
                .parse()
                .ok()
                .filter(|page| *page > 0)
                .ok_or_else(|| BadParam::new("page", Expected::Number))?,
        };
        Ok(Self {
            q: text("q")?,
            namespace: name("namespace", is_dns_label, Expected::Namespace)?,
            status: one_of("status", &STATUS_CODES, STATUSES)?.map(|at| Status::ALL[at]),
            node: name("node", is_dns_subdomain, Expected::Name)?,
            attention,
            sort,
            order: order.map_or(sort.default_order(), |at| Order::ALL[at]),
            view: view.map(|at| ViewKind::ALL[at]),
            default_view: ViewKind::Cards,
            by: GroupBy::ALL[by.unwrap_or_default()],
            color: Measure::ALL[color.unwrap_or_default()],
            columns,
            page,
        })
    }

    /// Returns the value of a parameter; empty if it is the default.
    pub fn value(&self, field: &str) -> String {
        let code = match field {
            "q" => &self.q,
            "namespace" => &self.namespace,
            "status" => self.status.map_or("", Status::name),
            "node" => &self.node,
            "attention" => return self.attention.as_ref().map(Attention::code).unwrap_or_default(),
            "sort" if self.sort != Sort::Name => self.sort.code(),
            "order" if self.order != self.sort.default_order() => self.order.code(),
            "view" => self.view.map_or("", ViewKind::code),
            "by" if self.by != GroupBy::Node => self.by.code(),
            "color" if self.color != Measure::Cpu => self.color.code(),
            "columns" => return self.columns.map(Columns::code).unwrap_or_default(),
            "page" if self.page > 1 => return self.page.to_string(),
            _ => "",
        };
        code.to_owned()
    }

    /// Returns the query string without default parts.
    pub fn to_query_string(&self) -> String {
        let mut out = String::new();
        for field in Self::FIELDS {
            push(&mut out, field, &self.value(field));
        }
        out
    }

    /// Returns the address of the list with this query.
    pub fn address(&self) -> String {
        ["/", &self.to_query_string()].concat()
    }

    /// Returns how the VMs are shown.
    pub fn view(&self) -> ViewKind {
        self.view.unwrap_or(self.default_view)
    }

    /// Whether a filter is set.
    pub fn is_filtered(&self) -> bool {
        !self.q.is_empty()
            || !self.namespace.is_empty()
            || self.status.is_some()
            || !self.node.is_empty()
            || self.attention.is_some()
    }

    /// Whether it selects every VM, in the order of a snapshot.
    pub fn selects_all_by_name(&self) -> bool {
        !self.is_filtered() && (self.sort, self.order) == (Sort::Name, Order::Asc)
    }

    /// Returns a query with only the filters of this one.
    pub fn filters(&self) -> Self {
        Self {
            q: self.q.clone(),
            namespace: self.namespace.clone(),
            status: self.status,
            node: self.node.clone(),
            attention: self.attention.clone(),
            ..Self::default()
        }
    }

    /// Returns the query without filters, with the same view and order.
    pub fn unfiltered(&self) -> Self {
        Self {
            sort: self.sort,
            order: self.order,
            view: self.view,
            default_view: self.default_view,
            by: self.by,
            color: self.color,
            columns: self.columns,
            ..Self::default()
        }
    }
}

const STATUS_CODES: [&str; 6] = ["Running", "Creating", "Pending", "Error", "Stopped", "Unknown"];
const STATUSES: &str = "Running, Creating, Pending, Error, Stopped or Unknown";
const SORTS: &str = "name, namespace, node, status, cpu, memory, disk, cpu-used, memory-used, disk-used, fullest-disk, guest-memory, \
    network, storage, operations, latency, contention or age";
const COLUMNS: &str = "name, namespace, status, node, ip, cpu, memory, guest-memory, disk, network, storage, operations, \
    latency, contention and age";

pub(super) fn index(codes: &[&str], text: &str) -> Option<usize> {
    codes.iter().position(|code| code.eq_ignore_ascii_case(text))
}
