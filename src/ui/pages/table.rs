//! The list as a dense table: one row per VM, with columns that can be sorted and hidden.

use leptos::prelude::*;
use leptos_router::{LazyRoute, lazy_route};

use super::rows::{draw_row, row_keys, row_of};
use crate::{
    server_fns::{keep_cookie, kept_cookie},
    ui::{
        components::{
            card::{disk_partly, place, vm_address},
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
    let kept = || kept_cookie(COOKIE).and_then(|code| Columns::parse(&code));
    if let Some(columns) = named.get_untracked() {
        keep_cookie(COOKIE, &columns.code());
    }
    // Effects run in the browser only.
    Effect::new(move |_| {
        if let Some(columns) = named.get() {
            keep_cookie(COOKIE, &columns.code());
        }
    });
    Memo::new(move |_| named.get().or_else(kept).unwrap_or(Columns::ALL))
}

fn table(feed: Feed<HomeView>) -> impl IntoView {
    let columns = chosen(feed);
    let list = feed.part(|view| (view.query.clone(), view.matching));
    let class = move || if feed.connection.waiting.get() { "sheet vms busy" } else { "sheet vms" };
    let row = move |vm: &VmSummary, _: Option<&Sparklines>, now: RwSignal<Millis>| {
        row(vm, columns.get(), now.get())
    };
    let empty = move || feed.draw_part(list, |view| view.vms.is_empty()).unwrap_or(true);
    view! {
        {move || feed.draw_part(list, |view| choice(&view.query, columns.get()))}
        <table class=class role="table" hidden=empty>
            <caption class="vh">{t!(list.heading)}</caption>
            <thead role="rowgroup">
                {move || feed.draw_part(list, |view| heads(&view.query, columns.get()))}
            </thead>
            <tbody role="rowgroup">
                <For each=row_keys(feed) key=Clone::clone let:wanted>
                    {draw_row(row_of(feed, wanted), row)}
                </For>
            </tbody>
        </table>
    }
}

/// A column's heading, the CSS class of its cells, and the sort order that a click on the heading selects.
fn look(column: Column) -> (&'static str, &'static str, Option<Sort>) {
    match column {
        Column::Namespace => (t!(list.namespace), "ns", Some(Sort::Namespace)),
        Column::Status => (t!(list.state), "st", Some(Sort::Status)),
        Column::Node => (t!(list.node), "node", Some(Sort::Node)),
        Column::Ip => (t!(list.ip), "ip", None),
        Column::Cpu => (t!(figure.cpu), "m", Some(Sort::Cpu)),
        Column::Memory => (t!(figure.memory), "m", Some(Sort::Memory)),
        Column::Disk => (t!(figure.disk), "m", Some(Sort::Disk)),
        Column::Age => (t!(list.sampled), "age n", Some(Sort::Age)),
    }
}

/// Links instead of a form: each leads to the table with one column hidden or shown.
fn choice(query: &Query, columns: Columns) -> impl IntoView + use<> {
    let link = |column| {
        let shown = columns.has(column);
        let query = Query { columns: Some(columns.toggled(column)), ..query.clone() };
        view! {
            <li class=look(column).1>
                <a href=query.address() class=if shown { "on" } else { "" }>
                    {icon(if shown { Icon::Healthy } else { Icon::Nothing })} " " {look(column).0}
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
    let heads = Column::ALL.into_iter().filter(|column| columns.has(*column)).map(look);
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
        Query { sort, order, page: 1, ..query.clone() }.address()
    });
    sort_head(word, class, sorted, address)
}

fn row(vm: &VmSummary, columns: Columns, now: Millis) -> impl IntoView + use<> {
    let cells: Vec<_> = Column::ALL
        .into_iter()
        .filter(|column| columns.has(*column))
        .map(|column| {
            view! {
                <td role="cell" class=look(column).1>
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
        Column::Node => dash(place(vm)),
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
        _ => meter(Gauge { label: "", name, unit, figure, allocated, running, spark: None }).into_any(),
    }
}

/// The disk meter, with a link to the volumes that are missing in it. Each row reserves room for the link, so
/// that all bars have the same length.
fn disk(vm: &VmSummary) -> AnyView {
    let lacks = disk_partly(vm);
    let lacking = (!lacks.is_empty()).then(|| {
        let count = (vm.usage.disk_volumes - vm.usage.disk_known).to_string();
        let title = lacks.clone();
        view! {
            <a href=vm_address(&vm.namespace, &vm.name) + "#why" rel="external" title=title>
                <span aria-hidden="true">{["+", &count, " ?"].concat()}</span>
                <span class="vh">{lacks} " " {vm.name.clone()}</span>
            </a>
        }
    });
    view! {
        <div class="partly">
            {figure(vm, t!(figure.disk), Unit::Bytes, &vm.usage.disk, Some(vm.disk))} " " <span>{lacking}</span>
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
            <span class=if stale { "aged" } else { "" }>
                {stale.then(|| view! { {icon(Icon::Clock)} " " })} {words::span(now - at)}
            </span>
        }
        .into_any(),
    }
}
