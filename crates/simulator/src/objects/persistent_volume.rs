//! Writes the PersistentVolume behind a disk's claim.

use std::sync::LazyLock;

use super::{
    Part,
    guest::{fill, sample},
    managed::{Manager, complete},
    template::{Quoted, Template, put},
};
use crate::{
    guest::Guest,
    hardware::{Backend, Disk, DiskMode, POOL},
    resource::Resource,
};

pub fn render(out: &mut String, guest: &Guest, disk: &Disk, revision: u64) {
    write(&TEMPLATE, out, guest, disk, revision);
}

/// The provisioner of the disk's volume.
pub fn driver(disk: &Disk) -> &'static str {
    match (disk.mode, disk.backend) {
        (DiskMode::Shared(_), _) => "nfs.csi.k8s.io",
        (_, backend) if backend.is_rbd() => "rook-ceph.rbd.csi.ceph.com",
        (_, Backend::HostPathCsi(_)) => "kubevirt.io.hostpath-provisioner",
        (_, Backend::LocalPath(_)) => "rancher.io/local-path",
        (_, Backend::Longhorn) => "driver.longhorn.io",
        (_, Backend::HostPath) => "kubevirt.io/hostpath-provisioner",
        _ => "csi.san.example.com",
    }
}

static TEMPLATE: LazyLock<Template> = LazyLock::new(|| {
    let managers = [
        Manager { name: "csi-provisioner", subresource: "", fields: &["metadata", "spec"] },
        Manager { name: "kube-controller-manager", subresource: "status", fields: &["status"] },
    ];
    let source = include_str!("templates/persistent_volume.json");
    complete(source, Resource::PersistentVolumes, &managers, |template, out| {
        let guest = sample();
        write(template, out, &guest, &guest.disks[0], 1);
    })
});

fn write(template: &Template, out: &mut String, guest: &Guest, disk: &Disk, revision: u64) {
    template.render(out, |out, place| match place {
        "volume" => out.push_str(&guest.volume_name(disk)),
        "volumeUid" => out.push_str(&guest.uid(&format!("persistent-volume-{}", disk.claim))),
        "claim" => put!(out, "{}", Quoted(&disk.claim)),
        "claimUid" => out.push_str(&guest.uid(&format!("claim-{}", disk.claim))),
        "size" => put!(out, "{}", Quoted(&disk.size)),
        "storageClass" => put!(out, "{}", Quoted(&disk.storage_class)),
        "provisioner" => out.push_str(driver(disk)),
        "volumeMode" => out.push_str(if disk.is_block() { "Block" } else { "Filesystem" }),
        "source" => source(out, guest, disk),
        other => fill(out, other, Part::PersistentVolume(0), guest, revision),
    });
}

fn source(out: &mut String, guest: &Guest, disk: &Disk) {
    let driver = driver(disk);
    if disk.backend == Backend::HostPath {
        let path = format!("/var/hpvolumes/{}", guest.volume_name(disk));
        put!(out, r#""hostPath":{{"path":{},"type":"DirectoryOrCreate"}},"#, Quoted(&path));
        return;
    }
    if let Backend::LocalPath(_) = disk.backend {
        let path = format!("/opt/local-path-provisioner/{}", guest.volume_name(disk));
        put!(out, r#""local":{{"path":{}}},"#, Quoted(&path));
        return;
    }
    put!(out, r#""csi":{{"driver":"{driver}","fsType":"ext4","volumeHandle":"#);
    let volume = guest.volume_name(disk);
    match (disk.mode, disk.backend) {
        (DiskMode::Shared(_), _) => put!(
            out,
            r#""filer.example.com#export#{volume}##","volumeAttributes":{{"server":"filer.example.com","share":"/export","subdir":"{volume}"}}"#
        ),
        (_, Backend::Rbd { fast_diff }) => rbd(out, guest, disk, fast_diff),
        (_, Backend::MirroredRbd) => rbd(out, guest, disk, true),
        (_, Backend::StaticRbd) => put!(
            out,
            r#""{}","volumeAttributes":{{"clusterID":"rook-ceph","imageFeatures":"layering","pool":"{POOL}","staticVolume":"true"}}"#,
            guest.image_name(disk)
        ),
        (_, Backend::Longhorn) => put!(
            out,
            r#""{volume}","volumeAttributes":{{"dataLocality":"disabled","fromBackup":"","fsType":"ext4","migratable":"true","numberOfReplicas":"3","staleReplicaTimeout":"30","storage.kubernetes.io/csiProvisionerIdentity":"1754035200000-8081-{driver}"}}"#
        ),
        _ => put!(
            out,
            r#""{volume}","volumeAttributes":{{"array":"san-01","protocol":"iscsi","storage.kubernetes.io/csiProvisionerIdentity":"1754035200000-8081-{driver}"}}"#
        ),
    }
    out.push_str("},");
}

fn rbd(out: &mut String, guest: &Guest, disk: &Disk, fast_diff: bool) {
    let image = guest.image_name(disk);
    let uid = image.trim_start_matches("csi-vol-");
    let features = if fast_diff { "layering,exclusive-lock,object-map,fast-diff" } else { "layering" };
    put!(
        out,
        r#""0001-0009-rook-ceph-0000000000000002-{uid}","controllerExpandSecretRef":{{"name":"rook-csi-rbd-provisioner","namespace":"rook-ceph"}},"nodeStageSecretRef":{{"name":"rook-csi-rbd-node","namespace":"rook-ceph"}},"volumeAttributes":{{"clusterID":"rook-ceph","imageFeatures":"{features}","imageFormat":"2","imageName":"{image}","journalPool":"{POOL}","pool":"{POOL}","storage.kubernetes.io/csiProvisionerIdentity":"1754035200000-8081-rook-ceph.rbd.csi.ceph.com"}}"#
    );
}
