//! The one door to the snapshot: page, REST, server function and event stream all come through here.

use std::sync::Arc;

use tokio::sync::watch;

use crate::{
    model::{
        Millis,
        query::Query,
        view::{HomeView, SourcesView, VmView},
    },
    server::snapshot::{
        Scope, Snapshot,
        view::{self, Identity},
    },
};

#[derive(Clone)]
pub struct Reader {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    identity: Arc<Identity>,
    clock: fn() -> Millis,
}

impl Reader {
    pub fn new(snapshots: watch::Receiver<Arc<Snapshot>>, identity: Identity, clock: fn() -> Millis) -> Self {
        Self { snapshots, identity: Arc::new(identity), clock }
    }

    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshots.borrow().clone()
    }

    /// Tells of every snapshot that comes; it ends with the one who writes them.
    pub fn follow(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshots.clone()
    }

    pub fn home(&self, scope: &Scope, query: &Query) -> HomeView {
        self.home_of(&self.snapshot(), scope, query)
    }

    pub fn vm(&self, scope: &Scope, namespace: &str, name: &str) -> VmView {
        self.vm_of(&self.snapshot(), scope, namespace, name)
    }

    pub fn sources(&self, scope: &Scope) -> SourcesView {
        self.sources_of(&self.snapshot(), scope)
    }

    /// The same of a snapshot that the caller holds.
    pub fn home_of(&self, snapshot: &Snapshot, scope: &Scope, query: &Query) -> HomeView {
        view::home(snapshot, &self.identity, scope, query, (self.clock)())
    }

    pub fn vm_of(&self, snapshot: &Snapshot, scope: &Scope, namespace: &str, name: &str) -> VmView {
        view::vm(snapshot, &self.identity, scope, namespace, name, (self.clock)())
    }

    pub fn sources_of(&self, snapshot: &Snapshot, scope: &Scope) -> SourcesView {
        view::sources(snapshot, &self.identity, scope, (self.clock)())
    }
}
