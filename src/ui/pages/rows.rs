//! The rows of the list: cards and the table redraw each VM separately.

use leptos::prelude::*;

use crate::ui::{feed::Feed, live::Live};
use model::{
    Millis, activity::ActivityRow, delta::RowKey, history::Sparklines, view::HomeView, vm::VmSummary,
};

/// One VM of the list, its last hour if the view shows sparklines, and its activity if the view shows that.
#[derive(Clone, PartialEq)]
pub struct RowView {
    pub vm: VmSummary,
    pub sparklines: Option<Sparklines>,
    pub activity: Option<ActivityRow>,
}

/// It changes only when something of the row differs.
pub type Row = Memo<Option<RowView>>;

/// The keys of the VMs on the page.
pub fn row_keys(feed: Feed<HomeView>) -> impl Fn() -> Vec<RowKey> + Send + Copy {
    let keys = feed.part(|view| view.vms.iter().map(VmSummary::row_key).collect::<Vec<_>>());
    move || keys.get().unwrap_or_default()
}

/// Returns the row of a VM, which lives as long as the current owner.
pub fn row(feed: Feed<HomeView>, key: RowKey) -> Row {
    Memo::new(move |_| {
        let find = |view: &HomeView| {
            let index = view.vms.iter().position(|vm| vm.key() == (key.0, &key.1, &key.2))?;
            Some(RowView {
                vm: view.vms[index].clone(),
                sparklines: view.sparklines.get(index).cloned(),
                activity: view.activity.get(index).copied(),
            })
        };
        feed.draw(find).flatten()
    })
}

/// Draws one part of a row. It is redrawn when the row differs, and with the time if `draw` reads it.
pub fn draw_row<V>(row: Row, draw: impl Fn(&RowView, RwSignal<Millis>) -> V) -> impl Fn() -> Option<V> {
    let now = expect_context::<Live>().now;
    move || row.with(|row| row.as_ref().map(|row| draw(row, now)))
}
