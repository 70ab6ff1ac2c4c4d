//! What is known from inside the guest: its own memory, and its file systems. `join` adds it to each VM.

use super::{dependencies::Dependencies, inventory::Entry, observation::Key, state::ClusterState};
use model::{
    figure::{Basis, Sample, Source, Unit},
    source::SourceId,
    vm::Guest,
};

impl ClusterState {
    pub(super) fn guest(&self, entry: &Entry, running: bool, dependencies: &Dependencies) -> Guest {
        let Some(instance) = entry.instance.filter(|_| running) else { return Guest::default() };
        let key = Key::new(&instance.namespace, &instance.name);
        let known = self.guests.get(&key).filter(|_| instance.agent_connected);
        let answered = known.and_then(|guest| Some((guest, guest.answered?)));
        // An expired answer of the agent is not shown.
        let (guest, at) = match answered {
            Some((guest, at)) if !dependencies.age(at, self.limits.disk_interval).expired => (guest, at),
            _ => return Guest { memory: self.guest_memory(&key, dependencies), ..Guest::default() },
        };
        Guest {
            memory: self.guest_memory(&key, dependencies),
            filesystems: guest.shown().clone(),
            filesystems_left_out: guest.left_out(),
            at: Some(self.wall(at)),
        }
    }

    /// Assigns file systems to the disks that instances have now: for all instances, or for the changed one.
    pub(super) fn assign_disks(&mut self, changed: Option<&Key>) {
        let Self { guests, instances, .. } = self;
        guests.assign(changed, |key| Some(&instances.get(key)?.disks));
    }

    /// Returns the guest's memory use, `available − usable`: what the guest cannot give up.
    fn guest_memory(&self, instance: &Key, dependencies: &Dependencies) -> Option<Sample> {
        let (sample, receipt) = self.prometheus.instances.get(instance)?;
        let (of, usable) = sample.guest_available.zip(sample.guest_usable)?;
        let age = dependencies.age_of(receipt, self.limits.metrics_interval);
        let known = Sample {
            unit: Unit::Bytes,
            used: of.checked_sub(usable)?,
            of,
            at: self.taken_at(receipt, SourceId::Prometheus, ""),
            window_ms: 0,
            source: Source::Prometheus,
            basis: Basis::Own,
            stale: age.stale,
        };
        (!age.expired).then_some(known)
    }
}
