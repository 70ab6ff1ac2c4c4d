//! The list's name and what narrows it: a GET form, which the browser's half submits without a reload.

use leptos::{ev::SubmitEvent, prelude::*};
use leptos_router::{NavigateOptions, hooks::use_navigate};

use super::{
    icon::{Icon, icon},
    topbar::read_query,
};
use crate::{
    model::{
        query::{Order, Sort},
        view::HomeView,
        vm::Status,
    },
    ui::words,
};

#[component]
pub fn Filters<'a>(view: &'a HomeView) -> impl IntoView + use<> {
    let go = use_navigate();
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let query = read_query(&event_target(&event));
        let there = NavigateOptions { scroll: false, ..NavigateOptions::default() };
        go(&["/", &query.to_query_string()].concat(), there);
    };
    let query = &view.query;
    let order = if query.order == query.sort.default_order() { "" } else { query.order.code() };
    let clear = query.is_filtered().then(|| view! { <a href="/">"Clear"</a> });
    view! {
        <form class="filters" action="/" autocomplete="off" on:submit=submit>
            <h2>
                "Virtual machines "
                <small>
                    <span role="status">{words::range(query.page, view.matching)}</span>
                    {words::sorted_by(query)}
                </small>
            </h2>
            <label class="field text">
                <span class="vh">"Text"</span>
                {icon(Icon::Search)}
                <input
                    type="search"
                    name="q"
                    maxlength="253"
                    placeholder="Filter by text"
                    value=query.q.clone()
                    prop:value=query.q.clone()
                />
            </label>
            {select("Namespace", "namespace", named(&view.namespaces), &query.namespace)}
            {select("Status", "status", statuses(), query.status.map_or("", Status::name))}
            {select("Node", "node", named(&view.nodes), &query.node)}
            {select("Sort", "sort", sorts(), query.sort.code())}
            {select("Order", "order", orders(), order)}
            <button class="button">"Apply"</button>
            {clear}
        </form>
    }
}

type Options = Vec<(String, String)>;

fn select(label: &'static str, name: &'static str, options: Options, chosen: &str) -> impl IntoView + use<> {
    let options: Vec<_> = options
        .into_iter()
        .map(|(value, text)| {
            let chosen = value == chosen;
            view! {
                <option value=value selected=chosen prop:selected=chosen>
                    {text}
                </option>
            }
        })
        .collect();
    view! {
        <label class="field">
            <span>{label}</span>
            <select name=name>{options}</select>
        </label>
    }
}

/// `All`, then names that stand for themselves.
fn named(names: &[String]) -> Options {
    let all = (String::new(), "All".to_owned());
    core::iter::once(all).chain(names.iter().map(|name| (name.clone(), name.clone()))).collect()
}

fn statuses() -> Options {
    named(&Status::ALL.map(|status| status.name().to_owned()))
}

fn sorts() -> Options {
    let words = |sort| match sort {
        Sort::Name => "Name",
        Sort::Cpu => "CPU",
        Sort::Memory => "Memory",
        Sort::Disk => "Disk",
    };
    Sort::ALL.map(|sort| (sort.code().to_owned(), words(sort).to_owned())).to_vec()
}

fn orders() -> Options {
    [("", "Usual"), (Order::Asc.code(), "Ascending"), (Order::Desc.code(), "Descending")]
        .map(|(code, word)| (code.to_owned(), word.to_owned()))
        .to_vec()
}
