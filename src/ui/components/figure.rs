//! One figure of the VM page in full: amount, source, age and allocation; or why it is missing, and its last
//! value.

use leptos::{either::EitherOf3, prelude::*};

use super::meter::{Gauge, allocated, bar, level, of_allocated, value_text};
use crate::ui::words;
use i18n::{self as names, t, text};
use model::{
    Millis,
    figure::{Figure, Missing, Sample},
    format,
    reason::Reason,
};

/// What is shown with a figure.
#[derive(Default)]
pub struct Notes {
    /// Beside the amount, if it is known.
    pub amount: String,
    /// Where the figure was measured, if there is another one.
    pub place: &'static str,
    /// Above the figure, and at the end.
    pub before: Option<AnyView>,
    pub after: Option<AnyView>,
}

pub fn figure(gauge: Gauge<'_>, notes: Notes, now: Millis) -> impl IntoView + use<> {
    let Notes { amount, place, before, after } = notes;
    let content = match gauge.figure {
        Figure::Known(sample) => EitherOf3::A(known(gauge, sample, (amount, place), now)),
        Figure::Missing(missing) if !gauge.running || missing.reason == Reason::NotRunning => {
            EitherOf3::B(off(gauge))
        }
        Figure::Missing(missing) => EitherOf3::C(unknown(gauge, missing, now)),
    };
    view! {
        <section class="figure">
            <h3>{gauge.label}</h3>
            {before}
            {content}
            {after}
        </section>
    }
}

/// A known figure with its bar, and where it comes from.
pub fn known(
    gauge: Gauge<'_>,
    sample: &Sample,
    (note, place): (String, &'static str),
    now: Millis,
) -> impl IntoView + use<> {
    let name = if place.is_empty() { gauge.name.to_owned() } else { [gauge.name, " ", place].concat() };
    // Beside the guest's own figure, the page says more.
    let over = (sample.percent() > 100 && place.is_empty()).then(|| {
        view! { <p class="reason">{t!(figure.overhead)}</p> }
    });
    view! {
        <div
            class=["gauge", level(sample, gauge.level)].concat()
            role="meter"
            aria-label=name
            aria-valuenow=sample.percent().min(100).to_string()
            aria-valuetext=value_text(sample)
        >
            <span class="big">{format::percent(sample.percent_milli())} " % " <small>{place}</small></span>
            <span class="fig">
                <b>{format::used(sample)}</b>
                {of_allocated(sample.unit, Some(sample.of))}
                {note}
            </span>
            {bar(Some(sample.percent()))}
        </div>
        {over}
        {origin(sample, now)}
    }
}

fn origin(sample: &Sample, now: Millis) -> impl IntoView + use<> {
    source_line(words::provenance(sample), sample.at, sample.stale, now)
}

/// Where a figure comes from, and its age.
pub fn source_line(origin: String, at: Millis, stale: bool, now: Millis) -> impl IntoView {
    let age = if stale { words::old(now, at) } else { words::ago(now, at) };
    view! {
        <p class="small">
            {origin} {t!(figure.sampled_at)} <span class=if stale { "warn" } else { "" }>{age}</span>
        </p>
    }
}

fn off(gauge: Gauge<'_>) -> impl IntoView + use<> {
    view! {
        <p class="fig">{allocated(gauge)}</p>
        <p class="small">{t!(figure.not_measured_said)}</p>
    }
}

fn unknown(gauge: Gauge<'_>, missing: &Missing, now: Millis) -> impl IntoView + use<> {
    view! {
        <div class="gauge unknown">
            <span class="big">
                <span aria-hidden="true">"—"</span>
                <span class="vh">{t!(figure.unknown)}</span>
            </span>
            <span class="fig">{t!(figure.used)} {of_allocated(gauge.unit, gauge.allocated)}</span>
            {bar(None)}
        </div>
        {why_unknown(missing)}
        {last_of(missing).map(|last| view! { <p class="small">{last_words(&last, now)}</p> })}
    }
}

/// The reason, and a link to the fix.
pub fn why_unknown(missing: &Missing) -> impl IntoView + use<> {
    view! {
        <p class="reason">
            {t!(figure.unknown_said, reason = text(names::reason(missing.reason)))} " "
            <a href="#why">{t!(notice.how_to_fix)}</a>
        </p>
    }
}

/// Returns the last value if it is comparable: memory without its hugepages is a different figure.
pub fn last_of(missing: &Missing) -> Option<Sample> {
    missing.last.filter(|_| missing.reason != Reason::Hugepages)
}

/// Example: `Last known: 5.62 of 8 Gi, 70 %, 6 min ago.`
pub fn last_words(last: &Sample, now: Millis) -> String {
    // Not marked as stale, since the age that follows already says so.
    let fresh = Sample { stale: false, ..*last };
    t!(figure.last, value = value_text(&fresh), ago = words::ago(now, last.at))
}
