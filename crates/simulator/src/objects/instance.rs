//! Writes the KubeVirt VirtualMachineInstance, which stands for one start of a VM.

use std::sync::LazyLock;

use super::{
    Part,
    guest::{condition, device, fill, is_up, paused, sample},
    managed::{Manager, complete},
    plain::attachment,
    template::{Quoted, Template, join, put},
};
use crate::{
    clock::rfc3339,
    guest::{Guest, Migration, State},
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
        "guestOs" => guest_os(out, guest),
        "observedInterfaces" => observed_interfaces(out, guest),
        "migration" => {
            if let Some(migration) = &guest.migration {
                migration_state(out, guest, migration);
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
    join(out, ["Ready", "LiveMigratable", "StorageLiveMigratable", "DataVolumesReady"], |out, kind| {
        condition(out, kind, true, at, "", "");
    });
    if guest.agent {
        out.push(',');
        condition(out, "AgentConnected", true, guest.started + 40_000, "", "");
    }
    paused(out, guest);
}

fn guest_os(out: &mut String, guest: &Guest) {
    if !is_up(guest) || !guest.agent {
        out.push_str("{}");
        return;
    }
    let (distribution, version) = guest.os_image.split_once('-').unwrap_or((&guest.os_image, ""));
    let mut title: String = distribution.to_owned();
    title.get_mut(..1).map(str::make_ascii_uppercase);
    let pretty = format!("{title} {}", version.replace('-', " "));
    put!(
        out,
        r#"{{"id":{},"kernelRelease":"6.8.0-79-generic","kernelVersion":"79 SMP PREEMPT_DYNAMIC","machine":"x86_64","name":{},"prettyName":{},"version":{},"versionId":{}}}"#,
        Quoted(distribution),
        Quoted(&title),
        Quoted(&pretty),
        Quoted(version),
        Quoted(version)
    );
}

fn observed_interfaces(out: &mut String, guest: &Guest) {
    let source = if guest.agent { ", guest-agent" } else { "" };
    if !is_up(guest) {
        return;
    }
    join(out, &guest.networks, |out, network| {
        put!(
            out,
            r#"{{"infoSource":"domain{source}","interfaceName":{},"ipAddress":{},"ipAddresses":[{1}],"linkState":"up","mac":{},"name":{},"podInterfaceName":"eth0","queueCount":{}}}"#,
            Quoted(&network.interface),
            Quoted(&network.ip_address),
            Quoted(&network.mac_address),
            Quoted(&network.name),
            guest.cpu
        );
    });
}

fn migration_state(out: &mut String, guest: &Guest, migration: &Migration) {
    let node = |serial| guest.launcher(serial).map_or("", |launcher| launcher.node.as_str());
    put!(
        out,
        r#""migrationState":{{"migrationUid":"{}","mode":"PreCopy","sourceNode":{},"sourcePod":{},"targetNode":{},"targetPod":{},"startTimestamp":"{}","targetNodeDomainDetected":true,"migrationConfiguration":{{"allowAutoConverge":false,"allowPostCopy":false,"bandwidthPerMigration":"0","completionTimeoutPerGiB":150,"nodeDrainTaintKey":"kubevirt.io/drain","parallelMigrationsPerCluster":5,"parallelOutboundMigrationsPerNode":2,"progressTimeout":150,"unsafeMigrationOverride":false}}"#,
        guest.uid(&format!("migration-{}", migration.target)),
        Quoted(node(migration.source)),
        Quoted(&guest.pod_name(migration.source)),
        Quoted(node(migration.target)),
        Quoted(&guest.pod_name(migration.target)),
        rfc3339(migration.started)
    );
    if let Some(ended) = migration.ended {
        put!(out, r#","completed":true,"failed":{},"endTimestamp":"{}""#, migration.failed, rfc3339(ended));
    }
    out.push_str("},");
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
