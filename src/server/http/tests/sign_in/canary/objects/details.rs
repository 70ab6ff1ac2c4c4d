//! What the instance of a VM says of its guest.

use super::Maker;
use model::{
    details::{Condition, GuestSystem},
    instance::{Bus, DiskKind, InstanceDetails, InstanceDisk, InstanceInterface},
};

/// The names of the first devices are those whose rates are known.
pub fn instance(make: &mut Maker) -> InstanceDetails {
    InstanceDetails {
        disks: [disk(make, "drive"), disk(make, "other-drive")].into(),
        interfaces: [interface(make, "interface"), interface(make, "other-interface")].into(),
        system: Some(Box::new(GuestSystem {
            name: make.text("os").into(),
            version: make.text("os-version").into(),
            kernel: make.text("kernel").into(),
        })),
        hostname: make.text("hostname").into(),
        started: Some(make.time()),
        conditions: [condition(make)].into(),
    }
}

fn disk(make: &Maker, name: &str) -> InstanceDisk {
    InstanceDisk {
        name: make.text(name).into(),
        kind: DiskKind::Disk,
        bus: Bus::Virtio,
        serial: make.text("serial").into(),
        claim: make.text("drive-claim").into(),
    }
}

fn interface(make: &Maker, name: &str) -> InstanceInterface {
    InstanceInterface {
        name: make.text(name).into(),
        guest_name: make.text("guest-interface").into(),
        mac: make.text("guest-mac").into(),
        addresses: [make.text("guest-address").into()].into(),
        // Why such an interface has no rates is the same text for all.
        is_sriov: false,
    }
}

fn condition(make: &mut Maker) -> Condition {
    Condition {
        kind: make.text("condition").into(),
        status: make.text("condition-status").into(),
        reason: make.text("condition-reason").into(),
        message: make.text("condition-message").into(),
        since: Some(make.time()),
    }
}
