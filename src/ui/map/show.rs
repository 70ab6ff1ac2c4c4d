//! The map view of the list: controls, legend, and a square for each VM.

use leptos::prelude::*;
use leptos_router::{LazyRoute, lazy_route};

use super::{
    cells::block,
    legend::{legend, measure},
    pieces::Pieces,
    point::{Pointer, tip},
};
use crate::ui::{address, feed::Feed, ready::ready, words as numbers};
use i18n::t;
use model::view::HomeView;
use model::{
    map::{BLOCK, Cell, Map, MapGroup},
    query::{GroupBy, Measure, Query, ViewKind},
};

/// Code that is fetched when the map is first requested. It uses the list's feed from the context.
pub struct MapView;

#[lazy_route]
impl LazyRoute for MapView {
    fn data() -> Self {
        Self
    }

    fn view(_this: Self) -> AnyView {
        ready(map_view(expect_context())).into_any()
    }
}

fn map_view(feed: Feed<HomeView>) -> impl IntoView {
    // Map and query change less often than the view does.
    let map = Memo::new(move |_| feed.draw(|view| Map::unpack(&view.map)).flatten().unwrap_or_default());
    let query = Memo::new(move |_| feed.draw(|view| view.query.clone()).unwrap_or_default());
    let pieces = Pieces::follow(map, query);
    let pointer = Pointer::new(map, query);
    // Without JavaScript nobody can point at a cell, so the squares are only an image.
    let interactive = RwSignal::new(false);
    Effect::new(move |_| interactive.set(true));
    let class = move || if feed.connection.waiting.get() { "map busy" } else { "map" };
    view! {
        {move || query.with(controls)}
        {move || map.with(|map| legend(map, query.with(|query| query.color)))}
        <div
            class=class
            hidden=move || map.with(|map| map.groups.is_empty())
            on:pointermove=move |event| pointer.moved(&event)
            on:pointerleave=move |_| pointer.left()
            on:click=move |event| pointer.clicked(&event)
            on:focusin=move |event| pointer.focused(&event)
            on:focusout=move |_| pointer.hide()
            on:keydown=move |event| pointer.pressed(&event)
        >
            <For each=move || pieces.drawn() key=|(index, _)| *index let((_, piece))>
                {move || piece.with(|piece| groups(&piece.groups, &piece.query, interactive))}
            </For>
            {tip(pointer)}
        </div>
    }
}

/// Links, so that each variant of the map has an address.
fn controls(query: &Query) -> impl IntoView + use<> {
    let color =
        |color| (measure(color), address::list(&Query { color, ..query.clone() }), query.color == color);
    let by = |by| (grouped_by(by), address::list(&Query { by, ..query.clone() }), query.by == by);
    let table = address::list(&Query { view: Some(ViewKind::Table), page: 1, ..query.clone() });
    view! {
        <div class="row">
            {choice(t!(map.colour_by), Measure::ALL.map(color).to_vec())}
            {choice(t!(map.group_by), GroupBy::ALL.map(by).to_vec())} <a class="small" href=table>
                {t!(map.as_table)}
            </a>
        </div>
    }
}

fn grouped_by(by: GroupBy) -> &'static str {
    match by {
        GroupBy::Node => t!(map.node),
        GroupBy::Namespace => t!(map.namespace),
    }
}

/// A choice of one of a few links.
pub fn choice(label: &'static str, links: Vec<(&'static str, String, bool)>) -> impl IntoView {
    let links: Vec<_> = links
        .into_iter()
        .map(|(word, address, chosen)| {
            view! {
                <a href=address aria-current=chosen.then_some("true")>
                    {word}
                </a>
            }
        })
        .collect();
    view! {
        <nav class="choice" aria-label=label>
            <span aria-hidden="true">{label}</span>
            <span class="seg">{links}</span>
        </nav>
    }
}

fn groups(groups: &[MapGroup], query: &Query, interactive: RwSignal<bool>) -> Vec<impl IntoView + use<>> {
    groups.iter().map(|group| self::group(group, query, interactive)).collect()
}

fn group(group: &MapGroup, query: &Query, interactive: RwSignal<bool>) -> impl IntoView + use<> {
    let blocks: Vec<_> =
        group.cells.chunks(BLOCK).map(|cells| view! { <span class="block">{block(cells)}</span> }).collect();
    let class = if blocks.len() > 1 { "large" } else { "" };
    let (name, counts) = (title(group, query.by), counts(group));
    let sum = sum(group, query.color);
    let label = if counts.is_empty() {
        t!(map.group_without_counts, name = name, sum = sum)
    } else {
        t!(map.group, name = name, sum = sum, counts = counts)
    };
    view! {
        <section class=class>
            <h3>
                <a href=group_address(group, query)>{name}</a>
                <span>{sum}</span>
            </h3>
            <p class="small">{counts}</p>
            <div
                class="cells"
                role=move || if interactive.get() { "listbox" } else { "img" }
                tabindex=move || interactive.get().then_some("0")
                aria-label=label
            >
                {blocks}
            </div>
        </section>
    }
}

fn title(group: &MapGroup, by: GroupBy) -> String {
    match by {
        GroupBy::Node if group.name.is_empty() => t!(map.no_node).to_owned(),
        _ => group.name.clone(),
    }
}

/// The address of the group's VMs as a table; `None` for the group without a node, since no filter selects
/// it.
fn group_address(group: &MapGroup, query: &Query) -> Option<String> {
    let mut query = Query { view: Some(ViewKind::Table), page: 1, ..query.clone() };
    let field = match query.by {
        GroupBy::Node => &mut query.node,
        GroupBy::Namespace => &mut query.namespace,
    };
    field.clone_from(&group.name);
    (!group.name.is_empty()).then(|| address::list(&query))
}

/// Example: `25 VMs · CPU 50 %`.
fn sum(group: &MapGroup, color: Measure) -> String {
    let vms = numbers::vms(group.cells.len() as u32);
    match group.used.share() {
        None => vms,
        Some(percent) => {
            t!(map.sum, vms = vms, measure = measure(color), percent = numbers::percent(percent))
        }
    }
}

/// Example: `22 running, 3 need a look, 1 unknown`; empty if all run and none needs attention.
fn counts(group: &MapGroup) -> String {
    let cells = || group.cells.iter().filter_map(|byte| Cell::from_byte(*byte));
    let running = cells().filter(|cell| !matches!(cell, Cell::Off(_))).count();
    let unknown = cells().filter(|cell| *cell == Cell::Unknown).count();
    let mut parts = Vec::new();
    if running < group.cells.len() {
        parts.push(t!(map.running, n = running as u32));
    }
    if group.attention > 0 {
        parts.push(t!(map.attention, n = group.attention));
    }
    if unknown > 0 {
        parts.push(t!(map.unknown_count, n = unknown as u32));
    }
    parts.join(t!(map.comma))
}
