//! What virt-api passes on of a guest agent: `VirtualMachineInstanceFileSystemList`.

use super::{
    guest::{device, is_windows},
    template::{Quoted, join, put},
};
use crate::sim::{clock::Millis, guest::Guest, hardware::Disk};

/// One file system on one disk.
struct Mounted<'a> {
    disk: &'a Disk,
    name: String,
    mount_point: String,
    kind: &'static str,
    used: u64,
    total: u64,
}

pub fn filesystems(out: &mut String, guest: &Guest, at: Millis) {
    out.push_str(
        r#"{"kind":"VirtualMachineInstanceFileSystemList","apiVersion":"subresources.kubevirt.io/v1","metadata":{},"items":["#,
    );
    let disks = guest.disks.iter().enumerate();
    join(out, disks.flat_map(|(index, disk)| mounted(guest, index, disk, at)), |out, mounted| {
        put!(
            out,
            r#"{{"diskName":{},"mountPoint":{},"fileSystemType":"{}","usedBytes":{},"totalBytes":{},"disk":[{{"#,
            Quoted(&mounted.name),
            Quoted(&mounted.mount_point),
            mounted.kind,
            mounted.used,
            mounted.total
        );
        if !mounted.disk.serial.is_empty() {
            put!(out, r#""serial":{},"#, Quoted(&mounted.disk.serial));
        }
        out.push_str(r#""busType":"virtio"}]}"#);
    });
    out.push_str("]}");
}

/// A boot disk has the firmware's partition beside the system's.
fn mounted<'a>(guest: &Guest, index: usize, disk: &'a Disk, at: Millis) -> Vec<Mounted<'a>> {
    let of = |name: String, mount_point: String, kind, used, total| Mounted {
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
        return vec![of(format!("PhysicalDrive{index}"), format!("{letter}:\\"), "NTFS", used, total)];
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

/// Of an EFI partition of 104 MiB.
const EFI_USED: u64 = 6_364_160;
