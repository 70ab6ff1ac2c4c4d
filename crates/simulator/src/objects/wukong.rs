//! Writes the Wukong: the desired VM, and what the operator reports about it.

use std::sync::LazyLock;

use super::{
    Part,
    guest::{condition, fill, sample},
    managed::{Manager, complete},
    template::{Quoted, Template, join, put},
};
use crate::{
    guest::{Guest, State},
    hardware::{Disk, Network},
    resource::Resource,
};

pub fn render(out: &mut String, guest: &Guest, revision: u64) {
    write(&TEMPLATE, out, guest, revision);
}

static TEMPLATE: LazyLock<Template> = LazyLock::new(|| {
    let managers = [
        Manager { name: "kubectl-client-side-apply", subresource: "", fields: &["metadata", "spec"] },
        Manager { name: "wukong-operator", subresource: "status", fields: &["status"] },
    ];
    complete(include_str!("templates/wukong.json"), Resource::Wukongs, &managers, |template, out| {
        write(template, out, &sample(), 1);
    })
});

fn write(template: &Template, out: &mut String, guest: &Guest, revision: u64) {
    template.render(out, |out, place| match place {
        "phase" => out.push_str(phase(guest.state)),
        "vmNameField" if guest.tells_vm_name => put!(out, r#""vmName":{},"#, Quoted(&guest.vm_name)),
        "vmNameField" => {}
        "nodeName" => {
            if let Some(holder) = guest.holder().filter(|holder| !holder.node.is_empty()) {
                put!(out, r#""nodeName":{},"#, Quoted(&holder.node));
            }
        }
        "disks" => join(out, &guest.disks, ordered_disk),
        "networks" => join(out, &guest.networks, ordered_network),
        "observedNetworks" => observed_networks(out, guest),
        "volumes" => join(out, &guest.disks, |out, disk| {
            let bound = guest.state != State::Pending;
            put!(
                out,
                r#"{{"name":{},"pvcName":{},"bound":{bound},"size":{}}}"#,
                Quoted(&disk.name),
                Quoted(&disk.claim),
                Quoted(&disk.size)
            );
        }),
        "conditions" => conditions(out, guest),
        other => fill(out, other, Part::Wukong, guest, revision),
    });
}

fn phase(state: State) -> &'static str {
    match state {
        State::Pending => "Pending",
        State::Creating => "Creating",
        State::Running => "Running",
        State::Stopped => "Stopped",
        State::Error => "Error",
    }
}

fn ordered_disk(out: &mut String, disk: &Disk) {
    put!(
        out,
        r#"{{"name":{},"size":{},"storageClassName":{},"boot":{}"#,
        Quoted(&disk.name),
        Quoted(&disk.size),
        Quoted(&disk.storage_class),
        disk.boot
    );
    if !disk.image.is_empty() {
        put!(out, r#","image":{}"#, Quoted(&disk.image));
    }
    out.push('}');
}

fn ordered_network(out: &mut String, network: &Network) {
    put!(out, r#"{{"name":{}"#, Quoted(&network.name));
    if !network.kind.is_empty() {
        put!(out, r#","type":{}"#, Quoted(&network.kind));
    }
    put!(out, r#","bridgeName":{},"ipConfig":{{"mode":"dhcp"}}}}"#, Quoted(&format!("br-{}", network.name)));
}

/// Writes the observed networks. Addresses are known only while the guest runs.
fn observed_networks(out: &mut String, guest: &Guest) {
    if guest.state != State::Running {
        return;
    }
    join(out, &guest.networks, |out, network| {
        put!(
            out,
            r#"{{"name":{},"interface":{},"ipAddress":{},"macAddress":{}}}"#,
            Quoted(&network.name),
            Quoted(&network.interface),
            Quoted(&network.ip_address),
            Quoted(&network.mac_address)
        );
    });
}

fn conditions(out: &mut String, guest: &Guest) {
    let (reason, message) = match guest.state {
        State::Running => ("VirtualMachineReady", "The virtual machine is running"),
        State::Stopped => ("Halted", "The virtual machine is stopped"),
        State::Creating => ("VirtualMachineStarting", "The launcher pod is being started"),
        State::Pending => ("WaitingForVolumeBinding", "Not every volume is bound yet"),
        State::Error => ("Unschedulable", "0/6 nodes are available: 6 Insufficient nvidia.com/gpu."),
    };
    condition(out, "Ready", guest.state == State::Running, guest.on_node_since(), reason, message);
    out.push(',');
    condition(out, "VolumesBound", guest.state != State::Pending, guest.created, "Bound", "");
}
