//! The table of nodes or namespaces: allocated and used CPU, memory and disk of each.

use leptos::prelude::*;

use super::words::{at_least, name_of, with_unit};
use crate::ui::{
    address,
    components::{meter::bar, sort_head::sort_head},
    words as numbers,
};
use i18n::{self as names, t, text};
use model::{
    figure::{Figure, Unit},
    format,
    groups::{Group, GroupSort, GroupsQuery, GroupsView, Node, Share},
    query::{GroupBy, Order, Query, ViewKind},
    totals::{Counts, Measured},
};

/// A column: its heading, the sort order that a click selects, and whether it holds numbers.
type Head = (&'static str, GroupSort, bool);

fn heads(by: GroupBy) -> [Head; 7] {
    let name = match by {
        GroupBy::Node => t!(map.node),
        GroupBy::Namespace => t!(map.namespace),
    };
    [
        (name, GroupSort::Name, false),
        (t!(groups.vms), GroupSort::Vms, true),
        (t!(groups.cpu_used), GroupSort::Cpu, false),
        (t!(groups.memory_used), GroupSort::Memory, false),
        (t!(groups.cpu_allocated), GroupSort::CpuAllocated, true),
        (t!(groups.memory_allocated), GroupSort::MemoryAllocated, true),
        (t!(groups.disk_used), GroupSort::Disk, false),
    ]
}

pub fn table(view: &GroupsView) -> impl IntoView + use<> {
    let query = &view.query;
    let rows: Vec<_> = view.groups.iter().map(|group| row(group, query, view.frame.nodes)).collect();
    let heads: Vec<_> = heads(query.by).into_iter().map(|head| self::head(query, head)).collect();
    view! {
        <table class="sheet groups" role="table">
            <caption class="vh">{name_of(query.by)}</caption>
            <thead role="rowgroup">
                <tr role="row">{heads}</tr>
            </thead>
            <tbody role="rowgroup">{rows}</tbody>
        </table>
    }
}

fn head(query: &GroupsQuery, (word, sort, number): Head) -> impl IntoView + use<> {
    let sorted = (query.sort == sort).then_some(query.order);
    let order = sorted.map_or(sort.default_order(), Order::other);
    let address = address::groups(&GroupsQuery { sort, order, page: 1, ..query.clone() });
    sort_head(word, if number { "num" } else { "" }.to_owned(), sorted, Some(address))
}

/// `nodes` says whether the viewer may see more of a node than its name.
fn row(group: &Group, query: &GroupsQuery, nodes: bool) -> impl IntoView + use<> {
    let heads = heads(query.by);
    let totals = &group.totals;
    let (cpu, memory) = match query.by {
        GroupBy::Node => (
            share(&group.cpu, Unit::Nanocores, nodes && !group.name.is_empty()),
            share(&group.memory, Unit::Bytes, nodes && !group.name.is_empty()),
        ),
        GroupBy::Namespace => (
            allocated(totals.cpu, Unit::Nanocores, group.cpu_unreadable),
            allocated(totals.memory, Unit::Bytes, totals.memory_unreadable),
        ),
    };
    let by_vms = |measured, unit| Use::by_vms(measured, unit, totals.counts.running);
    let disk_used = by_vms(&totals.disk_used, Unit::Bytes);
    let of_node = |figure, vms| Use::of_node(figure, vms, totals.counts.running);
    let (cpu_used, memory_used) = match group.node.as_ref().and_then(|node| node.used.as_deref()) {
        Some(used) => (of_node(&used.cpu, &totals.cpu_used), of_node(&used.memory, &totals.memory_used)),
        None => (by_vms(&totals.cpu_used, Unit::Nanocores), by_vms(&totals.memory_used, Unit::Bytes)),
    };
    let vms = vms_address(group, query.by);
    let label = vms.as_ref().map(|_| numbers::vms(totals.counts.total));
    view! {
        <tr role="row">
            <th role="rowheader" scope="row">
                <a href=group_address(group, query.by)>{display_name(group)}</a>
                {(query.by == GroupBy::Node && nodes).then(|| conditions(group))}
            </th>
            <td role="cell" class="num" data-th=heads[1].0>
                <a href=vms aria-label=label>
                    {format::grouped(totals.counts.total.into())}
                </a>
                <small>{states(&totals.counts)}</small>
            </td>
            {used(heads[2].0, cpu_used)}
            {used(heads[3].0, memory_used)}
            {amount(heads[4].0, cpu)}
            {amount(heads[5].0, memory)}
            {used(heads[6].0, disk_used)}
        </tr>
    }
}

fn display_name(group: &Group) -> String {
    if group.name.is_empty() { t!(map.no_node).to_owned() } else { group.name.clone() }
}

/// The address of the node's page, or of the namespace's VMs; `None` for the group without a node.
fn group_address(group: &Group, by: GroupBy) -> Option<String> {
    match by {
        GroupBy::Node => address::node(&group.name),
        GroupBy::Namespace => vms_address(group, by),
    }
}

/// The address of the group's VMs; `None` for the group without a node, since no filter selects it.
fn vms_address(group: &Group, by: GroupBy) -> Option<String> {
    let mut query = Query { view: Some(ViewKind::Table), ..Query::default() };
    match by {
        GroupBy::Node => query.node.clone_from(&group.name),
        GroupBy::Namespace => query.namespace.clone_from(&group.name),
    }
    (!group.name.is_empty()).then(|| address::list(&query))
}

/// The conditions of a node that need attention; `None` if it has none.
fn conditions(group: &Group) -> Option<impl IntoView + use<>> {
    let words: Vec<&str> = match &group.node {
        _ if group.name.is_empty() => Vec::new(),
        None => vec![t!(groups.no_object)],
        Some(Node { ready, unschedulable, .. }) => {
            let ready = match ready {
                Some(true) => "",
                Some(false) => t!(groups.not_ready),
                None => t!(groups.not_reporting),
            };
            [ready, if *unschedulable { t!(groups.cordoned) } else { "" }]
                .into_iter()
                .filter(|w| !w.is_empty())
                .collect()
        }
    };
    (!words.is_empty()).then(|| view! { <small class="warn">{words.join(t!(map.comma))}</small> })
}

/// Example: `22 running, 1 stopped`. States without VMs are left out.
pub(in crate::ui::pages) fn states(counts: &Counts) -> String {
    let parts = [
        (counts.running, t!(groups.running, n = counts.running)),
        (counts.migrating, t!(groups.migrating, n = counts.migrating)),
        (counts.pending, t!(groups.pending, n = counts.pending)),
        (counts.error, t!(groups.error, n = counts.error)),
        (counts.stopped, t!(groups.stopped, n = counts.stopped)),
        (counts.unknown, t!(groups.unknown, n = counts.unknown)),
    ];
    let parts: Vec<String> =
        parts.into_iter().filter(|(count, _)| *count > 0).map(|(_, text)| text).collect();
    parts.join(t!(map.comma))
}

/// A large text with a small one below it.
struct Amount {
    text: String,
    note: String,
    warn: bool,
}

/// Allocated as a percentage of what the node can allocate, such as `143 %`; the allocated amount alone if
/// that is not known.
fn share(share: &Share, unit: Unit, is_node: bool) -> Amount {
    let allocated = at_least(share.unreadable, with_unit(share.allocated, unit));
    let Some(percent) = share.percent() else {
        let note = if is_node { t!(groups.of_unknown) } else { "" };
        return Amount { text: allocated, note: note.to_owned(), warn: false };
    };
    let all = share.allocatable.map(|all| with_unit(all, unit)).unwrap_or_default();
    Amount {
        text: at_least(share.unreadable, numbers::percent(percent)),
        note: t!(groups.of, some = allocated, all = all),
        // Overcommitting CPU is normal; overcommitting memory is not.
        warn: percent > 100 && unit == Unit::Bytes,
    }
}

fn allocated(amount: u64, unit: Unit, unreadable: u32) -> Amount {
    let note = if unreadable > 0 { t!(groups.unreadable, n = unreadable) } else { String::new() };
    Amount { text: at_least(unreadable, with_unit(amount, unit)), note, warn: false }
}

fn amount(head: &'static str, amount: Amount) -> impl IntoView {
    view! {
        <td role="cell" class=if amount.warn { "num warn" } else { "num" } data-th=head>
            {amount.text}
            <small>{amount.note}</small>
        </td>
    }
}

/// What is used, of how much.
struct Use {
    /// In percent, if it is known.
    percent: Option<u64>,
    text: Option<String>,
    /// Nothing can be measured.
    none: bool,
    note: String,
}

impl Use {
    /// What the measured VMs use; nothing can be measured if none is running.
    fn by_vms(measured: &Measured, unit: Unit, running: u32) -> Self {
        let percent = measured.share();
        let text = percent.map(|_| {
            t!(groups.of, some = with_unit(measured.used, unit), all = with_unit(measured.of, unit))
        });
        Self { percent, text, none: percent.is_none() && running == 0, note: String::new() }
    }

    /// What everything on a node uses, and below it how much of that its VMs do. A node without a running VM is not
    /// measured.
    fn of_node(figure: &Figure, vms: &Measured, running: u32) -> Self {
        match figure {
            Figure::Known(sample) => {
                let [some, all] = [sample.used, sample.of].map(|of| with_unit(of, sample.unit));
                let by_vms = vms.share().map(|_| t!(groups.by_vms, some = with_unit(vms.used, sample.unit)));
                let stale = sample.stale.then(|| t!(groups.old).to_owned());
                let notes: Vec<String> = by_vms.into_iter().chain(stale).collect();
                Self {
                    percent: Some(sample.percent()),
                    text: Some(t!(groups.of, some = some, all = all)),
                    none: false,
                    note: notes.join(t!(map.comma)),
                }
            }
            Figure::Missing(missing) => {
                let none = running == 0;
                let note = if none { "" } else { text(names::reason(missing.reason)) };
                Self { percent: None, text: None, none, note: note.to_owned() }
            }
        }
    }
}

/// A meter.
fn used(head: &'static str, Use { percent, text, none, note }: Use) -> impl IntoView + use<> {
    let level = match percent {
        None if none => "meter off",
        None => "meter unknown",
        Some(101..) => "meter over",
        Some(90..) => "meter hot",
        Some(_) => "meter",
    };
    let value = percent.map(numbers::percent);
    let spoken = text.clone().zip(value.clone()).map(|(text, value)| [&text, ", ", &value].concat());
    view! {
        <td role="cell" data-th=head>
            <div
                class=level
                role=percent.map(|_| "meter")
                aria-label=percent.map(|_| head)
                aria-valuenow=percent.map(|percent| percent.min(100).to_string())
                aria-valuetext=spoken
            >
                {bar(percent)}
                <span class="pct">{value.unwrap_or_else(|| "—".to_owned())}</span>
                <span class="fig">
                    {text.unwrap_or_else(|| if none { "–" } else { t!(map.unknown) }.to_owned())}
                </span>
            </div>
            {(!note.is_empty()).then(|| view! { <small>{note}</small> })}
        </td>
    }
}
