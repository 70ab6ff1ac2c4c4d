//! What the file systems on each disk of an instance hold, as its guest reports them: known whole, or not at all.

use std::collections::BTreeSet;

use super::{
    disk_owner::{Owner, Owners},
    observation::{Bus, DiskKind, InstanceDisk},
};

/// What the file systems on one disk hold.
pub(super) type DiskContent = Result<Content, Gap>;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    /// Bytes.
    pub used: u64,
    pub total: u64,
    /// One of them is a btrfs, which may lie on other disks too: the agent names only its first disk, but all disks of other file systems
    /// (`build_fs_mount_list` and `build_guest_fsinfo_for_virtual_device` of qga/commands-linux.c).
    pub may_span: bool,
}

/// Why the guest's file systems do not say what a disk holds. What comes later outranks what comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Gap {
    /// The claim is no disk of the instance.
    NoDisk,
    /// The agent has listed nothing. KubeVirt's launcher asks it every 300 s (`--qemu-agent-file-interval`), and says until
    /// then that there are none.
    NothingListed,
    /// No mounted file system is on it.
    NoFilesystem,
    /// There is no serial by which the guest could report it.
    NoSerial,
    Lun,
    CdRom,
    /// The agent gives no sizes, as those of before QEMU 3.1.
    NoSizes,
    /// It gives a size and no use of it.
    NoUse,
    /// Sizes that cannot be.
    BadSizes,
    /// The agent names neither of two devices: they may be one.
    Unnamed,
    /// Others are mounted over its file system.
    Hidden,
    /// A file system lies on other disks too.
    Spanning,
    /// Several disks may be reported by one text.
    SharedSerial,
}

/// A device with all that its sizes and owners hang on.
pub(super) struct Device<'a> {
    pub named: bool,
    /// See [`Content`].
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
    /// File systems that are in it, and those without a device's name.
    count: u32,
    unnamed: u32,
    /// Some file system is on the disk.
    touched: bool,
}

/// Of each disk, in their order. Devices are looked at once, whatever the number of disks.
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
    /// None where the agent gives no sizes, as of a volume that Windows mounts nowhere (EFI, recovery).
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

/// Why no file system names a disk.
fn unreported(disk: &InstanceDisk) -> Gap {
    match disk.kind {
        DiskKind::Lun => Gap::Lun,
        DiskKind::CdRom => Gap::CdRom,
        DiskKind::Disk if needs_serial(disk) => Gap::NoSerial,
        DiskKind::Disk => Gap::NoFilesystem,
    }
}

/// Whether the guest could report the disk if it had a serial. Without one a SCSI disk is known by its name.
pub(super) fn needs_serial(disk: &InstanceDisk) -> bool {
    disk.kind == DiskKind::Disk && disk.serial.is_empty() && disk.bus != Bus::Scsi
}

/// The owners of a device: of each of its serials, once.
pub(super) fn owners_of<'a>(serials: impl Iterator<Item = &'a str>, owners: &Owners) -> BTreeSet<Owner> {
    serials.map(|serial| owners.owner(serial)).collect()
}

/// Whether file systems are larger than the disk that they are on: one lies on other disks too, or its agent lies.
pub(super) fn exceeds(total: u64, size: u64) -> bool {
    u128::from(total) * 10 > u128::from(size) * 11
}
