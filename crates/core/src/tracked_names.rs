//! Collects the names of claims and instances that sources should keep figures of, for the targets of a snapshot.

use std::{mem, sync::Arc};

use super::{
    observation::{SourceError, TrackedNames},
    state::ClusterState,
};
use model::{Millis, source::SourceId};

/// How often the names are collected again: with 10,000 VMs that takes milliseconds.
const COLLECT_EVERY: Millis = 5_000;
/// The sources that name claims and instances.
const NAMING: [SourceId; 4] =
    [SourceId::Wukongs, SourceId::VirtualMachines, SourceId::Instances, SourceId::Claims];

impl ClusterState {
    /// Collects the names if they are due and may have changed.
    pub(super) fn collect_names(&mut self, now: Millis) {
        let changes = [&mut self.claims.grown, &mut self.claims.shrunk, &mut self.instances.grown];
        self.names.changed |= changes.map(mem::take).contains(&true) | self.rows.changes.names;
        let due = self.names.collected.is_none_or(|last| now - last >= COLLECT_EVERY);
        if !due || !NAMING.into_iter().all(|id| self.is_settled(id)) {
            return;
        }
        self.names.collected = Some(now);
        if !mem::take(&mut self.names.changed) && self.names.last.is_some() {
            return;
        }
        let vms = &self.rows.vms;
        let of_vms = vms
            .iter()
            .flat_map(|vm| vm.volumes.iter().map(|volume| (&*vm.summary.namespace, &*volume.claim)));
        let claims = self.claims.keys().map(|key| (&*key.namespace, &*key.name)).chain(of_vms);
        let of_vms = vms.iter().map(|vm| (&*vm.summary.namespace, &*vm.vm_name));
        let instances = self.instances.keys().map(|key| (&*key.namespace, &*key.name)).chain(of_vms);
        let names = TrackedNames::hashed_by(self.names.hasher.clone(), claims, instances);
        if self.names.last.as_deref() != Some(&names) {
            self.names.last = Some(Arc::new(names));
        }
    }

    /// The names, or `None` while some of them may not have been read yet.
    pub(super) fn tracked_names(&self) -> Option<Arc<TrackedNames>> {
        self.names.last.clone()
    }

    /// Returns whether the source was listed or is forbidden, so no further names will come from it.
    fn is_settled(&self, id: SourceId) -> bool {
        let denied = |error: &SourceError| error.is_denial();
        let from = (id, None);
        let mut statuses = self.source_statuses.range(from..).take_while(|((of, _), _)| *of == id).peekable();
        statuses.peek().is_some()
            && statuses
                .all(|(_, status)| status.last_success.is_some() || status.error.as_ref().is_some_and(denied))
    }
}
