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

use super::{cards::cards, loading, missing::bad_query, table::TableView};
use crate::{
    server_fns::{default_view, respond_with},
    ui::{
        address::use_query,
        components::{
            download::download,
            empty::{Empty, empty},
            filters::{Filters, TextField},
            pager::pager,
            summary::summary,
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
    bad_param::BadParam,
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
        let named = use_url().with_untracked(|url| ViewKind::of_address(url.search()));
        let kind = named.unwrap_or_else(default_view);
        if load_view(kind).await { Home().into_any() } else { load_document() }
    }
}

/// Fetches a view's texts and code; returns false if that fails. On the server everything is there already.
pub async fn load_view(kind: ViewKind) -> bool {
    if kind == ViewKind::Cards {
        return true;
    }
    let loaded = i18n::later().await;
    match kind {
        ViewKind::Table if loaded => TableView::preload().await,
        ViewKind::Map if loaded => MapView::preload().await,
        _ => {}
    }
    loaded
}

#[component]
fn Home() -> impl IntoView {
    let query = use_query(Query::of_address);
    // Another valid query reaches the page through its feed: redrawing the page would take the field away
    // from somebody who is typing.
    let error = Memo::new(move |_| query.get().err());
    if error.with_untracked(Option::is_some) {
        respond_with(400);
    }
    let feed = Feed::<HomeView>::follow(move || query.get().ok());
    provide_context(feed);
    let loaded = Memo::new(move |_| feed.view.with(Option::is_some));
    let shown = shown(query, feed);
    let cluster = expect_context::<Live>().frame;
    let title_text = move || {
        let name =
            cluster.with(|frame| frame.as_ref().map(|frame| frame.cluster.clone())).unwrap_or_default();
        t!(list.title, cluster = name)
    };
    ready(view! {
        {title(title_text)}
        {move || match error.get() {
            Some(error) => EitherOf3::A(bad_query(error)),
            None if loaded.get() => EitherOf3::B(list(feed, shown)),
            None => EitherOf3::C(loading(feed.connection.failed)),
        }}
    })
}

/// The view that is shown: the requested one, once its code is there.
fn shown(query: Memo<Result<Query, BadParam>>, feed: Feed<HomeView>) -> RwSignal<ViewKind> {
    let named = move || query.with(|query| query.as_ref().ok()?.view);
    let default = move || feed.view.with(|view| view.as_ref().map(|view| view.query.default_view));
    let requested = Memo::new(move |_| named().or_else(default).unwrap_or_else(default_view));
    let shown = RwSignal::new(requested.get_untracked());
    // Effects run in the browser only.
    Effect::new(move |_| {
        let kind = requested.get();
        if shown.get_untracked() != kind {
            spawn_local_scoped_with_cancellation(async move {
                if load_view(kind).await && requested.get_untracked() == kind {
                    shown.set(kind);
                }
            });
        }
    });
    shown
}

fn list(feed: Feed<HomeView>, shown: RwSignal<ViewKind>) -> impl IntoView {
    let totals = feed.part(|view| {
        (view.query.clone(), view.selected, view.capacity, view.facets.statuses, view.frame.all_vms)
    });
    let facets = feed.part(|view| (view.query.clone(), view.facets.clone()));
    let extent = feed.part(|view| (view.query.clone(), view.pages, view.matching));
    let empty_list = feed.part(Empty::of);
    let text = TextField::follow_address();
    let attention = feed.part(|view| view.attention.clone());
    view! {
        <h1 class="vh">{t!(list.heading)}</h1>
        {move || feed.draw_part(totals, head)}
        // The server has made it, with every text escaped (`http/attention`).
        <div class="attention" inner_html=move || attention.get().unwrap_or_default()></div>
        {move || feed.draw_part(facets, |view| filters(view, text))}
        {move || empty_list.get().flatten().map(empty)}
        // `shown` changes only once the code of the view is there, so none has to wait.
        {move || match shown.get() {
            ViewKind::Cards => Either::Left(cards(feed)),
            ViewKind::Table => Either::Right(TableView::view(TableView).now_or_never()),
            ViewKind::Map => Either::Right(MapView::view(MapView).now_or_never()),
        }}
        {move || feed.draw_part(extent, |view| pager(&view.query, view.pages, view.matching))}
        {move || feed.draw_part(extent, |view| (view.matching > 0).then(|| download(&view.query)))}
    }
}

/// Totals and filters are left out if no VM is known: they would be zeros that nobody measured, and empty
/// choices.
fn head(view: &HomeView) -> impl IntoView + use<> {
    has_vms(view).then(|| summary(view))
}

/// Redrawn when the choices differ, but not while somebody is choosing.
fn filters(view: &HomeView, text: TextField) -> impl IntoView + use<> {
    has_vms(view).then(|| view! { <Filters view text /> })
}

fn has_vms(view: &HomeView) -> bool {
    view.totals.counts.total > 0
}
