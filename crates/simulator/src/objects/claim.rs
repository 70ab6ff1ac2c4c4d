//! Writes the PersistentVolumeClaim of a disk.

use std::sync::LazyLock;

use super::{
    Part,
    guest::{fill, sample},
    managed::{Manager, complete},
    persistent_volume,
    template::{Quoted, Template, put},
};
use crate::{
    guest::{Guest, State},
    hardware::{Backend, Disk},
    resource::Resource,
};

pub fn render(out: &mut String, guest: &Guest, disk: &Disk, revision: u64) {
    write(&TEMPLATE, out, guest, disk, revision);
}

static TEMPLATE: LazyLock<Template> = LazyLock::new(|| {
    let managers = [
        Manager { name: "virt-cdi-controller", subresource: "", fields: &["metadata", "spec"] },
        Manager { name: "kube-controller-manager", subresource: "status", fields: &["status"] },
    ];
    complete(include_str!("templates/claim.json"), Resource::Claims, &managers, |template, out| {
        let guest = sample();
        write(template, out, &guest, &guest.disks[0], 1);
    })
});

/// The capacity of the claim. The hostpath provisioner reports the size of its pool, in whole GiB
/// (`roundDownCapacityPretty`).
fn capacity(disk: &Disk) -> String {
    match disk.backend {
        Backend::HostPathCsi(pool) => format!("{}Gi", pool >> 30),
        _ => disk.size.clone(),
    }
}

fn write(template: &Template, out: &mut String, guest: &Guest, disk: &Disk, revision: u64) {
    let bound = guest.state != State::Pending;
    template.render(out, |out, place| match place {
        "claim" => put!(out, "{}", Quoted(&disk.claim)),
        "claimUid" => out.push_str(&guest.uid(&format!("claim-{}", disk.claim))),
        "volumeUid" => out.push_str(&guest.uid(&format!("data-volume-{}", disk.claim))),
        "size" => put!(out, "{}", Quoted(&disk.size)),
        "storageClass" => put!(out, "{}", Quoted(&disk.storage_class)),
        "provisioner" => out.push_str(persistent_volume::driver(disk)),
        "accessMode" => out.push_str("ReadWriteMany"),
        "volumeMode" => out.push_str(if disk.is_block() { "Block" } else { "Filesystem" }),
        "volumeName" if bound => {
            put!(out, r#""volumeName":"{}","#, guest.volume_name(disk));
        }
        "volumeName" => {}
        "status" if bound => put!(
            out,
            r#"{{"phase":"Bound","accessModes":["ReadWriteMany"],"capacity":{{"storage":{}}}}}"#,
            Quoted(&capacity(disk))
        ),
        "status" => out.push_str(r#"{"phase":"Pending"}"#),
        other => fill(out, other, Part::Claim(0), guest, revision),
    });
}
