//! The list as a dense table: one row per VM, with columns that can be sorted and hidden.

use leptos::prelude::*;
use leptos_router::{LazyRoute, lazy_route};

use super::rows::{self, draw_row, row_keys};
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
    figure::{Figure, Missing, Unit},
    history::Sparklines,
    query::{Column, Columns, Order, Query, Sort},
    view::HomeView,
    vm::{Status, VmSummary},
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
    let row = move |vm: &VmSummary, _: Option<&Sparklines>, now: RwSignal<Millis>| {
        row(vm, columns.get(), now.get())
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
        Column::Disk => (t!(figure.disk), "usage", Some(Sort::Disk)),
        Column::Age => (t!(list.sampled), "age num", Some(Sort::Age)),
    }
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
    sort_head(word, class, sorted, address)
}

fn row(vm: &VmSummary, columns: Columns, now: Millis) -> impl IntoView + use<> {
    let cells: Vec<_> = Column::ALL
        .into_iter()
        .filter(|column| columns.has(*column))
        .map(|column| {
            view! {
                <td role="cell" class=column_header(column).1>
                    {cell(vm, column, now)}
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

fn cell(vm: &VmSummary, column: Column, now: Millis) -> AnyView {
    let usage = &vm.usage;
    match column {
        Column::Namespace => vm.namespace.clone().into_any(),
        Column::Status => state(State::of_vm(vm)).into_any(),
        Column::Node => dash(node_text(vm)),
        Column::Ip => dash(vm.ip_address.clone()),
        Column::Cpu => figure(vm, t!(figure.cpu), Unit::Nanocores, &usage.cpu, vm.cpu),
        Column::Memory => figure(vm, t!(figure.memory), Unit::Bytes, &usage.memory, vm.memory),
        Column::Disk => disk(vm),
        Column::Age => age(vm, now),
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
) -> AnyView {
    let running = vm.status == Status::Running;
    match figure {
        Figure::Missing(missing) if running => unknown(vm, name, missing, of(unit, allocated)).into_any(),
        _ => meter(Gauge { label: "", name, unit, figure, allocated, running, sparkline: None }).into_any(),
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
            {figure(vm, t!(figure.disk), Unit::Bytes, &vm.usage.disk, Some(vm.disk))} " " <span>{link}</span>
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
