//! How the list is shown: as cards, table or map, with which columns, groups and colours.

use serde::{Deserialize, Serialize};

use super::index;
use crate::params::Params;

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
    pub(super) const CODES: [&str; 3] = ["cards", "table", "map"];

    pub fn code(self) -> &'static str {
        Self::CODES[self as usize]
    }

    /// Returns the view that an address with this query string names.
    pub fn of_address(search: &str) -> Option<Self> {
        Self::of_code(&Params::parse(search).ok()?.get("view")?)
    }

    /// Returns the view of a code, whatever its case.
    pub fn of_code(code: &str) -> Option<Self> {
        index(&Self::CODES, code).map(|at| Self::ALL[at])
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
    pub(crate) const CODES: [&str; 2] = ["node", "namespace"];

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
    pub(super) const CODES: [&str; 3] = ["cpu", "memory", "disk"];

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
    GuestMemory,
    Disk,
    Network,
    Storage,
    Operations,
    Latency,
    Contention,
    Age,
}

impl Column {
    pub const ALL: [Self; 14] = [
        Self::Namespace,
        Self::Status,
        Self::Node,
        Self::Ip,
        Self::Cpu,
        Self::Memory,
        Self::GuestMemory,
        Self::Disk,
        Self::Network,
        Self::Storage,
        Self::Operations,
        Self::Latency,
        Self::Contention,
        Self::Age,
    ];
    const CODES: [&str; 14] = [
        "namespace",
        "status",
        "node",
        "ip",
        "cpu",
        "memory",
        "guest-memory",
        "disk",
        "network",
        "storage",
        "operations",
        "latency",
        "contention",
        "age",
    ];

    pub fn code(self) -> &'static str {
        Self::CODES[self as usize]
    }
}

/// The table's columns that are shown, one bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Columns(u16);

impl Columns {
    pub const ALL: Self = Self((1 << Column::ALL.len()) - 1);

    pub fn has(self, column: Column) -> bool {
        self.0 & 1 << column as u16 != 0
    }

    /// Returns the columns with this one added, or removed if it was shown.
    pub fn toggled(self, column: Column) -> Self {
        Self(self.0 ^ 1 << column as u16)
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
