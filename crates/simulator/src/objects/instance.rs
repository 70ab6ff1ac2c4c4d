//! Writes the KubeVirt VirtualMachineInstance, which stands for one start of a VM.

use std::sync::LazyLock;

use super::{
    Part,
    guest::{condition, device, fill, is_up, live_migratable, paused, sample},
    managed::{Manager, complete},
    migration, observed,
    plain::attachment,
    template::{Quoted, Template, join, put},
};
use crate::{
    clock::rfc3339,
    guest::{Guest, State},
    hardware::{Disk, DiskMode},
    resource::Resource,
};

pub fn render(out: &mut String, guest: &Guest, revision: u64) {
    write(&TEMPLATE, out, guest, revision);
}

static TEMPLATE: LazyLock<Template> = LazyLock::new(|| {
    let managers = [
        Manager { name: "virt-controller", subresource: "", fields: &["metadata", "spec"] },
        Manager { name: "virt-handler", subresource: "status", fields: &["status"] },
    ];
    complete(include_str!("templates/instance.json"), Resource::Instances, &managers, |template, out| {
        write(template, out, &sample(), 1);
    })
});

fn write(template: &Template, out: &mut String, guest: &Guest, revision: u64) {
    template.render(out, |out, place| match place {
        "created" => out.push_str(&rfc3339(guest.started)),
        "owner" if guest.has_machine => put!(
            out,
            r#""ownerReferences":[{{"apiVersion":"kubevirt.io/v1","kind":"VirtualMachine","name":{},"uid":"{}","controller":true,"blockOwnerDeletion":true}}],"#,
            Quoted(&guest.vm_name),
            guest.uid("machine")
        ),
        "owner" => {}
        "deletion" => {
            if let Some(since) = guest.stopping {
                put!(out, r#""deletionTimestamp":"{}","deletionGracePeriodSeconds":3600,"#, rfc3339(since));
            }
        }
        "maxGuest" => put!(out, "{}Mi", (guest.memory_bytes() >> 20) * 4),
        "placement" => placement(out, guest),
        "conditions" => conditions(out, guest),
        "guestOs" => observed::guest_os(out, guest),
        "observedInterfaces" => observed::interfaces(out, guest),
        "migration" => {
            if let Some(migration) = guest.last_migration() {
                migration::state(out, guest, migration);
            }
        }
        "phase" => out.push_str(if is_up(guest) { "Running" } else { "Scheduling" }),
        "transitions" if is_up(guest) => put!(
            out,
            r#",{{"phase":"Scheduled","phaseTransitionTimestamp":"{0}"}},{{"phase":"Running","phaseTransitionTimestamp":"{0}"}}"#,
            rfc3339(guest.started + 9_000)
        ),
        "transitions" => {}
        "volumeStatus" => guest.disks.iter().enumerate().for_each(|(index, disk)| volume_status(out, guest, index, disk)),
        other => fill(out, other, Part::Instance, guest, revision),
    });
}

/// Writes where the instance runs. virt-controller lists every pod of the instance in `activePods`, including
/// finished ones of a migration.
fn placement(out: &mut String, guest: &Guest) {
    out.push_str(r#""activePods":{"#);
    join(out, guest.current_launchers(), |out, launcher| {
        put!(out, r#""{}":{}"#, guest.pod_uid(launcher.serial), Quoted(&launcher.node));
    });
    out.push_str("},");
    if let Some(holder) = guest.holder().filter(|_| is_up(guest)) {
        put!(out, r#""nodeName":{},"#, Quoted(&holder.node));
    }
}

fn conditions(out: &mut String, guest: &Guest) {
    let at = guest.on_node_since();
    if guest.state == State::Error {
        let message = "0/6 nodes are available: 6 Insufficient nvidia.com/gpu.";
        condition(out, "PodScheduled", false, at, "Unschedulable", message);
        return;
    }
    if !is_up(guest) {
        condition(out, "Ready", false, at, "GuestNotRunning", "Guest VM is not reported as running");
        return;
    }
    condition(out, "Ready", true, at, "", "");
    out.push(',');
    live_migratable(out, guest);
    out.push(',');
    condition(out, "StorageLiveMigratable", true, at, "", "");
    out.push(',');
    let message = "All of the VMI's DVs are bound and ready";
    condition(out, "DataVolumesReady", true, guest.started, "AllDVsReady", message);
    if guest.agent {
        out.push(',');
        condition(out, "AgentConnected", true, guest.started + 40_000, "", "");
    }
    paused(out, guest);
}

fn volume_status(out: &mut String, guest: &Guest, index: usize, disk: &Disk) {
    let mode = if disk.is_block() { "Block" } else { "Filesystem" };
    if let (DiskMode::Hotplug, Some(holder)) = (disk.mode, guest.holder()) {
        put!(
            out,
            r#"{{"hotplugVolume":{{"attachPodName":"{}","attachPodUID":"{}"}},"message":"Successfully attach hotplugged volume {} to VM on {}","phase":"Ready","reason":"VolumeReady","#,
            guest.attachment_name(disk),
            attachment(guest, disk).uid(),
            disk.name,
            holder.node
        );
    } else {
        out.push('{');
    }
    put!(
        out,
        r#""name":{},"persistentVolumeClaimInfo":{{"accessModes":["ReadWriteMany"],"capacity":{{"storage":{2}}},"claimName":{1},"filesystemOverhead":"0.06","requests":{{"storage":{2}}},"volumeMode":"{mode}"}},"target":"{3}"}},"#,
        Quoted(&disk.name),
        Quoted(&disk.claim),
        Quoted(&disk.size),
        device(index)
    );
}
