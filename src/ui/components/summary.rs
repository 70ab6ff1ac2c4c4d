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
            {[memory(totals), cpu(totals), disk(totals)].map(total)}
            {counts(&totals.counts, chosen)}
        </section>
    }
}

/// One total, of whatever kind: the same elements for all, because each kind of its own costs the browser's half.
struct Total {
    class: &'static str,
    label: &'static str,
    title: String,
    digits: String,
    words: String,
    unit: Unit,
    used: Measured,
    /// Small print, a line each.
    notes: Vec<String>,
}

fn memory(totals: &Totals) -> Total {
    let exact = format::gi_exact(totals.memory);
    let digits = format::allocation(Unit::Bytes, totals.memory);
    let mut notes = vec![words::of_all(totals.memory_used.vms, totals.counts.running) + " measured"];
    // The large number has two decimals; where that rounds it, the exact one stands below.
    if [&digits.replace(',', ""), "Gi"].concat() != exact {
        notes.push(["exactly ", &exact].concat());
    }
    if totals.memory_unreadable > 0 {
        notes.push(words::vms(totals.memory_unreadable) + " without a readable spec.memory");
    }
    Total {
        class: "lead",
        label: "Memory",
        title: exact,
        digits,
        words: " Gi allocated".to_owned(),
        unit: Unit::Bytes,
        used: totals.memory_used,
        notes,
    }
}

fn cpu(totals: &Totals) -> Total {
    Total {
        class: "",
        label: "vCPU",
        title: "Sum of the cores of all VMs, in whatever state".to_owned(),
        digits: format::allocation(Unit::Nanocores, totals.cpu),
        words: " allocated".to_owned(),
        unit: Unit::Nanocores,
        used: totals.cpu_used,
        notes: vec![words::of_all(totals.cpu_used.vms, totals.counts.running) + " measured"],
    }
}

fn disk(totals: &Totals) -> Total {
    let (digits, unit) = if totals.disk_used.of > 0 {
        let amount = format::total_bytes(totals.disk_used.of);
        (amount.digits, amount.unit)
    } else {
        ("—".to_owned(), "")
    };
    Total {
        class: "",
        label: "Disk",
        title: "The volumes whose usage is known".to_owned(),
        digits,
        words: [" ", unit, " capacity"].concat(),
        unit: Unit::Bytes,
        used: totals.disk_used,
        notes: vec![words::of_all(totals.disk_used.vms, totals.counts.running) + " fully known"],
    }
}

fn total(total: Total) -> impl IntoView {
    let Total { unit, used, .. } = total;
    let percent = share(used);
    let known = percent.is_some();
    let (digits, tail, text) = match percent {
        Some(percent) => {
            let (digits, share) = (amount(unit, used.used), words::percent(percent));
            let text = [&digits, " of ", &amount(unit, used.of), ", ", &share].concat();
            (digits, [" used · ", &share].concat(), Some(text))
        }
        None => ("—".to_owned(), " used: unknown".to_owned(), None),
    };
    let notes: Vec<_> = total.notes.into_iter().map(|note| view! { <span>{note}</span> }).collect();
    view! {
        <section class=total.class>
            <h3>{total.label}</h3>
            <p class="amount" title=total.title>
                <b>{total.digits}</b>
                {total.words}
            </p>
            <div
                class=if known { "total" } else { "total unknown" }
                role=known.then_some("meter")
                aria-label=known.then_some(total.label)
                aria-valuemin=known.then_some("0")
                aria-valuemax=known.then_some("100")
                aria-valuenow=percent.map(|percent| percent.min(100).to_string())
                aria-valuetext=text
            >
                {bar(percent)}
            </div>
            <p class="sub">
                <span>
                    <b>{digits}</b>
                    {tail}
                </span>
                {notes}
            </p>
        </section>
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
    let row = |status: Status, count| count_row(status, count, chosen == Some(status));
    let mut rows = vec![
        row(Status::Running, counts.running),
        row(Status::Stopped, counts.stopped),
        row(Status::Error, counts.error),
        row(Status::Pending, counts.pending),
    ];
    if counts.unknown > 0 {
        rows.push(row(Status::Unknown, counts.unknown));
    }
    view! {
        <ul class="counts" aria-label="VMs by state">
            <li>
                <a href="/" aria-current=chosen.is_none().then_some("true")>
                    <span>"Total"</span>
                    <b>{format::grouped(counts.total.into())}</b>
                </a>
            </li>
            {rows}
        </ul>
    }
}

fn count_row(status: Status, count: u32, chosen: bool) -> impl IntoView {
    let query = Query { status: Some(status), ..Query::default() };
    view! {
        <li class=if count == 0 { "zero" } else { "" }>
            <a href=["/", &query.to_query_string()].concat() aria-current=chosen.then_some("true")>
                {state(State::of_status(status))} <b>{format::grouped(count.into())}</b>
            </a>
        </li>
    }
}
