//! The rows of the list: cards and the table redraw each part of a VM separately.

use leptos::prelude::*;

use crate::ui::{feed::Feed, live::Live};
use model::{Millis, delta::RowKey, history::Sparklines, view::HomeView, vm::VmSummary};

/// The keys of the VMs on the page.
pub fn row_keys(feed: Feed<HomeView>) -> impl Fn() -> Vec<RowKey> + Send + Copy {
    let keys = feed.part(|view| view.vms.iter().map(VmSummary::row_key).collect::<Vec<_>>());
    move || keys.get().unwrap_or_default()
}

/// One VM of the list, and its last hour if the view shows sparklines. It changes only when they differ.
pub type Row = Memo<Option<(VmSummary, Option<Sparklines>)>>;

/// Returns the row of a VM, which lives as long as the current owner.
pub fn row_of(feed: Feed<HomeView>, wanted: RowKey) -> Row {
    Memo::new(move |_| {
        feed.draw(|view| {
            let place = view.vms.iter().position(|vm| vm.key() == (wanted.0, &wanted.1, &wanted.2))?;
            Some((view.vms[place].clone(), view.sparks.get(place).cloned()))
        })
        .flatten()
    })
}

/// Draws one part of a row. It is redrawn when the row differs, and with the time if `draw` reads it.
pub fn draw_row<V>(
    row: Row,
    draw: impl Fn(&VmSummary, Option<&Sparklines>, RwSignal<Millis>) -> V,
) -> impl Fn() -> Option<V> {
    let now = expect_context::<Live>().now;
    move || row.with(|row| row.as_ref().map(|(vm, sparks)| draw(vm, sparks.as_ref(), now)))
}
