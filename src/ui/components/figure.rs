//! One figure of the VM page in full: amount, source, age and allocation; or why it is missing, and its last
//! value.

use leptos::{either::EitherOf3, prelude::*};

use super::meter::{Gauge, allocated, bar, level, of, value_text};
use crate::ui::words;
use i18n::{self as names, t, text};
use model::{
    Millis,
    figure::{Figure, Missing, Sample},
    format,
    reason::Reason,
};

/// The figure; `note` is shown only if it is known.
pub fn figure(gauge: Gauge<'_>, note: String, now: Millis) -> impl IntoView + use<> {
    let content = match gauge.figure {
        Figure::Known(sample) => EitherOf3::A(known(gauge.name, sample, note, now)),
        Figure::Missing(missing) if !gauge.running || missing.reason == Reason::NotRunning => {
            EitherOf3::B(off(gauge))
        }
        Figure::Missing(missing) => EitherOf3::C(unknown(gauge, missing, now)),
    };
    view! {
        <section class="figure">
            <h3>{gauge.label}</h3>
            {content}
        </section>
    }
}

fn known(name: &str, sample: &Sample, note: String, now: Millis) -> impl IntoView + use<> {
    let basis = words::basis(sample);
    let basis =
        (!basis.is_empty()).then(|| view! { <p class="reason">{t!(figure.basis, basis = basis)}</p> });
    let over = (sample.percent() > 100).then(|| {
        view! { <p class="reason">{t!(figure.overhead)}</p> }
    });
    view! {
        <div
            class=["gauge", level(sample, None)].concat()
            role="meter"
            aria-label=name.to_owned()
            aria-valuemin="0"
            aria-valuemax="100"
            aria-valuenow=sample.percent().min(100).to_string()
            aria-valuetext=value_text(sample)
        >
            <span class="big">{format::percent(sample.percent_milli())} " %"</span>
            <span class="fig">
                <b>{format::used(sample)}</b>
                {of(sample.unit, Some(sample.of))}
                {note}
            </span>
            {bar(Some(sample.percent()))}
        </div>
        {basis}
        {over}
        {origin(sample, now)}
    }
}

fn origin(sample: &Sample, now: Millis) -> impl IntoView + use<> {
    let age = if sample.stale { words::old(now, sample.at) } else { words::ago(now, sample.at) };
    view! {
        <p class="small">
            {words::provenance(sample)} {t!(figure.sampled_at)}
            <span class=if sample.stale { "warn" } else { "" }>{age}</span>
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
            <span class="fig">{t!(figure.used)} {of(gauge.unit, gauge.allocated)}</span>
            {bar(None)}
        </div>
        <p class="reason">
            {t!(figure.unknown_said, reason = text(names::reason(missing.reason)))} " "
            <a href="#why">{t!(notice.how_to_fix)}</a>
        </p>
        {last_of(missing).map(|last| view! { <p class="small">{last_words(&last, now)}</p> })}
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
