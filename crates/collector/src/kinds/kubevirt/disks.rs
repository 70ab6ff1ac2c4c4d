//! Reads the disks of an instance, each with the claim that backs it.

use std::{collections::HashMap, sync::Arc};

use super::claim;
use crate::k8s::{
    kubevirt::{Disk, MOST_DISKS, Volume},
    lenient::List,
};
use wukong_core::observation::{Bus, DiskKind, InstanceDisk};

/// The disks of an instance. A disk belongs to the volume of its name; of two disks with the same name the
/// first counts. Empty if the list was cut, since a disk that is not known could be reported as one that is.
pub fn disks(disks: &List<Disk, MOST_DISKS>, volumes: &[Volume]) -> Arc<[InstanceDisk]> {
    if disks.left_out > 0 {
        return Arc::default();
    }
    let mut claims: HashMap<&str, &str> = HashMap::with_capacity(volumes.len());
    for volume in volumes {
        claims.entry(&*volume.name).or_insert(claim(volume).unwrap_or_default());
    }
    disks.iter().filter(|disk| !disk.name.is_empty()).map(|disk| instance_disk(disk, &mut claims)).collect()
}

fn instance_disk(disk: &Disk, claims: &mut HashMap<&str, &str>) -> InstanceDisk {
    let (kind, target) = match (&disk.disk, &disk.lun, &disk.cdrom) {
        (_, Some(lun), _) => (DiskKind::Lun, Some(lun)),
        (_, _, Some(cdrom)) => (DiskKind::CdRom, Some(cdrom)),
        (disk, None, None) => (DiskKind::Disk, disk.as_ref()),
    };
    InstanceDisk {
        name: (*disk.name).into(),
        kind,
        bus: bus(target.map_or("", |target| &*target.bus)),
        serial: (*disk.serial).into(),
        claim: claims.remove(&*disk.name).unwrap_or_default().into(),
    }
}

fn bus(name: &str) -> Bus {
    match name {
        "virtio" => Bus::Virtio,
        "scsi" => Bus::Scsi,
        "sata" => Bus::Sata,
        "usb" => Bus::Usb,
        _ => Bus::Unknown,
    }
}
