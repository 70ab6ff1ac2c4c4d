//! What the object of a VM's instance says of its guest: disks, network interfaces, operating system, conditions. It
//! is not sent as such: `details` makes what a VM's page shows of it.

use std::sync::Arc;

use super::{
    Millis,
    details::{Condition, GuestSystem},
};

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

/// A network interface of an instance: spec and status, joined by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstanceInterface {
    pub name: Box<str>,
    /// What the guest's system calls it; empty if no agent says.
    pub guest_name: Box<str>,
    pub mac: Box<str>,
    pub addresses: Box<[Box<str>]>,
    /// A network card of the host is passed through to the guest.
    pub is_sriov: bool,
}

/// What only the page of a VM shows of its instance. The core's state and the VMs of its snapshots share it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstanceDetails {
    /// All disks, whatever backs them; empty if some were left out.
    pub disks: Arc<[InstanceDisk]>,
    pub interfaces: Box<[InstanceInterface]>,
    /// The guest's operating system; `None` if no agent reports it.
    pub system: Option<Box<GuestSystem>>,
    /// The host name that KubeVirt gives to the guest.
    pub hostname: Box<str>,
    /// When the phase became `Running`.
    pub started: Option<Millis>,
    pub conditions: Box<[Condition]>,
}
