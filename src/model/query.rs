//! The list's view in its URL: `q, namespace, status, node, sort, order, page`.

use core::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::vm::Status;

/// Cards on one page.
pub const PAGE_SIZE: u32 = 50;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sort {
    #[default]
    Name,
    Cpu,
    Memory,
    Disk,
}

impl Sort {
    pub const ALL: [Self; 4] = [Self::Name, Self::Cpu, Self::Memory, Self::Disk];

    pub fn code(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Disk => "disk",
        }
    }

    /// The order that people mean when they say none: names up, figures down.
    pub fn default_order(self) -> Order {
        if self == Self::Name { Order::Asc } else { Order::Desc }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    Asc,
    Desc,
}

impl Order {
    pub fn code(self) -> &'static str {
        match self {
            Self::Asc => "asc",
            Self::Desc => "desc",
        }
    }

    pub fn apply(self, ordering: Ordering) -> Ordering {
        match self {
            Self::Asc => ordering,
            Self::Desc => ordering.reverse(),
        }
    }
}

/// Validated query of a list page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    pub q: String,
    pub namespace: String,
    pub status: Option<Status>,
    pub node: String,
    pub sort: Sort,
    pub order: Order,
    /// From 1.
    pub page: u32,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            q: String::new(),
            namespace: String::new(),
            status: None,
            node: String::new(),
            sort: Sort::Name,
            order: Order::Asc,
            page: 1,
        }
    }
}

/// A query parameter that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadParam {
    pub field: String,
    pub expected: String,
}

impl core::fmt::Display for BadParam {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.field)?;
        f.write_str(": expected ")?;
        f.write_str(&self.expected)
    }
}

/// Longest text that a filter takes: Kubernetes names have at most 253 characters.
const MAX_TEXT: usize = 253;

impl Query {
    /// Reads the query through `get`, which answers a parameter's value. Empty means absent.
    pub fn parse(get: impl Fn(&str) -> Option<String>) -> Result<Self, BadParam> {
        let value = |field: &str| get(field).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
        let text = |field: &str| {
            let text = value(field).unwrap_or_default();
            if text.len() > MAX_TEXT { Err(bad(field, "at most 253 characters")) } else { Ok(text) }
        };
        let sort = match value("sort") {
            None => Sort::Name,
            Some(v) => {
                pick(&Sort::ALL, Sort::code, &v).ok_or_else(|| bad("sort", "name, cpu, memory or disk"))?
            }
        };
        let order = match value("order") {
            None => sort.default_order(),
            Some(v) => pick(&[Order::Asc, Order::Desc], Order::code, &v)
                .ok_or_else(|| bad("order", "asc or desc"))?,
        };
        let status = value("status")
            .map(|v| pick(&Status::ALL, Status::name, &v).ok_or_else(|| bad("status", STATUSES)))
            .transpose()?;
        let page = match value("page") {
            None => 1,
            Some(v) => {
                v.parse().ok().filter(|page| *page > 0).ok_or_else(|| bad("page", "a whole number from 1"))?
            }
        };
        Ok(Self {
            q: text("q")?,
            namespace: text("namespace")?,
            status,
            node: text("node")?,
            sort,
            order,
            page,
        })
    }

    /// The query string of the same view on another page, without the parts that are defaults.
    pub fn to_query_string(&self) -> String {
        let mut out = String::new();
        push(&mut out, "q", &self.q);
        push(&mut out, "namespace", &self.namespace);
        push(&mut out, "status", self.status.map_or("", Status::name));
        push(&mut out, "node", &self.node);
        if self.sort != Sort::Name {
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

    /// Whether anything narrows the list.
    pub fn is_filtered(&self) -> bool {
        !self.q.is_empty() || !self.namespace.is_empty() || self.status.is_some() || !self.node.is_empty()
    }
}

const STATUSES: &str = "Running, Creating, Pending, Error, Stopped or Unknown";

fn bad(field: &str, expected: &str) -> BadParam {
    BadParam { field: field.to_owned(), expected: expected.to_owned() }
}

fn pick<T: Copy>(all: &[T], code: impl Fn(T) -> &'static str, text: &str) -> Option<T> {
    all.iter().copied().find(|item| code(*item).eq_ignore_ascii_case(text))
}

fn push(out: &mut String, key: &str, value: &str) {
    if value.is_empty() {
        return;
    }
    out.push(if out.is_empty() { '?' } else { '&' });
    out.push_str(key);
    out.push('=');
    encode(out, value);
}

/// Percent-encodes everything but RFC 3986's unreserved characters.
pub fn encode(out: &mut String, value: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<Query, BadParam> {
        Query::parse(|key| pairs.iter().find(|(k, _)| *k == key).map(|(_, v)| (*v).to_owned()))
    }

    #[test]
    fn empty_parameters_are_absent_ones() {
        assert_eq!(parse(&[("q", " "), ("status", ""), ("page", "")]), Ok(Query::default()));
    }

    #[test]
    fn what_cannot_be_understood_names_its_field() {
        for (field, value) in [
            ("page", "0"),
            ("page", "-1"),
            ("page", "x"),
            ("sort", "age"),
            ("order", "up"),
            ("status", "Gone"),
        ] {
            assert_eq!(parse(&[(field, value)]).unwrap_err().field, field, "{value}");
        }
        assert_eq!(parse(&[("q", &"x".repeat(254))]).unwrap_err().field, "q");
    }

    #[test]
    fn a_query_survives_its_own_url() {
        let query = parse(&[
            ("q", "a&b=ü +"),
            ("status", "running"),
            ("sort", "cpu"),
            ("order", "asc"),
            ("page", "3"),
        ])
        .unwrap();
        assert_eq!(
            query.to_query_string(),
            "?q=a%26b%3D%C3%BC%20%2B&status=Running&sort=cpu&order=asc&page=3"
        );
        assert_eq!(Query::default().to_query_string(), "");
    }

    #[test]
    fn figures_sort_downwards_unless_said() {
        assert_eq!(parse(&[("sort", "disk")]).unwrap().order, Order::Desc);
        assert_eq!(parse(&[]).unwrap().order, Order::Asc);
    }
}
