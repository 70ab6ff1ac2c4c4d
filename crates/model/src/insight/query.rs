//! The query of the list of findings in its URL.

use serde::{Deserialize, Serialize};

use super::{FindingKind, Resource};
use crate::{
    bad_param::{BadParam, Expected},
    name::{is_dns_label, is_dns_subdomain},
    params::Params,
    query::{Order, push},
};

/// What the list of findings is sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum InsightSort {
    /// By kind, the most urgent of each first.
    #[default]
    Urgency,
    Name,
    /// Usage in percent of the allocation.
    Usage,
    /// Memory before CPU, because their amounts cannot be compared.
    Reclaimable,
    /// Days until a disk is full; other findings come last.
    Days,
}

impl InsightSort {
    pub const ALL: [Self; 5] = [Self::Urgency, Self::Name, Self::Usage, Self::Reclaimable, Self::Days];

    pub fn code(self) -> &'static str {
        match self {
            Self::Urgency => "urgency",
            Self::Name => "name",
            Self::Usage => "usage",
            Self::Reclaimable => "reclaimable",
            Self::Days => "days",
        }
    }

    pub fn default_order(self) -> Order {
        match self {
            Self::Urgency | Self::Name | Self::Days => Order::Asc,
            Self::Usage | Self::Reclaimable => Order::Desc,
        }
    }
}

/// The query of the list in its URL: `kind, resource, namespace, node, sort, order, page`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InsightQuery {
    pub kind: Option<FindingKind>,
    pub resource: Option<Resource>,
    pub namespace: String,
    /// Findings about VMs that are on this node, or migrate to it; empty for all.
    pub node: String,
    pub sort: InsightSort,
    pub order: Order,
    /// Counted from 1.
    pub page: u32,
}

impl Default for InsightQuery {
    fn default() -> Self {
        let sort = InsightSort::default();
        Self {
            kind: None,
            resource: None,
            namespace: String::new(),
            node: String::new(),
            sort,
            order: sort.default_order(),
            page: 1,
        }
    }
}

const KINDS: &str = "filling-up, undersized or oversized";
const RESOURCES: &str = "cpu, memory or disk";
const SORTS: &str = "urgency, name, usage, reclaimable or days";

impl InsightQuery {
    /// Reads the query string of an address. Fails if a parameter is not valid.
    pub fn of_address(query: &str) -> Result<Self, BadParam> {
        let params = Params::parse(query)?;
        Self::parse(|field| params.get(field))
    }

    /// Reads the query through `get`, which returns a parameter's value. Empty means absent. Fails if a value
    /// is not valid.
    pub fn parse(get: impl Fn(&str) -> Option<String>) -> Result<Self, BadParam> {
        let value = |field: &str| get(field).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
        let sort = pick(value("sort"), "sort", &InsightSort::ALL, InsightSort::code, SORTS)?;
        let sort = sort.unwrap_or_default();
        let order = pick(value("order"), "order", &[Order::Asc, Order::Desc], Order::code, "asc or desc")?;
        let namespace = value("namespace").unwrap_or_default();
        if !namespace.is_empty() && !is_dns_label(&namespace) {
            return Err(BadParam::new("namespace", Expected::Namespace));
        }
        let node = value("node").unwrap_or_default();
        if !node.is_empty() && !is_dns_subdomain(&node) {
            return Err(BadParam::new("node", Expected::Name));
        }
        let page = value("page").map_or(Some(1), |page| page.parse().ok().filter(|page| *page > 0));
        Ok(Self {
            kind: pick(value("kind"), "kind", &FindingKind::ALL, FindingKind::code, KINDS)?,
            resource: pick(value("resource"), "resource", &Resource::ALL, Resource::code, RESOURCES)?,
            namespace,
            node,
            sort,
            order: order.unwrap_or(sort.default_order()),
            page: page.ok_or_else(|| BadParam::new("page", Expected::Number))?,
        })
    }

    /// Returns the query string of the same list, without default parts.
    pub fn to_query_string(&self) -> String {
        let mut out = String::new();
        push(&mut out, "kind", self.kind.map_or("", FindingKind::code));
        push(&mut out, "resource", self.resource.map_or("", Resource::code));
        push(&mut out, "namespace", &self.namespace);
        push(&mut out, "node", &self.node);
        if self.sort != InsightSort::default() {
            push(&mut out, "sort", self.sort.code());
        }
        if self.order != self.sort.default_order() {
            push(&mut out, "order", self.order.code());
        }
        if self.page > 1 {
            push(&mut out, "page", &self.page.to_string());
        }
        out
    }
}

fn pick<T: Copy>(
    text: Option<String>,
    field: &str,
    all: &[T],
    code: impl Fn(T) -> &'static str,
    expected: &str,
) -> Result<Option<T>, BadParam> {
    let find = |text: String| {
        let found = all.iter().copied().find(|item| code(*item).eq_ignore_ascii_case(&text));
        found.ok_or_else(|| BadParam::new(field, expected))
    };
    text.map(find).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<InsightQuery, BadParam> {
        InsightQuery::parse(|key| pairs.iter().find(|(k, _)| *k == key).map(|(_, v)| (*v).to_owned()))
    }

    #[test]
    fn a_query_is_read_back_from_its_url() {
        assert_eq!(parse(&[]), Ok(InsightQuery::default()));
        assert_eq!(InsightQuery::default().to_query_string(), "");
        let query = parse(&[
            ("kind", "Oversized"),
            ("resource", "memory"),
            ("namespace", "a-b"),
            ("node", "n1.rack"),
            ("sort", "reclaimable"),
            ("order", "asc"),
            ("page", "2"),
        ]);
        assert_eq!(
            query.unwrap().to_query_string(),
            "?kind=oversized&resource=memory&namespace=a-b&node=n1.rack&sort=reclaimable&order=asc&page=2"
        );
    }

    #[test]
    fn an_invalid_value_names_its_parameter() {
        for (field, value) in [
            ("kind", "x"),
            ("resource", "gpu"),
            ("sort", "age"),
            ("order", "up"),
            ("page", "0"),
            ("page", "x"),
            ("node", "N1"),
        ] {
            assert_eq!(parse(&[(field, value)]).unwrap_err().field, field, "{value}");
        }
        assert_eq!(parse(&[("namespace", &"x".repeat(254))]).unwrap_err().field, "namespace");
    }
}
