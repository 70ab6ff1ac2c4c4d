//! Starts, stops and live migrations, and which launcher holds the guest.

use super::{Guest, Launcher, Migration, PodPhase, State};
use crate::{
    clock::Millis,
    load::{self, Load},
};

impl Guest {
    /// Starts it: a new VMI with one launcher. Pods of earlier starts remain.
    pub fn start(&mut self, node: &str, at: Millis) {
        self.incarnation += 1;
        self.state = State::Running;
        self.started = at;
        (self.moved, self.migration) = (None, None);
        self.launch(node, PodPhase::Running, at);
    }

    /// Stops it: its VMI and its pods are removed.
    pub fn stop(&mut self) {
        self.state = State::Stopped;
        (self.moved, self.migration) = (None, None);
        (self.stopping, self.paused) = (None, None);
        self.launchers.clear();
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
        let Some(source) = self.holder().map(|launcher| launcher.serial) else { return false };
        if self.migrating().is_some() {
            return false;
        }
        let target = self.launch(target_node, PodPhase::Running, at);
        self.migration = Some(Migration { source, target, started: at, ended: None, failed: false });
        true
    }

    /// Ends a migration: the target then holds the guest, and the source's pod remains as `Succeeded`. A
    /// failed migration leaves the guest where it was. Returns false if there is no migration.
    pub fn finish_migration(&mut self, failed: bool, at: Millis) -> bool {
        let Some(migration) = self.migration.as_mut().filter(|migration| migration.ended.is_none()) else {
            return false;
        };
        (migration.ended, migration.failed) = (Some(at), failed);
        let (loser, phase) = match failed {
            true => (migration.target, PodPhase::Failed),
            false => (migration.source, PodPhase::Succeeded),
        };
        for launcher in self.launchers.iter_mut().filter(|launcher| launcher.serial == loser) {
            launcher.phase = phase;
        }
        if !failed {
            self.moved = Some(at);
        }
        true
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
    fn each_start_is_a_new_instance() {
        let mut guest = Guest::new("a", "b").running_on("one", 0);
        let (first, pod) = (guest.instance_uid(), guest.pod_name(guest.launchers[0].serial));
        guest.stop();
        assert!(!guest.has_instance() && guest.holder().is_none());
        guest.start("one", 10);
        assert_ne!(guest.instance_uid(), first);
        assert_ne!(guest.pod_name(guest.launchers[0].serial), pod);
    }
}
