//! Amounts of a guest's activity as text, or a dash that leads to the reason and the fix.

use leptos::{either::Either, prelude::*};

use crate::ui::ready::IntoReadyAny;
use i18n::{self as names, t, text};
use model::{
    activity::{Activity, GuestActivity, Part},
    figure::Missing,
    format,
    rates::{OperationRates, Rate},
    reason::Reason,
};

/// Names and amounts, one a line.
pub fn lines(rows: Vec<(&'static str, AnyView)>) -> impl IntoView {
    let line = |(name, amount)| {
        view! {
            <div>
                <dt>{name}</dt>
                <dd>{amount}</dd>
            </div>
        }
    };
    view! { <dl class="lines">{rows.into_iter().map(line).collect::<Vec<_>>()}</dl> }
}

/// A part of the activity as text, or a dash.
pub fn part<T>(activity: &Activity, of: fn(&GuestActivity) -> &Part<T>, text: fn(&T) -> String) -> AnyView {
    match activity_part(activity, of) {
        Ok(part) => text(part).into_ready_any(),
        Err(missing) => dash(missing).into_ready_any(),
    }
}

pub fn activity_part<T>(activity: &Activity, of: fn(&GuestActivity) -> &Part<T>) -> Result<&T, &Missing> {
    match activity {
        Activity::Missing(missing) => Err(missing),
        Activity::Known(known) => of(known).as_ref().map_err(|missing| &**missing),
    }
}

/// Missing is never zero. A VM that does not run needs no reason.
pub fn dash(missing: &Missing) -> impl IntoView + use<> {
    if missing.reason == Reason::NotRunning {
        return Either::Left("–");
    }
    let reason = text(names::reason(missing.reason));
    Either::Right(view! {
        <a href="#why" title=reason>
            <span aria-hidden="true">"—"</span>
            <span class="vh">{t!(figure.unknown_why, reason = reason)}</span>
        </a>
    })
}

/// Example: `6.1 MB/s, 12.3 MB/s`.
pub fn both(first: String, second: String) -> String {
    [&first, t!(figure.separator), &second].concat()
}

/// Example: `6.1 MB/s`.
pub fn speed(rate: Rate) -> String {
    let format::Amount { digits, unit } = format::bytes_per_second(rate);
    [&digits, " ", unit].concat()
}

/// The mean time of an operation, if there was one.
pub fn latency(of: &OperationRates) -> String {
    match of.latency {
        Some(nanos) => format::millis(nanos),
        None if of.operations == Some(Rate(0)) => t!(vm.no_operation).to_owned(),
        None => "—".to_owned(),
    }
}
