//! The text in place of an empty list: why it is empty, and what to do.

use leptos::prelude::*;

use super::filters::attention_text;
use crate::ui::address;
use i18n::{self as names, t, text};
use model::{
    message::Message,
    query::Query,
    source::{SourceHealth, SourceId, SourceState},
    view::HomeView,
};

/// Why the list is empty, or not complete yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Empty {
    title: &'static str,
    cause: String,
    fix: String,
    /// Address and text of the link to continue with.
    link: (String, &'static str),
}

fn sources_link() -> (String, &'static str) {
    (address::at("/sources"), t!(empty.sources))
}

impl Empty {
    /// Returns `None` if the list is complete and not empty.
    pub fn of(view: &HomeView) -> Option<Self> {
        let sources = &view.frame.sources;
        let any = view.totals.counts.total > 0;
        match view.matching {
            _ if !view.frame.ready => Some(starting(sources)),
            0 if any => Some(unmatched(&view.query)),
            0 => Some(nothing(sources, view.frame.all_vms)),
            _ => None,
        }
    }
}

/// The active filters in words, so that a typing error is visible.
fn unmatched(query: &Query) -> Empty {
    let mut parts = Vec::new();
    for (word, value) in [
        (t!(list.text), query.q.as_str()),
        (t!(list.namespace), &query.namespace),
        (t!(list.status), query.status.map_or("", |status| text(names::status(status)))),
        (t!(list.node), &query.node),
    ] {
        if !value.is_empty() {
            parts.push(t!(empty.filter, name = word, value = value));
        }
    }
    parts.extend(query.attention.as_ref().map(attention_text));
    Empty {
        title: t!(empty.no_match),
        cause: parts.join(t!(figure.separator)),
        fix: String::new(),
        link: (address::list(&query.unfiltered()), t!(empty.clear)),
    }
}

/// Some sources have not answered for the first time yet, so the list may be incomplete.
fn starting(sources: &[SourceHealth]) -> Empty {
    let states =
        || sources.iter().map(|source| source.state).filter(|state| *state != SourceState::NotConfigured);
    let answered = states().filter(|state| *state != SourceState::Starting).count();
    Empty {
        title: t!(empty.starting),
        cause: t!(empty.answered, answered = answered.to_string(), all = states().count().to_string()),
        fix: String::new(),
        link: sources_link(),
    }
}

/// There is no VM, or none that the viewer may see, although every source has been tried.
fn nothing(sources: &[SourceHealth], all: bool) -> Empty {
    let inventory: Vec<&SourceHealth> = sources
        .iter()
        .filter(|source| matches!(source.id, SourceId::Wukongs | SourceId::VirtualMachines))
        .collect();
    let fine = |source: &&SourceHealth| matches!(source.state, SourceState::Healthy | SourceState::Absent);
    let (title, cause) = if inventory.iter().all(|source| source.state == SourceState::Absent) {
        (t!(empty.nothing), t!(empty.nothing_why))
    } else if inventory.iter().all(fine) {
        (if all { t!(empty.no_vms) } else { t!(empty.none_seen) }, t!(empty.no_vms_why))
    } else {
        (t!(empty.unread), t!(empty.unread_why))
    };
    let fix = inventory.iter().map(|source| &source.fix).find(|fix| !fix.is_empty());
    let fix = if inventory.iter().any(|source| source.state == SourceState::Healthy) { None } else { fix };
    Empty {
        title,
        cause: cause.to_owned(),
        fix: fix.map(Message::text).unwrap_or_default(),
        link: sources_link(),
    }
}

pub fn empty(why: Empty) -> impl IntoView {
    let (address, words) = why.link;
    view! {
        <div class="empty">
            <p>
                <b>{why.title}</b>
                " "
                {why.cause}
            </p>
            {(!why.fix.is_empty()).then(|| view! { <p class="fix">{why.fix}</p> })}
            <p>
                <a href=address>{words}</a>
            </p>
        </div>
    }
}
