//! What is seen from inside the guest: its own memory, and its file systems.

use std::{collections::HashMap, sync::Arc};

use super::{
    facts::{Filesystem, InstanceFacts, Key, SourceError},
    inventory::Entry,
    usage::Age,
    world::World,
};
use crate::model::{
    Millis,
    figure::{Basis, Sample, Source, Unit},
    vm::{Guest, GuestFilesystem},
};

/// What is known of one guest's file systems.
#[derive(Debug, Default)]
pub(super) struct GuestDisks {
    /// As VMs show them, and shared with them: ten thousand guests have a few each.
    shown: Arc<[GuestFilesystem]>,
    /// Serials of the disks that each of them lies on.
    serials: Box<[Box<[Box<str>]>]>,
    pub answered: Option<Millis>,
    pub error: Option<SourceError>,
}

impl GuestDisks {
    pub fn answered(filesystems: Vec<Filesystem>, instance: Option<&InstanceFacts>, at: Millis) -> Self {
        let claims = instance.map(claims_by_serial).unwrap_or_default();
        let serials: Box<[Box<[Box<str>]>]> = filesystems
            .iter()
            .map(|fs| fs.serials.iter().map(|serial| serial.as_str().into()).collect())
            .collect();
        let shown =
            filesystems.into_iter().zip(&serials).map(|(fs, serials)| show(fs, claim(serials, &claims)));
        Self { shown: shown.collect(), serials, answered: Some(at), error: None }
    }

    /// Each file system, and the disks that it lies on.
    pub fn filesystems(&self) -> impl Iterator<Item = (&GuestFilesystem, &[Box<str>])> {
        self.shown.iter().zip(self.serials.iter().map(|serials| &**serials))
    }

    /// With the claims that the instance has now: they were looked up when the agent answered.
    fn shown(&self, instance: &InstanceFacts) -> Arc<[GuestFilesystem]> {
        let claims = claims_by_serial(instance);
        if self.filesystems().all(|(fs, serials)| fs.claim == claim(serials, &claims)) {
            return self.shown.clone();
        }
        let anew = |(fs, serials): (&GuestFilesystem, &[Box<str>])| GuestFilesystem {
            claim: claim(serials, &claims).to_owned(),
            ..fs.clone()
        };
        self.filesystems().map(anew).collect()
    }
}

impl World {
    pub(super) fn guest(&self, entry: &Entry, running: bool, now: Millis) -> Guest {
        let Some(instance) = entry.instance.filter(|_| running) else { return Guest::default() };
        let key = Key::new(&instance.namespace, &instance.name);
        let known = self.guests.get(&key).filter(|_| instance.agent_connected);
        let answered = known.and_then(|guest| Some((guest, guest.answered?)));
        // What an agent said long ago stands for nothing any more.
        let (guest, at) = match answered {
            Some((guest, at)) if !Age::new(now, at, self.limits.disk_interval).expired => (guest, at),
            _ => return Guest { memory: self.guest_memory(&key, now), ..Guest::default() },
        };
        Guest { memory: self.guest_memory(&key, now), filesystems: guest.shown(instance), at: Some(at) }
    }

    /// `available − usable`: what the guest cannot do without.
    fn guest_memory(&self, instance: &Key, now: Millis) -> Option<Sample> {
        let sample = self.prometheus.instances.get(instance)?;
        let (of, usable) = sample.guest_available.zip(sample.guest_usable)?;
        let age = Age::new(now, sample.at, self.limits.metrics_interval);
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

/// Empty where no serial tells, or where several disks do.
fn claim<'a>(serials: &[Box<str>], claims: &HashMap<&str, Option<&'a str>>) -> &'a str {
    match serials {
        [serial] => claims.get(&**serial).copied().flatten().unwrap_or_default(),
        _ => "",
    }
}

fn show(fs: Filesystem, claim: &str) -> GuestFilesystem {
    let Filesystem { disk_name: disk, mount_point, kind, used, total, .. } = fs;
    GuestFilesystem { disk, mount_point, kind, used, total, claim: claim.to_owned() }
}
