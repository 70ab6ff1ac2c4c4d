//! Pods that are not launchers: daemons, operators, and those that attach a hotplugged disk.

use std::sync::LazyLock;

use super::{
    Part, labels,
    managed::{Manager, complete},
    template::{Quoted, Template, put},
};
use crate::{
    clock::rfc3339,
    guest::Guest,
    hardware::Disk,
    node::{Owner, PlainPod},
    resource::Resource,
};

pub fn render(out: &mut String, pod: &PlainPod, revision: u64) {
    write(&TEMPLATE, out, pod, revision);
}

/// The pod `hp-volume-…` that holds a hotplugged disk's claim, so that the launcher need not be restarted.
pub fn attachment(guest: &Guest, disk: &Disk) -> PlainPod {
    let (node, owner) = match guest.holder() {
        Some(holder) => (holder.node.as_str(), holder.serial),
        None => ("", 0),
    };
    let name = guest.attachment_name(disk);
    let image = "quay.io/kubevirt/virt-launcher:v1.6.2";
    let mut pod = PlainPod::new(&guest.namespace, &name, "hotplug-disk", image, node);
    pod.created = guest.started;
    pod.claim = Some((disk.name.clone(), disk.claim.clone()));
    pod.labels = labels::of_guest(Part::Attachment, guest);
    let (name, uid) = (guest.pod_name(owner), guest.pod_uid(owner));
    pod.owner = Owner { api_version: "v1", kind: "Pod", name, uid };
    pod
}

static TEMPLATE: LazyLock<Template> = LazyLock::new(|| {
    let managers = [
        Manager { name: "kube-controller-manager", subresource: "", fields: &["metadata", "spec"] },
        Manager { name: "kubelet", subresource: "status", fields: &["status"] },
    ];
    complete(include_str!("templates/plain.json"), Resource::Pods, &managers, |template, out| {
        write(template, out, &PlainPod::new("sample", "sample", "sample", "sample", "sample"), 1);
    })
});

fn write(template: &Template, out: &mut String, pod: &PlainPod, revision: u64) {
    template.render(out, |out, place| match place {
        "name" => put!(out, "{}", Quoted(&pod.name)),
        "namespace" => put!(out, "{}", Quoted(&pod.namespace)),
        "uid" => out.push_str(&pod.uid()),
        "ownerVersion" => out.push_str(pod.owner.api_version),
        "ownerKind" => out.push_str(pod.owner.kind),
        "ownerName" => out.push_str(&pod.owner.name),
        "ownerUid" => out.push_str(&pod.owner.uid),
        "token" => out.push_str(&pod.token_volume()),
        "revision" => put!(out, "{revision}"),
        "created" | "changed" => out.push_str(&rfc3339(pod.created)),
        "labels" => labels::write(out, &pod.labels),
        "app" => out.push_str(&pod.app),
        "image" => out.push_str(&pod.image),
        "node" => put!(out, "{}", Quoted(&pod.node)),
        "ip" => match pod.metrics {
            Some(address) => put!(out, "{}", address.ip()),
            None => out.push_str("10.128.4.17"),
        },
        "ports" => match pod.metrics {
            Some(address) => {
                put!(out, r#"{{"name":"metrics","containerPort":{},"protocol":"TCP"}}"#, address.port());
            }
            None => out.push_str(r#"{"name":"healthz","containerPort":8080,"protocol":"TCP"}"#),
        },
        "volumes" => {
            if let Some((volume, claim)) = &pod.claim {
                put!(
                    out,
                    r#"{{"name":{},"persistentVolumeClaim":{{"claimName":{}}}}},"#,
                    Quoted(volume),
                    Quoted(claim)
                );
            }
        }
        _ => debug_assert!(false, "no such place: {place}"),
    });
}
