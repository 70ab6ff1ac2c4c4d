//! The only access to the snapshot: pages, the REST API, server functions and event streams all use
//! [`Reader`], which returns what is visible in a scope and nothing else.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use collector::long_term::Requester;
use model::{
    Millis,
    events::VmEvents,
    groups::{GroupsQuery, GroupsView},
    history::{Span, Sparklines},
    insight::InsightQuery,
    map::MapNames,
    nodes::NodeView,
    query::Query,
    view::{self as views, Facet, HistoryView, HomeView, InsightsView, SourcesView, TimelineView, VmView},
    vm::{Vm, VmSummary},
};
use wukong_core::{
    Scope, Snapshot, Visible,
    details::details,
    frame::{Identity, frame},
    groups, insight, nodes, timeline, view,
};

use super::{
    attention::AttentionMarkup,
    history::HistoryReader,
    vm_events::{EventsReader, EventsViewer},
};
use crate::ui::address::BasePath;
use i18n::Lang;

/// Longest time between two requests of a page for its chart, in milliseconds.
const LONGEST_REFRESH: u32 = 300_000;
/// Time between two requests of a page for its timeline, in milliseconds, and while Events are being read.
const TIMELINE_REFRESH: u32 = 30_000;
const PENDING_REFRESH: u32 = 3_000;

/// Reads views from the newest snapshot. It is cheap to clone.
#[derive(Clone)]
pub struct Reader {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    identity: Arc<Identity>,
    clock: fn() -> Millis,
    history: HistoryReader,
    events: EventsReader,
    names: Arc<FilterNames>,
    markup: Arc<AttentionMarkup>,
    base: BasePath,
}

/// The names of namespaces and nodes of the view that was cut last. They are the same for every query and
/// for most snapshots, so that kept views can share them.
#[derive(Default)]
struct FilterNames {
    namespaces: Mutex<Arc<[String]>>,
    nodes: Mutex<Arc<[String]>>,
}

fn share(known: &Mutex<Arc<[String]>>, facet: &mut Facet) {
    let mut known = known.lock();
    if *known == facet.names {
        facet.names = known.clone();
    } else {
        *known = facet.names.clone();
    }
}

impl Reader {
    pub fn new(snapshots: watch::Receiver<Arc<Snapshot>>, identity: Identity, clock: fn() -> Millis) -> Self {
        Self {
            snapshots,
            identity: Arc::new(identity),
            clock,
            history: HistoryReader::none(),
            events: EventsReader::default(),
            names: Arc::default(),
            markup: Arc::default(),
            base: BasePath::default(),
        }
    }

    /// Returns the same reader for pages below this path.
    pub fn below(self, base: BasePath) -> Self {
        Self { base, ..self }
    }

    /// Returns the same reader with these histories.
    pub fn with_history(self, history: HistoryReader) -> Self {
        Self { history, ..self }
    }

    /// Returns the same reader with this reader of Events.
    pub fn with_events(self, events: EventsReader) -> Self {
        Self { events, ..self }
    }

    /// Returns what is visible of the newest snapshot.
    pub fn visible(&self, scope: &Scope) -> Visible {
        let findings = self.history.findings.borrow().clone();
        Visible::new(&self.snapshots.borrow().clone(), scope).with_findings(findings)
    }

    /// Returns what needs attention as markup, in a language.
    pub fn attention(&self, visible: &Visible, lang: Lang) -> Arc<str> {
        self.markup.markup_for(visible, lang, &self.base)
    }

    /// Returns the cluster's name.
    pub fn cluster(&self) -> String {
        self.identity.cluster.clone()
    }

    /// Returns the number of the newest snapshot.
    pub fn seq(&self) -> u64 {
        self.snapshots.borrow().seq
    }

    /// Returns whether every source was tried once.
    pub fn is_ready(&self) -> bool {
        self.snapshots.borrow().ready
    }

    /// Returns the news of each new snapshot.
    pub fn follow(&self) -> SnapshotNews {
        SnapshotNews(self.snapshots.clone())
    }

    /// Returns a page of the list for a page in this language.
    pub fn home(&self, scope: &Scope, query: &Query, lang: Lang) -> HomeView {
        let visible = self.visible(scope);
        HomeView { attention: self.attention(&visible, lang), ..self.home_of(&visible, query) }
    }

    /// Returns the last hour of each of `vms`.
    fn sparklines(&self, visible: &Visible, vms: &[VmSummary], now: Millis) -> Vec<Sparklines> {
        let of = |summary: &VmSummary| {
            let vm = view::of_summary(visible, summary)?;
            Some(self.history.store.sparklines(&vm.uid, now))
        };
        vms.iter().map(|summary| of(summary).unwrap_or_default()).collect()
    }

    /// Returns the page of a VM, which says so if there is no such VM.
    pub fn vm(&self, scope: &Scope, namespace: &str, name: &str) -> VmView {
        self.vm_of(&self.visible(scope), namespace, name)
    }

    /// Returns the page of a node, which says so if there is no such node.
    pub fn node(&self, scope: &Scope, name: &str) -> NodeView {
        self.node_of(&self.visible(scope), name)
    }

    /// Returns the names of the VMs in one block of cells of the query's map.
    pub fn map_names(&self, scope: &Scope, query: &Query, group: &str, block: u32) -> MapNames {
        view::map_names(&self.visible(scope), query, group, block)
    }

    /// Returns the page of nodes or of namespaces.
    pub fn groups(&self, scope: &Scope, query: &GroupsQuery) -> GroupsView {
        groups::view(&self.visible(scope), &self.identity, query, (self.clock)())
    }

    /// Returns the history of a VM, which is `None` in the view if there is no such VM. Waits for Prometheus
    /// if the span is long.
    pub async fn history(
        &self,
        requester: Requester,
        scope: &Scope,
        namespace: &str,
        name: &str,
        span: Span,
    ) -> HistoryView {
        let (visible, now) = (self.visible(scope), (self.clock)());
        let frame = frame(&visible, &self.identity, now);
        let pace = u32::try_from(span.step()).unwrap_or(LONGEST_REFRESH).min(LONGEST_REFRESH);
        let frame = views::Frame { refresh: frame.refresh.max(pace), ..frame };
        let history = match view::find(&visible, namespace, name) {
            Some(vm) => Some(self.history_of(requester, vm, span).await),
            None => None,
        };
        HistoryView { frame, history }
    }

    /// Returns the history and the hints of a VM. The caller has checked that the viewer may see it.
    pub async fn history_of(&self, requester: Requester, vm: &Vm, span: Span) -> views::VmHistory {
        let now = (self.clock)();
        let history = self.history.history(requester, vm, span, now).await;
        views::VmHistory { history, hints: insight::hints(vm, &self.history.store, now) }
    }

    /// Returns the timeline of a VM, which is `None` in the view if there is no such VM. Waits for Events as long as the
    /// viewer does.
    pub async fn timeline(
        &self,
        viewer: EventsViewer<'_>,
        scope: &Scope,
        namespace: &str,
        name: &str,
    ) -> TimelineView {
        let visible = self.visible(scope);
        let timeline = match view::find(&visible, namespace, name) {
            Some(vm) => {
                let events = self.events_of(viewer, vm).await;
                Some(timeline::timeline(vm, &details(vm, visible.sources()), events))
            }
            None => None,
        };
        let frame = frame(&visible, &self.identity, (self.clock)());
        let pending = timeline.as_ref().is_some_and(|timeline| timeline.pending);
        let refresh = if pending { PENDING_REFRESH } else { TIMELINE_REFRESH };
        TimelineView { frame: views::Frame { refresh, ..frame }, timeline }
    }

    /// Returns the Events of a VM. The caller has checked that the viewer may see the VM.
    pub async fn events_of(&self, viewer: EventsViewer<'_>, vm: &Vm) -> VmEvents {
        self.events.read(viewer, vm, (self.clock)()).await
    }

    /// Returns a page of the findings.
    pub fn insights(&self, scope: &Scope, query: &InsightQuery) -> InsightsView {
        let findings = self.history.findings.borrow().clone();
        insight::page(&self.visible(scope), &findings, &self.identity, query, (self.clock)())
    }

    /// Returns the sources page.
    pub fn sources(&self, scope: &Scope) -> SourcesView {
        self.sources_of(&self.visible(scope))
    }

    /// Returns the list of what the caller holds. `attention` is left empty: it has a language.
    pub fn home_of(&self, visible: &Visible, query: &Query) -> HomeView {
        let now = (self.clock)();
        let mut view = view::home(visible, &self.identity, query, now);
        share(&self.names.namespaces, &mut view.facets.namespaces);
        share(&self.names.nodes, &mut view.facets.nodes);
        HomeView { sparklines: self.sparklines(visible, &view.vms, now), ..view }
    }

    /// Returns the page of a VM of what the caller holds.
    pub fn vm_of(&self, visible: &Visible, namespace: &str, name: &str) -> VmView {
        view::vm(visible, &self.identity, namespace, name, (self.clock)())
    }

    /// Returns the page of a node of what the caller holds.
    pub fn node_of(&self, visible: &Visible, name: &str) -> NodeView {
        nodes::view(visible, &self.identity, name, (self.clock)())
    }

    /// Returns the sources page of what the caller holds.
    pub fn sources_of(&self, visible: &Visible) -> SourcesView {
        view::sources(visible, &self.identity, (self.clock)())
    }
}

/// Is notified of each new snapshot, and shows nothing of it.
#[derive(Clone)]
pub struct SnapshotNews(watch::Receiver<Arc<Snapshot>>);

impl SnapshotNews {
    /// Waits for the next snapshot and returns its number. `None` if no snapshot can come any more.
    pub async fn next(&mut self) -> Option<u64> {
        self.0.changed().await.ok()?;
        Some(self.0.borrow_and_update().seq)
    }

    /// Returns whether no snapshot can come any more: the writer of snapshots has ended.
    pub fn is_over(&self) -> bool {
        self.0.has_changed().is_err()
    }
}
