//! The page of one node: what is wrong with it, what is used and allocated of it, its largest consumers, and what its own
//! object says. It is in the chunk of the page of nodes: a chunk of its own would make the first download larger.

mod consumers;
mod facts;
mod meters;

use leptos::{
    either::{Either, EitherOf4},
    prelude::*,
};
use leptos_router::hooks::use_params_map;

use super::{
    groups::{nodes_source, restricted, states, unknown_capacity},
    loading,
    missing::bad_query,
};
use crate::{
    server_fns::respond_with,
    ui::{
        address::{self, use_query},
        components::{
            icon::{Icon, icon},
            title::title,
            why::fix,
        },
        feed::Feed,
        live::Live,
        ready::ready,
        words,
    },
};
use consumers::{consumers, vms_query};
use facts::facts;
use i18n::{MARK, around, t};
use meters::meters;
use model::{
    groups::{Group, GroupsQuery, NodeUse},
    insight::InsightQuery,
    name::check_node,
    nodes::{NodeReport, NodeView, TopBy},
    query::GroupBy,
    view::Frame,
    vm_health::{Level, Problem},
};

/// Returns the page of the node that the address names.
pub fn page_of_node() -> AnyView {
    let (params, top) = (use_params_map(), use_query(TopBy::of_address));
    let name = move || params.with(|params| params.get("name")).unwrap_or_default();
    let valid_name = move || Some(name()).filter(|name| check_node(name).is_ok());
    let feed = Feed::<NodeView>::follow(valid_name);
    let state = Memo::new(move |_| {
        if valid_name().is_none() {
            return PageState::NotFound;
        }
        let found = feed.draw(|view| view.node.as_ref().map(|node| node.group.name == name()));
        match found {
            Some(Some(true)) => PageState::Node,
            Some(None) => PageState::NotFound,
            _ => PageState::Loading,
        }
    });
    match (top.get_untracked(), state.get_untracked()) {
        (Err(_), _) => respond_with(400),
        (_, PageState::NotFound) => respond_with(404),
        _ => {}
    }
    ready(view! {
        {title(move || t!(groups.title, name = name()))}
        {move || match (top.get(), state.get()) {
            (Err(bad), _) => EitherOf4::A(bad_query(bad)),
            (Ok(top), PageState::Node) => EitherOf4::B(page(feed, top)),
            (_, PageState::NotFound) => EitherOf4::C(no_node(name())),
            (_, PageState::Loading) => EitherOf4::D(loading(feed.connection.failed)),
        }}
    })
    .into_any()
}

/// Which variant of the page is shown. The page is rebuilt only when this changes.
#[derive(Clone, Copy, PartialEq)]
enum PageState {
    Node,
    NotFound,
    Loading,
}

fn no_node(name: String) -> impl IntoView {
    let (before, after) = around(&t!(node.none_text, name = MARK));
    view! {
        <div class="empty">
            <h1>{t!(node.none)}</h1>
            <p>
                {before} <b>{name}</b> {after} " " {all_nodes()}
            </p>
        </div>
    }
}

fn all_nodes() -> impl IntoView {
    let query = GroupsQuery { by: GroupBy::Node, ..GroupsQuery::default() };
    view! { <a href=address::groups(&query)>{t!(groups.nodes)}</a> }
}

/// The meters are drawn each second, for their ages; the rest when something differs.
fn page(feed: Feed<NodeView>, top: TopBy) -> impl IntoView {
    let now = expect_context::<Live>().now;
    let draw =
        move |view: &NodeView, now| view.node.as_deref().map(|node| meters(node, view.frame.all_vms, now));
    view! {
        {move || {
            feed.draw(|view| view.node.as_deref().map(|node| (head(&node.group), verdict(node, &view.frame), notices(node, &view.frame))))
        }}
        <h2>{t!(vm.usage)}</h2>
        {move || {
            let now = now.get();
            feed.draw(|view| draw(view, now))
        }}
        {move || feed.draw(|view| view.node.as_deref().map(|node| (consumers(node, top), facts(node))))}
    }
}

fn head(group: &Group) -> impl IntoView + use<> {
    let counts = &group.totals.counts;
    let of_states = (counts.total > 0).then(|| [t!(list.colon), &states(counts)].concat());
    view! {
        <div class="head">
            <nav class="crumbs" aria-label=t!(vm.breadcrumb)>
                {all_nodes()}
            </nav>
            <h1>{group.name.clone()}</h1>
            <p class="reason">
                <a href=address::list(&vms_query(&group.name))>{words::vms(counts.total)}</a>
                {of_states}
            </p>
        </div>
    }
}

fn verdict(node: &NodeReport, frame: &Frame) -> impl IntoView + use<> {
    let without_problems = node.problems.is_empty().then(|| VerdictWithoutProblems::of(node, frame));
    let (class, drawing, word) = match (node.level, &without_problems) {
        (Level::Critical, _) => ("verdict crit", Icon::Error, t!(vm.critical)),
        (Level::High, _) => ("verdict warn", Icon::Warn, t!(vm.warning)),
        (Level::Normal, Some(VerdictWithoutProblems::Healthy)) => ("verdict healthy", Icon::Healthy, ""),
        (Level::Normal, _) => ("verdict", Icon::Nothing, ""),
    };
    let problems: Vec<_> = node.problems.iter().map(problem).collect();
    view! {
        <section class=class aria-label=t!(vm.verdict)>
            {icon(drawing)} <span class="vh">{word}</span>
            <div>
                {without_problems
                    .map(|verdict| {
                        view! {
                            <p>
                                <b>{verdict.text()}</b>
                            </p>
                        }
                    })} {problems} {findings(node)}
            </div>
        </section>
    }
}

/// What is said of a node without a known problem.
#[derive(Clone, Copy, PartialEq)]
enum VerdictWithoutProblems {
    Healthy,
    /// It is ready, but what is used of it is not known, or an old figure.
    Unmeasured,
    /// Its own object is not known.
    UnknownObject,
    /// The viewer may not see its object.
    HiddenObject,
}

impl VerdictWithoutProblems {
    fn of(node: &NodeReport, frame: &Frame) -> Self {
        let Some(object) = &node.group.node else {
            return if frame.nodes { Self::UnknownObject } else { Self::HiddenObject };
        };
        let is_fresh = |NodeUse { cpu, memory }: &NodeUse| {
            [cpu, memory].into_iter().all(|figure| figure.sample().is_some_and(|sample| !sample.stale))
        };
        if object.used.as_deref().is_some_and(is_fresh) { Self::Healthy } else { Self::Unmeasured }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Healthy => t!(node.calm),
            Self::Unmeasured => t!(node.calm_unmeasured),
            Self::UnknownObject => t!(node.calm_unread),
            Self::HiddenObject => t!(node.calm_name_only),
        }
    }
}

fn problem(problem: &Problem) -> impl IntoView + use<> {
    view! {
        <p>
            <b>{problem.text.text()}</b>
        </p>
        {fix(&problem.advice.text())}
    }
}

/// A link to the findings about its VMs, if there are any.
fn findings(node: &NodeReport) -> Option<impl IntoView + use<>> {
    let query = InsightQuery { node: node.group.name.clone(), ..InsightQuery::default() };
    (node.findings > 0).then(|| {
        view! {
            <p class="small">
                <a href=address::insights(&query)>{t!(node.findings, n = node.findings)}</a>
            </p>
        }
    })
}

/// Why the node's own object is not known.
fn notices(node: &NodeReport, frame: &Frame) -> Option<impl IntoView + use<>> {
    let is_unknown = node.group.node.is_none();
    is_unknown.then(|| match frame.nodes {
        true => Either::Left(nodes_source(frame).and_then(unknown_capacity)),
        false => Either::Right(restricted()),
    })
}
