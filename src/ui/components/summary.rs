//! The totals of the cluster. Allocated memory comes first, with its exact value; the counts are links that
//! filter the list.

use leptos::prelude::*;

use super::{
    meter::bar,
    state::{State, state},
};
use crate::ui::{address, words};
use i18n::{MARK, around, t};
use model::{
    figure::Unit,
    format,
    query::Query,
    totals::{Counts, Measured, Totals},
    vm::Status,
};

/// `all` says whether the totals are the cluster's; if not, those of the VMs that the viewer may see.
pub fn summary(totals: &Totals, query: &Query, all: bool) -> impl IntoView + use<> {
    view! {
        <section class="summary" aria-labelledby="totals">
            <h2 class=if all { "vh" } else { "" } id="totals">
                {if all { t!(total.title) } else { t!(total.title_seen) }}
            </h2>
            {[memory(totals), cpu(totals), disk(totals)].map(total)}
            {counts(&totals.counts, query)}
        </section>
    }
}

/// One total. All kinds consist of the same elements, because each additional kind adds code to the browser
/// half.
struct Total {
    class: &'static str,
    label: &'static str,
    title: String,
    /// The text before the number, the number, and the text after it.
    amount: (String, String, String),
    unit: Unit,
    used: Measured,
    /// Notes in small print, one per line.
    notes: Vec<String>,
}

fn memory(totals: &Totals) -> Total {
    let exact = format::gi_exact(totals.memory);
    let digits = format::gi_lead(totals.memory);
    let mut notes = vec![measured(totals.memory_used, totals)];
    if totals.memory_unreadable > 0 {
        notes.push(t!(total.unreadable, vms = words::vms(totals.memory_unreadable)));
    }
    Total {
        class: "lead",
        label: t!(figure.memory),
        title: exact,
        amount: set(digits, &t!(total.memory, amount = MARK)),
        unit: Unit::Bytes,
        used: totals.memory_used,
        notes,
    }
}

fn cpu(totals: &Totals) -> Total {
    Total {
        class: "",
        label: t!(figure.vcpu),
        title: t!(total.cpu_title).to_owned(),
        amount: set(format::allocation(Unit::Nanocores, totals.cpu), &t!(total.cpu, amount = MARK)),
        unit: Unit::Nanocores,
        used: totals.cpu_used,
        notes: vec![measured(totals.cpu_used, totals)],
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
        label: t!(figure.disk),
        title: t!(total.disk_title).to_owned(),
        amount: set(digits, &t!(total.disk, amount = MARK, unit = unit)),
        unit: Unit::Bytes,
        used: totals.disk_used,
        notes: vec![t!(
            total.known,
            some = number(totals.disk_used.vms),
            all = number(totals.counts.running)
        )],
    }
}

fn measured(measured: Measured, totals: &Totals) -> String {
    t!(total.measured, some = number(measured.vms), all = number(totals.counts.running))
}

fn number(count: u32) -> String {
    format::grouped(count.into())
}

/// Returns a number with the text before and after it.
fn set(digits: String, text: &str) -> (String, String, String) {
    let (before, after) = around(text);
    (before, digits, after)
}

fn total(total: Total) -> impl IntoView {
    let Total { unit, used, .. } = total;
    let percent = share(used);
    let known = percent.is_some();
    let ((before, digits, after), value) = match percent {
        Some(percent) => {
            let (digits, all, share) =
                (amount(unit, used.used), amount(unit, used.of), words::percent(percent));
            let value = t!(total.value, used = digits, all = all, percent = share);
            (set(digits, &t!(total.used, amount = MARK, all = all, percent = share)), Some(value))
        }
        None => (set("—".to_owned(), &t!(total.used_unknown, amount = MARK)), None),
    };
    let notes: Vec<_> = total.notes.into_iter().map(|note| view! { <span>{note}</span> }).collect();
    view! {
        <section class=total.class>
            <h3>{total.label}</h3>
            <p class="amount" title=total.title>
                {total.amount.0}
                <b>{total.amount.1}</b>
                {total.amount.2}
            </p>
            <div
                class=if known { "total" } else { "total unknown" }
                role=known.then_some("meter")
                aria-label=known.then_some(total.label)
                aria-valuemin=known.then_some("0")
                aria-valuemax=known.then_some("100")
                aria-valuenow=percent.map(|percent| percent.min(100).to_string())
                aria-valuetext=value
            >
                {bar(percent)}
            </div>
            <p class="sub">
                <span>
                    {before}
                    <b>{digits}</b>
                    {after}
                </span>
                {notes}
            </p>
        </section>
    }
}

/// Percentage of what was measured. For disk it counts known volumes, including those of VMs that also have
/// unknown ones.
fn share(total: Measured) -> Option<u64> {
    total.percent().or_else(|| (total.of > 0).then(|| model::figure::ratio(total.used, total.of, 100)))
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

fn counts(counts: &Counts, query: &Query) -> impl IntoView + use<> {
    let all = query.unfiltered();
    let row = |status: Status, count| count_row(&all, status, count, query.status == Some(status));
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
        <ul class="counts" aria-label=t!(total.by_state)>
            <li>
                <a href=address::list(&all) aria-current=query.status.is_none().then_some("true")>
                    <span>{t!(total.all)}</span>
                    <b>{format::grouped(counts.total.into())}</b>
                </a>
            </li>
            {rows}
        </ul>
    }
}

fn count_row(all: &Query, status: Status, count: u32, chosen: bool) -> impl IntoView + use<> {
    let query = Query { status: Some(status), ..all.clone() };
    view! {
        <li class=if count == 0 { "zero" } else { "" }>
            <a href=address::list(&query) aria-current=chosen.then_some("true")>
                {state(State::of_status(status))} <b>{format::grouped(count.into())}</b>
            </a>
        </li>
    }
}
