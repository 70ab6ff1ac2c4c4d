//! The headings of the table's columns.

use crate::ui::words;
use i18n::t;
use model::query::{Column, Sort};

/// A column's heading, the CSS class of its cells, and the sort order that a click on the heading selects.
pub fn column_header(column: Column) -> (&'static str, &'static str, Option<Sort>) {
    match column {
        Column::Namespace => (t!(list.namespace), "namespace", Some(Sort::Namespace)),
        Column::Status => (t!(list.state), "status", Some(Sort::Status)),
        Column::Node => (t!(list.node), "node", Some(Sort::Node)),
        Column::Ip => (t!(list.ip), "ip", None),
        Column::Cpu => (t!(figure.cpu), "usage", Some(Sort::Cpu)),
        Column::Memory => (t!(figure.memory), "usage", Some(Sort::Memory)),
        Column::GuestMemory => activity_header(Sort::GuestMemory, "activity guest"),
        Column::Disk => (t!(figure.disk), "usage disk", Some(Sort::Disk)),
        Column::Network => activity_header(Sort::Network, "activity network"),
        Column::Storage => activity_header(Sort::Storage, "activity storage"),
        Column::Operations => activity_header(Sort::Operations, "activity operations"),
        Column::Latency => activity_header(Sort::Latency, "activity latency"),
        Column::Contention => activity_header(Sort::Contention, "activity contention"),
        Column::Age => (t!(list.sampled), "age num", Some(Sort::Age)),
    }
}

fn activity_header(sort: Sort, class: &'static str) -> (&'static str, &'static str, Option<Sort>) {
    (words::sort(sort), class, Some(sort))
}

/// The CSS class of a column's cells. Narrow screens hide some columns, but never the one that is sorted by.
pub fn cell_class((_, class, sort): (&'static str, &'static str, Option<Sort>), sorted: Sort) -> String {
    [class, if sort == Some(sorted) { " sorted" } else { "" }].concat()
}
