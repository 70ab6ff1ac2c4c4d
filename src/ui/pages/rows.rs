//! The rows of the list: cards and the table redraw each part of a VM separately.

use leptos::prelude::*;

use crate::ui::{feed::Feed, live::Live};
use model::{Millis, delta::RowKey, history::Sparklines, view::HomeView, vm::VmSummary};

/// The keys of the VMs on the page.
pub fn row_keys(feed: Feed<HomeView>) -> impl Fn() -> Vec<RowKey> + Send + Copy {
    move || {
        let keys = |view: &HomeView| view.vms.iter().map(VmSummary::row_key).collect::<Vec<_>>();
        feed.draw_part(feed.parts.list, keys).unwrap_or_default()
    }
}

/// Draws one part of a row. It is redrawn when that VM differs, and with the time if `draw` reads it.
pub fn draw_row<V>(
    feed: Feed<HomeView>,
    wanted: RowKey,
    draw: impl Fn(&VmSummary, Option<&Sparklines>, RwSignal<Millis>) -> V,
) -> impl Fn() -> Option<V> {
    let now = expect_context::<Live>().now;
    let row = feed.parts.row(wanted.clone());
    let is_wanted = move |vm: &VmSummary| vm.key() == (wanted.0, &wanted.1, &wanted.2);
    move || {
        feed.draw_part(row, |view| {
            let place = view.vms.iter().position(&is_wanted)?;
            Some(draw(&view.vms[place], view.sparks.get(place), now))
        })
        .flatten()
    }
}
