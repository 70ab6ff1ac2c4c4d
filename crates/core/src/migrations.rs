//! Finds the migrations of each VM, for `join`. KubeVirt keeps a few that have ended.

use std::{cmp::Reverse, sync::Arc};

use super::{dependencies::Dependencies, observation::MigrationFacts, state::ClusterState, touched::Name};
use model::details::Migration;

/// Migrations of one VM that are shown. KubeVirt keeps five that have ended (`garbageCollectFinalizedMigrations`).
const MOST: usize = 8;

impl ClusterState {
    /// Returns the last migrations of an instance, the newest first.
    pub(super) fn migrations_of(
        &self,
        namespace: &str,
        instance: &str,
        dependencies: &Dependencies,
    ) -> Vec<Arc<Migration>> {
        let name = Name::Vm(namespace, instance);
        dependencies.note(name);
        let is_of =
            |facts: &&Arc<MigrationFacts>| (&*facts.namespace, &*facts.instance) == (namespace, instance);
        let known = self.migrations.named(name).iter().filter(is_of);
        let mut known: Vec<Arc<Migration>> = known.map(|facts| facts.migration.clone()).collect();
        // Of one second, by name: the order must not change from one snapshot to the next.
        known.sort_unstable_by(|a, b| (Reverse(a.created), &a.name).cmp(&(Reverse(b.created), &b.name)));
        known.truncate(MOST);
        known
    }
}
