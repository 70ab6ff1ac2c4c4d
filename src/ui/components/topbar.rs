//! The bar at the top of every page: brand, cluster, pages, search, freshness, language, theme.

use leptos::{ev::SubmitEvent, prelude::*};
use leptos_router::{NavigateOptions, hooks::use_location};
use web_sys::{FocusOptions, FormData, HtmlElement, HtmlFormElement, wasm_bindgen::JsCast};

use super::{
    account,
    filters::read_query,
    freshness::FreshnessLine,
    icon::{Icon, icon},
    languages::Languages,
};
use crate::ui::{
    address::{self, use_go},
    live::Live,
    ready::ready,
};
use i18n::t;

#[component]
pub fn Topbar() -> impl IntoView {
    follow_pages();
    ready(view! {
        <header class="topbar">
            <a class="brand" href=address::at("/")>
                {icon(Icon::Brand)} <span class="wide">"wukong-dashboard"</span> <span class="vh">" " {t!(topbar.home)}</span>
            </a>
            <Cluster />
            <Pages />
            <Search />
            <FreshnessLine />
            <Languages />
            // `theme.js` listens for clicks and makes the button visible; it is hidden without JavaScript.
            <button class="theme button" type="button" aria-label=t!(topbar.theme)>
                {icon(Icon::Theme)}
            </button>
            {account::menu()}
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
                <span class="demo" title=t!(topbar.demo_title)>
                    {t!(topbar.demo)} <span class="wide">{t!(topbar.demo_cluster)}</span>
                </span>
            }
        });
        view! {
            <span class="cluster">
                <span class="vh">{t!(topbar.cluster)} " "</span>
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
        let pages = ["/groups", "/insights", "/sources"].map(address::at);
        let mut current = pages.each_ref().map(|page| path.read().starts_with(page));
        // A node's page has an address of its own.
        current[0] |= path.read().starts_with(&address::at("/nodes"));
        let page = |href: String, current: bool, name| {
            view! {
                <a href=href aria-current=current.then_some("page")>
                    {name}
                </a>
            }
        };
        let ([groups, insights, sources], [is_groups, is_insights, is_sources]) = (pages, current);
        view! {
            <nav class="pages" aria-label=t!(topbar.pages)>
                {page(address::at("/"), !current.contains(&true), t!(topbar.vms))}
                {page(groups, is_groups, t!(topbar.nodes))}
                {page(insights, is_insights, t!(topbar.insights))}
                {page(sources, is_sources, t!(topbar.sources))}
            </nav>
        }
    }
}

/// Searches from any page. `keys.js` fills the suggestions, and opens the one that is chosen. The box is emptied when the
/// list opens, whose own filter then holds the text.
#[component]
fn Search() -> impl IntoView {
    let go = use_go();
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let form = event_target::<HtmlFormElement>(&event);
        if let Ok(fields) = FormData::new_with_form(&form) {
            go(&address::list(&read_query(&fields)), NavigateOptions::default());
        }
        form.reset();
    };
    view! {
        <form class="search field" role="search" action=address::at("/") on:submit=submit>
            {icon(Icon::Search)}
            <input
                type="search"
                name="q"
                list="suggestions"
                maxlength="253"
                autocomplete="off"
                aria-label=t!(topbar.find)
                placeholder=t!(topbar.find)
            />
            <datalist id="suggestions" data-node=t!(list.node) data-namespace=t!(list.namespace)></datalist>
        </form>
    }
}

/// Moves the keyboard focus to the content after a change of page, as after a page load. Effects run in the
/// browser only.
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
