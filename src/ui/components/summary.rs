//! The cluster's totals. What is allocated in memory leads, exact; the counts filter the list.

use leptos::prelude::*;

use super::{
    meter::bar,
    state::{State, state},
};
use crate::{
    model::{
        figure::Unit,
        format,
        query::Query,
        totals::{Counts, Measured, Totals},
        vm::Status,
    },
    ui::words,
};

pub fn summary(totals: &Totals, chosen: Option<Status>) -> impl IntoView + use<> {
    view! {
        <section class="summary" aria-labelledby="totals">
            <h2 class="vh" id="totals">
                "Cluster totals"
            </h2>
            {memory(totals)}
            {cpu(totals)}
            {disk(totals)}
            {counts(&totals.counts, chosen)}
        </section>
    }
}

fn memory(totals: &Totals) -> impl IntoView + use<> {
    let exact = format::gi_exact(totals.memory);
    let digits = format::allocation(Unit::Bytes, totals.memory);
    // The large number has two decimals; where that rounds it, the exact one stands below.
    let rounded = [&digits.replace(',', ""), "Gi"].concat() != exact;
    let below = rounded.then(|| view! { <span class="exact">"exactly " {exact.clone()}</span> });
    let unreadable = (totals.memory_unreadable > 0).then(|| {
        let count = words::vms(totals.memory_unreadable);
        view! { <span>{count} " without a readable spec.memory"</span> }
    });
    view! {
        <section class="lead">
            <h3>"Memory"</h3>
            <p class="amount" title=exact>
                <b>{digits}</b>
                " Gi "
                <span>"allocated"</span>
            </p>
            {measured("Memory", Unit::Bytes, totals.memory_used)}
            <p class="sub">
                {used(Unit::Bytes, totals.memory_used)}
                <span>{words::of_all(totals.memory_used.vms, totals.counts.running)} " measured"</span>
                {below}
                {unreadable}
            </p>
        </section>
    }
}

fn cpu(totals: &Totals) -> impl IntoView + use<> {
    view! {
        <section>
            <h3>"vCPU"</h3>
            <p class="amount">
                <b>{format::allocation(Unit::Nanocores, totals.cpu)}</b>
                " "
                <span>"allocated"</span>
            </p>
            {measured("vCPU", Unit::Nanocores, totals.cpu_used)}
            <p class="sub">
                {used(Unit::Nanocores, totals.cpu_used)}
                <span>{words::of_all(totals.cpu_used.vms, totals.counts.running)} " measured"</span>
            </p>
        </section>
    }
}

fn disk(totals: &Totals) -> impl IntoView + use<> {
    let known = totals.disk_used.of > 0;
    let (digits, unit) = if known {
        let amount = format::total_bytes(totals.disk_used.of);
        (amount.digits, amount.unit)
    } else {
        ("—".to_owned(), "")
    };
    view! {
        <section>
            <h3>"Disk"</h3>
            <p class="amount" title="The volumes whose usage is known">
                <b>{digits}</b>
                " "
                {unit}
                " "
                <span>"capacity"</span>
            </p>
            {measured("Disk", Unit::Bytes, totals.disk_used)}
            <p class="sub">
                {used(Unit::Bytes, totals.disk_used)}
                <span>{words::of_all(totals.disk_used.vms, totals.counts.running)} " fully known"</span>
            </p>
        </section>
    }
}

/// The bar of a total: of what those VMs are allocated that could be measured.
fn measured(label: &'static str, unit: Unit, total: Measured) -> impl IntoView {
    let percent = share(total);
    let text = percent.map(|percent| {
        [&amount(unit, total.used), " of ", &amount(unit, total.of), ", ", &words::percent(percent)].concat()
    });
    let number = |number: u64| percent.map(|_| number.to_string());
    view! {
        <div
            class=if percent.is_some() { "total" } else { "total unknown" }
            role=percent.map(|_| "meter")
            aria-label=percent.map(|_| label)
            aria-valuemin=number(0)
            aria-valuemax=number(100)
            aria-valuenow=percent.map(|percent| percent.min(100).to_string())
            aria-valuetext=text
        >
            {bar(percent)}
        </div>
    }
}

fn used(unit: Unit, total: Measured) -> impl IntoView {
    let (used, percent) = match share(total) {
        Some(percent) => (amount(unit, total.used), [" used · ", &words::percent(percent)].concat()),
        None => ("—".to_owned(), " used: unknown".to_owned()),
    };
    view! {
        <span>
            <b>{used}</b>
            {percent}
        </span>
    }
}

/// Percent of what was measured. Disk counts volumes, so that it may be known of VMs that are not fully known.
fn share(total: Measured) -> Option<u64> {
    total.percent().or_else(|| (total.of > 0).then(|| crate::model::figure::ratio(total.used, total.of, 100)))
}

fn amount(unit: Unit, amount: u64) -> String {
    match unit {
        Unit::Nanocores => format::allocation(unit, amount),
        Unit::Bytes => {
            let amount = format::total_bytes(amount);
            [&amount.digits, " ", amount.unit].concat()
        }
    }
}

fn counts(counts: &Counts, chosen: Option<Status>) -> impl IntoView + use<> {
    let row = |status: Status, count| {
        let query = Query { status: Some(status), ..Query::default() };
        count_row(State::of_status(status), count, query, chosen == Some(status))
    };
    let unknown = (counts.unknown > 0).then(|| row(Status::Unknown, counts.unknown));
    view! {
        <ul class="counts" aria-label="VMs by state">
            <li>
                <a href="/" aria-current=chosen.is_none().then_some("true")>
                    <span>"Total"</span>
                    <b>{format::grouped(counts.total.into())}</b>
                </a>
            </li>
            {row(Status::Running, counts.running)}
            {row(Status::Stopped, counts.stopped)}
            {row(Status::Error, counts.error)}
            {row(Status::Pending, counts.pending)}
            {unknown}
        </ul>
    }
}

fn count_row(what: State, count: u32, query: Query, chosen: bool) -> impl IntoView {
    view! {
        <li class=if count == 0 { "zero" } else { "" }>
            <a href=["/", &query.to_query_string()].concat() aria-current=chosen.then_some("true")>
                {state(what)} <b>{format::grouped(count.into())}</b>
            </a>
        </li>
    }
}
