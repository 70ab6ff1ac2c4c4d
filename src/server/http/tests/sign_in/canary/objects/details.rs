//! What the instance of a VM says of its guest, its migrations, and its Events.

use super::Maker;
use model::{
    activity::MigrationProgress,
    details::{Condition, GuestSystem, Migration},
    events::{Event, EventObject, VmEvents},
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

/// One that is under way, so that its progress shows.
pub fn migration(make: &mut Maker) -> Migration {
    Migration {
        name: make.text("migration").into(),
        phase: make.text("migration-phase").into(),
        source_node: make.text("migration-source").into(),
        target_node: make.text("migration-target").into(),
        created: make.time(),
        started: Some(make.time()),
        ended: Some(make.time()),
        failure: make.text("migration-failure").into(),
    }
}

/// Two Events, so that their order shows.
pub fn events(make: &mut Maker) -> VmEvents {
    VmEvents {
        events: vec![event(make), event(make)],
        left_out: make.count(),
        gap: None,
        read: Some(make.time()),
    }
}

fn event(make: &mut Maker) -> Event {
    Event {
        warning: make.one_in(2),
        reason: make.text("event-reason").into(),
        message: make.text("event-message").into(),
        count: make.count(),
        first: Some(make.time()),
        last: Some(make.time()),
        object: EventObject { kind: make.text("event-kind").into(), name: make.text("event-object").into() },
        component: make.text("event-component").into(),
    }
}

pub fn progress(make: &mut Maker) -> MigrationProgress {
    MigrationProgress {
        processed: Some(make.amount()),
        remaining: Some(make.amount()),
        dirty_rate: Some(make.amount()),
        transfer_rate: Some(make.amount()),
    }
}
