//! Starts, stops and live migrations, and which launcher holds the guest.

use super::{Guest, Launcher, Migration, OccurrenceKind, PodPhase, State};
use crate::{
    clock::Millis,
    load::{self, Load},
    rng::hash,
};

/// The number of past migrations whose objects remain: KubeVirt's `finalizedMigrationGarbageCollectionBuffer`.
const PAST_MIGRATIONS: usize = 5;

impl Guest {
    /// Starts it: a new VMI with one launcher. Pods of earlier starts remain.
    pub fn start(&mut self, node: &str, at: Millis) {
        self.incarnation += 1;
        self.state = State::Running;
        self.started = at;
        self.moved = None;
        self.put_migration_aside();
        let pod = self.launch(node, PodPhase::Running, at);
        self.record(OccurrenceKind::InstanceCreated, "", at);
        self.record(OccurrenceKind::PodCreated(pod), "", at);
        self.record(OccurrenceKind::PodScheduled(pod), node, at);
        self.record(OccurrenceKind::Defined, node, at);
        self.record(OccurrenceKind::Started, node, at);
    }

    /// Stops it at `at`: its VMI and its pods are removed.
    pub fn stop(&mut self, at: Millis) {
        let node = self.holder().map(|holder| holder.node.clone()).unwrap_or_default();
        self.record(OccurrenceKind::InstanceDeleted, "", at);
        self.record(OccurrenceKind::ShuttingDown, &node, at);
        self.record(OccurrenceKind::ShutDown, &node, at);
        self.state = State::Stopped;
        self.moved = None;
        self.put_migration_aside();
        (self.stopping, self.paused) = (None, None);
        self.launchers.clear();
    }

    /// A kubelet ends the guest because its liveness probe failed, and KubeVirt starts it again on `node`. The pod
    /// that ended remains.
    pub fn fail_probe(&mut self, node: &str, at: Millis) {
        let Some(pod) = self.holder().map(|holder| holder.serial) else { return };
        let old = self.launcher(pod).map(|launcher| launcher.node.clone()).unwrap_or_default();
        self.record(OccurrenceKind::ProbeFailed(pod), &old, at);
        self.record(OccurrenceKind::Killed(pod), &old, at);
        self.record(OccurrenceKind::ShuttingDown, &old, at);
        self.record(OccurrenceKind::ShutDown, &old, at);
        self.record(OccurrenceKind::InstanceDeleted, "", at);
        self.end_pod(pod, PodPhase::Succeeded);
        self.start(node, at);
    }

    /// Forgets the migration's pods and keeps its object, also if it was still in progress: such an object is
    /// removed with its VMI.
    pub fn put_migration_aside(&mut self) {
        let ended = self.migration.take().filter(|migration| migration.ended.is_some());
        self.past_migrations.extend(ended);
        let surplus = self.past_migrations.len().saturating_sub(PAST_MIGRATIONS);
        self.past_migrations.drain(..surplus);
    }

    /// The migrations that have an object, oldest first.
    pub fn migrations(&self) -> impl DoubleEndedIterator<Item = &Migration> {
        self.past_migrations.iter().chain(&self.migration)
    }

    /// The last migration since the start.
    pub fn last_migration(&self) -> Option<&Migration> {
        self.migrations().next_back().filter(|migration| migration.incarnation == self.incarnation)
    }

    /// Adds a launcher and returns its serial number.
    pub fn launch(&mut self, node: &str, phase: PodPhase, at: Millis) -> u32 {
        let serial = self.next_serial;
        self.next_serial += 1;
        self.launchers.push(Launcher {
            serial,
            incarnation: self.incarnation,
            node: node.to_owned(),
            phase,
            created: at,
            measured: true,
            load: None,
        });
        serial
    }

    /// Starts a live migration. Returns false if the guest is not running or is already migrating.
    pub fn start_migration(&mut self, target_node: &str, at: Millis) -> bool {
        let Some((source, source_node)) = self.holder().map(|pod| (pod.serial, pod.node.clone())) else {
            return false;
        };
        if self.migrating().is_some() {
            return false;
        }
        self.put_migration_aside();
        let target = self.launch(target_node, PodPhase::Running, at);
        self.record(OccurrenceKind::MigrationCreated(target), "", at);
        self.record(OccurrenceKind::TargetPodCreated(target), "", at);
        self.record(OccurrenceKind::HandedOver(target), "", at);
        self.record(OccurrenceKind::TargetPrepared, target_node, at);
        self.record(OccurrenceKind::Migrating, &source_node, at);
        self.migration = Some(Migration {
            incarnation: self.incarnation,
            source,
            target,
            source_node,
            target_node: target_node.to_owned(),
            started: at,
            ended: None,
            failed: false,
        });
        true
    }

    /// Ends a migration: the target then holds the guest, and the source's pod remains as `Succeeded`. A
    /// failed migration leaves the guest where it was. Returns false if there is no migration.
    pub fn finish_migration(&mut self, failed: bool, at: Millis) -> bool {
        let Some(migration) = self.migration.as_mut().filter(|migration| migration.ended.is_none()) else {
            return false;
        };
        (migration.ended, migration.failed) = (Some(at), failed);
        let Migration { source, target, source_node, target_node, .. } = migration.clone();
        if failed {
            self.end_pod(target, PodPhase::Failed);
            self.record(OccurrenceKind::MigrationFailed(target), &source_node, at);
            self.record(OccurrenceKind::MigrationObjectFailed(target), "", at);
        } else {
            self.end_pod(source, PodPhase::Succeeded);
            self.moved = Some(at);
            self.record(OccurrenceKind::Migrated(target_node.clone()), &target_node, at);
            self.record(OccurrenceKind::MigrationSucceeded(target), "", at);
        }
        true
    }

    fn end_pod(&mut self, serial: u32, phase: PodPhase) {
        self.launchers.iter_mut().filter(|pod| pod.serial == serial).for_each(|pod| pod.phase = phase);
    }

    /// The migration in progress.
    pub fn migrating(&self) -> Option<&Migration> {
        self.migration.as_ref().filter(|migration| migration.ended.is_none())
    }

    /// The launcher that holds the guest.
    pub fn holder(&self) -> Option<&Launcher> {
        let source = self.migrating().map(|migration| migration.source);
        self.current_launchers().find(|launcher| match source {
            Some(serial) => launcher.serial == serial,
            None => matches!(launcher.phase, PodPhase::Running | PodPhase::Pending),
        })
    }

    /// The launchers of the current start of the VM, including finished ones.
    pub fn current_launchers(&self) -> impl Iterator<Item = &Launcher> {
        self.launchers.iter().filter(|launcher| launcher.incarnation == self.incarnation)
    }

    pub fn launcher(&self, serial: u32) -> Option<&Launcher> {
        self.launchers.iter().find(|launcher| launcher.serial == serial)
    }

    /// Whether a VirtualMachineInstance exists.
    pub fn has_instance(&self) -> bool {
        !matches!(self.state, State::Stopped | State::Pending)
    }

    /// The allocated memory in bytes; 0 if the quantity is invalid.
    pub fn memory_bytes(&self) -> u64 {
        load::bytes(&self.memory).unwrap_or(0)
    }

    /// Bytes that QEMU and libvirt use of a guest whose memory is hugepages: those are not part of a working set.
    pub fn hugepages_overhead(&self) -> u64 {
        (266_240 + hash(self.seed, &["overhead"]) % 20_000) << 10
    }

    /// The load of a launcher: its own if set, the guest's if it holds the guest, and otherwise next to
    /// nothing.
    pub fn load_of<'a>(&'a self, launcher: &'a Launcher) -> &'a Load {
        let holds = self.holder().is_some_and(|holder| holder.serial == launcher.serial);
        match &launcher.load {
            Some(load) => load,
            None if holds && self.state == State::Running => &self.load,
            None => &Load::Waiting,
        }
    }

    /// The time since which the guest has been on its current node.
    pub fn on_node_since(&self) -> Millis {
        self.moved.unwrap_or(self.started)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_holds_the_guest_until_the_migration_ends() {
        let mut guest = Guest::new("a", "b").running_on("one", 0);
        assert!(guest.start_migration("two", 5));
        assert!(!guest.start_migration("three", 6));
        assert_eq!(guest.holder().unwrap().node, "one");
        assert_eq!(guest.load_of(&guest.launchers[1]), &Load::Waiting);
        assert!(guest.finish_migration(false, 9));
        assert_eq!(guest.holder().unwrap().node, "two");
        assert_eq!(guest.launchers[0].phase, PodPhase::Succeeded);
        assert_eq!(guest.load_of(&guest.launchers[1]), &guest.load);
    }

    #[test]
    fn a_failed_migration_leaves_the_guest_where_it_was() {
        let mut guest = Guest::new("a", "b").running_on("one", 0);
        guest.start_migration("two", 5);
        guest.finish_migration(true, 9);
        assert_eq!(guest.holder().unwrap().node, "one");
        assert_eq!(guest.launchers[1].phase, PodPhase::Failed);
    }

    #[test]
    fn only_a_successful_migration_changes_since_when_the_guest_is_on_its_node() {
        let mut guest = Guest::new("a", "b").running_on("one", 1);
        let mut migrate = |node: &str, at, failed| {
            assert!(guest.start_migration(node, at) && guest.finish_migration(failed, at + 1));
            guest.on_node_since()
        };
        assert_eq!(migrate("two", 5, true), 1, "it never left");
        assert_eq!(migrate("two", 10, false), 11);
        assert_eq!(migrate("one", 20, true), 11, "it is still on the second node");
        guest.migration = None;
        assert_eq!(guest.on_node_since(), 11, "also when the migration is forgotten");
        guest.start("one", 30);
        assert_eq!(guest.on_node_since(), 30);
    }

    #[test]
    fn objects_of_the_last_migrations_remain() {
        let mut guest = Guest::new("a", "b").running_on("n0", 0);
        for n in 1..9 {
            assert!(guest.start_migration(&format!("n{n}"), n) && guest.finish_migration(n == 8, n));
        }
        guest.put_migration_aside();
        let kept: Vec<_> = guest.migrations().map(|migration| migration.target_node.as_str()).collect();
        assert_eq!(kept, ["n4", "n5", "n6", "n7", "n8"]);
        assert!(guest.last_migration().unwrap().failed);
        guest.start("n1", 10);
        assert_eq!((guest.migrations().count(), guest.last_migration()), (5, None), "a new VMI has no state");
    }

    #[test]
    fn each_start_is_a_new_instance() {
        let mut guest = Guest::new("a", "b").running_on("one", 0);
        let (first, pod) = (guest.instance_uid(), guest.pod_name(guest.launchers[0].serial));
        guest.stop(5);
        assert!(!guest.has_instance() && guest.holder().is_none());
        guest.start("one", 10);
        assert_ne!(guest.instance_uid(), first);
        assert_ne!(guest.pod_name(guest.launchers[0].serial), pod);
    }
}
