//! The list as a dense table: one row per VM, with columns that can be sorted and hidden.

mod cell;
mod header;

use leptos::prelude::*;
use leptos_router::{LazyRoute, lazy_route};

use self::{
    cell::cell,
    header::{cell_class, column_header},
};
use super::rows::{self, RowView, draw_row, row_keys};
use crate::{
    server_fns::{read_cookie, write_cookie},
    ui::{
        address,
        components::{
            card::vm_address,
            icon::{Icon, icon},
            sort_head::sort_head,
            state::State,
        },
        feed::Feed,
        ready::ready,
    },
};
use i18n::t;
use model::{
    Millis,
    query::{Column, Columns, Order, Query, Sort},
    view::HomeView,
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
