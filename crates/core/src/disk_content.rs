//! Adds up what the file systems on each disk of an instance hold, as the guest agent reports them. A disk's
//! content is known completely or not at all. `guest_disks` uses it.

use std::collections::BTreeSet;

use super::{
    disk_owner::{Owner, Owners},
    observation::{Bus, DiskKind, InstanceDisk},
};

/// Content of one disk, or why it is not known.
pub(super) type DiskContent = Result<Content, Gap>;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    /// Bytes.
    pub used: u64,
    pub total: u64,
    /// One of the file systems is a btrfs, which may span other disks: the agent names only its first disk,
    /// but all disks of other file systems (`build_fs_mount_list` and `build_guest_fsinfo_for_virtual_device`
    /// of qga/commands-linux.c).
    pub may_span: bool,
}

/// Why the guest's file systems do not say what a disk holds. A later variant takes precedence over an
/// earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Gap {
    /// The claim is not a disk of the instance.
    NoDisk,
    /// The agent has not listed any file system. KubeVirt's launcher asks it every 300 s
    /// (`--qemu-agent-file-interval`), and reports an empty list until then.
    NothingListed,
    /// No mounted file system is on the disk.
    NoFilesystem,
    /// The disk has no serial by which the guest could report it.
    NoSerial,
    Lun,
    CdRom,
    /// The agent gives no sizes, like agents before QEMU 3.1.
    NoSizes,
    /// The agent gives a size but no usage.
    NoUse,
    /// The sizes are impossible: usage above the size, a size that is no number, or a sum that overflows.
    BadSizes,
    /// The agent names neither of two devices, so they may be the same.
    Unnamed,
    /// Other file systems are mounted over the one on this disk.
    Hidden,
    /// A file system on the disk lies on other disks too.
    Spanning,
    /// Several disks may be reported with the same serial.
    SharedSerial,
}

/// One device of the guest, with the sizes and owners that decide about a disk's content.
pub(super) struct Device<'a> {
    pub named: bool,
    /// See [`Content::may_span`].
    pub may_span: bool,
    pub used: Option<u64>,
    pub total: Option<u64>,
    pub hidden: bool,
    pub owners: &'a BTreeSet<Owner>,
}

/// What is known of one disk so far.
#[derive(Clone, Copy, Default)]
struct Sum {
    gap: Option<Gap>,
    content: Content,
    /// File systems counted in `content`, and those of them whose device has no name.
    count: u32,
    unnamed: u32,
    /// At least one file system is on the disk.
    touched: bool,
}

/// Returns the content of each disk, in the order of `disks`. Devices are walked once, however many disks
/// there are.
pub(super) fn fill_disks<'a>(
    disks: &[InstanceDisk],
    devices: impl Iterator<Item = Device<'a>>,
) -> Vec<DiskContent> {
    let mut sums = vec![Sum::default(); disks.len()];
    let mut listed = false;
    for device in devices {
        listed = true;
        for owner in device.owners {
            match owner {
                Owner::Nobody => {}
                Owner::One(place) => sums[*place].add(&device),
                Owner::Several(places) => {
                    places.iter().for_each(|place| sums[*place].miss(Gap::SharedSerial))
                }
            }
        }
    }
    disks
        .iter()
        .zip(sums)
        .map(|(disk, sum)| if listed { sum.content(disk) } else { Err(Gap::NothingListed) })
        .collect()
}

impl Sum {
    fn miss(&mut self, gap: Gap) {
        self.touched = true;
        self.gap = self.gap.max(Some(gap));
    }

    fn add(&mut self, device: &Device) {
        self.touched = true;
        match device.sizes() {
            Err(gap) => self.miss(gap),
            Ok(None) => {}
            Ok(Some((used, total))) => {
                let sums = (self.content.used.checked_add(used), self.content.total.checked_add(total));
                let (Some(used), Some(total)) = sums else { return self.miss(Gap::BadSizes) };
                let may_span = self.content.may_span || device.may_span;
                (self.content, self.count) = (Content { used, total, may_span }, self.count + 1);
                self.unnamed += u32::from(!device.named);
            }
        }
    }

    fn content(self, disk: &InstanceDisk) -> DiskContent {
        match self.gap {
            Some(gap) => Err(gap),
            None if !self.touched => Err(unreported(disk)),
            None if self.count == 0 => Err(Gap::NoSizes),
            None if self.unnamed > 1 => Err(Gap::Unnamed),
            None => Ok(self.content),
        }
    }
}

impl Device<'_> {
    /// Returns `None` if the agent gives no sizes, as for a volume that Windows does not mount (EFI,
    /// recovery).
    fn sizes(&self) -> Result<Option<(u64, u64)>, Gap> {
        if self.owners.len() > 1 {
            return Err(Gap::Spanning);
        }
        match (self.used, self.total) {
            (Some(0), Some(0)) => Ok(None),
            _ if self.hidden => Err(Gap::Hidden),
            (Some(0), Some(_)) => Err(Gap::NoUse),
            (Some(used), Some(total)) if used <= total => Ok(Some((used, total))),
            _ => Err(Gap::BadSizes),
        }
    }
}

/// Returns why no file system names a disk.
fn unreported(disk: &InstanceDisk) -> Gap {
    match disk.kind {
        DiskKind::Lun => Gap::Lun,
        DiskKind::CdRom => Gap::CdRom,
        DiskKind::Disk if needs_serial(disk) => Gap::NoSerial,
        DiskKind::Disk => Gap::NoFilesystem,
    }
}

/// Whether the guest could report the disk if it had a serial. A SCSI disk without a serial is known by its
/// name.
pub(super) fn needs_serial(disk: &InstanceDisk) -> bool {
    disk.kind == DiskKind::Disk && disk.serial.is_empty() && disk.bus != Bus::Scsi
}

/// Returns the owners of a device's serials, each once.
pub(super) fn owners_of<'a>(serials: impl Iterator<Item = &'a str>, owners: &Owners) -> BTreeSet<Owner> {
    serials.map(|serial| owners.owner(serial)).collect()
}

/// Whether file systems exceed the size of their disk by more than a tenth: then one lies on other disks too,
/// or the agent is wrong.
pub(super) fn exceeds(total: u64, size: u64) -> bool {
    u128::from(total) * 10 > u128::from(size) * 11
}
