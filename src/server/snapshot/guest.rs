//! What is seen from inside the guest: its own memory, and its file systems.

use std::collections::HashMap;

use super::{
    facts::{Filesystem, InstanceFacts, Key},
    inventory::Entry,
    usage::Age,
    world::World,
};
use crate::model::{
    Millis,
    figure::{Basis, Sample, Source, Unit},
    vm::{Guest, GuestFilesystem},
};

impl World {
    pub(super) fn guest(&self, entry: &Entry, running: bool, now: Millis) -> Guest {
        let Some(instance) = entry.instance.filter(|_| running) else { return Guest::default() };
        let key = Key::new(&instance.namespace, &instance.name);
        let known = self.guests.get(&key).filter(|_| instance.agent_connected);
        let answered = known.and_then(|guest| Some((guest, guest.answered?)));
        // What an agent said long ago stands for nothing any more.
        let (guest, at) = match answered {
            Some((guest, at)) if !Age::new(now, at, at, self.limits.disk_interval).expired => (guest, at),
            _ => return Guest { memory: self.guest_memory(&key, now), ..Guest::default() },
        };
        let claims = claims_by_serial(instance);
        let filesystems = guest.filesystems.iter().map(|fs| filesystem(fs, &claims)).collect();
        Guest { memory: self.guest_memory(&key, now), filesystems, at: Some(at) }
    }

    /// `available − usable`: what the guest cannot do without.
    fn guest_memory(&self, instance: &Key, now: Millis) -> Option<Sample> {
        let sample = self.prometheus.instances.get(instance)?;
        let (of, usable) = sample.guest_available.zip(sample.guest_usable)?;
        let age = Age::new(now, sample.at, sample.at, self.limits.metrics_interval);
        let known = Sample {
            unit: Unit::Bytes,
            used: of.checked_sub(usable)?,
            of,
            at: sample.at,
            window_ms: 0,
            source: Source::Prometheus,
            basis: Basis::Own,
            stale: age.stale,
        };
        (!age.expired).then_some(known)
    }
}

/// A serial that two disks share tells neither.
fn claims_by_serial(instance: &InstanceFacts) -> HashMap<&str, Option<&str>> {
    let mut claims = HashMap::new();
    for volume in instance.volumes.iter().filter(|volume| !volume.serial.is_empty()) {
        let claim = Some(volume.claim.as_str());
        claims.entry(volume.serial.as_str()).and_modify(|shared| *shared = None).or_insert(claim);
    }
    claims
}

fn filesystem(fs: &Filesystem, claims: &HashMap<&str, Option<&str>>) -> GuestFilesystem {
    let claim = match fs.serials.as_slice() {
        [serial] => claims.get(serial.as_str()).copied().flatten(),
        _ => None,
    };
    GuestFilesystem {
        disk: fs.disk_name.clone(),
        mount_point: fs.mount_point.clone(),
        kind: fs.kind.clone(),
        used: fs.used,
        total: fs.total,
        claim: claim.unwrap_or_default().to_owned(),
    }
}
