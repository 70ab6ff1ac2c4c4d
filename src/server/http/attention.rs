//! The section of the home page that says what needs a person, as markup. Only the server makes it, with Leptos, which
//! escapes every text; the browser's half shows it as it is, and has no code for it.

use std::sync::Arc;

use leptos::{either::Either, prelude::*, reactive::owner::Owner};
use parking_lot::Mutex;

use super::notices::notices;
use crate::ui::{
    address::{self, BasePath},
    components::{
        card::vm_address,
        icon::{Icon, icon},
    },
    words,
};
use i18n::{Lang, Localize, Render, attention_kind, t, text};
use model::{Millis, attention::AttentionKind, format, message::Message, query::Query, vm_health::Level};
use wukong_core::{
    Visible,
    incidents::{Incident, IncidentSubject, Incidents, incidents},
};

/// Rows that are always there on a narrow page, and on a wide one. The others are folded.
const NARROW: usize = 3;
const WIDE: usize = 6;
/// The most rows of a page. The kinds lead to the VMs of the others.
const MOST: usize = 24;
/// Characters of a text that somebody else has written. The page of a VM has all of it.
const LONGEST: usize = 240;
/// Documents that are kept: one for each language and scope that was asked for last.
const KEPT: usize = 16;

/// The markup of the last snapshot, for those who ask next.
#[derive(Default)]
pub struct AttentionMarkup(Mutex<Vec<CachedMarkup>>);

struct CachedMarkup {
    scope: u128,
    lang: Lang,
    /// The snapshot and the findings that it is of.
    of: (u64, Option<Millis>),
    markup: Arc<str>,
}

impl AttentionMarkup {
    /// Returns the markup. One that says the same as before is the same memory.
    pub fn markup_for(&self, visible: &Visible, lang: Lang, base: &BasePath) -> Arc<str> {
        let (scope, of) = (visible.scope().digest(), (visible.seq(), visible.findings_at()));
        let is_same = |kept: &CachedMarkup| (kept.scope, kept.lang) == (scope, lang);
        let before =
            self.0.lock().iter().find(|kept| is_same(kept)).map(|kept| (kept.of, kept.markup.clone()));
        if let Some((_, markup)) = before.as_ref().filter(|(made, _)| *made == of) {
            return markup.clone();
        }
        let markup = render(visible, lang, base);
        let markup = match before {
            Some((_, before)) if *before == *markup => before,
            _ => markup.into(),
        };
        let mut kept = self.0.lock();
        kept.retain(|kept| !is_same(kept));
        kept.insert(0, CachedMarkup { scope, lang, of, markup: markup.clone() });
        kept.truncate(KEPT);
        markup
    }
}

/// Returns the markup: the notices, and what needs attention once something is known.
fn render(visible: &Visible, lang: Lang, base: &BasePath) -> String {
    let is_known = visible.is_ready() && !visible.vms().is_empty();
    let incidents = is_known.then(|| incidents(visible, MOST));
    let markup = Owner::new().with(|| {
        provide_context(lang);
        provide_context(base.clone());
        let mut sources = visible.sources().to_vec();
        sources.localize(lang);
        let attention = match &incidents {
            None => String::new(),
            Some(incidents) if incidents.total == 0 => calm(visible.scope().has_all_vms()).to_html(),
            Some(incidents) => section(incidents, lang).to_html(),
        };
        notices(&sources).to_html() + &attention
    });
    // Nothing hydrates it, so the marks between texts are of no use. In a text or a value, `<` is written as an entity.
    markup.replace("<!>", "")
}

fn calm(all: bool) -> impl IntoView {
    view! { <p class="calm">{icon(Icon::Healthy)} {if all { t!(attention.calm) } else { t!(attention.calm_seen) }}</p> }
}

fn section(incidents: &Incidents, lang: Lang) -> impl IntoView + use<> {
    let rows: Vec<_> = incidents.rows.iter().map(|incident| row(incident, lang).into_any()).collect();
    let mut rows = rows.into_iter();
    let shown: Vec<_> = rows.by_ref().take(WIDE).collect();
    let folded: Vec<_> = rows.collect();
    let total = incidents.total as usize;
    view! {
        <section aria-labelledby="needs-attention">
            <details open>
                <summary class="fold">
                    <h2 id="needs-attention">{t!(attention.title)}</h2>
                    <span class="badge">{format::grouped(incidents.total.into())}</span>
                </summary>
                {kinds(incidents)}
                <ol class="incidents" aria-label=t!(attention.list)>
                    {shown}
                </ol>
                {(total > NARROW).then(|| more(total, folded))}
            </details>
        </section>
    }
}

/// The VMs of each kind, as links to them.
fn kinds(incidents: &Incidents) -> impl IntoView + use<> {
    let kinds = AttentionKind::ALL.into_iter().zip(incidents.kinds).filter(|(_, count)| *count > 0);
    let link = |(kind, count): (AttentionKind, u32)| {
        let query = Query { attention: Some(kind.into()), ..Query::default() };
        view! {
            <li>
                <a href=address::list(&query)>{text(attention_kind(kind))} " " <b>{format::grouped(count.into())}</b></a>
            </li>
        }
    };
    view! { <ul class="kinds" aria-label=t!(attention.kinds)>{kinds.map(link).collect::<Vec<_>>()}</ul> }
}

/// The rows that are folded. A narrow page folds some of the rows before, too, which opening this shows.
fn more(total: usize, folded: Vec<AnyView>) -> impl IntoView {
    let hidden = total.saturating_sub(WIDE.saturating_add(folded.len()));
    let left = |shown: usize| t!(attention.more, n = total.saturating_sub(shown) as u32);
    let class = if total > WIDE { "more" } else { "more narrow" };
    view! {
        <details class=class>
            <summary class="fold">
                <span class="wide">{left(WIDE)}</span>
                <span class="narrow">{left(NARROW)}</span>
            </summary>
            <ol class="incidents" aria-label=t!(attention.list)>
                {folded}
            </ol>
            {(hidden > 0).then(|| view! { <p>{t!(attention.not_listed, n = hidden as u32)}</p> })}
        </details>
    }
}

fn row(incident: &Incident, lang: Lang) -> impl IntoView + use<> {
    let (class, drawing, word) = match (incident.kind, incident.level) {
        (AttentionKind::Unknown, _) => ("muted", Icon::Nothing, t!(attention.unknown_level)),
        (_, Level::Critical) => ("crit", Icon::Error, t!(attention.critical)),
        _ => ("warn", Icon::Warn, t!(attention.warning)),
    };
    let [before, subject, after] = incident.title(lang);
    let subject = match subject_address(&incident.subject) {
        Some(address) => Either::Left(view! { <a href=address>{subject}</a> }),
        None => Either::Right(view! { <b>{subject}</b> }),
    };
    let is_alone = matches!(incident.subject, IncidentSubject::Vm(_));
    let vms = (!is_alone).then(|| {
        view! { " " <a href=address::list(&incident.query())>{words::vms(incident.vms)}</a> }
    });
    view! {
        <li>
            <p class="what">
                <span class=class>{icon(drawing)} <span class="vh">{word} " "</span></span>
                <span>{before}{subject}{after}</span>
            </p>
            <p class="why">{cut(&incident.why, lang)}</p>
            <p class="since">{incident.since.map(since)}</p>
            <p class="remedy">{cut(&incident.fix, lang)}{vms}</p>
        </li>
    }
}

/// A name that no address can have is no link.
fn subject_address(subject: &IncidentSubject) -> Option<String> {
    match subject {
        IncidentSubject::Vm(vm) => Some(vm_address(&vm.namespace, &vm.name)),
        IncidentSubject::Node(name) => address::node(name),
        IncidentSubject::Several => None,
    }
}

/// The time does not change, so that the section is written again only if something has happened.
fn since(at: Millis) -> impl IntoView {
    let time = jiff::Timestamp::from_millisecond(at).unwrap_or_default();
    let shown = t!(attention.since, time = time.strftime("%Y-%m-%d %H:%M").to_string());
    view! { <time datetime=time.to_string()>{shown}</time> }
}

fn cut(message: &Message, lang: Lang) -> String {
    let text = message.render(lang);
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => [&text[..end], "…"].concat(),
        None => text,
    }
}
