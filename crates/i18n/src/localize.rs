//! Localizes views before they leave the server: every message becomes text in the reader's language. `http`
//! calls it.

use super::{Lang, Render};
use model::{
    activity::{Activity, GuestActivity, Part},
    details::VmDetails,
    events::{Entry, Timeline, VmEvents},
    figure::{Figure, Missing},
    groups::{Group, GroupsView, Node, NodeUse},
    message::Message,
    nodes::{NodeReport, NodeView},
    source::SourceHealth,
    view::{Frame, HistoryView, HomeView, InsightsView, SourcesView, TimelineView, VmView},
    vm::{Reading, Usage, Vm, VmSummary, Volume},
    vm_health::{Problem, VmHealth},
};

/// Renders each [`Message`] inside a value.
pub trait Localize: Sized {
    fn localize(&mut self, lang: Lang);

    fn localized(mut self, lang: Lang) -> Self {
        self.localize(lang);
        self
    }
}

impl Localize for Message {
    fn localize(&mut self, lang: Lang) {
        if !matches!(self, Self::Raw(_)) {
            *self = Self::Raw(self.render(lang));
        }
    }
}

impl<T: Localize> Localize for Option<T> {
    fn localize(&mut self, lang: Lang) {
        if let Some(value) = self {
            value.localize(lang);
        }
    }
}

impl<T: Localize> Localize for Box<T> {
    fn localize(&mut self, lang: Lang) {
        self.as_mut().localize(lang);
    }
}

impl<T: Localize> Localize for Vec<T> {
    fn localize(&mut self, lang: Lang) {
        for value in self {
            value.localize(lang);
        }
    }
}

impl Localize for Missing {
    fn localize(&mut self, lang: Lang) {
        self.detail.localize(lang);
        self.fix.localize(lang);
    }
}

impl Localize for Figure {
    fn localize(&mut self, lang: Lang) {
        if let Self::Missing(missing) = self {
            missing.localize(lang);
        }
    }
}

impl Localize for Usage {
    fn localize(&mut self, lang: Lang) {
        self.cpu.localize(lang);
        self.memory.localize(lang);
        self.disk.localize(lang);
    }
}

impl Localize for Reading {
    fn localize(&mut self, lang: Lang) {
        self.figure.localize(lang);
    }
}

impl Localize for Volume {
    fn localize(&mut self, lang: Lang) {
        self.usage.localize(lang);
        self.readings.localize(lang);
    }
}

impl Localize for VmSummary {
    fn localize(&mut self, lang: Lang) {
        self.fault.localize(lang);
        self.usage.localize(lang);
    }
}

impl Localize for Vm {
    fn localize(&mut self, lang: Lang) {
        self.summary.localize(lang);
        self.failure.localize(lang);
        self.allocation_gap.localize(lang);
        self.conflict.localize(lang);
        self.volumes.localize(lang);
    }
}

impl Localize for Problem {
    fn localize(&mut self, lang: Lang) {
        self.text.localize(lang);
        self.advice.localize(lang);
    }
}

impl Localize for VmHealth {
    fn localize(&mut self, lang: Lang) {
        self.problems.localize(lang);
    }
}

impl<T> Localize for Part<T> {
    fn localize(&mut self, lang: Lang) {
        if let Err(missing) = self {
            missing.localize(lang);
        }
    }
}

impl Localize for Activity {
    fn localize(&mut self, lang: Lang) {
        match self {
            Self::Missing(missing) => missing.localize(lang),
            Self::Known(known) => {
                // Destructured, so that a new part does not compile until it is localized here.
                let GuestActivity {
                    source: _,
                    at: _,
                    window_ms: _,
                    stale: _,
                    memory,
                    swap,
                    major_faults,
                    network,
                    network_from: _,
                    storage,
                    contention,
                    migration: _,
                    rates: _,
                } = &mut **known;
                memory.localize(lang);
                swap.localize(lang);
                major_faults.localize(lang);
                network.localize(lang);
                storage.localize(lang);
                contention.localize(lang);
            }
        }
    }
}

impl Localize for VmDetails {
    fn localize(&mut self, lang: Lang) {
        self.activity.localize(lang);
        self.interfaces.iter_mut().for_each(|interface| interface.rates.localize(lang));
        self.drives.iter_mut().for_each(|drive| drive.rates.localize(lang));
        self.migrations_gap.localize(lang);
        self.pressure.localize(lang);
        self.pressure_gap.localize(lang);
    }
}

impl Localize for VmEvents {
    fn localize(&mut self, lang: Lang) {
        self.gap.localize(lang);
    }
}

impl Localize for Entry {
    fn localize(&mut self, lang: Lang) {
        self.title.localize(lang);
        self.text.localize(lang);
    }
}

impl Localize for Timeline {
    fn localize(&mut self, lang: Lang) {
        self.restart.localize(lang);
        self.entries.localize(lang);
        self.gaps.localize(lang);
        self.note.localize(lang);
    }
}

impl Localize for SourceHealth {
    fn localize(&mut self, lang: Lang) {
        self.error.localize(lang);
        self.fix.localize(lang);
        self.warning.localize(lang);
    }
}

impl Localize for Frame {
    fn localize(&mut self, lang: Lang) {
        self.sources.localize(lang);
    }
}

impl Localize for HomeView {
    fn localize(&mut self, lang: Lang) {
        self.frame.localize(lang);
        self.vms.localize(lang);
    }
}

impl Localize for VmView {
    fn localize(&mut self, lang: Lang) {
        self.frame.localize(lang);
        self.vm.localize(lang);
        self.details.localize(lang);
        self.health.localize(lang);
    }
}

impl Localize for HistoryView {
    fn localize(&mut self, lang: Lang) {
        self.frame.localize(lang);
        if let Some(vm_history) = &mut self.history {
            vm_history.history.lacks.localize(lang);
        }
    }
}

impl Localize for TimelineView {
    fn localize(&mut self, lang: Lang) {
        self.frame.localize(lang);
        self.timeline.localize(lang);
    }
}

impl Localize for NodeUse {
    fn localize(&mut self, lang: Lang) {
        let Self { cpu, memory } = self;
        cpu.localize(lang);
        memory.localize(lang);
    }
}

impl Localize for Node {
    fn localize(&mut self, lang: Lang) {
        self.used.localize(lang);
    }
}

impl Localize for Group {
    fn localize(&mut self, lang: Lang) {
        self.node.localize(lang);
    }
}

impl Localize for GroupsView {
    fn localize(&mut self, lang: Lang) {
        self.frame.localize(lang);
        self.groups.localize(lang);
    }
}

impl Localize for NodeReport {
    fn localize(&mut self, lang: Lang) {
        self.group.localize(lang);
        self.problems.localize(lang);
    }
}

impl Localize for NodeView {
    fn localize(&mut self, lang: Lang) {
        self.frame.localize(lang);
        self.node.localize(lang);
    }
}

impl Localize for InsightsView {
    fn localize(&mut self, lang: Lang) {
        self.frame.localize(lang);
    }
}

impl Localize for SourcesView {
    fn localize(&mut self, lang: Lang) {
        self.frame.localize(lang);
    }
}
