//! Home: what the cluster has given away, what of it is used, and 50 VMs of those that match.

use leptos::{either::EitherOf3, prelude::*};
use leptos_router::hooks::use_query_map;

use super::{loading, missing::bad_query};
use crate::{
    model::{query::Query, view::HomeView, vm::VmSummary},
    server_fns::respond_with,
    ui::{
        components::{
            card::card,
            empty::{Empty, empty},
            filters::Filters,
            notices::notices,
            pager::pager,
            summary::summary,
            title::title,
        },
        feed::Feed,
        live::Live,
        ready::ready,
    },
};

#[component]
pub fn Home() -> impl IntoView {
    let params = use_query_map();
    let query = move || params.with(|params| Query::parse(|field| params.get(field)));
    if untrack(query).is_err() {
        respond_with(400);
    }
    let feed = Feed::<HomeView>::follow(move || query().ok());
    let there = Memo::new(move |_| feed.view.with(Option::is_some));
    let cluster = expect_context::<Live>().frame;
    let text = move || {
        let name =
            cluster.with(|frame| frame.as_ref().map(|frame| frame.cluster.clone())).unwrap_or_default();
        ["VMs · ", &name, " · wukong-dashboard"].concat()
    };
    ready(view! {
        {title(text)}
        {move || match query() {
            Err(bad) => EitherOf3::A(bad_query(bad)),
            Ok(_) if there.get() => EitherOf3::B(list(feed)),
            Ok(_) => EitherOf3::C(loading(feed.pulse.failed)),
        }}
    })
}

fn list(feed: Feed<HomeView>) -> impl IntoView {
    view! {
        <h1 class="vh">"Virtual machines"</h1>
        {move || feed.draw(head)}
        {cards(feed)}
        {move || feed.draw(|view| pager(&view.query, view.pages, view.matching))}
    }
}

/// Totals and filters of a cluster without a known VM would be zeros that nobody measured, and choices of nothing.
fn head(view: &HomeView) -> impl IntoView + use<> {
    let sources = &view.frame.sources;
    let any = view.totals.counts.total > 0;
    view! {
        {any.then(|| summary(&view.totals, view.query.status))}
        {notices(sources)}
        {any.then(|| view! { <Filters view /> })}
        {Empty::of(view).map(empty)}
    }
}

/// A card stays the same element for as long as its VM is on the page.
fn cards(feed: Feed<HomeView>) -> impl IntoView {
    let keys = move || feed.draw(|view| view.vms.iter().map(key).collect::<Vec<_>>()).unwrap_or_default();
    let class = move || if feed.pulse.waiting.get() { "cards busy" } else { "cards" };
    view! {
        <div class=class>
            <For each=keys key=Clone::clone let:wanted>
                {one_card(feed, wanted)}
            </For>
        </div>
    }
}

/// Drawn again each second, for its ages; a few words of that reach the document.
fn one_card(feed: Feed<HomeView>, wanted: (String, String)) -> impl IntoView {
    let now = expect_context::<Live>().now;
    let is_wanted = move |vm: &&VmSummary| (&vm.namespace, &vm.name) == (&wanted.0, &wanted.1);
    move || {
        let now = now.get();
        feed.draw(|view| view.vms.iter().find(&is_wanted).map(|vm| card(vm, now))).flatten()
    }
}

fn key(vm: &VmSummary) -> (String, String) {
    (vm.namespace.clone(), vm.name.clone())
}
