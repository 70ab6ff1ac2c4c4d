//! The placeholders that several templates of a guest's objects share.

use super::{
    Part, labels,
    template::{Quoted, join, put},
};
use crate::{
    clock::rfc3339,
    guest::{Guest, State},
    hardware::{Disk, DiskMode, Network},
};

/// Fills a placeholder that means the same in every object of a guest.
pub fn fill(out: &mut String, place: &str, part: Part, guest: &Guest, revision: u64) {
    match place {
        "name" => put!(out, "{}", Quoted(&guest.name)),
        "namespace" => put!(out, "{}", Quoted(&guest.namespace)),
        "vmName" => put!(out, "{}", Quoted(&guest.vm_name)),
        "wukongUid" => out.push_str(&guest.uid("wukong")),
        "machineUid" => out.push_str(&guest.uid("machine")),
        "instanceUid" => out.push_str(&guest.instance_uid()),
        "firmware" => out.push_str(&guest.uid("firmware")),
        "serial" => out.push_str(&guest.uid("serial")),
        "revision" => put!(out, "{revision}"),
        "created" => out.push_str(&rfc3339(guest.created)),
        "changed" => out.push_str(&rfc3339(guest.on_node_since().max(guest.created))),
        "labels" => labels::write(out, &labels::of_guest(part, guest)),
        "cpu" => put!(out, "{}", guest.cpu),
        "memory" => put!(out, "{}", Quoted(&guest.memory)),
        "os" => put!(out, "{}", Quoted(&guest.os_image)),
        "userData" => put!(out, "{}", Quoted(&user_data(guest))),
        "hugepages" => {
            if let Some(size) = &guest.hugepages {
                put!(out, r#","hugepages":{{"pageSize":{}}}"#, Quoted(size));
            }
        }
        "disks" => domain_disks(out, guest),
        "volumes" => instance_volumes(out, guest),
        "interfaces" => join(out, &guest.networks, virt_interface),
        "probe" if guest.probed => out.push_str(
            r#""livenessProbe":{"httpGet":{"path":"/healthz","port":8080},"initialDelaySeconds":120,"periodSeconds":10,"timeoutSeconds":5,"successThreshold":1,"failureThreshold":3},"#,
        ),
        "probe" => {}
        "networks" => join(out, &guest.networks, virt_network),
        _ => debug_assert!(false, "no such place: {place}"),
    }
}

/// A guest that uses every field, for the sample objects from which `managedFields` are derived.
pub fn sample() -> Guest {
    let mut guest = Guest::new("sample", "sample").running_on("sample", 0);
    guest.disks.push(Disk::new("sample", "data", "20Gi"));
    guest
}

/// A condition of a custom resource.
pub fn condition(out: &mut String, kind: &str, met: bool, at: i64, reason: &str, message: &str) {
    let status = if met { "True" } else { "False" };
    put!(
        out,
        r#"{{"type":"{kind}","status":"{status}","lastProbeTime":null,"lastTransitionTime":"{}""#,
        rfc3339(at)
    );
    if !reason.is_empty() {
        put!(out, r#","reason":"{reason}","message":{}"#, Quoted(message));
    }
    out.push('}');
}

/// Writes the condition that says who paused the guest, if it is paused. It follows other conditions.
pub fn paused(out: &mut String, guest: &Guest) {
    if let Some(pause) = guest.paused {
        let (reason, message) = pause.words();
        out.push(',');
        condition(out, "Paused", true, guest.on_node_since(), reason, message);
    }
}

/// Writes the condition that says whether the guest can move to another node. Volumes on a node's own disks cannot.
pub fn live_migratable(out: &mut String, guest: &Guest) {
    let at = guest.on_node_since();
    match guest.disks.iter().find(|disk| disk.backend.is_of_a_node()) {
        Some(disk) => {
            let message = format!(
                "cannot migrate VMI: PVC {} is not shared, live migration requires that all PVCs must be shared (using \
                 ReadWriteMany access mode)",
                disk.claim
            );
            condition(out, "LiveMigratable", false, at, "DisksNotLiveMigratable", &message);
        }
        None => condition(out, "LiveMigratable", true, at, "", ""),
    }
}

/// KubeVirt's device name of the disk at `index`: `vda`, `vdb`.
pub fn device(index: usize) -> String {
    format!("vd{}", char::from(b'a' + (index % 24) as u8))
}

pub fn is_windows(guest: &Guest) -> bool {
    guest.os_image.starts_with("windows")
}

/// Whether the guest is running.
pub fn is_up(guest: &Guest) -> bool {
    guest.state == State::Running
}

fn virt_interface(out: &mut String, network: &Network) {
    let (mac, name) = (Quoted(&network.mac_address), Quoted(&network.name));
    if network.is_sriov() {
        put!(out, r#"{{"macAddress":{mac},"name":{name},"sriov":{{}}}}"#);
    } else {
        put!(out, r#"{{"bridge":{{}},"macAddress":{mac},"model":"virtio","name":{name}}}"#);
    }
}

fn virt_network(out: &mut String, network: &Network) {
    put!(out, r#"{{"multus":{{"networkName":{0}}},"name":{0}}}"#, Quoted(&network.name));
}

/// Writes a comma after each disk, because the template's cloud-init disk follows.
fn domain_disks(out: &mut String, guest: &Guest) {
    for disk in &guest.disks {
        let order = if disk.boot { r#""bootOrder":1,"# } else { "" };
        let bus = disk.bus.name();
        put!(out, r#"{{{order}"disk":{{"bus":"{bus}"}},"name":{}"#, Quoted(&disk.name));
        if !disk.serial.is_empty() {
            put!(out, r#","serial":{}"#, Quoted(&disk.serial));
        }
        out.push_str("},");
    }
    if is_windows(guest) {
        out.push_str(r#"{"cdrom":{"bus":"sata"},"name":"virtio-drivers"},"#);
    }
}

fn instance_volumes(out: &mut String, guest: &Guest) {
    for disk in &guest.disks {
        let (name, claim) = (Quoted(&disk.name), Quoted(&disk.claim));
        match (disk.boot, disk.mode) {
            (true, _) => put!(out, r#"{{"dataVolume":{{"name":{claim}}},"name":{name}}},"#),
            (_, DiskMode::Hotplug) => put!(
                out,
                r#"{{"name":{name},"persistentVolumeClaim":{{"claimName":{claim},"hotpluggable":true}}}},"#
            ),
            _ => put!(out, r#"{{"name":{name},"persistentVolumeClaim":{{"claimName":{claim}}}}},"#),
        }
    }
    if is_windows(guest) {
        out.push_str(
            r#"{"containerDisk":{"image":"quay.io/kubevirt/virtio-container-disk:v1.6.2"},"name":"virtio-drivers"},"#,
        );
    }
}

fn user_data(guest: &Guest) -> String {
    format!(
        "#cloud-config\nhostname: {}\npackage_update: true\npackages:\n  - qemu-guest-agent\n  - chrony\nruncmd:\n  \
         - [systemctl, enable, --now, qemu-guest-agent]\ntimezone: Etc/UTC\n",
        guest.name
    )
}
