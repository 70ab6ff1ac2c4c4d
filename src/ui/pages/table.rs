//! The list as a dense table: one row per VM, with columns that can be sorted and hidden.

use leptos::prelude::*;
use leptos_router::{LazyRoute, lazy_route};

use super::rows::{self, RowView, draw_row, row_keys};
use crate::{
    server_fns::{read_cookie, write_cookie},
    ui::{
        address,
        components::{
            card::{disk_partly, node_text, vm_address},
            icon::{Icon, icon},
            meter::{Gauge, bar, meter, of},
            sort_head::sort_head,
            state::{State, state},
        },
        feed::Feed,
        ready::ready,
        words,
    },
};
use i18n::{self as names, t, text};
use model::{
    Millis,
    activity::Amount,
    figure::{Figure, Missing, Unit},
    format,
    query::{Column, Columns, Order, Query, Sort},
    rates::Rate,
    reason::Reason,
    view::HomeView,
    vm::{Status, VmSummary},
    vm_health::Level,
};

/// Code that is fetched when the table is first requested. It uses the list's feed from the context.
pub struct TableView;

#[lazy_route]
impl LazyRoute for TableView {
    fn data() -> Self {
        Self
    }

    fn view(_this: Self) -> AnyView {
        ready(table(expect_context())).into_any()
    }
}

/// The cookie that remembers the chosen columns.
const COOKIE: &str = "columns";

/// The columns that the address names, or those that were last chosen.
fn chosen(feed: Feed<HomeView>) -> Memo<Columns> {
    let named = Memo::new(move |_| feed.draw(|view| view.query.columns).flatten());
    let remembered = || read_cookie(COOKIE).and_then(|code| Columns::parse(&code));
    if let Some(columns) = named.get_untracked() {
        write_cookie(COOKIE, &columns.code(), &address::at("/"));
    }
    // Effects run in the browser only.
    Effect::new(move |_| {
        if let Some(columns) = named.get() {
            write_cookie(COOKIE, &columns.code(), &address::at("/"));
        }
    });
    Memo::new(move |_| named.get().or_else(remembered).unwrap_or(Columns::ALL))
}

fn table(feed: Feed<HomeView>) -> impl IntoView {
    let columns = chosen(feed);
    let query = feed.part(|view| view.query.clone());
    let empty = feed.part(|view| view.vms.is_empty());
    let class = move || if feed.connection.waiting.get() { "sheet vms busy" } else { "sheet vms" };
    let sort = feed.part(|view| view.query.sort);
    let row = move |view: &RowView, now: RwSignal<Millis>| {
        row(view, columns.get(), sort.get().unwrap_or_default(), now.get())
    };
    view! {
        {move || query.with(|query| query.as_ref().map(|query| column_links(query, columns.get())))}
        <table class=class role="table" hidden=move || empty.get().unwrap_or(true)>
            <caption class="vh">{t!(list.heading)}</caption>
            <thead role="rowgroup">
                {move || query.with(|query| query.as_ref().map(|query| heads(query, columns.get())))}
            </thead>
            <tbody role="rowgroup">
                <For each=row_keys(feed) key=Clone::clone let:key>
                    {draw_row(rows::row(feed, key), row)}
                </For>
            </tbody>
        </table>
    }
}

/// A column's heading, the CSS class of its cells, and the sort order that a click on the heading selects.
fn column_header(column: Column) -> (&'static str, &'static str, Option<Sort>) {
    match column {
        Column::Namespace => (t!(list.namespace), "namespace", Some(Sort::Namespace)),
        Column::Status => (t!(list.state), "status", Some(Sort::Status)),
        Column::Node => (t!(list.node), "node", Some(Sort::Node)),
        Column::Ip => (t!(list.ip), "ip", None),
        Column::Cpu => (t!(figure.cpu), "usage", Some(Sort::Cpu)),
        Column::Memory => (t!(figure.memory), "usage", Some(Sort::Memory)),
        Column::GuestMemory => activity_header(Sort::GuestMemory, "activity guest"),
        Column::Disk => (t!(figure.disk), "usage", Some(Sort::Disk)),
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
fn cell_class((_, class, sort): (&'static str, &'static str, Option<Sort>), sorted: Sort) -> String {
    [class, if sort == Some(sorted) { " sorted" } else { "" }].concat()
}

/// Links instead of a form: each leads to the table with one column hidden or shown.
fn column_links(query: &Query, columns: Columns) -> impl IntoView + use<> {
    let link = |column| {
        let shown = columns.has(column);
        let query = Query { columns: Some(columns.toggled(column)), ..query.clone() };
        view! {
            <li class=column_header(column).1>
                <a href=address::list(&query) class=if shown { "on" } else { "" }>
                    {icon(if shown { Icon::Healthy } else { Icon::Nothing })} " " {column_header(column).0}
                    <span class="vh">{if shown { t!(list.shown) } else { t!(list.hidden) }}</span>
                </a>
            </li>
        }
    };
    let links: Vec<_> = Column::ALL.into_iter().map(link).collect();
    view! {
        <details class="columns">
            <summary>{t!(list.columns)}</summary>
            <ul>{links}</ul>
        </details>
    }
}

fn heads(query: &Query, columns: Columns) -> impl IntoView + use<> {
    let heads = Column::ALL.into_iter().filter(|column| columns.has(*column)).map(column_header);
    let heads: Vec<_> = core::iter::once((t!(list.name), "", Some(Sort::Name)))
        .chain(heads)
        .map(|head| self::head(query, head))
        .collect();
    view! { <tr role="row">{heads}</tr> }
}

fn head(
    query: &Query,
    (word, class, sort): (&'static str, &'static str, Option<Sort>),
) -> impl IntoView + use<> {
    let sorted = (sort == Some(query.sort)).then_some(query.order);
    let address = sort.map(|sort| {
        let order = sorted.map_or(sort.default_order(), Order::other);
        address::list(&Query { sort, order, page: 1, ..query.clone() })
    });
    sort_head(word, cell_class((word, class, sort), query.sort), sorted, address)
}

fn row(view: &RowView, columns: Columns, sorted: Sort, now: Millis) -> impl IntoView + use<> {
    let vm = &view.vm;
    let cells: Vec<_> = Column::ALL
        .into_iter()
        .filter(|column| columns.has(*column))
        .map(|column| {
            view! {
                <td role="cell" class=cell_class(column_header(column), sorted)>
                    {cell(view, column, now)}
                </td>
            }
        })
        .collect();
    view! {
        <tr role="row" class=State::of_vm(vm).class>
            <th role="rowheader" scope="row">
                <a href=vm_address(&vm.namespace, &vm.name)>{vm.name.clone()}</a>
            </th>
            {cells}
        </tr>
    }
}

fn cell(view: &RowView, column: Column, now: Millis) -> AnyView {
    let vm = &view.vm;
    let usage = &vm.usage;
    match column {
        Column::Namespace => vm.namespace.clone().into_any(),
        Column::Status => state(State::of_vm(vm)).into_any(),
        Column::Node => dash(node_text(vm)),
        Column::Ip => dash(vm.ip_address.clone()),
        Column::Cpu => figure(vm, t!(figure.cpu), Unit::Nanocores, &usage.cpu, vm.cpu, None),
        Column::Memory => {
            let level = usage.guest_memory.map(Level::of_space);
            figure(vm, t!(figure.memory), Unit::Bytes, &usage.memory, vm.memory, level)
        }
        Column::Disk => disk(vm),
        Column::Age => age(vm, now),
        _ => activity(view, column),
    }
}

/// How an amount is written, and how serious it is.
type Format = fn(u64) -> String;
type Judge = fn(u64) -> Level;

/// A cell of what the guest does. A VM that does not run does nothing, so there is no reason to give.
fn activity(view: &RowView, column: Column) -> AnyView {
    let Some(row) = view.activity.filter(|_| view.vm.status == Status::Running) else {
        return "–".into_any();
    };
    let percent = |thousandths| format::percent(thousandths) + " %";
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
            view! { <span class=class>{[at_least, &text(known)].concat()}</span> }.into_any()
        }
        Amount::Nothing => "–".into_any(),
        Amount::Missing(reason) => unknown_amount(&view.vm, column_header(column).0, reason).into_any(),
    }
}

fn normal(_: u64) -> Level {
    Level::Normal
}

fn speed(rate: u64) -> String {
    let format::Amount { digits, unit } = format::bytes_per_second(Rate(rate));
    [&digits, " ", unit].concat()
}

/// A dash that leads to the reason and the fix.
fn unknown_amount(vm: &VmSummary, name: &'static str, reason: Reason) -> impl IntoView + use<> {
    let reason = text(names::reason(reason));
    view! {
        <a href=vm_address(&vm.namespace, &vm.name) + "#why" rel="external" title=reason>
            <span aria-hidden="true">"—"</span>
            <span class="vh">{t!(list.why_of, figure = name, vm = vm.name, reason = reason)}</span>
        </a>
    }
}

fn dash(text: String) -> AnyView {
    (if text.is_empty() { "–".to_owned() } else { text }).into_any()
}

fn figure(
    vm: &VmSummary,
    name: &'static str,
    unit: Unit,
    figure: &Figure,
    allocated: Option<u64>,
    level: Option<Level>,
) -> AnyView {
    let running = vm.status == Status::Running;
    match figure {
        Figure::Missing(missing) if running => unknown(vm, name, missing, of(unit, allocated)).into_any(),
        _ => meter(Gauge { label: "", name, unit, figure, allocated, running, level, sparkline: None })
            .into_any(),
    }
}

/// The disk meter, with a link to the volumes that are missing in it. Each row reserves room for the link, so
/// that all bars have the same length.
fn disk(vm: &VmSummary) -> AnyView {
    let note = disk_partly(vm);
    let link = (!note.is_empty()).then(|| {
        let count = (vm.usage.disk_volumes - vm.usage.disk_known).to_string();
        let title = note.clone();
        view! {
            <a href=vm_address(&vm.namespace, &vm.name) + "#why" rel="external" title=title>
                <span aria-hidden="true">{["+", &count, " ?"].concat()}</span>
                <span class="vh">{note} " " {vm.name.clone()}</span>
            </a>
        }
    });
    view! {
        <div class="partly">
            {figure(vm, t!(figure.disk), Unit::Bytes, &vm.usage.disk, Some(vm.disk), None)} " " <span>{link}</span>
        </div>
    }
    .into_any()
}

/// A meter of an unknown figure: a link to the reason and the fix takes the place of the percentage.
fn unknown(vm: &VmSummary, name: &'static str, missing: &Missing, of: String) -> impl IntoView + use<> {
    let reason = text(names::reason(missing.reason));
    view! {
        <div class="meter unknown">
            <span class="fig">
                <b aria-hidden="true">"—"</b>
                <span class="vh">{t!(figure.unknown)}</span>
                {of}
            </span>
            " "
            <a class="pct" href=vm_address(&vm.namespace, &vm.name) + "#why" rel="external" title=reason>
                {t!(list.why)}
                <span class="vh">" " {t!(list.why_of, figure = name, vm = vm.name, reason = reason)}</span>
            </a>
            {bar(None)}
        </div>
    }
}

/// The age of the oldest figure: an old one must never look like a current one.
fn age(vm: &VmSummary, now: Millis) -> AnyView {
    let usage = &vm.usage;
    let samples = || [&usage.cpu, &usage.memory, &usage.disk].into_iter().filter_map(Figure::sample);
    let stale = samples().any(|sample| sample.stale);
    match vm.oldest() {
        None => "–".into_any(),
        Some(at) => view! {
            <span class=if stale { "warn" } else { "" }>
                {stale.then(|| view! { {icon(Icon::Clock)} " " })} {words::span(now - at)}
            </span>
        }
        .into_any(),
    }
}
