//! Disks of an instance, from its spec. `disk_owner` matches them with what the guest reports.

/// A disk of an instance, whatever backs it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstanceDisk {
    pub name: Box<str>,
    pub kind: DiskKind,
    pub bus: Bus,
    /// Empty if the spec sets none.
    pub serial: Box<str>,
    /// The claim of the volume of the same name; empty for container disks, cloud-init and the like.
    pub claim: Box<str>,
}

/// How a disk is presented to the guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DiskKind {
    #[default]
    Disk,
    /// A device of the storage itself, passed through to the guest.
    Lun,
    CdRom,
}

/// The bus on which the guest sees a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bus {
    Virtio,
    Scsi,
    Sata,
    Usb,
    #[default]
    Unknown,
}
