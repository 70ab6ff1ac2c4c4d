//! The list's heading and its filters: a GET form, which the browser half submits without a reload.

use leptos::{ev::SubmitEvent, html::Input, prelude::*};
use leptos_router::NavigateOptions;
use web_sys::FormData;

use super::icon::{Icon, icon};
use crate::{
    server_fns::{VIEW_COOKIE, write_cookie},
    ui::{
        address::{self, use_go, use_query},
        words,
    },
};
use i18n::{self as names, t, text};
use model::{
    attention::{Attention, AttentionKind},
    format,
    params::Params,
    query::{Order, Query, Sort, ViewKind},
    view::{Facet, Facets, HomeView},
    vm::Status,
};

/// The text field of the filter. Its content follows the address (which Back and links change) and nothing
/// else: redrawing it with each answer would overwrite what somebody is typing.
#[derive(Clone, Copy)]
pub struct TextField {
    node: NodeRef<Input>,
    /// The text of the address that was last written into the field.
    synced: StoredValue<String>,
}

impl TextField {
    pub fn follow_address() -> Self {
        let params = use_query(Params::parse);
        let text = move || params.with(|params| params.as_ref().ok()?.get("q")).unwrap_or_default();
        let field = Self { node: NodeRef::new(), synced: StoredValue::new(untrack(text)) };
        // Effects run in the browser only.
        Effect::new(move |_| {
            let text = text();
            if let Some(node) = field.node.get_untracked()
                && field.synced.get_value() != text
            {
                node.set_value(&text);
            }
            field.synced.set_value(text);
        });
        field
    }
}

#[component]
pub fn Filters<'a>(view: &'a HomeView, text: TextField) -> impl IntoView + use<> {
    let (query, facets) = (&view.query, &view.facets);
    let order = if query.order == query.sort.default_order() { "" } else { query.order.code() };
    let clear = query
        .is_filtered()
        .then(|| view! { <a href=address::list(&query.unfiltered())>{t!(list.clear)}</a> });
    // The map shows all VMs, so it has no range and no sort order.
    let map = query.view() == ViewKind::Map;
    let (range, sorted) = if map {
        (words::vms(view.matching), String::new())
    } else {
        (words::range(query.page, view.matching), words::sorted_by(query))
    };
    view! {
        <form class="filters" action=address::at("/") autocomplete="off" on:submit=submit(query.clone(), text)>
            <h2>
                {t!(list.heading)} " "
                <small>
                    <span role="status">{range}</span>
                    {sorted}
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
                    node_ref=text.node
                />
            </label>
            {select(t!(list.namespace), "namespace", named(&facets.namespaces), &query.namespace)}
            {select(t!(list.status), "status", statuses(&facets.statuses), query.status.map_or("", Status::name))}
            {select(t!(list.node), "node", named(&facets.nodes), &query.node)}
            {(!map).then(|| {
                (
                    select(t!(list.sort), "sort", sorts(), query.sort.code()),
                    select(t!(list.order), "order", orders(), order),
                )
            })}
            {select(t!(attention_kind.by), "attention", attention(query, facets), &query.value("attention"))}
            {["by", "color", "columns"].map(|field| hidden(query, field))}
            {map.then(|| ["sort", "order"].map(|field| hidden(query, field)))}
            // The first button of the form, which Enter activates; it keeps the current view.
            <button class="button" name="view" value=query.value("view")>
                {t!(list.apply)}
            </button>
            {clear}
            <span class="seg" role="group" aria-label=t!(list.view)>
                {VIEWS.map(|kind| switch(kind, query.view() == kind))}
            </span>
        </form>
    }
}

/// Navigates to the query of the form's fields. Successive edits of the text make one history entry, not one
/// per keystroke.
fn submit(before: Query, text: TextField) -> impl Fn(SubmitEvent) {
    let go = use_go();
    move |event| {
        event.prevent_default();
        let Ok(fields) = FormData::new_with_form(&event_target(&event)) else { return };
        let pressed = event.submitter().and_then(|button| button.get_attribute("value"));
        let view = pressed.unwrap_or_else(|| before.value("view"));
        if let Some(kind) = ViewKind::of_code(&view).filter(|kind| *kind != before.view()) {
            write_cookie(VIEW_COOKIE, kind.code(), &address::at("/"));
        }
        let _ = fields.append_with_str("view", &view);
        let query = read_query(&fields);
        let replace = Query { q: String::new(), page: 1, ..query.clone() }
            == Query { q: String::new(), page: 1, ..before.clone() }
            && !before.q.is_empty();
        text.synced.set_value(query.q.clone());
        go(&address::list(&query), NavigateOptions { scroll: false, replace, ..NavigateOptions::default() });
    }
}

/// Returns the query that the form's fields describe, read by the rules of the address; the default if they
/// are not valid.
pub fn read_query(fields: &FormData) -> Query {
    Query::parse(|field| fields.get(field).as_string()).unwrap_or_default()
}

/// A hidden input for a part of the query that no visible field shows; `None` if it is empty.
fn hidden(query: &Query, field: &'static str) -> Option<impl IntoView + use<>> {
    let value = query.value(field);
    (!value.is_empty()).then(|| view! { <input type="hidden" name=field value=value /> })
}

const VIEWS: [ViewKind; 3] = ViewKind::ALL;

fn switch(kind: ViewKind, chosen: bool) -> impl IntoView {
    let (drawing, word) = match kind {
        ViewKind::Cards => (Icon::Cards, t!(list.cards)),
        ViewKind::Table => (Icon::Table, t!(list.table)),
        ViewKind::Map => (Icon::Map, t!(list.map)),
    };
    view! {
        <button name="view" value=kind.code() aria-current=chosen.then_some("true")>
            {icon(drawing)}
            {word}
        </button>
    }
}

/// Value and text of each option.
pub type Options = Vec<(String, String)>;

pub fn select(
    label: &'static str,
    name: &'static str,
    options: Options,
    chosen: &str,
) -> impl IntoView + use<> {
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

/// `All`, then each name with the number of VMs it would leave: `payments (41)`.
fn named(facet: &Facet) -> Options {
    let option = |(name, vms): (&String, u32)| (name.clone(), counted(name, vms));
    core::iter::once(all()).chain(facet.iter().map(option)).collect()
}

/// Options for the status. Creating counts as pending too, and is shown indented below it.
fn statuses(counts: &[u32; 6]) -> Options {
    let option = |status: Status| {
        let part = if status == Status::Creating { "– " } else { "" };
        (
            status.name().to_owned(),
            [part, &counted(text(names::status(status)), counts[status as usize])].concat(),
        )
    };
    let [running, creating, pending, rest @ ..] = Status::ALL;
    let [error, stopped, unknown] = rest;
    core::iter::once(all()).chain([running, pending, creating, error, stopped, unknown].map(option)).collect()
}

/// Options for what needs attention: all of it, each kind, and the incident that is chosen.
fn attention(query: &Query, facets: &Facets) -> Options {
    let any = (Attention::default().code(), counted(t!(list.attention), facets.attention));
    let kinds = AttentionKind::ALL.into_iter().zip(facets.attention_kinds);
    let kind = |(kind, count): (AttentionKind, u32)| {
        (kind.code().to_owned(), counted(text(names::attention_kind(kind)), count))
    };
    let chosen = query.attention.as_ref().filter(|chosen| !chosen.cause.is_empty());
    let chosen = chosen.map(|chosen| (chosen.code(), attention_text(chosen)));
    [all(), any].into_iter().chain(kinds.map(kind)).chain(chosen).collect()
}

/// What the filter selects: `Needs attention`, `Down`, `Down: node.worker-12`.
pub fn attention_text(attention: &Attention) -> String {
    let kind = attention.kind.map_or(t!(list.attention), |kind| text(names::attention_kind(kind)));
    match attention.cause.as_str() {
        "" => kind.to_owned(),
        cause => [kind, t!(list.colon), cause].concat(),
    }
}

fn all() -> (String, String) {
    (String::new(), t!(list.all).to_owned())
}

fn counted(name: &str, count: u32) -> String {
    [name, " (", &format::grouped(count.into()), ")"].concat()
}

fn sorts() -> Options {
    Sort::ALL.map(|sort| (sort.code().to_owned(), words::sort(sort).to_owned())).to_vec()
}

/// What every list may be ordered by.
pub fn orders() -> Options {
    [
        ("", t!(list.default_order)),
        (Order::Asc.code(), t!(list.ascending)),
        (Order::Desc.code(), t!(list.descending)),
    ]
    .map(|(code, word)| (code.to_owned(), word.to_owned()))
    .to_vec()
}
