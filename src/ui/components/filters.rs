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
    words::{self as names, t, text},
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
    let clear = query.is_filtered().then(|| view! { <a href="/">{t!(list.clear)}</a> });
    view! {
        <form class="filters" action="/" autocomplete="off" on:submit=submit>
            <h2>
                {t!(list.heading)} " "
                <small>
                    <span role="status">{words::range(query.page, view.matching)}</span>
                    {words::sorted_by(query)}
                </small>
            </h2>
            <label class="field text">
                <span class="vh">{t!(list.text)}</span>
                {icon(Icon::Search)}
                <input
                    type="search"
                    name="q"
                    maxlength="253"
                    placeholder=t!(list.text_hint)
                    value=query.q.clone()
                    prop:value=query.q.clone()
                />
            </label>
            {select(t!(list.namespace), "namespace", named(&view.namespaces), &query.namespace)}
            {select(t!(list.status), "status", statuses(), query.status.map_or("", Status::name))}
            {select(t!(list.node), "node", named(&view.nodes), &query.node)}
            {select(t!(list.sort), "sort", sorts(), query.sort.code())}
            {select(t!(list.order), "order", orders(), order)}
            <button class="button">{t!(list.apply)}</button>
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
    core::iter::once(all()).chain(names.iter().map(|name| (name.clone(), name.clone()))).collect()
}

fn all() -> (String, String) {
    (String::new(), t!(list.all).to_owned())
}

fn statuses() -> Options {
    let option = |status: Status| (status.name().to_owned(), text(names::status(status)).to_owned());
    core::iter::once(all()).chain(Status::ALL.map(option)).collect()
}

fn sorts() -> Options {
    let words = |sort| match sort {
        Sort::Name => t!(list.name),
        Sort::Cpu => t!(figure.cpu),
        Sort::Memory => t!(figure.memory),
        Sort::Disk => t!(figure.disk),
    };
    Sort::ALL.map(|sort| (sort.code().to_owned(), words(sort).to_owned())).to_vec()
}

fn orders() -> Options {
    [("", t!(list.usual)), (Order::Asc.code(), t!(list.ascending)), (Order::Desc.code(), t!(list.descending))]
        .map(|(code, word)| (code.to_owned(), word.to_owned()))
        .to_vec()
}
