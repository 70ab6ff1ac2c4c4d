//! What a cell of the table shows: a meter, a state or a text, and why something is unknown. All cells consist of the same
//! elements, since each additional kind adds code to the browser's half.

use leptos::prelude::*;

use super::header::column_header;
use crate::ui::{
    components::{
        card::{disk_partly, full_disk, node_text, vm_address},
        icon::{Icon, icon},
        meter::{Gauge, ReasonLink, meter},
        state::{State, state},
    },
    pages::rows::RowView,
    words,
};
use i18n::{self as names, t, text};
use model::{
    Millis,
    activity::Amount,
    figure::{Figure, Unit},
    format,
    query::Column,
    rates::Rate,
    reason::Reason,
    vm::{Status, VmSummary},
    vm_health::Level,
};

/// The content of a cell.
#[derive(Default)]
struct Cell<'a> {
    gauge: Option<Gauge<'a>>,
    state: Option<State>,
    /// The class, the icon and the text.
    text: Option<(&'static str, Option<Icon>, String)>,
    /// Why something is unknown: the figure of the meter, or what it leaves out, or the whole cell.
    why: Option<ReasonLink>,
}

impl Cell<'_> {
    fn text(text: String) -> Self {
        let text = if text.is_empty() { "–".to_owned() } else { text };
        Self { text: Some(("", None, text)), ..Self::default() }
    }
}

/// Draws the cell of a column.
pub fn cell(view: &RowView, column: Column, now: Millis) -> impl IntoView + use<> {
    let Cell { gauge, state: shown, text, why } = content(view, column, now);
    let is_unknown = gauge.is_some_and(|gauge| gauge.figure.missing().is_some());
    let gauge = gauge.map(|gauge| meter(Gauge { why: why.as_ref().filter(|_| is_unknown), ..gauge }));
    let text = text.map(|(class, drawing, text)| {
        view! {
            <span class=class>
                {drawing.map(icon)} {text}
            </span>
        }
    });
    let why = why.filter(|_| !is_unknown).map(|ReasonLink { address, mark, reason, label }| {
        view! {
            <a href=address rel="external" title=reason>
                <span aria-hidden="true">{mark}</span>
                <span class="vh">{label}</span>
            </a>
        }
    });
    (gauge, shown.map(state), text, why)
}

fn content(view: &RowView, column: Column, now: Millis) -> Cell<'_> {
    let vm = &view.vm;
    let usage = &vm.usage;
    match column {
        Column::Namespace => Cell::text(vm.namespace.clone()),
        Column::Status => Cell { state: Some(State::of_vm(vm)), ..Cell::default() },
        Column::Node => Cell::text(node_text(vm)),
        Column::Ip => Cell::text(vm.ip_address.clone()),
        Column::Cpu => figure(vm, column, Unit::Nanocores, &usage.cpu, vm.cpu, None),
        Column::Memory => {
            let level = usage.guest_memory.map(Level::of_space);
            figure(vm, column, Unit::Bytes, &usage.memory, vm.memory, level)
        }
        Column::Disk => disk(vm),
        Column::Age => age(vm, now),
        _ => activity(view, column),
    }
}

fn figure<'a>(
    vm: &'a VmSummary,
    column: Column,
    unit: Unit,
    figure: &'a Figure,
    allocated: Option<u64>,
    level: Option<Level>,
) -> Cell<'a> {
    let running = vm.status == Status::Running;
    let name = column_header(column).0;
    let why = figure
        .missing()
        .filter(|_| running)
        .map(|missing| ReasonLink { mark: t!(list.why).to_owned(), ..unknown(vm, name, missing.reason) });
    let gauge =
        Gauge { label: "", name, unit, figure, allocated, running, level, sparkline: None, why: None };
    Cell { gauge: Some(gauge), why, ..Cell::default() }
}

/// The disk meter, with a link to the volumes that are missing in it, or to one that is fuller than all together.
fn disk(vm: &VmSummary) -> Cell<'_> {
    let level = vm.usage.fullest_disk.map(Level::of_space);
    let disk = figure(vm, Column::Disk, Unit::Bytes, &vm.usage.disk, Some(vm.disk), level);
    let partly = disk_partly(vm);
    let (note, mark) = match full_disk(vm) {
        _ if !partly.is_empty() => {
            let count = (vm.usage.disk_volumes - vm.usage.disk_known).to_string();
            (partly, ["+", &count, " ?"].concat())
        }
        Some(note) => {
            // There is room for three characters, and the note says the rest.
            let percent = vm.usage.fullest_disk.unwrap_or_default().to_string();
            (note, ["↑", &percent].concat())
        }
        None => return disk,
    };
    let label = [&note, " ", &vm.name].concat();
    let why = ReasonLink { address: why_address(vm), mark, label, reason: note };
    Cell { why: Some(why), ..disk }
}

fn unknown(vm: &VmSummary, figure: &'static str, reason: Reason) -> ReasonLink {
    let reason = text(names::reason(reason));
    let label = t!(list.why_of, figure = figure, vm = vm.name, reason = reason);
    ReasonLink { address: why_address(vm), mark: "—".to_owned(), reason: reason.to_owned(), label }
}

/// The reasons and fixes on the VM's own page.
fn why_address(vm: &VmSummary) -> String {
    vm_address(&vm.namespace, &vm.name) + "#why"
}

/// How an amount is written, and how serious it is.
type Format = fn(u64) -> String;
type Judge = fn(u64) -> Level;

/// A cell of what the guest does. A VM that does not run does nothing, so there is no reason to give.
fn activity(view: &RowView, column: Column) -> Cell<'_> {
    let Some(row) = view.activity.filter(|_| view.vm.status == Status::Running) else {
        return Cell::text(String::new());
    };
    let (amount, text, level): (Amount, Format, Judge) = match column {
        Column::GuestMemory => (row.guest_memory, percent, |milli| Level::of_space(milli / 1000)),
        Column::Network => (row.network, speed, normal),
        Column::Storage => (row.storage, speed, normal),
        Column::Operations => (row.operations, |rate| format::per_second(Rate(rate)), normal),
        Column::Latency => (row.latency, format::millis, normal),
        _ => (row.contention, percent, |milli| Level::of_contention(milli as u32)),
    };
    match amount {
        Amount::Known(known) | Amount::AtLeast(known) => {
            let class = match level(known) {
                _ if row.stale => "aging",
                Level::Normal => "",
                Level::High => "hot",
                Level::Critical => "crit",
            };
            // The traffic of SR-IOV interfaces is not in it.
            let at_least = if matches!(amount, Amount::AtLeast(_)) { "≥ " } else { "" };
            Cell { text: Some((class, None, [at_least, &text(known)].concat())), ..Cell::default() }
        }
        Amount::Nothing => Cell::text(String::new()),
        Amount::Missing(reason) => {
            Cell { why: Some(unknown(&view.vm, column_header(column).0, reason)), ..Cell::default() }
        }
    }
}

fn percent(thousandths: u64) -> String {
    format::percent(thousandths) + " %"
}

fn normal(_: u64) -> Level {
    Level::Normal
}

fn speed(rate: u64) -> String {
    let format::Amount { digits, unit } = format::bytes_per_second(Rate(rate));
    [&digits, " ", unit].concat()
}

/// The age of the oldest figure: an old one must never look like a current one.
fn age(vm: &VmSummary, now: Millis) -> Cell<'_> {
    let usage = &vm.usage;
    let samples = || [&usage.cpu, &usage.memory, &usage.disk].into_iter().filter_map(Figure::sample);
    let stale = samples().any(|sample| sample.stale);
    match vm.oldest() {
        None => Cell::text(String::new()),
        Some(at) => {
            let (class, drawing) = if stale { ("warn", Some(Icon::Clock)) } else { ("", None) };
            Cell { text: Some((class, drawing, words::span(now - at))), ..Cell::default() }
        }
    }
}
