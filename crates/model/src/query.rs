//! The query of the list in its URL:
//! `q, namespace, status, node, attention, sort, order, view, by, color, columns, page`. Pages and the API
//! parse it; `core::select` evaluates it.

use core::cmp::Ordering;

use serde::{Deserialize, Serialize};
use strum::{EnumCount, VariantArray, VariantNames};

use super::{
    bad_param::{BadParam, Expected},
    name::{is_dns_label, is_dns_subdomain},
    params::Params,
    vm::Status,
};

/// Cards or rows on one page.
pub const PAGE_SIZE: u32 = 50;

/// What the list is sorted by. Figures sort by percent of the allocation, `…Used` by the amount itself.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    EnumCount,
    VariantArray,
    VariantNames,
)]
#[strum(serialize_all = "kebab-case")]
pub enum Sort {
    #[default]
    Name,
    Namespace,
    Node,
    /// What needs attention first.
    Status,
    Cpu,
    Memory,
    Disk,
    CpuUsed,
    MemoryUsed,
    DiskUsed,
    /// The age of a VM's oldest figure.
    Age,
}

impl Sort {
    pub const ALL: [Self; Self::COUNT] = *<Self as VariantArray>::VARIANTS.first_chunk().unwrap();
    const CODES: &[&str] = <Self as VariantNames>::VARIANTS;

    pub fn code(self) -> &'static str {
        Self::CODES[self as usize]
    }

    /// Whether it sorts by numbers rather than words.
    pub fn is_figure(self) -> bool {
        self as usize >= Self::Cpu as usize
    }

    /// The order when the address names none: words ascending, figures descending.
    pub fn default_order(self) -> Order {
        if self.is_figure() { Order::Desc } else { Order::Asc }
    }
}

/// The direction of a sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Order {
    Asc,
    Desc,
}

impl Order {
    pub(super) const ALL: [Self; 2] = [Self::Asc, Self::Desc];
    pub(super) const CODES: [&str; 2] = ["asc", "desc"];

    pub fn code(self) -> &'static str {
        Self::CODES[self as usize]
    }

    pub fn other(self) -> Self {
        if self == Self::Asc { Self::Desc } else { Self::Asc }
    }

    /// Reverses the ordering if the direction is descending.
    pub fn apply(self, ordering: Ordering) -> Ordering {
        match self {
            Self::Asc => ordering,
            Self::Desc => ordering.reverse(),
        }
    }
}

/// How the VMs are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ViewKind {
    #[default]
    Cards,
    Table,
    Map,
}

impl ViewKind {
    pub const ALL: [Self; 3] = [Self::Cards, Self::Table, Self::Map];
    const CODES: [&str; 3] = ["cards", "table", "map"];

    pub fn code(self) -> &'static str {
        Self::CODES[self as usize]
    }

    /// Returns the view of an address with this query string; cards if the address is not valid.
    pub fn of_address(search: &str) -> Self {
        let code = Params::parse(search).ok().and_then(|params| params.get("view"));
        code.and_then(|code| index(&Self::CODES, &code)).map(|at| Self::ALL[at]).unwrap_or_default()
    }
}

/// What the map's cells are grouped by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum GroupBy {
    #[default]
    Node,
    Namespace,
}

impl GroupBy {
    pub const ALL: [Self; 2] = [Self::Node, Self::Namespace];
    pub(super) const CODES: [&str; 2] = ["node", "namespace"];

    pub fn code(self) -> &'static str {
        Self::CODES[self as usize]
    }
}

/// One of the three figures, by which the map's cells are coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Measure {
    #[default]
    Cpu,
    Memory,
    Disk,
}

impl Measure {
    pub const ALL: [Self; 3] = [Self::Cpu, Self::Memory, Self::Disk];
    const CODES: [&str; 3] = ["cpu", "memory", "disk"];

    pub fn code(self) -> &'static str {
        Self::CODES[self as usize]
    }
}

/// A column of the table, apart from the name, which is always shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    Namespace,
    Status,
    Node,
    Ip,
    Cpu,
    Memory,
    Disk,
    Age,
}

impl Column {
    pub const ALL: [Self; 8] =
        [Self::Namespace, Self::Status, Self::Node, Self::Ip, Self::Cpu, Self::Memory, Self::Disk, Self::Age];
    const CODES: [&str; 8] = ["namespace", "status", "node", "ip", "cpu", "memory", "disk", "age"];

    pub fn code(self) -> &'static str {
        Self::CODES[self as usize]
    }
}

/// The table's columns that are shown, one bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Columns(u8);

impl Columns {
    pub const ALL: Self = Self(u8::MAX);

    pub fn has(self, column: Column) -> bool {
        self.0 & 1 << column as u8 != 0
    }

    /// Returns the columns with this one added, or removed if it was shown.
    pub fn toggled(self, column: Column) -> Self {
        Self(self.0 ^ 1 << column as u8)
    }

    /// Returns the codes, separated by commas, in the table's order; `name` if no other column is shown.
    pub fn code(self) -> String {
        let codes: Vec<&str> =
            Column::ALL.into_iter().filter(|column| self.has(*column)).map(Column::code).collect();
        if codes.is_empty() { NAME_ALONE.to_owned() } else { codes.join(",") }
    }

    /// Parses what [`Self::code`] writes, in any order. `None` if a code is not known.
    pub fn parse(text: &str) -> Option<Self> {
        let mut columns = Self(0);
        for code in text.split(',').filter(|code| *code != NAME_ALONE) {
            columns.0 |= 1 << index(&Column::CODES, code)?;
        }
        Some(columns)
    }
}

const NAME_ALONE: &str = "name";

/// The validated query of a list page.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Query {
    /// A part of a name, namespace, node, address or image, ignoring case.
    pub q: String,
    pub namespace: String,
    pub status: Option<Status>,
    pub node: String,
    /// Only VMs that need attention.
    pub attention: bool,
    pub sort: Sort,
    pub order: Order,
    pub view: ViewKind,
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
            attention: false,
            sort: Sort::Name,
            order: Order::Asc,
            view: ViewKind::Cards,
            by: GroupBy::Node,
            color: Measure::Cpu,
            columns: None,
            page: 1,
        }
    }
}

/// The longest text that can be searched for: Kubernetes names have at most 253 characters.
const MAX_TEXT: usize = 253;

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
        let sort = Sort::ALL[one_of("sort", Sort::CODES, SORTS)?.unwrap_or_default()];
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
            attention: one_of("attention", &["0", "1"], "0 or 1")? == Some(1),
            sort,
            order: order.map_or(sort.default_order(), |at| Order::ALL[at]),
            view: ViewKind::ALL[view.unwrap_or_default()],
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
            "attention" if self.attention => "1",
            "sort" if self.sort != Sort::Name => self.sort.code(),
            "order" if self.order != self.sort.default_order() => self.order.code(),
            "view" if self.view != ViewKind::Cards => self.view.code(),
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

    /// Whether a filter is set.
    pub fn is_filtered(&self) -> bool {
        !self.q.is_empty()
            || !self.namespace.is_empty()
            || self.status.is_some()
            || !self.node.is_empty()
            || self.attention
    }

    /// Returns a query with only the filters of this one.
    pub fn filters(&self) -> Self {
        Self {
            q: self.q.clone(),
            namespace: self.namespace.clone(),
            status: self.status,
            node: self.node.clone(),
            attention: self.attention,
            ..Self::default()
        }
    }

    /// Returns the query without filters, with the same view and order.
    pub fn unfiltered(&self) -> Self {
        Self {
            sort: self.sort,
            order: self.order,
            view: self.view,
            by: self.by,
            color: self.color,
            columns: self.columns,
            ..Self::default()
        }
    }
}

const STATUS_CODES: [&str; 6] = ["Running", "Creating", "Pending", "Error", "Stopped", "Unknown"];
const STATUSES: &str = "Running, Creating, Pending, Error, Stopped or Unknown";
const SORTS: &str =
    "name, namespace, node, status, cpu, memory, disk, cpu-used, memory-used, disk-used or age";
const COLUMNS: &str = "name, namespace, status, node, ip, cpu, memory, disk and age";

pub(super) fn index(codes: &[&str], text: &str) -> Option<usize> {
    codes.iter().position(|code| code.eq_ignore_ascii_case(text))
}

pub(super) fn push(out: &mut String, key: &str, value: &str) {
    if value.is_empty() {
        return;
    }
    out.push(if out.is_empty() { '?' } else { '&' });
    out.push_str(key);
    out.push('=');
    encode(out, value);
}

/// Percent-encodes everything but RFC 3986's unreserved characters and the comma, which any part of an
/// address may contain.
pub fn encode(out: &mut String, value: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~,".contains(&byte) {
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
        for field in Query::FIELDS {
            assert_eq!(parse(&[(field, " ")]), Ok(Query::default()), "{field}");
        }
    }

    #[test]
    fn what_cannot_be_understood_names_its_field() {
        for (field, value) in [
            ("page", "0"),
            ("page", "-1"),
            ("page", "x"),
            ("sort", "size"),
            ("order", "up"),
            ("status", "Gone"),
            ("attention", "yes"),
            ("view", "list"),
            ("by", "cpu"),
            ("color", "red"),
            ("columns", "cpu,color"),
            ("columns", "cpu,"),
        ] {
            assert_eq!(parse(&[(field, value)]).unwrap_err().field, field, "{value}");
        }
        assert_eq!(parse(&[("q", &"x".repeat(254))]).unwrap_err().field, "q");
        assert_eq!(parse(&[("namespace", "a.b")]).unwrap_err().field, "namespace");
        assert_eq!(parse(&[("node", "a b")]).unwrap_err().field, "node");
    }

    #[test]
    fn a_query_survives_its_own_url() {
        let pairs = [
            ("q", "a&b=ü +"),
            ("namespace", "shop"),
            ("status", "Running"),
            ("node", "n1"),
            ("attention", "1"),
            ("sort", "cpu-used"),
            ("order", "asc"),
            ("view", "table"),
            ("by", "namespace"),
            ("color", "disk"),
            ("columns", "status,cpu"),
            ("page", "3"),
        ];
        let query = parse(&pairs).unwrap();
        assert_eq!(
            query.to_query_string(),
            "?q=a%26b%3D%C3%BC%20%2B&namespace=shop&status=Running&node=n1&attention=1&sort=cpu-used&order=asc\
             &view=table&by=namespace&color=disk&columns=status,cpu&page=3"
        );
        assert_eq!(pairs.map(|(field, _)| field), Query::FIELDS);
        for (field, value) in pairs {
            assert_eq!(query.value(field), value);
        }
        assert_eq!(parse(&Query::FIELDS.map(|field| (field, &*query.value(field).leak()))), Ok(query));
        assert_eq!(Query::default().to_query_string(), "");
    }

    #[test]
    fn each_word_is_read_back_as_what_wrote_it() {
        for sort in Sort::ALL {
            assert_eq!(parse(&[("sort", sort.code())]).unwrap().sort, sort);
        }
        for status in Status::ALL {
            assert_eq!(parse(&[("status", status.name())]).unwrap().status, Some(status));
        }
        for view in ViewKind::ALL {
            assert_eq!(parse(&[("view", view.code())]).unwrap().view, view);
        }
        for by in GroupBy::ALL {
            assert_eq!(parse(&[("by", by.code())]).unwrap().by, by);
        }
        for color in Measure::ALL {
            assert_eq!(parse(&[("color", color.code())]).unwrap().color, color);
        }
        for column in Column::ALL {
            let columns = Columns::parse(column.code()).unwrap();
            assert_eq!(Column::ALL.map(|it| columns.has(it)), Column::ALL.map(|it| it == column));
        }
    }

    #[test]
    fn the_view_of_an_address_is_that_of_its_query() {
        for (address, want) in [
            ("?view=table", ViewKind::Table),
            ("view=%74able", ViewKind::Table),
            ("view=TABLE&q=a", ViewKind::Table),
            ("q=view=map&view=+map", ViewKind::Map),
            ("", ViewKind::Cards),
            ("view=list", ViewKind::Cards),
            ("view=map&view=map", ViewKind::Cards),
            ("view=map&q=%00", ViewKind::Cards),
        ] {
            assert_eq!(ViewKind::of_address(address), want, "{address}");
            assert_eq!(
                Query::of_address(address).map_or(ViewKind::Cards, |query| query.view),
                want,
                "{address}"
            );
        }
    }

    #[test]
    fn figures_sort_downwards_unless_said() {
        assert_eq!(parse(&[("sort", "disk")]).unwrap().order, Order::Desc);
        assert_eq!(parse(&[("sort", "age")]).unwrap().order, Order::Desc);
        assert_eq!(parse(&[("sort", "node")]).unwrap().order, Order::Asc);
        assert_eq!(parse(&[]).unwrap().order, Order::Asc);
    }

    #[test]
    fn columns_are_written_in_the_tables_order_and_may_be_none() {
        let columns = Columns::parse("AGE,namespace").unwrap();
        assert_eq!(columns.code(), "namespace,age");
        let none = columns.toggled(Column::Age).toggled(Column::Namespace);
        assert_eq!(none.code(), "name");
        assert_eq!(Columns::parse("name"), Some(none));
        assert_eq!(Columns::parse(&Columns::ALL.code()), Some(Columns::ALL));
    }

    #[test]
    fn clearing_the_filters_keeps_the_way_in_which_the_list_is_shown() {
        let query =
            parse(&[("q", "x"), ("attention", "1"), ("view", "table"), ("sort", "disk"), ("page", "2")]);
        let query = query.unwrap();
        assert!(query.is_filtered());
        assert_eq!(query.unfiltered().to_query_string(), "?sort=disk&view=table");
        assert!(!query.unfiltered().is_filtered());
    }
}
