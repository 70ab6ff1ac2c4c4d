//! The page of nodes or namespaces: what each group is allocated and uses, how far its VMs overcommit a node,
//! and which VMs use the most.

mod ranking;
mod table;
pub(super) mod words;

use leptos::{either::Either, prelude::*};

use super::{loading, missing::bad_query};
use crate::{
    server_fns::respond_with,
    ui::{
        address::{self, use_query},
        components::{
            icon::{Icon, icon},
            pager::pagination,
            state::{State, state},
            title::title,
            why::fix,
        },
        feed::Feed,
        ready::ready,
    },
};
use i18n::{self as names, t, text};
use model::{
    groups::{GroupsQuery, GroupsView},
    query::GroupBy,
    source::{SourceHealth, SourceId, SourceState},
    view::Frame,
};
use ranking::rankings;
pub(super) use table::states;
use table::table;
use words::name_of;

/// Returns the page of nodes or of namespaces, as the address says.
pub fn page_of_groups() -> AnyView {
    let query = use_query(GroupsQuery::of_address);
    if query.with_untracked(Result::is_err) {
        respond_with(400);
    }
    let feed = Feed::<GroupsView>::follow(move || query.get().ok());
    let text = move || {
        let by = query.get().map(|query| query.by).unwrap_or_default();
        t!(groups.title, name = name_of(by))
    };
    ready(view! {
        {title(text)}
        {move || match query.get() {
            Err(bad) => Either::Left(bad_query(bad)),
            Ok(_) => {
                Either::Right(
                    match feed.draw(page) {
                        Some(page) => Either::Left(page),
                        None => Either::Right(loading(feed.connection.failed)),
                    },
                )
            }
        }}
    })
    .into_any()
}

fn page(view: &GroupsView) -> impl IntoView + use<> {
    let query = &view.query;
    let is_restricted = query.by == GroupBy::Node && !view.frame.nodes;
    let nodes = nodes_source(&view.frame);
    let unknown = nodes.filter(|_| query.by == GroupBy::Node && !is_restricted).and_then(unknown_capacity);
    view! {
        <div class="head">
            <h1>{name_of(query.by)}</h1>
            {switch(query)}
        </div>
        {unknown}
        {is_restricted.then(restricted)}
        {rankings(view)}
        <h2>{count(view)}</h2>
        {if view.groups.is_empty() {
            Either::Left(view! { <p class="empty">{t!(groups.none)}</p> })
        } else {
            Either::Right(table(view))
        }}
        {pagination(query.page, view.pages, view.matching, &|page| address::groups(&GroupsQuery { page, ..query.clone() }))}
        {(!is_restricted).then(|| view! { <p class="small">{explanation(query.by)}</p> })}
    }
}

/// Says that only names of nodes are shown.
pub(super) fn restricted() -> impl IntoView {
    view! { <p class="notice calm">{icon(Icon::Forbidden)} <span>{t!(groups.restricted)}</span></p> }
}

pub(super) fn nodes_source(frame: &Frame) -> Option<&SourceHealth> {
    frame.sources.iter().find(|source| source.id == SourceId::Nodes)
}

fn count(view: &GroupsView) -> String {
    match view.query.by {
        GroupBy::Node => t!(groups.node_count, n = view.matching),
        GroupBy::Namespace => t!(groups.namespace_count, n = view.matching),
    }
}

fn switch(query: &GroupsQuery) -> impl IntoView + use<> {
    let links: Vec<_> = GroupBy::ALL
        .into_iter()
        .map(|by| {
            let of_group = GroupsQuery { by, namespace: query.namespace.clone(), ..GroupsQuery::default() };
            view! {
                <a href=address::groups(&of_group) aria-current=(by == query.by).then_some("true")>
                    {name_of(by)}
                </a>
            }
        })
        .collect();
    view! {
        <nav class="seg" aria-label=t!(map.group_by)>
            {links}
        </nav>
    }
}

fn explanation(by: GroupBy) -> &'static str {
    match by {
        GroupBy::Node => t!(groups.about_nodes),
        GroupBy::Namespace => t!(groups.about_namespaces),
    }
}

/// Says why the allocatable amounts of nodes are unknown.
pub(super) fn unknown_capacity(source: &SourceHealth) -> Option<impl IntoView + use<>> {
    let healthy = matches!(source.state, SourceState::Healthy | SourceState::Starting);
    let error = if source.error.is_empty() {
        source.reason.map_or("", |reason| text(names::reason(reason))).to_owned()
    } else {
        source.error.text()
    };
    (!healthy).then(|| {
        view! {
            <div class="panel">
                <p>
                    {state(State::of_source(source.state))} " "
                    <b>{t!(groups.lacking)}</b> " " {error} " "
                    <a href=address::at("/sources#nodes") rel="external">{t!(groups.see_source)}</a>
                </p>
                {(!source.fix.is_empty()).then(|| fix(&source.fix.text()))}
            </div>
        }
    })
}
