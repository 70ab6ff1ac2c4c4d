//! The totals in one line. Allocated memory comes first, with its exact value; the counts are links that filter the list.

use leptos::prelude::*;

use super::state::{State, state};
use crate::ui::{address, words};
use i18n::{MARK, around, t};
use model::{
    figure::{Unit, ratio},
    format,
    query::Query,
    totals::{Capacity, Measured, Totals},
    view::{Facets, HomeView},
    vm::Status,
};

/// Totals of the VMs that match, beside what the nodes can allocate.
pub fn summary(view: &HomeView) -> impl IntoView + use<> {
    let (query, totals, capacity) = (&view.query, &view.selected, view.capacity);
    let (filtered, all) = (query.is_filtered(), view.frame.all_vms);
    let title = match (filtered, all) {
        (true, _) => t!(total.title_filtered),
        (false, true) => t!(total.title),
        (false, false) => t!(total.title_seen),
    };
    view! {
        <section class="summary" aria-labelledby="totals">
            <h2 class=if all && !filtered { "vh" } else { "" } id="totals">
                {title}
            </h2>
            {[memory(totals, capacity), cpu(totals, capacity), disk(totals)].map(total)}
            {counts(&view.facets, query)}
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
    /// What VMs are allocated of the capacity.
    held: u64,
    /// What the nodes can allocate, if that is known.
    capacity: Option<u64>,
    used: Measured,
    /// Notes in small print.
    notes: Vec<String>,
}

fn memory(totals: &Totals, capacity: Capacity) -> Total {
    let mut notes = vec![measured(totals.memory_used, totals)];
    if totals.memory_unreadable > 0 {
        notes.push(t!(total.unreadable, vms = words::vms(totals.memory_unreadable)));
    }
    Total {
        class: "lead",
        label: t!(figure.memory),
        title: format::gi_exact(totals.memory),
        amount: set(format::gi_lead(totals.memory), &t!(total.memory, amount = MARK)),
        unit: Unit::Bytes,
        held: capacity.memory_held,
        capacity: capacity.memory,
        used: totals.memory_used,
        notes,
    }
}

fn cpu(totals: &Totals, capacity: Capacity) -> Total {
    Total {
        class: "",
        label: t!(figure.vcpu),
        title: t!(total.cpu_title).to_owned(),
        amount: set(format::allocation(Unit::Nanocores, totals.cpu), &t!(total.cpu, amount = MARK)),
        unit: Unit::Nanocores,
        held: capacity.cpu_held,
        capacity: capacity.cpu,
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
    let notes =
        vec![t!(total.known, some = number(totals.disk_used.vms), all = number(totals.counts.running))];
    Total {
        class: "",
        label: t!(figure.disk),
        title: t!(total.disk_title).to_owned(),
        amount: set(digits, &t!(total.disk, amount = MARK, unit = unit)),
        unit: Unit::Bytes,
        held: 0,
        capacity: None,
        used: totals.disk_used,
        notes,
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
    let Total { unit, used, capacity, held, .. } = total;
    let (before, digits, after) = match share(used) {
        Some(percent) => {
            let all = amount(unit, used.of);
            let text = t!(total.used, amount = MARK, all = all, percent = words::percent(percent));
            set(amount(unit, used.used), &text)
        }
        None => set("—".to_owned(), &t!(total.used_unknown, amount = MARK)),
    };
    let spoken = [&before, &digits, &after].map(String::as_str).concat();
    let allocatable = capacity.map(|all| t!(total.allocatable, amount = amount(unit, all)));
    let of_nodes = capacity.map(|all| ratio(held, all, 100));
    let percent = of_nodes.or_else(|| share(used));
    let value = match of_nodes {
        Some(percent) => {
            let parts = [&amount(unit, held), " ", allocatable.as_deref().unwrap_or_default()].concat();
            t!(total.value, allocated = parts, percent = words::percent(percent), used = spoken)
        }
        None => spoken,
    };
    let notes: Vec<_> = total.notes.into_iter().map(|note| view! { <span>{note}</span> }).collect();
    let known = percent.is_some();
    view! {
        <section class=total.class>
            <h3 class="amount" title=total.title>
                {total.amount.0}
                <b>{total.amount.1}</b>
                {total.amount.2}
            </h3>
            <p class="share" title=capacity.map(|_| t!(total.held))>
                <b>{of_nodes.map(words::percent)}</b>
                " "
                {allocatable}
            </p>
            <div
                class=if known { "total" } else { "total unknown" }
                role=known.then_some("meter")
                aria-label=known.then_some(total.label)
                aria-valuenow=percent.map(|percent| percent.min(100).to_string())
                aria-valuetext=known.then_some(value)
            >
                {bar(used, held, capacity)}
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

/// The bar: what is used, on what is allocated, of what the nodes can allocate. A tick marks what they can allocate if
/// more is allocated.
fn bar(used: Measured, allocated: u64, capacity: Option<u64>) -> impl IntoView {
    let all = capacity.map_or(used.of, |capacity| capacity.max(allocated));
    let width = |amount: u64| (all > 0).then(|| ratio(amount, all, 100).min(100).to_string() + "%");
    let soft = width(allocated).filter(|_| capacity.is_some());
    let tick = capacity.filter(|capacity| *capacity < allocated).and_then(width);
    view! {
        <svg class="bar" aria-hidden="true">
            {soft.map(|width| view! { <rect class="soft" width=width /> })}
            {width(used.used).map(|width| view! { <rect width=width /> })}
            {tick.map(|x| view! { <rect class="tick" x=x width="2" /> })}
        </svg>
    }
}

/// Percentage of what was measured. For disk it counts known volumes, including those of VMs that also have
/// unknown ones.
fn share(total: Measured) -> Option<u64> {
    total.percent().or_else(|| (total.of > 0).then(|| ratio(total.used, total.of, 100)))
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

/// How many VMs are in each state, of those that pass the other filters. Each count is a link that keeps these filters.
fn counts(facets: &Facets, query: &Query) -> impl IntoView + use<> {
    let count = |status: Status| facets.statuses[status as usize];
    // Creating counts as pending too.
    let statuses = [Status::Running, Status::Stopped, Status::Error, Status::Pending, Status::Unknown];
    let total: u32 = statuses.into_iter().map(count).sum();
    let shown = statuses.into_iter().filter(|status| *status != Status::Unknown || count(*status) > 0);
    let rows: Vec<_> = shown.map(|status| count_row(query, status, count(status))).collect();
    let all = Query { status: None, page: 1, ..query.clone() };
    view! {
        <ul class="counts" aria-label=t!(total.by_state)>
            <li>
                <a href=address::list(&all) aria-current=query.status.is_none().then_some("true")>
                    <span>{t!(total.all)}</span>
                    <b>{number(total)}</b>
                </a>
            </li>
            {rows}
        </ul>
    }
}

fn count_row(query: &Query, status: Status, count: u32) -> impl IntoView + use<> {
    let chosen = query.status == Some(status);
    let query = Query { status: Some(status), page: 1, ..query.clone() };
    view! {
        <li class=if count == 0 { "zero" } else { "" }>
            <a href=address::list(&query) aria-current=chosen.then_some("true")>
                {state(State::of_status(status))} <b>{number(count)}</b>
            </a>
        </li>
    }
}
