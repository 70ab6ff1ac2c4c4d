//! Shows whether the page is current. A change of the word is announced to screen readers; the age beside it
//! changes silently.

use leptos::prelude::*;

use super::icon::{Icon, icon};
use crate::ui::{
    live::{Freshness, Live},
    words,
};
use i18n::t;
use model::{Millis, format};

#[component]
pub fn FreshnessLine() -> impl IntoView {
    let live = expect_context::<Live>();
    move || {
        let freshness = live.freshness();
        let (class, drawing, word) = appearance(freshness);
        view! {
            <p class=class>
                {icon(drawing)} <b role="status">{word}</b>
                <span>{time_text(freshness, live.now.get(), live.age())}</span>
            </p>
        }
    }
}

fn appearance(freshness: Freshness) -> (&'static str, Icon, &'static str) {
    match freshness {
        Freshness::Snapshot => ("live snapshot", Icon::Clock, t!(fresh.snapshot)),
        Freshness::Starting => ("live starting", Icon::Pending, t!(fresh.starting)),
        Freshness::Live => ("live", Icon::Live, t!(fresh.live)),
        Freshness::Stale => ("live stale", Icon::Clock, t!(fresh.stale)),
        Freshness::Reconnecting => ("live reconnecting", Icon::Retry, t!(fresh.reconnecting)),
        Freshness::Ended => ("live ended", Icon::Clock, t!(fresh.ended)),
    }
}

/// A page that no script updates shows its time, which stays true; other pages show their age.
fn time_text(freshness: Freshness, now: Millis, age: Option<Millis>) -> String {
    match (freshness, age) {
        (Freshness::Snapshot, _) if now > 0 => "· ".to_owned() + &format::utc_minute(now)[11..],
        (_, Some(age)) => "· ".to_owned() + &words::ago(age, 0),
        (_, None) => String::new(),
    }
}
