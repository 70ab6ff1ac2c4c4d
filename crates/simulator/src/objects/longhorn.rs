//! Writes the Longhorn Volume of a disk.

use std::sync::LazyLock;

use super::{
    Part,
    guest::{fill, sample},
    managed::{Manager, complete},
    template::{Quoted, Template, put},
};
use crate::{guest::Guest, hardware::Disk, resource::Resource};

/// The namespace of all Longhorn volumes, whatever the namespace of their claims.
pub const NAMESPACE: &str = "longhorn-system";

pub fn render(out: &mut String, guest: &Guest, disk: &Disk, revision: u64) {
    write(&TEMPLATE, out, guest, disk, revision);
}

static TEMPLATE: LazyLock<Template> = LazyLock::new(|| {
    let managers = [
        Manager { name: "longhorn-csi-plugin", subresource: "", fields: &["metadata", "spec"] },
        Manager { name: "longhorn-manager", subresource: "status", fields: &["status"] },
    ];
    let source = include_str!("templates/longhorn.json");
    complete(source, Resource::LonghornVolumes, &managers, |template, out| {
        let guest = sample();
        write(template, out, &guest, &guest.disks[0], 1);
    })
});

fn write(template: &Template, out: &mut String, guest: &Guest, disk: &Disk, revision: u64) {
    let attached = guest.holder().is_some();
    template.render(out, |out, place| match place {
        "volume" => out.push_str(&guest.volume_name(disk)),
        "volumeUid" => out.push_str(&guest.uid(&format!("longhorn-{}", disk.claim))),
        "claim" => put!(out, "{}", Quoted(&disk.claim)),
        "bytes" => put!(out, "{}", disk.bytes()),
        // An object cannot follow every moment: this is the value from when the guest came to its node.
        "actualSize" => put!(out, "{}", disk.allocated(guest.on_node_since())),
        "node" => put!(out, "{}", Quoted(guest.holder().map_or("", |holder| &holder.node))),
        "state" => out.push_str(if attached { "attached" } else { "detached" }),
        "robustness" => out.push_str(if attached { "healthy" } else { "unknown" }),
        "pod" => {
            let name = guest.holder().map(|holder| guest.pod_name(holder.serial)).unwrap_or_default();
            put!(out, "{}", Quoted(&name));
        }
        other => fill(out, other, Part::LonghornVolume(0), guest, revision),
    });
}
