//! The file systems that virt-api passes on from a guest agent: `VirtualMachineInstanceFileSystemList`.

use super::{
    guest::{device, is_windows},
    template::{Quoted, join, put},
};
use crate::{
    clock::Millis,
    guest::Guest,
    hardware::{Bus, Disk},
};

/// One file system on one disk.
pub struct FileSystem<'a> {
    disk: &'a Disk,
    pub name: String,
    pub mount_point: String,
    pub kind: &'static str,
    pub used: u64,
    pub total: u64,
}

/// Returns the file systems of a guest at `at`.
pub fn mounted_in(guest: &Guest, at: Millis) -> impl Iterator<Item = FileSystem<'_>> {
    guest.disks.iter().enumerate().flat_map(move |(index, disk)| mounted(guest, index, disk, at))
}

/// Writes the list of the guest's file systems at `at`.
pub fn filesystems(out: &mut String, guest: &Guest, at: Millis) {
    out.push_str(
        r#"{"kind":"VirtualMachineInstanceFileSystemList","apiVersion":"subresources.kubevirt.io/v1","metadata":{},"items":["#,
    );
    join(out, mounted_in(guest, at), |out, mounted| {
        put!(
            out,
            r#"{{"diskName":{},"mountPoint":{},"fileSystemType":"{}","usedBytes":{},"totalBytes":{},"disk":[{{"#,
            Quoted(&mounted.name),
            Quoted(&mounted.mount_point),
            mounted.kind,
            mounted.used,
            mounted.total
        );
        let serial = if is_windows(guest) { windows_serial(mounted.disk) } else { udev_serial(mounted.disk) };
        if let Some(serial) = serial {
            put!(out, r#""serial":{},"#, Quoted(&serial));
        }
        put!(out, r#""busType":"{}"}}]}}"#, mounted.disk.bus.name());
    });
    out.push_str("]}");
}

/// The `ID_SERIAL` of udev. SCSI and SATA put the model before the serial, and libvirt identifies a SCSI disk
/// without a serial by its alias.
fn udev_serial(disk: &Disk) -> Option<String> {
    let serial = given(disk);
    match disk.bus {
        Bus::Virtio => serial.map(|serial| first(serial, 20)),
        Bus::Scsi => Some(match serial {
            Some(serial) => format!("0QEMU_QEMU_HARDDISK_{serial}"),
            None => format!("0QEMU_QEMU_HARDDISK_drive-ua-{}", disk.name),
        }),
        Bus::Sata => serial.map(|serial| format!("QEMU_HARDDISK_{}", first(serial, 20))),
    }
}

/// The serial as the Windows drivers report it: padded to 20 characters on a bus with a field of that length.
fn windows_serial(disk: &Disk) -> Option<String> {
    let serial = given(disk)?;
    Some(match disk.bus {
        Bus::Virtio => first(serial, 20),
        Bus::Scsi => first(serial, 36),
        Bus::Sata => format!("{:<20}", first(serial, 20)),
    })
}

fn given(disk: &Disk) -> Option<&str> {
    Some(disk.serial.as_str()).filter(|serial| !serial.is_empty())
}

fn first(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

/// Returns the file systems of a disk. A boot disk has the firmware's partition in addition to the system's.
fn mounted<'a>(guest: &Guest, index: usize, disk: &'a Disk, at: Millis) -> Vec<FileSystem<'a>> {
    let of = |name: String, mount_point: String, kind, used, total| FileSystem {
        disk,
        name,
        mount_point,
        kind,
        used,
        total,
    };
    let (used, total) = (disk.held(at), disk.bytes() - disk.bytes() / 50);
    if is_windows(guest) {
        let letter = char::from(b'C' + (index % 20) as u8);
        let volume = |part: u32| format!("\\\\?\\Volume{{{index:08x}-0000-0000-0000-{part:012x}}}\\");
        let mut volumes = vec![of(volume(3), format!("{letter}:\\"), "NTFS", used, total)];
        if disk.boot {
            // Firmware and recovery are not mounted: the agent gives no sizes, and KubeVirt writes 0.
            volumes.insert(0, of(volume(1), "System Reserved".into(), "FAT32", 0, 0));
            volumes.push(of(volume(4), "System Reserved".into(), "NTFS", 0, 0));
        }
        return volumes;
    }
    let device = device(index);
    match disk.boot {
        true => vec![
            of(format!("{device}1"), "/".into(), "ext4", used.saturating_sub(EFI_USED), total),
            of(format!("{device}15"), "/boot/efi".into(), "vfat", EFI_USED, 109_395_456),
        ],
        false => vec![of(device, format!("/srv/{}", disk.name), "xfs", used, total)],
    }
}

/// Bytes used on an EFI partition of 104 MiB.
const EFI_USED: u64 = 6_364_160;
