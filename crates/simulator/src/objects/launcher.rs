//! Writes the launcher pod, in which a guest runs.

use std::sync::LazyLock;

use super::{
    Part,
    guest::{fill, sample},
    managed::{Manager, complete},
    template::{Quoted, Template, put},
};
use crate::{
    clock::rfc3339,
    guest::{Guest, Launcher, PodPhase},
    hardware::{Disk, DiskMode, Network},
    node::Node,
    resource::Resource,
};

const IMAGE_ID: &str =
    "quay.io/kubevirt/virt-launcher@sha256:3ad7a1f4ee1a9e9f1f1e2c0a3f7c9c1d6b5d4c3b2a19081726354453627180ff";

pub fn render(out: &mut String, guest: &Guest, launcher: &Launcher, revision: u64) {
    write(&TEMPLATE, out, guest, launcher, revision);
}

static TEMPLATE: LazyLock<Template> = LazyLock::new(|| {
    let managers = [
        Manager { name: "virt-controller", subresource: "", fields: &["metadata", "spec"] },
        Manager { name: "kubelet", subresource: "status", fields: &["status"] },
    ];
    complete(include_str!("templates/launcher.json"), Resource::Pods, &managers, |template, out| {
        let guest = sample();
        write(template, out, &guest, &guest.launchers[0], 1);
    })
});

fn write(template: &Template, out: &mut String, guest: &Guest, pod: &Launcher, revision: u64) {
    let part = Part::Launcher(pod.serial);
    template.render(out, |out, place| match place {
        "name" => put!(out, "{}", Quoted(&guest.pod_name(pod.serial))),
        "generateName" => put!(out, "{}", Quoted(&format!("virt-launcher-{}-", guest.vm_name))),
        "uid" => out.push_str(&guest.pod_uid(pod.serial)),
        "instanceUid" => out.push_str(&guest.instance_uid_of(pod.incarnation)),
        "created" => out.push_str(&rfc3339(pod.created)),
        "changed" => out.push_str(&rfc3339(pod.created.max(guest.on_node_since()))),
        "ip" => out.push_str(pod_ip(guest)),
        "mac" => {
            out.push_str(guest.networks.first().map_or("0a:58:0a:80:00:01", |network| &network.mac_address))
        }
        "secondary" => guest.networks.iter().skip(1).for_each(|network| secondary(out, guest, network)),
        "thaw" => freezer(out, guest, "--unfreeze"),
        "freeze" => freezer(out, guest, "--freeze"),
        "volumes" => claims(out, guest),
        "mounts" => mounts(out, guest),
        "devices" => devices(out, guest),
        "cpuRequest" => put!(out, "{}", guest.cpu * 100),
        // The guest's memory plus about 240 MiB for QEMU and libvirt.
        "memoryRequest" => put!(out, "{}Mi", (guest.memory_bytes() >> 20) + 240),
        "nodeName" if !pod.node.is_empty() => put!(out, r#""nodeName":{},"#, Quoted(&pod.node)),
        "nodeName" => {}
        "hostname" => put!(out, "{}", Quoted(&guest.vm_name)),
        "status" => status(out, guest, pod),
        other => fill(out, other, part, guest, revision),
    });
}

fn pod_ip(guest: &Guest) -> &str {
    guest.networks.first().map_or("10.128.0.2", |network| &network.ip_address)
}

/// Writes a secondary network into the status that Multus writes: JSON in a string.
fn secondary(out: &mut String, guest: &Guest, network: &Network) {
    put!(
        out,
        r#",{{\n    \"name\": \"{}/{}\",\n    \"interface\": \"{}\",\n    \"mac\": \"{}\",\n    \"dns\": {{}}\n}}"#,
        guest.namespace,
        network.name,
        network.pod_interface(),
        network.mac_address
    );
}

fn freezer(out: &mut String, guest: &Guest, verb: &str) {
    let command = format!(
        r#"["/usr/bin/virt-freezer", "{verb}", "--name", "{}", "--namespace", "{}"]"#,
        guest.vm_name, guest.namespace
    );
    put!(out, "{}", Quoted(&command));
}

/// The disks that the launcher mounts. A hotplugged disk is mounted by its attachment pod.
fn mounted(guest: &Guest) -> impl Iterator<Item = &Disk> {
    guest.disks.iter().filter(|disk| disk.mode != DiskMode::Hotplug)
}

fn claims(out: &mut String, guest: &Guest) {
    for disk in mounted(guest) {
        put!(
            out,
            r#"{{"name":{},"persistentVolumeClaim":{{"claimName":{}}}}},"#,
            Quoted(&disk.name),
            Quoted(&disk.claim)
        );
    }
}

fn mounts(out: &mut String, guest: &Guest) {
    for disk in mounted(guest).filter(|disk| !disk.is_block()) {
        let path = format!("/var/run/kubevirt-private/vmi-disks/{}", disk.name);
        put!(out, r#"{{"name":{},"mountPath":{}}},"#, Quoted(&disk.name), Quoted(&path));
    }
}

fn devices(out: &mut String, guest: &Guest) {
    if mounted(guest).any(|disk| disk.is_block()) {
        out.push_str(r#""volumeDevices":["#);
        super::join(out, mounted(guest).filter(|disk| disk.is_block()), |out, disk| {
            put!(
                out,
                r#"{{"name":{},"devicePath":{}}}"#,
                Quoted(&disk.name),
                Quoted(&format!("/dev/{}", disk.name))
            );
        });
        out.push_str("],");
    }
}

fn status(out: &mut String, guest: &Guest, pod: &Launcher) {
    put!(out, r#"{{"phase":"{:?}","conditions":["#, pod.phase);
    conditions(out, pod);
    out.push(']');
    if !pod.node.is_empty() {
        let (host, ip) = (Node::new(&pod.node).ip(), pod_ip(guest));
        put!(
            out,
            r#","hostIP":"{host}","hostIPs":[{{"ip":"{host}"}}],"podIP":{0},"podIPs":[{{"ip":{0}}}],"startTime":"{1}""#,
            Quoted(ip),
            rfc3339(pod.created)
        );
        let uid = guest.pod_uid(pod.serial);
        out.push_str(r#","initContainerStatuses":["#);
        container(out, "guest-console-log", pod, &uid);
        out.push_str(r#"],"containerStatuses":["#);
        container(out, "compute", pod, &uid);
        out.push(']');
    }
    out.push_str(r#","qosClass":"Burstable"}"#);
}

fn conditions(out: &mut String, pod: &Launcher) {
    let running = pod.phase == PodPhase::Running;
    let scheduled = !pod.node.is_empty();
    let done = if matches!(pod.phase, PodPhase::Succeeded | PodPhase::Failed) { "PodCompleted" } else { "" };
    let list = [
        ("kubevirt.io/virtual-machine-unpaused", running, if running { "NotPaused" } else { "" }),
        ("PodReadyToStartContainers", running, ""),
        ("Initialized", scheduled, done),
        ("Ready", running, done),
        ("ContainersReady", running, done),
        ("PodScheduled", scheduled, if scheduled { "" } else { "Unschedulable" }),
    ];
    super::join(out, list, |out, (kind, met, reason)| {
        let status = if met { "True" } else { "False" };
        put!(
            out,
            r#"{{"type":"{kind}","status":"{status}","lastProbeTime":null,"lastTransitionTime":"{}""#,
            rfc3339(pod.created)
        );
        if !reason.is_empty() {
            put!(out, r#","reason":"{reason}""#);
        }
        out.push('}');
    });
}

fn container(out: &mut String, name: &str, pod: &Launcher, uid: &str) {
    let id = uid.replace('-', "");
    let (at, container) = (rfc3339(pod.created), format!("containerd://{id}{id}"));
    let running = pod.phase == PodPhase::Running;
    put!(out, r#"{{"name":"{name}","state":{{"#);
    match pod.phase {
        PodPhase::Running => put!(out, r#""running":{{"startedAt":"{at}"}}"#),
        PodPhase::Pending => out.push_str(r#""waiting":{"reason":"ContainerCreating"}"#),
        PodPhase::Succeeded => put!(
            out,
            r#""terminated":{{"exitCode":0,"reason":"Completed","startedAt":"{at}","finishedAt":"{at}","containerID":"{container}"}}"#
        ),
        PodPhase::Failed => put!(
            out,
            r#""terminated":{{"exitCode":1,"reason":"Error","startedAt":"{at}","finishedAt":"{at}","containerID":"{container}"}}"#
        ),
    }
    put!(
        out,
        r#"}},"lastState":{{}},"ready":{running},"restartCount":0,"image":"quay.io/kubevirt/virt-launcher:v1.6.2","imageID":"{IMAGE_ID}","containerID":"{container}","started":{running},"resources":{{"requests":{{"cpu":"100m","memory":"1Gi"}}}},"volumeMounts":[{{"name":"private","mountPath":"/var/run/kubevirt-private"}},{{"name":"public","mountPath":"/var/run/kubevirt"}},{{"name":"sockets","mountPath":"/var/run/kubevirt/sockets"}}],"user":{{"linux":{{"uid":107,"gid":107,"supplementalGroups":[107]}}}}}}"#
    );
}
