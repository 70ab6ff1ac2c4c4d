//! How much of a node is used, and how much is allocated.

use leptos::prelude::*;

use crate::ui::{
    components::{figure::source_line, meter::bar, why::fix},
    pages::groups::words::{at_least, with_unit},
    words,
};
use i18n::{self as names, t, text};
use model::{
    Millis,
    figure::{Figure, Missing, Sample, Unit},
    groups::Share,
    nodes::{NodeReport, Split},
    thresholds::USE,
    totals::Measured,
    vm_health::Level,
};

pub fn meters(node: &NodeReport, all_vms: bool, now: Millis) -> impl IntoView + use<> {
    let group = &node.group;
    let [cpu_split, memory_split] = node.splits();
    let cpu_split = cpu_split.map(|split| split_words(split, Unit::Nanocores, all_vms));
    let memory_split = memory_split.map(|split| split_words(split, Unit::Bytes, all_vms));
    let used = group.node.as_ref().and_then(|node| node.used.as_deref());
    let (cpu, memory) = (used.map(|used| &used.cpu), used.map(|used| &used.memory));
    let totals = &group.totals;
    view! {
        <div class="figures">
            {use_of(t!(groups.memory_used), memory, memory_level, memory_split, now)
                .unwrap_or_else(|| of_vms(t!(node.memory_of_vms), &totals.memory_used, Unit::Bytes))}
            {allocated(t!(groups.memory_allocated), &group.memory, Unit::Bytes)}
            {use_of(t!(groups.cpu_used), cpu, cpu_level, cpu_split, now)
                .unwrap_or_else(|| of_vms(t!(node.cpu_of_vms), &totals.cpu_used, Unit::Nanocores))}
            {allocated(t!(groups.cpu_allocated), &group.cpu, Unit::Nanocores)}
        </div>
    }
}

/// What a meter shows. Without a percentage it is none.
struct Meter {
    name: &'static str,
    level: &'static str,
    percent: Option<u64>,
    amount: String,
}

fn draw(meter: Meter, notes: impl IntoView + 'static) -> AnyView {
    let Meter { name, level, percent, amount } = meter;
    let value = percent.map(words::percent);
    let spoken = value.as_ref().map(|value| [&amount, ", ", value].concat());
    view! {
        <section class="figure">
            <h3>{name}</h3>
            <div
                class=["gauge", level].concat()
                role=percent.map(|_| "meter")
                aria-label=percent.map(|_| name)
                aria-valuenow=percent.map(|percent| percent.min(100).to_string())
                aria-valuetext=spoken
            >
                <span class="big">{value.unwrap_or_else(|| "—".to_owned())}</span>
                <span class="fig">{amount}</span>
                {bar(percent)}
            </div>
            {notes}
        </section>
    }
    .into_any()
}

fn memory_level(percent: u64) -> &'static str {
    match Level::of_space(percent) {
        Level::Critical => " crit",
        Level::High => " hot",
        Level::Normal => "",
    }
}

/// Full use of CPU is no fault, so it is never critical.
fn cpu_level(percent: u64) -> &'static str {
    if percent >= USE { " hot" } else { "" }
}

/// What everything on the node uses; `None` if its own object is not known.
fn use_of(
    name: &'static str,
    figure: Option<&Figure>,
    level: fn(u64) -> &'static str,
    split: Option<String>,
    now: Millis,
) -> Option<AnyView> {
    Some(match figure? {
        Figure::Known(sample) => known(name, sample, level, split, now),
        Figure::Missing(missing) => unknown(name, missing),
    })
}

fn known(
    name: &'static str,
    sample: &Sample,
    level: fn(u64) -> &'static str,
    split: Option<String>,
    now: Millis,
) -> AnyView {
    let percent = sample.percent();
    let meter = Meter {
        name,
        level: if sample.stale { " aging" } else { level(percent) },
        percent: Some(percent),
        amount: amount_of(sample.used, sample.of, sample.unit),
    };
    let notes = view! {
        {split.map(|split| view! { <p class="small">{split}</p> })}
        {source_line(words::provenance(sample), sample.at, sample.stale, now)}
    };
    draw(meter, notes)
}

fn unknown(name: &'static str, missing: &Missing) -> AnyView {
    let meter = Meter { name, level: " unknown", percent: None, amount: t!(map.unknown).to_owned() };
    let detail = (!missing.detail.is_empty()).then(|| view! { <p class="small">{missing.detail.text()}</p> });
    let reason = t!(figure.unknown_said, reason = text(names::reason(missing.reason)));
    draw(meter, view! { <p class="reason">{reason}</p> {detail} {fix(&missing.fix.text())} })
}

/// What the measured VMs use of their own sizes.
fn of_vms(name: &'static str, vms: &Measured, unit: Unit) -> AnyView {
    let percent = vms.percent();
    let amount = match percent {
        Some(_) => amount_of(vms.used, vms.of, unit),
        None => t!(map.unknown).to_owned(),
    };
    let level = if percent.is_some() { "" } else { " unknown" };
    draw(Meter { name, level, percent, amount }, view! { <p class="small">{t!(node.of_sizes)}</p> })
}

fn allocated(name: &'static str, share: &Share, unit: Unit) -> AnyView {
    let percent = share.percent();
    let given = at_least(share.unreadable, with_unit(share.allocated, unit));
    let level = match percent {
        None => " unknown",
        // Overcommitting CPU is normal; overcommitting memory is not.
        Some(101..) if unit == Unit::Bytes => " hot",
        Some(_) => "",
    };
    let amount = match share.allocatable {
        Some(all) => t!(groups.of, some = given, all = with_unit(all, unit)),
        None => given,
    };
    let unreadable = share.unreadable;
    let unreadable =
        (unreadable > 0).then(|| view! { <p class="reason">{t!(groups.unreadable, n = unreadable)}</p> });
    let notes = view! {
        <p class="small">{t!(node.allocated_from)}</p>
        {unreadable}
    };
    draw(Meter { name, level, percent, amount }, notes)
}

fn amount_of(some: u64, all: u64, unit: Unit) -> String {
    t!(groups.of, some = with_unit(some, unit), all = with_unit(all, unit))
}

fn split_words(Split { vms, rest }: Split, unit: Unit, all_vms: bool) -> String {
    let [vms, rest] = [vms, rest].map(|amount| with_unit(amount, unit));
    if all_vms { t!(node.split, vms = vms, rest = rest) } else { t!(node.split_seen, vms = vms, rest = rest) }
}
