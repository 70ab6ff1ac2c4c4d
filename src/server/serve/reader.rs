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

    pub fn home(&self, scope: &Scope, query: &Query) -> HomeView {
        view::home(&self.snapshot(), &self.identity, scope, query, (self.clock)())
    }

    pub fn vm(&self, scope: &Scope, namespace: &str, name: &str) -> VmView {
        view::vm(&self.snapshot(), &self.identity, scope, namespace, name, (self.clock)())
    }

    pub fn sources(&self, scope: &Scope) -> SourcesView {
        view::sources(&self.snapshot(), &self.identity, scope, (self.clock)())
    }
}
