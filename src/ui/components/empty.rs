//! Where there are no cards: why not, and what to do.

use leptos::prelude::*;

use crate::model::{
    source::{SourceHealth, SourceId, SourceState},
    view::HomeView,
};

/// Why the list is empty, or only begun.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Empty {
    title: &'static str,
    cause: String,
    mend: String,
    /// Address and words of the way on.
    link: (&'static str, &'static str),
}

const SOURCES: (&str, &str) = ("/sources", "See what each source says");

impl Empty {
    /// None where the list is there, whole.
    pub fn of(view: &HomeView) -> Option<Self> {
        let sources = &view.frame.sources;
        let any = view.totals.counts.total > 0;
        match view.matching {
            _ if !view.frame.ready => Some(starting(sources)),
            0 if any => {
                Some(Self { title: "No VM matches.", link: ("/", "Clear the filters"), ..Self::default() })
            }
            0 => Some(nothing(sources)),
            _ => None,
        }
    }
}

/// The first round of questions is not over: what is there so far may be a part.
fn starting(sources: &[SourceHealth]) -> Empty {
    let states =
        || sources.iter().map(|source| source.state).filter(|state| *state != SourceState::NotConfigured);
    let answered = states().filter(|state| *state != SourceState::Starting).count();
    Empty {
        title: "Collecting for the first time.",
        cause: format!("{answered} of {} sources have answered.", states().count()),
        mend: String::new(),
        link: SOURCES,
    }
}

/// No VM in a cluster whose sources were all tried.
fn nothing(sources: &[SourceHealth]) -> Empty {
    let inventory: Vec<&SourceHealth> = sources
        .iter()
        .filter(|source| matches!(source.id, SourceId::Wukongs | SourceId::VirtualMachines))
        .collect();
    let fine = |source: &&SourceHealth| matches!(source.state, SourceState::Healthy | SourceState::Absent);
    let (title, cause) = if inventory.iter().all(|source| source.state == SourceState::Absent) {
        let cause =
            "Neither the Wukong nor the KubeVirt VirtualMachine resource is installed in this cluster.";
        ("Nothing to show yet.", cause)
    } else if inventory.iter().all(fine) {
        ("No virtual machines.", "One that is made shows up here by itself.")
    } else {
        ("No virtual machine is known.", "The list could not be read, so that there may be some.")
    };
    let mend = inventory.iter().map(|source| source.mend.as_str()).find(|mend| !mend.is_empty());
    let mend = if inventory.iter().any(|source| source.state == SourceState::Healthy) { None } else { mend };
    Empty { title, cause: cause.to_owned(), mend: mend.unwrap_or_default().to_owned(), link: SOURCES }
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
            {(!why.mend.is_empty()).then(|| view! { <p class="mend">{why.mend}</p> })}
            <p>
                <a href=address>{words}</a>
            </p>
        </div>
    }
}
