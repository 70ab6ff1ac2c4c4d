//! Where there are no cards: why not, and what to do.

use leptos::{either::EitherOf3, prelude::*};

use crate::model::{
    source::{SourceHealth, SourceId, SourceState},
    view::HomeView,
};

/// Why the list is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Empty {
    NoMatch,
    /// Sources that have answered, of those there are.
    Starting(usize, usize),
    /// Title, cause and mend.
    Nothing(&'static str, &'static str, String),
}

impl Empty {
    /// None where there is something to show.
    pub fn of(view: &HomeView) -> Option<Self> {
        let sources = &view.frame.sources;
        match (view.matching, view.totals.counts.total) {
            (1.., _) => None,
            (0, 1..) => Some(Self::NoMatch),
            (0, 0) if !view.frame.ready => Some(starting(sources)),
            (0, 0) => Some(nothing(sources)),
        }
    }
}

/// The first round of questions is not over: what is there so far may be a part.
pub fn starting(sources: &[SourceHealth]) -> Empty {
    let answered = sources.iter().filter(|source| source.state != SourceState::Starting).count();
    Empty::Starting(answered, sources.len())
}

/// No VM in a cluster whose sources were all tried.
fn nothing(sources: &[SourceHealth]) -> Empty {
    let inventory: Vec<&SourceHealth> = sources
        .iter()
        .filter(|source| matches!(source.id, SourceId::Wukongs | SourceId::VirtualMachines))
        .collect();
    let all = |state| !inventory.is_empty() && inventory.iter().all(|source| source.state == state);
    let mend =
        inventory.iter().map(|source| source.mend.clone()).find(|mend| !mend.is_empty()).unwrap_or_default();
    if all(SourceState::Absent) {
        let cause =
            "Neither the Wukong nor the KubeVirt VirtualMachine resource is installed in this cluster.";
        return Empty::Nothing("Nothing to show yet", cause, mend);
    }
    if inventory.iter().any(|source| !matches!(source.state, SourceState::Healthy | SourceState::Absent)) {
        let cause = "The list of virtual machines could not be read, so that there may be some.";
        return Empty::Nothing("No virtual machine is known", cause, mend);
    }
    let cause = "This cluster has no virtual machine. One that is made shows up here by itself.";
    Empty::Nothing("No virtual machines", cause, String::new())
}

pub fn empty(why: Empty) -> impl IntoView {
    let content = match why {
        Empty::NoMatch => EitherOf3::A(view! {
            <p>
                <b>"No VM matches."</b>
                " "
                <a href="/">"Clear the filters"</a>
            </p>
        }),
        Empty::Starting(answered, all) => EitherOf3::B(view! {
            <p>
                <b>"Collecting for the first time."</b>
                {format!(" {answered} of {all} sources have answered.")}
            </p>
        }),
        Empty::Nothing(title, cause, mend) => {
            let mend = (!mend.is_empty()).then(|| view! { <p class="mend">{mend}</p> });
            EitherOf3::C(view! {
                <p>
                    <b>{title}</b>
                </p>
                <p>{cause}</p>
                {mend}
                <p>
                    <a href="/sources">"See what each source says"</a>
                </p>
            })
        }
    };
    view! { <div class="empty">{content}</div> }
}
