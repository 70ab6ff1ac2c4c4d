//! Compares a view with the one before it, for the event stream. Pure: if `before` applies the returned
//! change (`model::delta`), it equals `after`.
//!
//! A field of a change is `None` if that part did not change. A new time alone is not a change.

use std::collections::HashMap;

use model::{
    delta::{Extent, FrameChange, HomeChange, NodeChange, Slot, VmChange},
    nodes::NodeView,
    source::SourceHealth,
    view::{Frame, HomeView, SourcesView, VmView},
    vm::VmSummary,
};

/// The result of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<C> {
    Same,
    Change(C),
    /// The views differ so much that the whole view has to be sent.
    Other,
}

/// Compares two home pages.
pub fn home(before: &HomeView, after: &HomeView) -> Outcome<HomeChange> {
    // Destructured, so that a new field does not compile until it is handled here.
    let HomeView {
        frame,
        totals,
        selected,
        capacity,
        query: _,
        matching: _,
        pages: _,
        vms,
        sparklines,
        activity,
        facets,
        map,
        attention,
    } = after;
    let Some(frame_change) = frame_change(&before.frame, frame) else { return Outcome::Other };
    let change = HomeChange {
        totals: (before.totals != *totals).then_some(*totals),
        selected: (before.selected != *selected).then_some(*selected),
        capacity: (before.capacity != *capacity).then_some(*capacity),
        extent: (extent(before) != extent(after)).then(|| extent(after)),
        rows: ((&before.vms, &before.sparklines, &before.activity) != (vms, sparklines, activity))
            .then(|| slots(before, after)),
        facets: (before.facets != *facets).then(|| facets.clone()),
        map: (before.map != *map).then(|| map.clone()),
        attention: (before.attention != *attention).then(|| attention.clone()),
        frame: frame_change,
    };
    let same = change.totals.is_none()
        && change.selected.is_none()
        && change.capacity.is_none()
        && change.extent.is_none()
        && change.rows.is_none()
        && change.facets.is_none()
        && change.map.is_none()
        && change.attention.is_none()
        && is_same(&before.frame, &change.frame);
    if same { Outcome::Same } else { Outcome::Change(change) }
}

/// Compares two pages of a VM.
pub fn vm(before: &VmView, after: &VmView) -> Outcome<VmChange> {
    let Some(frame) = frame_change(&before.frame, &after.frame) else { return Outcome::Other };
    if before.similar != after.similar {
        return Outcome::Other;
    }
    let vm = (before.vm != after.vm).then(|| after.vm.clone());
    let details = (before.details != after.details).then(|| after.details.clone());
    let health = (before.health != after.health).then(|| after.health.clone());
    let same = vm.is_none() && details.is_none() && health.is_none() && is_same(&before.frame, &frame);
    if same { Outcome::Same } else { Outcome::Change(VmChange { frame, vm, details, health }) }
}

/// Compares two pages of a node.
pub fn node(before: &NodeView, after: &NodeView) -> Outcome<NodeChange> {
    let Some(frame) = frame_change(&before.frame, &after.frame) else { return Outcome::Other };
    let node = (before.node != after.node).then(|| after.node.clone());
    let same = node.is_none() && is_same(&before.frame, &frame);
    if same { Outcome::Same } else { Outcome::Change(NodeChange { frame, node }) }
}

/// Compares two sources pages.
pub fn sources(before: &SourcesView, after: &SourcesView) -> Outcome<FrameChange> {
    match frame_change(&before.frame, &after.frame) {
        None => Outcome::Other,
        Some(change) if is_same(&before.frame, &change) => Outcome::Same,
        Some(change) => Outcome::Change(change),
    }
}

/// Returns the sources that differ, or `None` if the two lists do not have the same sources.
pub fn changed_sources<'a>(before: &Frame, after: &'a Frame) -> Option<Vec<&'a SourceHealth>> {
    let ids = |frame: &Frame| frame.sources.iter().map(|source| source.id).collect::<Vec<_>>();
    if ids(before) != ids(after) {
        return None;
    }
    let pairs = before.sources.iter().zip(&after.sources);
    Some(pairs.filter(|(old, new)| old != new).map(|(_, new)| new).collect())
}

fn frame_change(before: &Frame, after: &Frame) -> Option<FrameChange> {
    let Frame { cluster, demo, now, last_seen, stale_after, refresh, ready, all_vms, nodes, sources: _ } =
        after;
    if (&before.cluster, before.demo, before.stale_after, before.refresh, before.all_vms, before.nodes)
        != (cluster, *demo, *stale_after, *refresh, *all_vms, *nodes)
    {
        return None;
    }
    let sources = changed_sources(before, after)?.into_iter().cloned().collect();
    Some(FrameChange { now: *now, last_seen: *last_seen, ready: *ready, sources })
}

fn is_same(before: &Frame, change: &FrameChange) -> bool {
    change.sources.is_empty() && (before.last_seen, before.ready) == (change.last_seen, change.ready)
}

fn extent(view: &HomeView) -> Extent {
    Extent { matching: view.matching, pages: view.pages, page: view.query.page }
}

/// A row that was on the page before and did not change is sent as its old position.
fn slots(before: &HomeView, after: &HomeView) -> Vec<Slot> {
    let places: HashMap<_, usize> = before.vms.iter().map(VmSummary::key).zip(0..).collect();
    let slot = |(place, vm): (usize, &VmSummary)| {
        let (sparkline, activity) = (after.sparklines.get(place), after.activity.get(place));
        let same = |from: &usize| {
            before.vms[*from] == *vm
                && (before.sparklines.get(*from), before.activity.get(*from)) == (sparkline, activity)
        };
        match places.get(&vm.key()).copied().filter(same).and_then(|from| from.try_into().ok()) {
            Some(from) => Slot::Old(from),
            None => Slot::New(Box::new(vm.clone()), sparkline.cloned(), activity.copied()),
        }
    };
    after.vms.iter().enumerate().map(slot).collect()
}
