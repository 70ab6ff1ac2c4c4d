//! Home: what the cluster has given away, what of it is used, and 50 VMs of those that match.

use leptos::{either::Either, prelude::*};
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

use super::{loading, missing::bad_query};
use crate::{
    model::{
        query::{BadParam, Query},
        view::HomeView,
        vm::VmSummary,
    },
    server_fns::respond_with,
    ui::{
        components::{
            card::card,
            empty::{Empty, empty, starting},
            filters::{Choices, Filters},
            notices::{notices, troubled},
            pager::pager,
            summary::summary,
        },
        feed::Feed,
        live::Live,
        ready::ready,
    },
};

#[component]
pub fn Home() -> impl IntoView {
    let params = use_query_map();
    let query: Memo<Result<Query, BadParam>> =
        Memo::new(move |_| Query::parse(|field| params.with(|params| params.get(field))));
    let bad = Memo::new(move |_| query.with(|query| query.as_ref().err().cloned()));
    if bad.with_untracked(Option::is_some) {
        respond_with(400);
    }
    let feed = Feed::<HomeView>::follow(Signal::derive(move || query.get().ok()));
    let there = Memo::new(move |_| feed.view.with(Option::is_some));
    let cluster = expect_context::<Live>().frame;
    let title = move || {
        let name =
            cluster.with(|frame| frame.as_ref().map(|frame| frame.cluster.clone())).unwrap_or_default();
        ["VMs · ", &name, " · wukong-dashboard"].concat()
    };
    ready(view! {
        <Title text=title />
        {move || match bad.get() {
            Some(bad) => Either::Left(bad_query(bad)),
            None if there.get() => Either::Right(Either::Left(list(feed))),
            None => Either::Right(Either::Right(loading(feed.failed))),
        }}
    })
}

/// Each part wakes when it changed, and no other.
fn list(feed: Feed<HomeView>) -> impl IntoView {
    // Totals of a cluster without a known VM would be zeros that nobody measured.
    let any = feed.part(|view| view.totals.counts.total > 0);
    let some = move || any.get().unwrap_or_default();
    let totals = feed.part(|view| (view.totals, view.query.status));
    let troubles = feed.part(|view| troubled(&view.frame.sources));
    let choices = feed.part(|view| Choices {
        query: view.query.clone(),
        matching: view.matching,
        namespaces: view.namespaces.clone(),
        nodes: view.nodes.clone(),
    });
    let pages = feed.part(|view| (view.query.clone(), view.pages, view.matching));
    let nothing = feed.part(|view| match Empty::of(view) {
        None if !view.frame.ready => Some(starting(&view.frame.sources)),
        empty => empty,
    });
    view! {
        <h1 class="vh">"Virtual machines"</h1>
        {move || totals.get().filter(|_| some()).map(|(totals, chosen)| summary(&totals, chosen))}
        {move || troubles.with(|troubled| troubled.as_ref().map(|troubled| notices(troubled)))}
        {move || some().then(|| view! { <Filters choices /> })}
        {move || nothing.get().flatten().map(empty)}
        {cards(feed)}
        {move || pages.get().map(|(query, pages, matching)| pager(&query, pages, matching))}
    }
}

/// A card stays the same element for as long as its VM is on the page.
fn cards(feed: Feed<HomeView>) -> impl IntoView {
    let keys = feed.part(|view| view.vms.iter().map(key).collect::<Vec<_>>());
    view! {
        <div class="cards" class:busy=feed.waiting aria-busy=move || feed.waiting.get().then_some("true")>
            <For each=move || keys.get().unwrap_or_default() key=Clone::clone let:wanted>
                {one_card(feed, wanted)}
            </For>
        </div>
    }
}

fn one_card(feed: Feed<HomeView>, wanted: (String, String)) -> impl IntoView {
    let find = move |view: &HomeView| {
        view.vms.iter().find(|vm| (&vm.namespace, &vm.name) == (&wanted.0, &wanted.1)).cloned()
    };
    let vm = feed.part(find);
    move || vm.with(|vm| vm.as_ref().and_then(Option::as_ref).map(card))
}

fn key(vm: &VmSummary) -> (String, String) {
    (vm.namespace.clone(), vm.name.clone())
}
