//! Writes the KubeVirt VirtualMachine of a guest.

use std::sync::LazyLock;

use super::{
    Part,
    guest::{condition, device, fill, is_up, live_migratable, paused, sample},
    managed::{Manager, complete},
    template::{Quoted, Template, join, put},
};
use crate::{
    guest::{Guest, State},
    hardware::Disk,
    resource::Resource,
};

pub fn render(out: &mut String, guest: &Guest, revision: u64) {
    write(&TEMPLATE, out, guest, revision);
}

static TEMPLATE: LazyLock<Template> = LazyLock::new(|| {
    let managers = [
        Manager { name: "wukong-operator", subresource: "", fields: &["metadata", "spec"] },
        Manager { name: "virt-controller", subresource: "status", fields: &["status"] },
    ];
    complete(include_str!("templates/machine.json"), Resource::VirtualMachines, &managers, |template, out| {
        write(template, out, &sample(), 1);
    })
});

fn write(template: &Template, out: &mut String, guest: &Guest, revision: u64) {
    template.render(out, |out, place| match place {
        "owner" => owner(out, guest),
        "ordered" => ordered(out, guest),
        "instancetype" => {
            if let Some(name) = &guest.instancetype {
                put!(
                    out,
                    r#""instancetype":{{"kind":"VirtualMachineClusterInstancetype","name":{}}},"preference":{{"kind":"VirtualMachineClusterPreference","name":"linux.virtio.net"}},"#,
                    Quoted(name)
                );
            }
        }
        "dataVolumes" => data_volumes(out, guest),
        "runStrategy" => {
            let halted = guest.state == State::Stopped || guest.stopping.is_some();
            out.push_str(if halted { "Halted" } else { "Always" });
        }
        "conditions" => conditions(out, guest),
        "isCreated" => put!(out, "{}", guest.has_instance()),
        "ready" => put!(out, "{}", is_up(guest)),
        "printable" => out.push_str(printable_status(guest)),
        "snapshots" => guest.disks.iter().enumerate().for_each(|(index, disk)| snapshot(out, index, disk)),
        other => fill(out, other, Part::Machine, guest, revision),
    });
}

/// KubeVirt's `printableStatus`.
fn printable_status(guest: &Guest) -> &'static str {
    match guest.state {
        State::Running if guest.stopping.is_some() => "Stopping",
        State::Running if guest.migrating().is_some() => "Migrating",
        State::Running if guest.paused.is_some() => "Paused",
        State::Running => "Running",
        State::Stopped => "Stopped",
        State::Creating => "Starting",
        State::Pending => "WaitingForVolumeBinding",
        State::Error => "ErrorUnschedulable",
    }
}

fn owner(out: &mut String, guest: &Guest) {
    if guest.has_wukong {
        put!(
            out,
            r#""ownerReferences":[{{"apiVersion":"vm.novasphere.dev/v1alpha1","kind":"Wukong","name":{},"uid":"{}","controller":true,"blockOwnerDeletion":true}}],"#,
            Quoted(&guest.name),
            guest.uid("wukong")
        );
    }
}

/// Writes CPU and memory, unless an instance type defines them.
fn ordered(out: &mut String, guest: &Guest) {
    if guest.instancetype.is_none() {
        put!(
            out,
            r#""cpu":{{"cores":{},"sockets":1,"threads":1}},"memory":{{"guest":{}"#,
            guest.cpu,
            Quoted(&guest.memory)
        );
        fill(out, "hugepages", Part::Machine, guest, 0);
        out.push_str("},");
    }
}

/// Writes the template from which CDI creates the boot disk's claim out of an image.
fn data_volumes(out: &mut String, guest: &Guest) {
    out.push_str(r#""dataVolumeTemplates":["#);
    join(out, guest.disks.iter().filter(|disk| disk.boot), |out, disk| {
        put!(
            out,
            r#"{{"metadata":{{"creationTimestamp":null,"name":{}}},"spec":{{"source":{{"registry":{{"url":{}}}}},"storage":{{"resources":{{"requests":{{"storage":{}}}}},"storageClassName":{}}}}}}}"#,
            Quoted(&disk.claim),
            Quoted(&format!("docker://quay.io/containerdisks/{}", disk.image)),
            Quoted(&disk.size),
            Quoted(&disk.storage_class)
        );
    });
    out.push_str("],");
}

fn conditions(out: &mut String, guest: &Guest) {
    let at = guest.on_node_since();
    match guest.state {
        State::Running => {
            condition(out, "Ready", true, at, "", "");
            out.push(',');
            live_migratable(out, guest);
            if guest.agent {
                out.push(',');
                condition(out, "AgentConnected", true, at, "", "");
            }
            paused(out, guest);
        }
        State::Error => {
            let message = "0/6 nodes are available: 6 Insufficient nvidia.com/gpu.";
            condition(out, "Ready", false, at, "PodNotExists", "the pod was not scheduled");
            out.push(',');
            condition(out, "PodScheduled", false, at, "Unschedulable", message);
        }
        _ => condition(out, "Ready", false, at, "VMINotExists", "VMI does not exist"),
    }
}

fn snapshot(out: &mut String, index: usize, disk: &Disk) {
    let device = device(index);
    put!(
        out,
        r#"{{"enabled":false,"name":{},"reason":"No VolumeSnapshotClass: no volume snapshots can be made of {device}"}},"#,
        Quoted(&disk.name)
    );
}
