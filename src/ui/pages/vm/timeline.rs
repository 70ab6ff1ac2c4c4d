//! What happened to the VM: Events, migrations and its last start, the newest first. The server makes every text of it.

use leptos::{either::EitherOf3, prelude::*};

use crate::ui::{
    components::{
        icon::{Icon, icon},
        why::fix,
    },
    feed::Feed,
};
use i18n::{reason, t, text};
use model::{
    events::{Entry, Sign, Timeline},
    figure::Missing,
    format,
    message::Message,
    view::TimelineView,
};

/// The section, which is redrawn when something of it differs.
pub fn timeline_section(feed: Feed<TimelineView>) -> impl IntoView {
    let timeline = Memo::new(move |_| feed.draw(|view| view.timeline.clone()).flatten());
    view! {
        <h2 id="timeline">{t!(vm.timeline)}</h2>
        {move || timeline.with(|timeline| match timeline {
            Some(timeline) => EitherOf3::A(content(timeline)),
            None if feed.view.with(Option::is_some) => EitherOf3::B(()),
            None => EitherOf3::C(view! { <p role="status">{loading(feed.connection.failed.get())}</p> }),
        })}
    }
}

/// Why the guest was started again lately.
pub fn last_restart(feed: Feed<TimelineView>) -> Memo<Option<Message>> {
    Memo::new(move |_| feed.draw(|view| view.timeline.as_ref()?.restart.clone()).flatten())
}

fn loading(failed: bool) -> &'static str {
    if failed { t!(page.no_answer) } else { t!(page.loading) }
}

fn content(timeline: &Timeline) -> impl IntoView + use<> {
    let Timeline { restart: _, entries, gaps, note, pending: _ } = timeline;
    let lines: Vec<_> = entries.iter().map(line).collect();
    let list = (!lines.is_empty()).then(|| view! { <ol class="timeline">{lines}</ol> });
    let none = (entries.is_empty() && gaps.is_empty()).then(|| view! { <p>{t!(vm.no_events)}</p> });
    let gaps: Vec<_> = gaps.iter().map(gap).collect();
    let note = (!note.is_empty()).then(|| view! { <p class="small">{note.text()}</p> });
    view! {
        {gaps}
        {none}
        {list}
        {note}
    }
}

fn line(entry: &Entry) -> impl IntoView + use<> {
    let (class, sign) = match entry.sign {
        Sign::Normal => ("", Icon::Live),
        Sign::Warning => ("warn", Icon::Warn),
        Sign::Migration => ("", Icon::Migrating),
        Sign::Start => ("", Icon::Retry),
    };
    let time = entry.at.map_or_else(|| t!(vm.no_time).to_owned(), format::utc_minute);
    let details = (!entry.text.is_empty()).then(|| view! { <small>{entry.text.text()}</small> });
    view! {
        <li class=class>
            {icon(sign)} <span class="when">{time}</span> <div>{entry.title.text()} {details}</div>
        </li>
    }
}

/// What is missing, and how to fix it.
fn gap(missing: &Missing) -> impl IntoView + use<> {
    let detail = if missing.detail.is_empty() {
        text(reason(missing.reason)).to_owned()
    } else {
        [text(reason(missing.reason)), t!(list.colon), &missing.detail.text()].concat()
    };
    view! {
        <div class="incomplete">
            <p>{detail}</p>
            {fix(&missing.fix.text())}
        </div>
    }
}
