//! How the volumes of a provisioner lie on their file systems, by its name. The lists are open: a name that is on none is judged by its figures.

use wukong_core::observation::Provisioner;

/// Volumes are directories of a file system that many share: its kubelet reports the whole of that.
const DIRECTORIES: [&str; 11] = [
    // cmd/provisioner and pkg/hostpath of kubevirt/hostpath-provisioner: the size of a claim is that of the pool.
    "kubevirt.io/hostpath-provisioner",
    "kubevirt.io.hostpath-provisioner",
    "hostpath.csi.kubevirt.io",
    // provisioner.go of rancher/local-path-provisioner: PersistentVolumes of `hostPath` or `local`.
    "rancher.io/local-path",
    "hostpath.csi.k8s.io",
    "k8s.io/minikube-hostpath",
    "microk8s.io/hostpath",
    "docker.io/hostpath",
    "openebs.io/local",
    "nfs.csi.k8s.io",
    "smb.csi.k8s.io",
];
/// Likewise, wherever it stands in the name: of the first the cluster's people choose the beginning.
const DIRECTORY_NAMES: [&str; 2] = ["nfs-subdir-external-provisioner", "efs.csi.aws.com"];

/// Each volume is a device.
const DEVICES: [&str; 14] = [
    "driver.longhorn.io",
    "ebs.csi.aws.com",
    "pd.csi.storage.gke.io",
    "disk.csi.azure.com",
    "cinder.csi.openstack.org",
    "csi.vsphere.vmware.com",
    "topolvm.io",
    "topolvm.cybozu.com",
    "local.csi.openebs.io",
    "zfs.csi.openebs.io",
    "linstor.csi.linbit.com",
    "csi.hetzner.cloud",
    "dobs.csi.digitalocean.com",
    "kubernetes.io/rbd",
];
/// Of ceph-csi, whose operator's namespace comes first.
const RBD_DRIVER: &str = "rbd.csi.ceph.com";

pub fn classify(name: &str) -> Provisioner {
    match name {
        // The control plane's own word for volumes that people make.
        "" | "kubernetes.io/no-provisioner" => Provisioner::Unknown,
        name if DEVICES.contains(&name) || name.ends_with(RBD_DRIVER) => Provisioner::Device,
        name if DIRECTORIES.contains(&name) => Provisioner::Directory,
        name if DIRECTORY_NAMES.iter().any(|part| name.contains(part)) => Provisioner::Directory,
        _ => Provisioner::Unlisted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_how_volumes_lie() {
        for (name, want) in [
            ("rancher.io/local-path", Provisioner::Directory),
            ("kubevirt.io.hostpath-provisioner", Provisioner::Directory),
            ("k8s-sigs.io/nfs-subdir-external-provisioner", Provisioner::Directory),
            ("cluster.local/nfs-subdir-external-provisioner-2", Provisioner::Directory),
            ("rook-ceph.rbd.csi.ceph.com", Provisioner::Device),
            ("rook-ceph.cephfs.csi.ceph.com", Provisioner::Unlisted),
            ("driver.longhorn.io", Provisioner::Device),
            ("csi.example.com", Provisioner::Unlisted),
            ("kubernetes.io/no-provisioner", Provisioner::Unknown),
            ("", Provisioner::Unknown),
        ] {
            assert_eq!(classify(name), want, "{name}");
        }
    }
}
