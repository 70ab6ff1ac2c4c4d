//! A state as shape, word and colour. Only states that need attention are tinted.

use leptos::prelude::*;

use super::icon::{Icon, icon};
use i18n::{self as names, t, text};
use model::{
    source::SourceState,
    vm::{Status, VmSummary},
};

/// CSS class, icon and word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    pub class: &'static str,
    icon: Icon,
    word: &'static str,
}

impl State {
    pub fn of_status(status: Status) -> Self {
        let (class, icon) = match status {
            Status::Running => ("running", Icon::Running),
            Status::Creating | Status::Pending => ("pending", Icon::Pending),
            Status::Error => ("error", Icon::Error),
            Status::Stopped => ("stopped", Icon::Stopped),
            Status::Unknown => ("unclear", Icon::Nothing),
        };
        Self { class, icon, word: text(names::status(status)) }
    }

    /// Returns the state of a VM. Nobody knows whether one on a lost node still runs. One that is being migrated is running, and has a word of its own.
    pub fn of_vm(vm: &VmSummary) -> Self {
        if vm.lost && vm.status == Status::Running {
            return Self { class: "lost", icon: Icon::Nothing, word: t!(status.lost) };
        }
        if vm.migrating_to.is_empty() {
            return Self::of_status(vm.status);
        }
        Self { class: "migrating", icon: Icon::Migrating, word: t!(status.migrating) }
    }

    pub fn of_source(state: SourceState) -> Self {
        let (class, icon) = match state {
            SourceState::Starting => ("pending", Icon::Pending),
            SourceState::Healthy => ("healthy", Icon::Healthy),
            SourceState::Degraded => ("degraded", Icon::Warn),
            SourceState::Forbidden => ("forbidden", Icon::Forbidden),
            SourceState::Absent | SourceState::NotConfigured => ("absent", Icon::Nothing),
        };
        Self { class, icon, word: text(names::source_state(state)) }
    }
}

pub fn state(state: State) -> impl IntoView {
    view! {
        <span class=["state ", state.class].concat()>
            {icon(state.icon)} <span class="word">{state.word}</span>
        </span>
    }
}
