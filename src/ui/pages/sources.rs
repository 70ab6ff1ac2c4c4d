//! The sources page: what each source provides, its state, what its failure costs, and how to fix it.

use leptos::{either::Either, prelude::*};
use leptos_router::{LazyRoute, lazy_route};

use super::loading;
use crate::ui::{
    address,
    components::{
        icon::{Icon, icon},
        sheet::{Column, number, sheet},
        state::{State, state},
        title::title,
        why::fix,
    },
    feed::Feed,
    live::Live,
    ready::{IntoReadyAny, ready},
    words,
};
use i18n::{gives, key, permission, t, text};
use model::{
    Millis,
    attention::AttentionKind,
    format,
    message::Key,
    query::Query,
    source::{Latency, ReviewCounts, SourceHealth, SourceState},
    view::{Frame, SourcesView},
};

pub struct SourcesRoute;

#[lazy_route]
impl LazyRoute for SourcesRoute {
    fn data() -> Self {
        Self
    }

    fn view(_this: Self) -> AnyView {
        let feed = Feed::<SourcesView>::follow(|| Some(()));
        let now = expect_context::<Live>().now;
        ready(view! {
            {title(|| t!(sources.title).to_owned())}
            <div class="head">
                <h1>{t!(sources.heading)}</h1>
            </div>
            {move || match feed.draw(|view| page(&view.frame, now.get())) {
                Some(page) => Either::Left(page),
                None => Either::Right(loading(feed.connection.failed)),
            }}
        })
        .into_any()
    }
}

const COLUMNS: [Column; 9] = [
    Column(key!(sources.source), false),
    Column(key!(sources.state), false),
    Column(key!(sources.serves), true),
    Column(key!(sources.unknown), true),
    Column(key!(sources.old), true),
    Column(key!(sources.success), true),
    Column(key!(sources.bytes), true),
    Column(key!(sources.answers), true),
    Column(key!(sources.error), false),
];

fn page(frame: &Frame, now: Millis) -> impl IntoView + use<> {
    let rows: Vec<_> = frame.sources.iter().map(|source| row(source, now)).collect();
    let is_restricted = !(frame.all_vms && frame.nodes);
    view! {
        <p>{tally(&frame.sources)} " " {t!(sources.alone)}</p>
        {is_restricted.then(|| view! { <p class="notice calm">{icon(Icon::Forbidden)} <span>{t!(sources.restricted)}</span></p> })}
        {sheet(t!(sources.heading), &COLUMNS, rows.into_ready_any())}
        <p class="small">
            {t!(sources.foot)}
        </p>
    }
}

/// Example: `3 healthy, 1 degraded.`
fn tally(sources: &[SourceHealth]) -> String {
    let states = [
        SourceState::Healthy,
        SourceState::Degraded,
        SourceState::Forbidden,
        SourceState::Absent,
        SourceState::NotConfigured,
        SourceState::Starting,
    ];
    let count = |state| sources.iter().filter(|source| source.state == state).count();
    let parts: Vec<String> = states
        .into_iter()
        .map(|state| (count(state), state))
        .filter(|(count, _)| *count > 0)
        .map(|(count, state)| in_state(&count.to_string(), state))
        .collect();
    parts.join(t!(sources.tally_between)) + t!(sources.tally_end)
}

fn in_state(count: &str, state: SourceState) -> String {
    match state {
        SourceState::Starting => t!(sources.starting, n = count),
        SourceState::Healthy => t!(sources.healthy, n = count),
        SourceState::Degraded => t!(sources.degraded, n = count),
        SourceState::Forbidden => t!(sources.forbidden, n = count),
        SourceState::Absent => t!(sources.absent, n = count),
        SourceState::NotConfigured => t!(sources.not_configured, n = count),
    }
}

/// Median and 99th percentile of the response time: `12 ms, p99 340 ms`.
fn latency(Latency { p50, p99 }: Latency) -> String {
    t!(sources.latency, p50 = format::grouped(p50.into()), p99 = format::grouped(p99.into()))
}

/// Example: `42 reviews in the last minute; 3 users, 12 namespaces; 0 waiting, 0 late.`
fn reviews(counts: ReviewCounts) -> String {
    t!(
        sources.reviews,
        asked = format::grouped(counts.last_minute.into()),
        users = format::grouped(counts.users.into()),
        namespaces = format::grouped(counts.namespaces.into()),
        waiting = format::grouped(counts.waiting.into()),
        late = format::grouped(counts.late.into())
    )
}

/// The number of VMs, and of volumes if there are any, that show a figure of this source: `41`, `41, 87`.
fn served(source: &SourceHealth) -> String {
    match (source.vms, source.volumes) {
        (0, 0) => String::new(),
        (vms, 0) => format::grouped(vms.into()),
        (vms, volumes) => {
            [&format::grouped(vms.into()), t!(sources.tally_between), &format::grouped(volumes.into())]
                .concat()
        }
    }
}

/// A cell with a number of VMs, which links to them.
fn vm_count(head: Key, source: &SourceHealth, vms: u32) -> impl IntoView + use<> {
    let link = (vms > 0).then(|| view! { <a href=unknown_vms(source)>{format::grouped(vms.into())}</a> });
    let none = link.is_none();
    view! {
        <td role="cell" data-th=text(head) class=if none { "num none" } else { "num" }>
            {none.then_some("–")}
            {link}
        </td>
    }
}

fn row(source: &SourceHealth, now: Millis) -> impl IntoView + use<> {
    let ago = |at: Option<Millis>| at.map(|at| words::ago(now, at)).unwrap_or_default();
    let error = (!source.error.is_empty()).then(|| view! { <code>{source.error.text()}</code> });
    let advice = (!source.fix.is_empty()).then(|| fix(&source.fix.text()));
    let warning = (!source.warning.is_empty()).then(|| view! { <p>{source.warning.text()}</p> });
    let asked = source.reviews.map(|counts| view! { <p>{reviews(counts)}</p> });
    let none = error.is_none() && advice.is_none() && warning.is_none() && asked.is_none();
    let about = t!(sources.needs, gives = text(gives(source.id)), permission = text(permission(source.id)));
    view! {
        <tr role="row" id=source.id.code()>
            <th role="rowheader" scope="row">
                {source.id.code()}
                <small>{about}</small>
            </th>
            <td role="cell" data-th=text(COLUMNS[1].0)>
                {state(State::of_source(source.state))}
            </td>
            {number(COLUMNS[2].0, served(source))}
            {vm_count(COLUMNS[3].0, source, source.vms_missing)}
            {vm_count(COLUMNS[4].0, source, source.vms_stale)}
            {number(COLUMNS[5].0, ago(source.last_success))}
            {number(COLUMNS[6].0, ago(source.last_bytes))}
            {number(COLUMNS[7].0, source.latency.map(latency).unwrap_or_default())}
            <td role="cell" class=if none { "full none" } else { "full" } data-th=text(COLUMNS[8].0)>
                {none.then_some("–")}
                {error}
                {advice}
                {warning}
                {asked}
            </td>
        </tr>
    }
}

/// The address of the list of VMs with unknown figures; each of them gives its own reason.
fn unknown_vms(source: &SourceHealth) -> String {
    let attention = Some(AttentionKind::Unknown.into());
    address::list(&Query { attention, node: source.node.clone(), ..Query::default() })
}
