//! One figure on one line: label, used of allocated, percent, bar. Missing is never zero: a dash, a hatched bar, and
//! no `role="meter"`, because there is no value.

use leptos::{either::EitherOf3, prelude::*};

use crate::{
    model::{
        figure::{Figure, Sample, Unit},
        format,
        reason::Reason,
    },
    ui::{live::Live, words},
};

/// From this percent on a figure needs a look.
const HOT: u64 = 90;

/// What a meter is drawn from. An empty label draws none, for tables.
#[derive(Clone, Copy)]
pub struct Gauge<'a> {
    pub label: &'static str,
    /// What people read it as; the label, as a rule.
    pub name: &'a str,
    pub unit: Unit,
    pub figure: &'a Figure,
    /// In the unit of the figure; none where it cannot be read.
    pub allocated: Option<u64>,
    pub running: bool,
}

pub fn meter(gauge: Gauge<'_>) -> impl IntoView + use<> {
    match gauge.figure {
        Figure::Missing(missing) if !gauge.running || missing.reason == Reason::NotRunning => {
            EitherOf3::A(off(gauge))
        }
        Figure::Missing(missing) => EitherOf3::B(unknown(gauge, missing.reason)),
        Figure::Known(sample) => EitherOf3::C(known(gauge, sample)),
    }
}

/// The classes and the bar's length that belong to a percent.
pub fn level(sample: &Sample) -> &'static str {
    match (sample.stale, sample.percent()) {
        (true, _) => " aging",
        (false, 101..) => " over",
        (false, HOT..) => " hot",
        (false, _) => "",
    }
}

/// The bar. None draws what is unknown.
pub fn bar(percent: Option<u64>) -> impl IntoView {
    let filled = percent.map(|percent| view! { <rect width=percent.min(100).to_string() + "%" /> });
    view! {
        <svg class="bar" aria-hidden="true">
            {filled}
        </svg>
    }
}

/// `1.31 of 4 vCPU, 32 %`: all of it at once, for people who do not see the bar.
pub fn value_text(sample: &Sample) -> String {
    let mut text = format::used(sample);
    text.push_str(&of(sample.unit, Some(sample.of)));
    text.push_str(", ");
    text.push_str(&words::percent(sample.percent()));
    if sample.stale {
        text.push_str(", an old figure");
    }
    text
}

pub fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Nanocores => " vCPU",
        Unit::Bytes => " Gi",
    }
}

/// ` of 4 vCPU`.
pub fn of(kind: Unit, allocated: Option<u64>) -> String {
    match allocated {
        Some(amount) => [" of ", &format::allocation(kind, amount), unit(kind)].concat(),
        None => " of an unreadable allocation".to_owned(),
    }
}

fn known(gauge: Gauge<'_>, sample: &Sample) -> impl IntoView + use<> {
    let percent = sample.percent();
    let now = expect_context::<Live>().now;
    let (provenance, at) = (words::provenance(sample), sample.at);
    view! {
        <div
            class=["meter", level(sample)].concat()
            role="meter"
            aria-label=gauge.name.to_owned()
            aria-valuemin="0"
            aria-valuemax="100"
            aria-valuenow=percent.min(100).to_string()
            aria-valuetext=value_text(sample)
            title=move || [&provenance, ", sampled ", &words::ago(now.get(), at)].concat()
        >
            {label(gauge.label)}
            <span class="fig">
                <b>{format::used(sample)}</b>
                {of(sample.unit, Some(sample.of))}
            </span>
            " "
            <span class="pct">{words::percent(percent)}</span>
            {bar(Some(percent))}
        </div>
    }
}

fn unknown(gauge: Gauge<'_>, reason: Reason) -> impl IntoView + use<> {
    view! {
        <div class="meter unknown" title=["Unknown: ", reason.text()].concat()>
            {label(gauge.label)}
            <span class="fig">
                <b aria-hidden="true">"—"</b>
                <span class="vh">"unknown"</span>
                {of(gauge.unit, gauge.allocated)}
            </span>
            " "
            <span class="pct" aria-hidden="true">
                "—"
            </span>
            {bar(None)}
        </div>
    }
}

fn off(gauge: Gauge<'_>) -> impl IntoView + use<> {
    let amount = match gauge.allocated {
        Some(amount) => [&format::allocation(gauge.unit, amount), unit(gauge.unit), " allocated"].concat(),
        None => "allocation unreadable".to_owned(),
    };
    view! {
        <div class="meter off">{label(gauge.label)} <span class="fig">{amount}</span></div>
    }
}

fn label(text: &'static str) -> Option<impl IntoView> {
    (!text.is_empty()).then(|| view! { <span class="k">{text}</span> })
}
