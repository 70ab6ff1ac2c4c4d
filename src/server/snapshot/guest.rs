//! What is seen from inside the guest: its own memory, and its file systems.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

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
    /// Sorted by their serials.
    disks: Box<[GuestDisk]>,
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
        let disks = disks(&filesystems);
        let shown =
            filesystems.into_iter().zip(&serials).map(|(fs, serials)| show(fs, claim(serials, &claims)));
        Self { shown: shown.collect(), serials, disks, answered: Some(at), error: None }
    }

    /// Bytes used and in all by the file systems on the disk with this serial.
    pub fn filled(&self, serial: &str) -> Option<(u64, u64)> {
        let found = self.disks.binary_search_by(|disk| (*disk.serial).cmp(serial)).ok()?;
        self.disks[found].filled
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

/// What the file systems on one of the guest's disks hold.
#[derive(Debug)]
struct GuestDisk {
    serial: Box<str>,
    /// Bytes used and in all; none if one of the file systems is not known, or lies on other disks too.
    filled: Option<(u64, u64)>,
}

/// A disk whose file systems are being added up, and the names of the devices that they are on.
struct DiskSum<'a> {
    filled: Option<(u64, u64)>,
    devices: HashSet<&'a str>,
}

impl<'a> DiskSum<'a> {
    fn new() -> Self {
        Self { filled: Some((0, 0)), devices: HashSet::new() }
    }

    /// Each device counts once, however often it is mounted. Two without a name may be one device: their sum is not known.
    fn add(&mut self, fs: &'a Filesystem) {
        if !self.devices.insert(&fs.disk_name) {
            self.filled = self.filled.filter(|_| !fs.disk_name.is_empty());
            return;
        }
        let alone = fs.serials.iter().all(|serial| *serial == fs.serials[0]);
        let own = fs.used.zip(fs.total).filter(|_| alone);
        let added = |(used, of): (u64, u64)| {
            let (more, space) = own?;
            Some((used.checked_add(more)?, of.checked_add(space)?))
        };
        self.filled = self.filled.and_then(added);
    }
}

/// Sorted by serial. Every file system is looked at once, whatever the number of volumes.
fn disks(filesystems: &[Filesystem]) -> Box<[GuestDisk]> {
    let mut disks: BTreeMap<&str, DiskSum> = BTreeMap::new();
    for fs in filesystems {
        let serials: BTreeSet<&str> = fs.serials.iter().map(String::as_str).collect();
        for serial in serials.into_iter().filter(|serial| !serial.is_empty()) {
            disks.entry(serial).or_insert_with(DiskSum::new).add(fs);
        }
    }
    disks.into_iter().map(|(serial, sum)| GuestDisk { serial: serial.into(), filled: sum.filled }).collect()
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
