//! The home page: what the cluster has allocated, how much of it is used, and 50 of the VMs that match.
//!
//! The cards are part of the first download; the other views of the list are fetched when they are first
//! requested.

use futures::FutureExt;
use leptos::{
    either::{Either, EitherOf3},
    prelude::*,
    reactive::spawn_local_scoped_with_cancellation,
};
use leptos_router::{LazyRoute, hooks::use_url};

use super::{
    loading,
    missing::bad_query,
    rows::{draw_row, row_keys, row_of},
    table::TableView,
};
use crate::{
    server_fns::respond_with,
    ui::{
        address::use_query,
        components::{
            card,
            empty::{Empty, empty},
            filters::{Filters, TextField},
            notices::notices,
            pager::pager,
            summary::summary,
            take::take,
            title::title,
        },
        feed::Feed,
        lazy_page::load_document,
        live::Live,
        map::MapView,
        ready::ready,
    },
};
use i18n::t;
use model::{
    delta::RowKey,
    query::{Query, ViewKind},
    view::HomeView,
};

/// The route. It fetches the code of the view that the address names before it makes the page, so that what
/// the server rendered is hydrated as it is.
pub struct HomeRoute;

impl LazyRoute for HomeRoute {
    fn data() -> Self {
        Self
    }

    async fn view(_this: Self) -> AnyView {
        let kind = use_url().with_untracked(|url| ViewKind::of_address(url.search()));
        if load_view(kind).await { Home().into_any() } else { load_document() }
    }
}

/// Fetches a view's texts and code; returns false if that fails. On the server everything is there already.
pub async fn load_view(kind: ViewKind) -> bool {
    if kind == ViewKind::Cards {
        return true;
    }
    let there = i18n::later().await;
    match kind {
        ViewKind::Table if there => TableView::preload().await,
        ViewKind::Map if there => MapView::preload().await,
        _ => {}
    }
    there
}

#[component]
fn Home() -> impl IntoView {
    let query = use_query(Query::of_address);
    // Another valid query reaches the page through its feed: redrawing the page would take the field away
    // from somebody who is typing.
    let bad = Memo::new(move |_| query.get().err());
    if bad.with_untracked(Option::is_some) {
        respond_with(400);
    }
    let feed = Feed::<HomeView>::follow(move || query.get().ok());
    provide_context(feed);
    let there = Memo::new(move |_| feed.view.with(Option::is_some));
    let shown = shown(query);
    let cluster = expect_context::<Live>().frame;
    let text = move || {
        let name =
            cluster.with(|frame| frame.as_ref().map(|frame| frame.cluster.clone())).unwrap_or_default();
        t!(list.title, cluster = name)
    };
    ready(view! {
        {title(text)}
        {move || match bad.get() {
            Some(bad) => EitherOf3::A(bad_query(bad)),
            None if there.get() => EitherOf3::B(list(feed, shown)),
            None => EitherOf3::C(loading(feed.connection.failed)),
        }}
    })
}

/// The view that is shown: the requested one, once its code is there.
fn shown(query: Memo<Result<Query, model::bad_param::BadParam>>) -> RwSignal<ViewKind> {
    let wanted =
        Memo::new(move |_| query.with(|query| query.as_ref().map_or(ViewKind::Cards, |query| query.view)));
    let shown = RwSignal::new(wanted.get_untracked());
    // Effects run in the browser only.
    Effect::new(move |_| {
        let kind = wanted.get();
        if shown.get_untracked() != kind {
            spawn_local_scoped_with_cancellation(async move {
                if load_view(kind).await && wanted.get_untracked() == kind {
                    shown.set(kind);
                }
            });
        }
    });
    shown
}

fn list(feed: Feed<HomeView>, shown: RwSignal<ViewKind>) -> impl IntoView {
    let top = feed.part(|view| (view.query.clone(), view.totals, view.frame.sources.clone()));
    let facets = feed.part(|view| (view.query.clone(), view.facets.clone()));
    let rows = feed.part(|view| (view.query.clone(), view.matching, view.pages));
    let text = TextField::follow_address();
    view! {
        <h1 class="vh">{t!(list.heading)}</h1>
        {move || feed.draw_part(top, head)}
        {move || feed.draw_part(facets, |view| filters(view, text))}
        {move || {
            top.track();
            feed.draw_part(rows, |view| Empty::of(view).map(empty))
        }}
        // `shown` changes only once the code of the view is there, so none has to wait.
        {move || match shown.get() {
            ViewKind::Cards => Either::Left(cards(feed)),
            ViewKind::Table => Either::Right(TableView::view(TableView).now_or_never()),
            ViewKind::Map => Either::Right(MapView::view(MapView).now_or_never()),
        }}
        {move || feed.draw_part(rows, |view| pager(&view.query, view.pages, view.matching))}
        {move || feed.draw_part(rows, |view| (view.matching > 0).then(|| take(&view.query)))}
    }
}

/// Totals and filters are left out if no VM is known: they would be zeros that nobody measured, and empty
/// choices.
fn head(view: &HomeView) -> impl IntoView + use<> {
    view! {
        {any(view).then(|| summary(&view.totals, &view.query))}
        {notices(&view.frame.sources)}
    }
}

/// Redrawn when the choices differ, but not while somebody is choosing.
fn filters(view: &HomeView, text: TextField) -> impl IntoView + use<> {
    any(view).then(|| view! { <Filters view text /> })
}

fn any(view: &HomeView) -> bool {
    view.totals.counts.total > 0
}

/// A card keeps its element for as long as its VM is on the page.
fn cards(feed: Feed<HomeView>) -> impl IntoView {
    let class = move || if feed.connection.waiting.get() { "cards busy" } else { "cards" };
    view! {
        <div class=class>
            <For each=row_keys(feed) key=Clone::clone let:wanted>
                {one_card(feed, wanted)}
            </For>
        </div>
    }
}

/// Each part is redrawn separately. No part contains another, since it would be recreated with it.
fn one_card(feed: Feed<HomeView>, wanted: RowKey) -> impl IntoView {
    let label = card::label(&wanted.1, &wanted.2);
    let row = row_of(feed, wanted.clone());
    let class = draw_row(row, |vm, _, _| card::class(vm));
    view! {
        <article class=move || class().unwrap_or_default() aria-labelledby=label>
            {draw_row(row, |vm, sparks, _| card::card(vm, sparks))}
            <footer>{draw_row(row, |vm, _, now| card::ages(vm, now))}</footer>
        </article>
    }
}
