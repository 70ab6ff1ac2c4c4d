//! Where the VMs of a scenario run, and what all of them begin with.

use crate::{
    clock::{HOUR, MINUTE, Millis},
    guest::{Guest, OccurrenceKind, PodPhase, State},
    hardware::Disk,
    load::{Fill, Load, Profile},
};

/// The node whose clock is off, in a cluster of more than five nodes: it is 7 minutes behind.
pub const SKEWED_NODE: usize = 3;

/// The nodes on which guests can be placed.
pub struct Placement {
    pub names: Vec<String>,
    pub down: Vec<bool>,
    pub now: Millis,
}

impl Placement {
    /// Returns a node whose kubelet answers; the first node if there is none.
    pub fn live_node(&self, index: usize) -> &str {
        let count = self.names.len();
        (0..count)
            .map(|step| (index + step) % count)
            .find(|index| !self.down[*index])
            .map_or(&self.names[0], |index| &self.names[index])
    }

    /// Returns any node, including dead ones.
    pub fn any_node(&self, index: usize) -> &str {
        &self.names[index % self.names.len()]
    }

    /// Returns the first dead node, or the last node if none is dead.
    pub fn dead_node(&self) -> &str {
        let index = self.down.iter().position(|down| *down).unwrap_or(self.names.len() - 1);
        &self.names[index]
    }
}

/// Returns a stopped VM with a root disk of 20Gi and a data disk.
pub fn vm(ns: &str, name: &str, cpu: u32, memory: &str, image: &str, profile: Profile, share: f64) -> Guest {
    let mut guest = Guest::new(ns, name).cpu(cpu).memory(memory);
    guest.os_image = image.to_owned();
    guest.load = Load::Curve { profile, seed: guest.seed, memory: share };
    let mut root = Disk::new(name, "root", "20Gi");
    root.image = format!("{image}.qcow2");
    root.fill = Fill::Curve { seed: guest.seed, share: 0.15 + share / 3.0 };
    guest.disks(vec![root])
}

/// Starts the VM on a node whose kubelet answers.
pub fn on_live_node(placement: &Placement, index: usize, mut guest: Guest) -> Guest {
    guest.start(placement.live_node(index), 0);
    guest
}

impl Guest {
    /// Puts the VM into a state, with the pods that belong to it.
    pub fn in_state(mut self, state: State, placement: &Placement, index: usize) -> Self {
        let started = placement.now - 3 * HOUR;
        match state {
            State::Running => self.start(placement.any_node(index), self.created),
            State::Creating | State::Error => {
                self.incarnation = 1;
                self.started = if state == State::Error { started } else { placement.now };
                let node = if state == State::Error { "" } else { placement.live_node(index) };
                let pod = self.launch(node, PodPhase::Pending, self.started);
                self.record(OccurrenceKind::InstanceCreated, "", self.started);
                self.record(OccurrenceKind::PodCreated(pod), "", self.started);
                match state {
                    State::Error => {
                        self.record(OccurrenceKind::Unschedulable(pod), "", placement.now - MINUTE)
                    }
                    _ => self.record(OccurrenceKind::PodScheduled(pod), node, self.started),
                }
            }
            State::Pending | State::Stopped => {}
        }
        self.state = state;
        self
    }
}
