//! Finds the disk of an instance for a serial that the guest reports. One serial has several spellings: each
//! bus and each guest system truncates it and adds a prefix in its own way. `guest_disks` uses it.

use std::collections::{BTreeSet, HashMap};

use super::observation::{Bus, DiskKind, InstanceDisk};

/// Bytes of a serial on virtio-blk (`VIRTIO_BLK_ID_BYTES`) and ATA (`drive_serial_str` of qemu
/// hw/ide/core.c).
const SHORT_SERIAL: usize = 20;
/// Bytes of a serial on the SCSI pages 0x80 and 0x83 (qemu hw/scsi/scsi-disk.c,
/// `scsi_disk_emulate_vpd_page`).
const SCSI_SERIAL: usize = 36;

/// Returns all texts by which a guest may report a disk; none for a LUN or a CD-ROM.
///
/// Windows reports only the serial (qga/commands-win32.c, `get_disk_properties`). Linux reports udev's
/// `ID_SERIAL` (qga/commands-linux.c), which comes from the sysfs attribute on virtio (systemd
/// rules.d/60-persistent-storage.rules), from scsi_id or sg3_utils on SCSI (src/udev/scsi_id/scsi_serial.c),
/// from ata_id on SATA and from usb_id on USB. If the spec has no serial, libvirt identifies a SCSI disk by
/// its alias, which KubeVirt derives from the disk's name (`qemuBuildDiskDeviceProps`,
/// `NewUserDefinedAlias`). KubeVirt passes the serial on only for disks: a LUN reports the storage's own
/// serial, a CD-ROM none (pkg/virt-launcher/virtwrap/converter/storage/disk.go,
/// `convert_v1_Disk_To_api_Disk`).
pub(super) fn spellings(disk: &InstanceDisk) -> BTreeSet<String> {
    if disk.kind != DiskKind::Disk {
        return BTreeSet::new();
    }
    match disk.bus {
        Bus::Virtio => on_virtio(&disk.serial),
        Bus::Scsi => on_scsi(&disk.name, &disk.serial),
        Bus::Sata => on_sata(&disk.serial),
        Bus::Usb => on_usb(&disk.serial),
        Bus::Unknown => {
            let of = |bus| spellings(&InstanceDisk { bus, ..disk.clone() });
            [Bus::Virtio, Bus::Scsi, Bus::Sata, Bus::Usb].into_iter().flat_map(of).collect()
        }
    }
}

fn on_virtio(serial: &str) -> BTreeSet<String> {
    given(serial).map(|serial| cut(serial, SHORT_SERIAL).to_owned()).into_iter().collect()
}

fn on_scsi(name: &str, serial: &str) -> BTreeSet<String> {
    let Some(serial) = given(serial) else {
        return BTreeSet::from([format!("0QEMU_QEMU_HARDDISK_drive-ua-{name}")]);
    };
    let short = cut(serial, SCSI_SERIAL);
    BTreeSet::from([
        format!("0QEMU_QEMU_HARDDISK_{serial}"),
        format!("SQEMU_QEMU_HARDDISK_{short}"),
        short.to_owned(),
    ])
}

fn on_sata(serial: &str) -> BTreeSet<String> {
    let prefixes = ["QEMU_HARDDISK_", "1ATA_QEMU_HARDDISK_", "SATA_QEMU_HARDDISK_", ""];
    let serial = given(serial).map(|serial| cut(serial, SHORT_SERIAL));
    serial.into_iter().flat_map(|serial| prefixes.map(|prefix| [prefix, serial].concat())).collect()
}

fn on_usb(serial: &str) -> BTreeSet<String> {
    let spell = |serial: &str| [format!("QEMU_QEMU_HARDDISK_{serial}-0:0"), serial.to_owned()];
    given(serial).into_iter().flat_map(spell).collect()
}

fn given(serial: &str) -> Option<&str> {
    Some(serial).filter(|serial| !serial.is_empty())
}

/// Returns at most the first `bytes` bytes, cut at a character boundary.
fn cut(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    &text[..end]
}

/// The disk that a reported text names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Owner {
    /// Index of the one disk that it names.
    One(usize),
    Nobody,
    /// Indexes of all disks that it may name; which one it names is not known.
    Several(Vec<usize>),
}

/// All texts by which the disks of an instance may be reported, with the indexes of the disks.
pub(super) struct Owners(HashMap<String, Vec<usize>>);

impl Owners {
    /// Indexes all disks, including those without a claim: a serial that matches one of them must not be
    /// attributed to another.
    pub fn of(disks: &[InstanceDisk]) -> Self {
        let mut owners: HashMap<String, Vec<usize>> = HashMap::new();
        for (place, disk) in disks.iter().enumerate() {
            spellings(disk).into_iter().for_each(|text| owners.entry(text).or_default().push(place));
        }
        Self(owners)
    }

    /// Returns the owner of a reported text. Texts are compared as a whole; blanks around them are removed,
    /// since drivers pad serials (ATA's field has 20 characters).
    pub fn owner(&self, text: &str) -> Owner {
        match self.0.get(text.trim()).map(Vec::as_slice) {
            None | Some([]) => Owner::Nobody,
            Some([place]) => Owner::One(*place),
            Some(places) => Owner::Several(places.to_vec()),
        }
    }
}
