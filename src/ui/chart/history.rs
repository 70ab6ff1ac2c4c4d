//! The history section of a VM's page: the choice of time span, three charts, their hints, and strips of what the guest
//! does and how its volumes fill.

use leptos::{either::EitherOf3, prelude::*};

use super::{Cursor, ScaleLabels, charts, hint, spans, strips::strips, words};
use crate::ui::{
    components::{card::vm_address, why::fix},
    feed::Feed,
};
use i18n::{reason, t};
use model::{
    figure::{Figure, Missing, Unit},
    history::{History, Span},
    view::{HistoryView, VmView},
    vm::Vm,
};

/// The section. `vm` gives the texts that say what 100 % is, `feed` the history of `span`.
pub fn history_section(vm: Feed<VmView>, feed: Feed<HistoryView>, span: Span) -> impl IntoView {
    let cursor: Cursor = RwSignal::new(None);
    let address = Memo::new(move |_| from_vm(vm, |vm| vm_address(&vm.summary.namespace, &vm.summary.name)));
    let labels = Memo::new(move |_| from_vm(vm, scale_labels));
    // Redrawn when there is a new point, not after every answer.
    let vm_history = Memo::new(move |_| feed.draw(|view| view.history.clone()).flatten());
    let class = move || if feed.connection.waiting.get() { "history busy" } else { "history" };
    view! {
        <div class="head">
            <h2 id="history">{t!(chart.title)}</h2>
            {move || spans(span, &address.get())}
        </div>
        <div class=class>
            {move || vm_history.with(|vm_history| match vm_history {
                Some(vm_history) => EitherOf3::A((
                    incomplete(vm_history.history.lacks.as_ref()),
                    charts(vm_history, labels, cursor),
                    origin(&vm_history.history),
                    strips(&vm_history.history),
                )),
                None if feed.view.with(Option::is_some) => EitherOf3::B(view! { <p>{t!(chart.nothing)}</p> }),
                None => EitherOf3::C(view! { <p role="status">{words::fetching(feed.connection.failed.get())}</p> }),
            })}
        </div>
    }
}

/// Reads a value from the VM; the default while the VM is not known.
fn from_vm<T: Default>(vm: Feed<VmView>, read: impl Fn(&Vm) -> T) -> T {
    vm.draw(|view| view.vm.as_ref().map(read)).flatten().unwrap_or_default()
}

/// Returns what 100 % means for CPU, memory and disk. For disk it is the capacity of the volumes whose usage
/// is known.
fn scale_labels(vm: &Vm) -> ScaleLabels {
    let summary = &vm.summary;
    let allocated = |unit, amount: Option<u64>| {
        amount.map(|amount| t!(chart.allocated, amount = hint::amount(unit, amount))).unwrap_or_default()
    };
    let disk = match &summary.usage.disk {
        Figure::Known(sample) => t!(chart.capacity, amount = hint::amount(Unit::Bytes, sample.of)),
        Figure::Missing(_) => String::new(),
    };
    [allocated(Unit::Nanocores, summary.cpu), allocated(Unit::Bytes, summary.memory), disk]
}

/// Says why part of the history is missing, and how to fix it.
fn incomplete(missing: Option<&Missing>) -> Option<impl IntoView + use<>> {
    missing.map(|missing| {
        let reason = i18n::text(reason(missing.reason));
        let text = if missing.detail.is_empty() {
            t!(chart.incomplete, reason = reason)
        } else {
            t!(chart.incomplete_detail, reason = reason, detail = missing.detail.text())
        };
        view! {
            <div class="incomplete">
                <p>{text}</p>
                {fix(&missing.fix.text())}
            </div>
        }
    })
}

fn origin(history: &History) -> impl IntoView + use<> {
    view! { <p class="small">{words::origin(history)}</p> }
}
