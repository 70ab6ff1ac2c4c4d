//! Holds what a guest's agent reports of its file systems, and assigns them to the disks of the instance.
//! `ClusterState` has one for each guest.

use std::{cmp::Reverse, collections::BTreeSet, sync::Arc};

use super::{
    disk_content::{Device, DiskContent, Gap, fill_disks, owners_of},
    disk_owner::{Owner, Owners},
    observation::{Filesystem, InstanceDisk, SourceError},
};
use model::{Millis, vm::GuestFilesystem};

/// File systems of one guest that are shown. All of them are counted.
const SHOWN: usize = 32;
/// Bytes that a text takes at least: the allocator gives no less.
const SMALLEST_TEXT: usize = 16;

/// What is known of one guest's file systems.
#[derive(Debug, Default)]
pub(super) struct GuestDisks {
    /// The file systems that are shown, shared with the VMs of snapshots: ten thousand guests have a few
    /// each. They are the first of `devices`.
    shown: Arc<[GuestFilesystem]>,
    devices: Box<[KnownDevice]>,
    /// The disks that file systems were assigned to, and the content of each disk that has a claim, sorted by
    /// claim.
    disks: Arc<[InstanceDisk]>,
    contents: Box<[(Box<str>, DiskContent)]>,
    /// Bytes that are kept of the guest's answer.
    bytes: usize,
    pub answered: Option<Millis>,
    pub error: Option<SourceError>,
}

/// What is kept of a device in addition to what is shown.
#[derive(Debug)]
struct KnownDevice {
    serials: Box<[Box<str>]>,
    used: Option<u64>,
    total: Option<u64>,
    hidden: bool,
    named: bool,
    btrfs: bool,
}

impl GuestDisks {
    /// Takes an answer of the agent, for an instance with these disks.
    pub fn answered(mut filesystems: Vec<Filesystem>, disks: &Arc<[InstanceDisk]>, at: Millis) -> Self {
        let owners = Owners::of(disks);
        let order = |filesystem: &Filesystem| {
            let serials = filesystem.serials.iter().map(String::as_str);
            let own = claim(&owners_of(serials, &owners), disks).is_some();
            (Reverse(own), filesystem.mount_point.clone(), filesystem.disk_name.clone())
        };
        filesystems.sort_by_cached_key(order);
        let devices = filesystems.iter().map(|filesystem| KnownDevice {
            serials: filesystem.serials.iter().map(|serial| serial.as_str().into()).collect(),
            used: filesystem.used,
            total: filesystem.total,
            hidden: filesystem.hidden,
            named: !filesystem.disk_name.is_empty(),
            btrfs: filesystem.kind == "btrfs",
        });
        let devices = devices.collect();
        let bytes =
            filesystems.iter().enumerate().map(|(n, filesystem)| bytes_of(filesystem, n < SHOWN)).sum();
        let shown = filesystems.into_iter().take(SHOWN).map(show).collect();
        let mut known = Self {
            shown,
            devices,
            disks: disks.clone(),
            contents: Box::default(),
            bytes,
            answered: Some(at),
            error: None,
        };
        known.reassign(&owners);
        known
    }

    /// Returns an entry without file systems, with the error that explains it.
    pub fn failed(error: SourceError) -> Self {
        Self { error: Some(error), ..Self::default() }
    }

    /// Returns the bytes that are kept of the guest's answer.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Assigns the file systems again if the disks of the instance changed.
    pub fn assign(&mut self, disks: &Arc<[InstanceDisk]>) {
        if Arc::ptr_eq(&self.disks, disks) {
            return;
        }
        let changed = self.disks != *disks;
        self.disks = disks.clone();
        if changed {
            self.reassign(&Owners::of(disks));
        }
    }

    fn reassign(&mut self, owners: &Owners) {
        let of_device =
            |device: &KnownDevice| owners_of(device.serials.iter().map(|serial| &**serial), owners);
        let owned: Vec<BTreeSet<Owner>> = self.devices.iter().map(of_device).collect();
        let devices = self.devices.iter().zip(&owned).map(|(device, owners)| Device {
            named: device.named,
            may_span: device.btrfs,
            used: device.used,
            total: device.total,
            hidden: device.hidden,
            owners,
        });
        let contents = self.disks.iter().map(|disk| disk.claim.clone()).zip(fill_disks(&self.disks, devices));
        let mut contents: Vec<_> = contents.filter(|(claim, _)| !claim.is_empty()).collect();
        contents.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.contents = contents.into();
        let claims = owned.iter().map(|owners| claim(owners, &self.disks).unwrap_or_default());
        let assigned = self.shown.iter().zip(claims);
        if assigned.clone().any(|(filesystem, claim)| filesystem.claim != claim) {
            let reassigned = |(filesystem, claim): (&GuestFilesystem, &str)| GuestFilesystem {
                claim: claim.to_owned(),
                ..filesystem.clone()
            };
            self.shown = assigned.map(reassigned).collect();
        }
    }

    /// Returns what the file systems on the disk of a claim hold.
    pub fn content(&self, of: &str) -> DiskContent {
        let found = self.contents.binary_search_by(|(claim, _)| (**claim).cmp(of));
        found.map_or(Err(Gap::NoDisk), |at| self.contents[at].1)
    }

    pub fn shown(&self) -> &Arc<[GuestFilesystem]> {
        &self.shown
    }

    /// How many file systems are not shown.
    pub fn left_out(&self) -> u32 {
        (self.devices.len() - self.shown.len()) as u32
    }
}

/// Returns the claim of the one disk that a device lies on.
fn claim<'a>(owners: &BTreeSet<Owner>, disks: &'a [InstanceDisk]) -> Option<&'a str> {
    match owners.first() {
        Some(Owner::One(place)) if owners.len() == 1 => {
            Some(&*disks.get(*place)?.claim).filter(|claim| !claim.is_empty())
        }
        _ => None,
    }
}

/// What is kept of a file system, in bytes.
fn bytes_of(filesystem: &Filesystem, shown: bool) -> usize {
    let text = |text: &String| text.len().next_multiple_of(SMALLEST_TEXT);
    let serials: usize = filesystem.serials.iter().map(|serial| size_of::<Box<str>>() + text(serial)).sum();
    let names = [&filesystem.disk_name, &filesystem.mount_point, &filesystem.kind].map(text);
    let shown = if shown { size_of::<GuestFilesystem>() + names.iter().sum::<usize>() } else { 0 };
    size_of::<KnownDevice>() + serials + shown
}

/// Sizes that the agent does not give, or that belong to another device, become `None`.
fn show(filesystem: Filesystem) -> GuestFilesystem {
    let Filesystem { disk_name: disk, mount_point, kind, used, total, hidden, .. } = filesystem;
    let known = |bytes: Option<u64>| bytes.filter(|bytes| *bytes > 0 && !hidden);
    GuestFilesystem { disk, mount_point, kind, used: known(used), total: known(total), claim: String::new() }
}
