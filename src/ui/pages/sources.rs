//! Sources: what each gives, how it fares, what its silence costs, and the mend.

use leptos::{either::Either, prelude::*};
use leptos_meta::Title;
use leptos_router::{LazyRoute, lazy_route};

use super::loading;
use crate::{
    model::{
        Millis, format,
        source::{Latency, SourceHealth, SourceState},
        view::{Frame, SourcesView},
    },
    ui::{
        components::{
            sheet::{Column, number, sheet},
            state::{State, state},
            why::mend,
        },
        feed::Feed,
        live::Live,
        ready::ready,
        words,
    },
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
            <Title text="Sources · wukong-dashboard" />
            <div class="head">
                <h1>"Sources"</h1>
            </div>
            {move || match feed.draw(|view| page(&view.frame, now.get())) {
                Some(page) => Either::Left(page),
                None => Either::Right(loading(feed.pulse.failed)),
            }}
        })
        .into_any()
    }
}

const COLUMNS: [Column; 9] = [
    Column("Source", false),
    Column("State", false),
    Column("VMs, volumes", true),
    Column("VMs unknown", true),
    Column("VMs old", true),
    Column("Last success", true),
    Column("Last bytes", true),
    Column("Answers in", true),
    Column("Last error, and the mend", false),
];

fn page(frame: &Frame, now: Millis) -> impl IntoView + use<> {
    let rows: Vec<_> = frame.sources.iter().map(|source| row(source, now)).collect();
    view! {
        <p>{tally(&frame.sources)} " A failing source takes no other figure with it."</p>
        {sheet("Sources", &COLUMNS, rows.into_any())}
        <p class="small">
            "A page view asks the cluster nothing: it shows what the dashboard last collected. Watches tell of every change by themselves; their last bytes show that they still live."
        </p>
    }
}

/// `3 healthy, 1 degraded.`
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
        .map(|(count, state)| format!("{count} {}", state.code()))
        .collect();
    parts.join(", ") + "."
}

/// `12 ms, p99 340 ms`: half of the answers took no longer than the first, 99 of 100 no longer than the second.
fn latency(Latency { p50, p99 }: Latency) -> String {
    [&format::grouped(p50.into()), " ms, p99 ", &format::grouped(p99.into()), " ms"].concat()
}

/// `41`, `41, 87`: VMs and volumes that show a figure of it.
fn served(source: &SourceHealth) -> String {
    match (source.vms, source.volumes) {
        (0, 0) => String::new(),
        (vms, 0) => format::grouped(vms.into()),
        (vms, volumes) => [&format::grouped(vms.into()), ", ", &format::grouped(volumes.into())].concat(),
    }
}

fn row(source: &SourceHealth, now: Millis) -> impl IntoView + use<> {
    let ago = |at: Option<Millis>| at.map(|at| words::ago(now, at)).unwrap_or_default();
    let count = |vms: u32| if vms == 0 { String::new() } else { format::grouped(vms.into()) };
    let error = (!source.error.is_empty()).then(|| view! { <code>{source.error.clone()}</code> });
    let advice = (!source.mend.is_empty()).then(|| mend(&source.mend));
    let none = error.is_none() && advice.is_none();
    view! {
        <tr role="row" id=source.id.code()>
            <th role="rowheader" scope="row">
                {source.id.code()}
                <small>{source.id.gives()} " · needs " {source.id.permission()}</small>
            </th>
            <td role="cell" data-th=COLUMNS[1].0>
                {state(State::of_source(source.state))}
            </td>
            {number(COLUMNS[2].0, served(source))}
            {number(COLUMNS[3].0, count(source.vms_missing))}
            {number(COLUMNS[4].0, count(source.vms_stale))}
            {number(COLUMNS[5].0, ago(source.last_success))}
            {number(COLUMNS[6].0, ago(source.last_bytes))}
            {number(COLUMNS[7].0, source.latency.map(latency).unwrap_or_default())}
            <td role="cell" class=if none { "full none" } else { "full" } data-th=COLUMNS[8].0>
                {none.then_some("–")}
                {error}
                {advice}
            </td>
        </tr>
    }
}
