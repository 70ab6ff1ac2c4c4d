//! The bar over every page: brand, cluster, pages, search, freshness, theme.

use leptos::{ev::SubmitEvent, prelude::*};
use leptos_router::{
    NavigateOptions,
    hooks::{use_location, use_navigate},
};
use web_sys::{FocusOptions, FormData, HtmlElement, HtmlFormElement, wasm_bindgen::JsCast};

use super::{
    freshness::FreshnessLine,
    icon::{Icon, icon},
};
use crate::{
    model::query::Query,
    ui::{live::Live, ready::ready},
};

#[component]
pub fn Topbar() -> impl IntoView {
    follow_pages();
    ready(view! {
        <header class="topbar">
            <a class="brand" href="/">
                {icon(Icon::Brand)} <span class="wide">"wukong-dashboard"</span> <span class="vh">" home"</span>
            </a>
            <Cluster />
            <Pages />
            <Search />
            <FreshnessLine />
            // theme.js listens for it, and shows it: without a script it could do nothing.
            <button class="theme button" type="button" aria-label="Switch between light and dark">
                {icon(Icon::Theme)}
            </button>
        </header>
    })
}

#[component]
fn Cluster() -> impl IntoView {
    let frame = expect_context::<Live>().frame;
    move || {
        let (name, demo) = frame
            .with(|frame| frame.as_ref().map(|frame| (frame.cluster.clone(), frame.demo)))
            .unwrap_or_default();
        let demo = demo.then(|| {
            view! {
                <span class="demo" title="A simulated cluster: none of these machines exist">
                    "demo" <span class="wide">": simulated cluster"</span>
                </span>
            }
        });
        view! {
            <span class="cluster">
                <span class="vh">"Cluster "</span>
                {name}
            </span>
            {demo}
        }
    }
}

#[component]
fn Pages() -> impl IntoView {
    let path = use_location().pathname;
    move || {
        let sources = path.read().starts_with("/sources");
        view! {
            <nav class="pages" aria-label="Pages">
                <a href="/" aria-current=(!sources).then_some("page")>
                    "VMs"
                </a>
                <a href="/sources" aria-current=sources.then_some("page")>
                    "Sources"
                </a>
            </nav>
        }
    }
}

/// Finds a VM from any page. Its box empties once it has led to the list, whose own filter then holds the text.
#[component]
fn Search() -> impl IntoView {
    let go = use_navigate();
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let form = event_target::<HtmlFormElement>(&event);
        go(&["/", &read_query(&form).to_query_string()].concat(), NavigateOptions::default());
        form.reset();
    };
    view! {
        <form class="search field" role="search" action="/" on:submit=submit>
            {icon(Icon::Search)}
            <input
                type="search"
                name="q"
                maxlength="253"
                autocomplete="off"
                aria-label="Find a VM by name, IP or node"
                placeholder="Find a VM by name, IP or node"
            />
        </form>
    }
}

/// The query that a form's fields make, by the rules of the address.
pub fn read_query(form: &HtmlFormElement) -> Query {
    let fields = FormData::new_with_form(form).ok();
    Query::parse(|field| fields.as_ref()?.get(field).as_string()).unwrap_or_default()
}

/// After a move to another page the keyboard goes on in its content, as after a load. Runs in the browser only.
fn follow_pages() {
    let path = use_location().pathname;
    Effect::new(move |before: Option<String>| {
        let now = path.get();
        if before.is_some_and(|before| before != now)
            && let Some(main) = document().get_element_by_id("main")
        {
            let options = FocusOptions::new();
            options.set_prevent_scroll(true);
            let _ = main.unchecked_into::<HtmlElement>().focus_with_options(&options);
        }
        now
    });
}
