//! Classifies provisioners by name: whether their volumes are devices or directories of a shared file system.
//! The lists are open: volumes of a provisioner on neither list are judged by their figures.

use wukong_core::observation::Provisioner;

/// Volumes are directories of a shared file system, so the kubelet reports the figures of the whole file
/// system.
const DIRECTORIES: [&str; 11] = [
    // cmd/provisioner and pkg/hostpath of kubevirt/hostpath-provisioner: the size of a claim is that of the
    // pool.
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
/// The same, for names that only contain this text: the beginning of the first is chosen by the cluster's
/// administrators.
const DIRECTORY_NAMES: [&str; 2] = ["nfs-subdir-external-provisioner", "efs.csi.aws.com"];

/// Each volume is a block device.
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
/// The end of ceph-csi's name, which its operator prefixes with a namespace.
const RBD_DRIVER: &str = "rbd.csi.ceph.com";

/// Classifies a provisioner by its name: `Unknown` without a name, `Unlisted` if it is on no list.
pub fn classify(name: &str) -> Provisioner {
    match name {
        // The name in the control plane for volumes that people create.
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
