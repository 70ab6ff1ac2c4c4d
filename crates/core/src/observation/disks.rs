//! Disks as the spec of an instance has them.

/// A disk of an instance, whatever it is backed by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstanceDisk {
    pub name: Box<str>,
    pub kind: DiskKind,
    pub bus: Bus,
    /// Empty where the spec sets none.
    pub serial: Box<str>,
    /// The claim of the volume of its name; empty for container disks, cloud-init and the like.
    pub claim: Box<str>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DiskKind {
    #[default]
    Disk,
    /// The storage's own device, passed through.
    Lun,
    CdRom,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bus {
    Virtio,
    Scsi,
    Sata,
    Usb,
    #[default]
    Unknown,
}
