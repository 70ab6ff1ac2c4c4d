//! The page of nodes or namespaces: what each group is allocated and uses, how far its VMs overcommit a node,
//! and which VMs use the most.

use leptos::{either::Either, prelude::*};
use leptos_router::{LazyRoute, lazy_route};

use super::{loading, missing::bad_query};
use crate::{
    server_fns::respond_with,
    ui::{
        address::use_query,
        components::{
            card::vm_address,
            meter::bar,
            pager::turn,
            sort_head::sort_head,
            state::{State, state},
            title::title,
            why::fix,
        },
        feed::Feed,
        ready::ready,
        words as numbers,
    },
};
use i18n::{self as names, t, text};
use model::{
    figure::Unit,
    format,
    groups::{Consumer, Group, GroupSort, GroupsQuery, GroupsView, Node, Share, Top},
    query::{GroupBy, Order, Query, ViewKind},
    source::{SourceHealth, SourceId, SourceState},
    totals::{Counts, Measured},
};

/// Everything is made in `view`, whose code is fetched with the page.
pub struct GroupsRoute;

#[lazy_route]
impl LazyRoute for GroupsRoute {
    fn data() -> Self {
        Self
    }

    fn view(_this: Self) -> AnyView {
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
                            None => Either::Right(loading(feed.pulse.failed)),
                        },
                    )
                }
            }}
        })
        .into_any()
    }
}

fn name_of(by: GroupBy) -> &'static str {
    match by {
        GroupBy::Node => t!(groups.nodes),
        GroupBy::Namespace => t!(groups.namespaces),
    }
}

fn page(view: &GroupsView) -> impl IntoView + use<> {
    let query = &view.query;
    let nodes = view.frame.sources.iter().find(|source| source.id == SourceId::Nodes);
    let unknown = nodes.filter(|_| query.by == GroupBy::Node).and_then(lacking);
    let rows: Vec<_> = view.groups.iter().map(|group| row(group, query)).collect();
    view! {
        <div class="head">
            <h1>{name_of(query.by)}</h1>
            {switch(query)}
        </div>
        {unknown}
        {top(view)}
        <h2>{count(view)}</h2>
        {if rows.is_empty() {
            Either::Left(view! { <p class="empty">{t!(groups.none)}</p> })
        } else {
            Either::Right(table(query, rows.into_any()))
        }}
        {turn(query.page, view.pages, view.matching, &|page| GroupsQuery { page, ..query.clone() }.address())}
        <p class="small">{explained(query.by)}</p>
    }
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
            let address = GroupsQuery { by, namespace: query.namespace.clone(), ..GroupsQuery::default() };
            view! {
                <a href=address.address() aria-current=(by == query.by).then_some("true")>
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

fn explained(by: GroupBy) -> &'static str {
    match by {
        GroupBy::Node => t!(groups.about_nodes),
        GroupBy::Namespace => t!(groups.about_namespaces),
    }
}

/// Says why the allocatable amounts of nodes are unknown.
fn lacking(source: &SourceHealth) -> Option<impl IntoView + use<>> {
    let well = matches!(source.state, SourceState::Healthy | SourceState::Starting);
    let error = if source.error.is_empty() {
        source.reason.map_or("", |reason| text(names::reason(reason))).to_owned()
    } else {
        source.error.text()
    };
    (!well).then(|| {
        view! {
            <div class="panel">
                <p>
                    {state(State::of_source(source.state))} " "
                    <b>{t!(groups.lacking)}</b> " " {error} " "
                    <a href="/sources#nodes" rel="external">{t!(groups.see_source)}</a>
                </p>
                {(!source.fix.is_empty()).then(|| fix(&source.fix.text()))}
            </div>
        }
    })
}

/// A column: its heading, the sort order that a click selects, and whether it holds numbers.
type Head = (&'static str, GroupSort, bool);

fn heads(by: GroupBy) -> [Head; 7] {
    let name = match by {
        GroupBy::Node => t!(map.node),
        GroupBy::Namespace => t!(map.namespace),
    };
    [
        (name, GroupSort::Name, false),
        (t!(groups.vms), GroupSort::Vms, true),
        (t!(groups.cpu_given), GroupSort::CpuGiven, true),
        (t!(groups.memory_given), GroupSort::MemoryGiven, true),
        (t!(groups.cpu_used), GroupSort::Cpu, false),
        (t!(groups.memory_used), GroupSort::Memory, false),
        (t!(groups.disk_used), GroupSort::Disk, false),
    ]
}

fn table(query: &GroupsQuery, rows: AnyView) -> impl IntoView + use<> {
    let heads: Vec<_> = heads(query.by).into_iter().map(|head| self::head(query, head)).collect();
    view! {
        <table class="sheet groups" role="table">
            <caption class="vh">{name_of(query.by)}</caption>
            <thead role="rowgroup">
                <tr role="row">{heads}</tr>
            </thead>
            <tbody role="rowgroup">{rows}</tbody>
        </table>
    }
}

fn head(query: &GroupsQuery, (word, sort, number): Head) -> impl IntoView + use<> {
    let sorted = (query.sort == sort).then_some(query.order);
    let order = sorted.map_or(sort.default_order(), Order::other);
    let address = GroupsQuery { sort, order, page: 1, ..query.clone() }.address();
    sort_head(word, if number { "n" } else { "" }, sorted, Some(address))
}

fn row(group: &Group, query: &GroupsQuery) -> impl IntoView + use<> {
    let heads = heads(query.by);
    let totals = &group.totals;
    let (cpu, memory) = match query.by {
        GroupBy::Node => (
            share(&group.cpu, Unit::Nanocores, !group.name.is_empty()),
            share(&group.memory, Unit::Bytes, !group.name.is_empty()),
        ),
        GroupBy::Namespace => (
            given(totals.cpu, Unit::Nanocores, group.cpu_unreadable),
            given(totals.memory, Unit::Bytes, totals.memory_unreadable),
        ),
    };
    view! {
        <tr role="row">
            <th role="rowheader" scope="row">
                <a href=address(group, query.by)>{called(group)}</a>
                {(query.by == GroupBy::Node).then(|| condition(group))}
            </th>
            <td role="cell" class="n" data-th=heads[1].0>
                {format::grouped(totals.counts.total.into())}
                <small>{states(&totals.counts)}</small>
            </td>
            {amount(heads[2].0, cpu)}
            {amount(heads[3].0, memory)}
            {used(heads[4].0, &totals.cpu_used, Unit::Nanocores, totals.counts.running)}
            {used(heads[5].0, &totals.memory_used, Unit::Bytes, totals.counts.running)}
            {used(heads[6].0, &totals.disk_used, Unit::Bytes, totals.counts.running)}
        </tr>
    }
}

fn called(group: &Group) -> String {
    if group.name.is_empty() { t!(map.no_node).to_owned() } else { group.name.clone() }
}

/// The address of the group's VMs; `None` for the group without a node, since no filter selects it.
fn address(group: &Group, by: GroupBy) -> Option<String> {
    let mut query = Query { view: ViewKind::Table, ..Query::default() };
    match by {
        GroupBy::Node => query.node.clone_from(&group.name),
        GroupBy::Namespace => query.namespace.clone_from(&group.name),
    }
    (!group.name.is_empty()).then(|| query.address())
}

/// The conditions of a node that need attention; `None` if it has none.
fn condition(group: &Group) -> Option<impl IntoView + use<>> {
    let words: Vec<&str> = match &group.node {
        _ if group.name.is_empty() => Vec::new(),
        None => vec![t!(groups.no_object)],
        Some(Node { ready, unschedulable, .. }) => {
            let ready = match ready {
                Some(true) => "",
                Some(false) => t!(groups.not_ready),
                None => t!(groups.silent),
            };
            [ready, if *unschedulable { t!(groups.cordoned) } else { "" }]
                .into_iter()
                .filter(|w| !w.is_empty())
                .collect()
        }
    };
    (!words.is_empty()).then(|| view! { <small class="aged">{words.join(t!(map.comma))}</small> })
}

/// Example: `22 running, 1 stopped`. States without VMs are left out.
fn states(counts: &Counts) -> String {
    let parts = [
        (counts.running, t!(groups.running, n = counts.running)),
        (counts.migrating, t!(groups.migrating, n = counts.migrating)),
        (counts.pending, t!(groups.pending, n = counts.pending)),
        (counts.error, t!(groups.error, n = counts.error)),
        (counts.stopped, t!(groups.stopped, n = counts.stopped)),
        (counts.unknown, t!(groups.unknown, n = counts.unknown)),
    ];
    let parts: Vec<String> =
        parts.into_iter().filter(|(count, _)| *count > 0).map(|(_, text)| text).collect();
    parts.join(t!(map.comma))
}

/// A large text with a small one below it.
struct Amount {
    text: String,
    note: String,
    warn: bool,
}

/// Allocated as a percentage of what the node can allocate, such as `143 %`; the allocated amount alone if
/// that is not known.
fn share(share: &Share, unit: Unit, is_node: bool) -> Amount {
    let given = at_least(share.unreadable, with_unit(share.given, unit));
    let Some(percent) = share.percent() else {
        let note = if is_node { t!(groups.of_unknown) } else { "" };
        return Amount { text: given, note: note.to_owned(), warn: false };
    };
    let all = share.allocatable.map(|all| with_unit(all, unit)).unwrap_or_default();
    Amount {
        text: at_least(share.unreadable, numbers::percent(percent)),
        note: t!(groups.of, some = given, all = all),
        // Overcommitting CPU is normal; overcommitting memory is not.
        warn: percent > 100 && unit == Unit::Bytes,
    }
}

fn given(amount: u64, unit: Unit, unreadable: u32) -> Amount {
    let note = if unreadable > 0 { t!(groups.unreadable, n = unreadable) } else { String::new() };
    Amount { text: at_least(unreadable, with_unit(amount, unit)), note, warn: false }
}

/// Marks a sum as a lower bound (`≥`) if parts of it are missing.
fn at_least(lacking: u32, text: String) -> String {
    if lacking > 0 { "≥ ".to_owned() + &text } else { text }
}

fn with_unit(amount: u64, unit: Unit) -> String {
    match unit {
        Unit::Nanocores => format::allocation(unit, amount) + " vCPU",
        Unit::Bytes => {
            let amount = format::total_bytes(amount);
            [&amount.digits, " ", amount.unit].concat()
        }
    }
}

fn amount(head: &'static str, amount: Amount) -> impl IntoView {
    view! {
        <td role="cell" class=if amount.warn { "n aged" } else { "n" } data-th=head>
            {amount.text}
            <small>{amount.note}</small>
        </td>
    }
}

/// A meter of the measured VMs; shown as not measured if none is running.
fn used(head: &'static str, measured: &Measured, unit: Unit, running: u32) -> impl IntoView + use<> {
    let percent = measured.share();
    let text = percent
        .map(|_| t!(groups.of, some = with_unit(measured.used, unit), all = with_unit(measured.of, unit)));
    let none = percent.is_none() && running == 0;
    let level = match percent {
        None if none => "meter off",
        None => "meter unknown",
        Some(101..) => "meter over",
        Some(90..) => "meter hot",
        Some(_) => "meter",
    };
    let value = percent.map(numbers::percent);
    let spoken = text.clone().zip(value.clone()).map(|(text, value)| [&text, ", ", &value].concat());
    view! {
        <td role="cell" data-th=head>
            <div
                class=level
                role=percent.map(|_| "meter")
                aria-label=percent.map(|_| head)
                aria-valuemin=percent.map(|_| "0")
                aria-valuemax=percent.map(|_| "100")
                aria-valuenow=percent.map(|percent| percent.min(100).to_string())
                aria-valuetext=spoken
            >
                {bar(percent)}
                <span class="pct">{value.unwrap_or_else(|| "—".to_owned())}</span>
                <span class="fig">
                    {text.unwrap_or_else(|| if none { "–" } else { t!(map.unknown) }.to_owned())}
                </span>
            </div>
        </td>
    }
}

/// The VMs that use the most CPU, memory and disk, in absolute terms.
fn top(view: &GroupsView) -> impl IntoView + use<> {
    let Top { cpu, memory, disk, disk_left_out } = &view.top;
    let address = |namespace: &str| {
        GroupsQuery { namespace: namespace.to_owned(), page: 1, ..view.query.clone() }.address()
    };
    let chosen = &view.query.namespace;
    let whole =
        (!chosen.is_empty()).then(|| view! { <a class="small" href=address("")>{t!(groups.whole)}</a> });
    let place = if chosen.is_empty() {
        t!(groups.place_all).to_owned()
    } else {
        t!(groups.place, namespace = chosen)
    };
    view! {
        <div class="row">
            <h2>{t!(groups.largest)} " " <small>{place}</small></h2>
            {form(view)}
            {whole}
        </div>
        <div class="tops">
            {ranking(t!(map.cpu), cpu, Unit::Nanocores, 0)} {ranking(t!(map.memory), memory, Unit::Bytes, 0)}
            {ranking(t!(map.disk), disk, Unit::Bytes, *disk_left_out)}
        </div>
    }
}

/// A GET form that limits the ranking to a namespace.
fn form(view: &GroupsView) -> impl IntoView + use<> {
    let query = &view.query;
    let option = |name: &String| {
        let chosen = *name == query.namespace;
        view! {
            <option value=name.clone() selected=chosen prop:selected=chosen>
                {if name.is_empty() { t!(groups.all).to_owned() } else { name.clone() }}
            </option>
        }
    };
    let all = String::new();
    let options: Vec<_> = core::iter::once(&all).chain(&view.namespaces).map(option).collect();
    view! {
        <form class="filters" action="/groups">
            <input type="hidden" name="by" value=query.by.code() />
            <input type="hidden" name="sort" value=query.sort.code() />
            <input type="hidden" name="order" value=query.order.code() />
            <label class="field">
                <span>{t!(map.namespace)}</span>
                <select name="namespace">{options}</select>
            </label>
            <button class="button">{t!(groups.apply)}</button>
        </form>
    }
}

/// One ranking. `left_out` is the number of VMs that have volumes which cannot be attributed to them alone.
fn ranking(name: &'static str, consumers: &[Consumer], unit: Unit, left_out: u32) -> impl IntoView + use<> {
    let rows: Vec<_> = consumers.iter().map(|consumer| ranked(consumer, unit)).collect();
    let none = rows.is_empty().then(|| view! { <p class="small">{t!(groups.none_known)}</p> });
    view! {
        <section>
            <h3>{name}</h3>
            {none}
            <ol>{rows}</ol>
            {(left_out > 0).then(|| view! { <p class="small">{t!(groups.left_out, n = left_out)}</p> })}
        </section>
    }
}

fn ranked(consumer: &Consumer, unit: Unit) -> impl IntoView + use<> {
    let used = match unit {
        Unit::Nanocores => format::vcpu(consumer.used) + " vCPU",
        Unit::Bytes => format::gi(consumer.used, 1) + " Gi",
    };
    let used = at_least(consumer.partial.into(), used);
    view! {
        <li>
            <a href=vm_address(&consumer.namespace, &consumer.name)>{consumer.name.clone()}</a>
            <span>{consumer.namespace.clone()}</span>
            <b>{used}</b>
            {consumer.stale.then(|| view! { <small class="aged">{t!(groups.old)}</small> })}
        </li>
    }
}
