//! Finds the migrations of each VM, for `join`. KubeVirt keeps a few that have ended.

use std::{cmp::Reverse, sync::Arc};

use hashbrown::HashMap;

use super::state::ClusterState;
use model::details::Migration;

/// Migrations of one VM that are shown. KubeVirt keeps five that have ended (`garbageCollectFinalizedMigrations`).
const MOST: usize = 8;

/// An index over the migrations of all instances, by namespace and instance.
#[derive(Debug)]
pub(super) struct Migrations<'a>(HashMap<(&'a str, &'a str), Vec<&'a Arc<Migration>>>);

impl<'a> Migrations<'a> {
    pub fn of(state: &'a ClusterState) -> Self {
        let mut by_instance: HashMap<_, Vec<_>> = HashMap::new();
        for facts in state.migrations.values() {
            by_instance.entry((&*facts.namespace, &*facts.instance)).or_default().push(&facts.migration);
        }
        Self(by_instance)
    }

    /// Returns the last migrations of an instance, the newest first.
    pub fn find(&self, namespace: &str, instance: &str) -> Vec<Arc<Migration>> {
        let Some(known) = self.0.get(&(namespace, instance)) else { return Vec::new() };
        let mut known: Vec<Arc<Migration>> = known.iter().copied().cloned().collect();
        // Of one second, by name: the order must not change from one snapshot to the next.
        known.sort_unstable_by(|a, b| (Reverse(a.created), &a.name).cmp(&(Reverse(b.created), &b.name)));
        known.truncate(MOST);
        known
    }
}
