//! One figure on one line: label, usage and allocation, percentage, bar. Missing is never zero: a missing
//! figure shows a dash and a hatched bar, and has no `role="meter"` because there is no value.

use leptos::prelude::*;

use crate::ui::{chart::sparkline::sparkline, words};
use i18n::{self as names, t, text};
use model::{
    figure::{Figure, Sample, Unit},
    format,
    history::Sparkline,
    reason::Reason,
    vm_health::Level,
};

/// A figure of at least this percentage needs attention.
pub const HOT: u64 = 90;

/// The longest text, in bytes, that leaves room for the sparkline on the narrowest card.
const MAX_TEXT: usize = 19;

/// What a meter shows. An empty label is not drawn; tables use that.
#[derive(Clone, Copy)]
pub struct Gauge<'a> {
    pub label: &'static str,
    /// The accessible name; usually the label.
    pub name: &'a str,
    pub unit: Unit,
    pub figure: &'a Figure,
    /// In the unit of the figure; `None` if the allocation cannot be read.
    pub allocated: Option<u64>,
    pub running: bool,
    /// How serious the figure is; `None` if its percentage alone says that.
    pub level: Option<Level>,
    /// The sparkline of the last hour, if one is drawn.
    pub sparkline: Option<&'a Sparkline>,
    /// Takes the place of the percentage of an unknown figure.
    pub why: Option<&'a ReasonLink>,
}

/// A link to why something is unknown.
pub struct ReasonLink {
    pub address: String,
    /// What is shown in place of what is unknown.
    pub mark: String,
    pub reason: String,
    /// What screen readers read.
    pub label: String,
}

pub fn meter(gauge: Gauge<'_>) -> impl IntoView + use<> {
    let texts = match gauge.figure {
        Figure::Missing(missing) if !gauge.running || missing.reason == Reason::NotRunning => {
            Texts::off(gauge)
        }
        Figure::Missing(missing) => Texts::unknown(gauge, missing.reason),
        Figure::Known(sample) => Texts::known(sample, gauge.level),
    };
    draw(gauge, texts)
}

/// The CSS classes for a sample's age and level.
pub fn level(sample: &Sample, level: Option<Level>) -> &'static str {
    match (sample.stale, level, sample.percent()) {
        (true, ..) => " aging",
        (_, Some(Level::Critical), _) => " crit",
        (_, None, 101..) => " over",
        (_, None, HOT..) | (_, Some(Level::High), _) => " hot",
        _ => "",
    }
}

/// The bar; `None` draws a bar for an unknown value.
pub fn bar(percent: Option<u64>) -> impl IntoView {
    let filled = percent.map(|percent| view! { <rect width=percent.min(100).to_string() + "%" /> });
    view! {
        <svg class="bar" aria-hidden="true">
            {filled}
        </svg>
    }
}

/// Usage, allocation and percentage in one text, such as `1.31 of 4 vCPU, 32 %`, for screen readers.
pub fn value_text(sample: &Sample) -> String {
    let (used, of) = (format::used(sample), of_allocated(sample.unit, Some(sample.of)));
    let percent = words::percent(sample.percent());
    if sample.stale {
        t!(figure.value_old, used = used, of = of, percent = percent)
    } else {
        t!(figure.value, used = used, of = of, percent = percent)
    }
}

/// Formats an amount with its unit: `4 vCPU`, `8 Gi`.
fn amount(unit: Unit, amount: u64) -> String {
    let word = match unit {
        Unit::Nanocores => t!(figure.vcpu),
        Unit::Bytes => "Gi",
    };
    [&format::allocation(unit, amount), " ", word].concat()
}

/// Example: ` of 4 vCPU`.
pub fn of_allocated(kind: Unit, allocated: Option<u64>) -> String {
    match allocated {
        Some(allocated) => t!(figure.of, amount = amount(kind, allocated)),
        None => t!(figure.of_unreadable).to_owned(),
    }
}

/// The texts of a meter, whose range is 0 to 100 by default (WAI-ARIA 1.2). All meters consist of the same elements,
/// since each additional kind adds code to the browser half.
struct Texts {
    class: String,
    digits: String,
    of: String,
    percent: String,
    title: String,
    /// The percentage, and the value as text; `None` if this is not a meter.
    value: Option<(u64, String)>,
    bar: bool,
}

impl Texts {
    fn known(sample: &Sample, known: Option<Level>) -> Self {
        let percent = sample.percent();
        Self {
            class: ["meter", level(sample, known)].concat(),
            digits: format::used(sample),
            of: of_allocated(sample.unit, Some(sample.of)),
            percent: words::percent(percent),
            // The time and not the age, which would redraw every meter each second.
            title: t!(figure.sampled, origin = words::provenance(sample), at = format::utc_minute(sample.at)),
            value: Some((percent, value_text(sample))),
            bar: true,
        }
    }

    fn unknown(gauge: Gauge<'_>, reason: Reason) -> Self {
        Self {
            class: "meter unknown".to_owned(),
            digits: "—".to_owned(),
            of: of_allocated(gauge.unit, gauge.allocated),
            percent: "—".to_owned(),
            title: t!(figure.unknown_why, reason = text(names::reason(reason))),
            value: None,
            bar: true,
        }
    }

    /// A VM that is not running has an allocation and nothing to measure.
    fn off(gauge: Gauge<'_>) -> Self {
        Self {
            class: "meter off".to_owned(),
            digits: allocated(gauge),
            of: String::new(),
            percent: String::new(),
            title: t!(figure.not_measured).to_owned(),
            value: None,
            bar: false,
        }
    }
}

fn draw(gauge: Gauge<'_>, texts: Texts) -> impl IntoView + use<> {
    let known = texts.value.is_some();
    // Beside a longer text there is no room for a readable sparkline.
    let short = texts.digits.len() + texts.of.len() <= MAX_TEXT;
    let (percent, value) = texts.value.unzip();
    // Screen readers skip the dash and read the word beside it.
    let dash = (!known && texts.bar).then_some("true");
    let why = gauge.why;
    view! {
        <div
            class=texts.class
            title=texts.title
            role=known.then_some("meter")
            aria-label=known.then(|| gauge.name.to_owned())
            aria-valuenow=percent.map(|percent| percent.min(100).to_string())
            aria-valuetext=value
        >
            {label(gauge.label)}
            {sparkline(gauge.sparkline.filter(|_| short))}
            <span class="fig">
                <b aria-hidden=dash>{texts.digits}</b>
                {dash.map(|_| view! { <span class="vh">{t!(figure.unknown)}</span> })}
                {texts.of}
            </span>
            " "
            // Without an address it is no link.
            <a
                class="pct"
                href=why.map(|why| why.address.clone())
                rel=why.map(|_| "external")
                aria-hidden=dash.filter(|_| why.is_none())
            >
                {why.map_or(texts.percent, |why| why.mark.clone())}
                {why.map(|why| view! { <span class="vh">" " {why.label.clone()}</span> })}
            </a>
            {texts.bar.then(|| bar(percent))}
        </div>
    }
}

/// Example: `4 vCPU allocated`.
pub fn allocated(gauge: Gauge<'_>) -> String {
    match gauge.allocated {
        Some(allocated) => t!(figure.allocated, amount = amount(gauge.unit, allocated)),
        None => t!(figure.unreadable).to_owned(),
    }
}

fn label(text: &'static str) -> Option<impl IntoView> {
    (!text.is_empty()).then(|| view! { <span class="label">{text}</span> })
}
