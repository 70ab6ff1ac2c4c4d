//! Names and uids of the guest's objects, derived from the record.

use super::Guest;
use crate::{
    hardware::{Backend, Disk},
    rng,
};

impl Guest {
    /// The uid of one of the guest's objects, named by `what`.
    pub fn uid(&self, what: &str) -> String {
        rng::uid(self.seed, &[what, &self.namespace, &self.name])
    }

    /// The uid of the current VirtualMachineInstance.
    pub fn instance_uid(&self) -> String {
        self.instance_uid_of(self.incarnation)
    }

    /// The uid of the VirtualMachineInstance of one start.
    pub fn instance_uid_of(&self, incarnation: u32) -> String {
        self.uid(&format!("instance-{incarnation}"))
    }

    /// The name of a disk's PersistentVolume and of its Longhorn volume.
    pub fn volume_name(&self, disk: &Disk) -> String {
        format!("pvc-{}", self.uid(&format!("claim-{}", disk.claim)))
    }

    /// The name of a disk's RBD image: as ceph-csi names it, or as a person would for a static volume.
    pub fn image_name(&self, disk: &Disk) -> String {
        if disk.backend == Backend::StaticRbd {
            return format!("{}-{}", self.namespace, disk.claim);
        }
        format!("csi-vol-{}", self.uid(&format!("image-{}", disk.claim)))
    }

    pub fn pod_uid(&self, serial: u32) -> String {
        self.uid(&format!("launcher-{serial}"))
    }

    /// The name of a launcher pod. Kubernetes cuts `generateName` to 58 characters before it adds five more.
    pub fn pod_name(&self, serial: u32) -> String {
        let mut name = format!("virt-launcher-{}-", self.vm_name);
        name.truncate(58);
        name + &rng::suffix(self.seed, &["pod", &self.vm_name, &serial.to_string()])
    }

    /// The uid of the migration to the launcher with this serial number.
    pub fn migration_uid(&self, target: u32) -> String {
        self.uid(&format!("migration-{target}"))
    }

    /// The name of a migration's object: KubeVirt makes one to empty a node.
    pub fn migration_name(&self, target: u32) -> String {
        let what = ["migration", &self.namespace, &self.vm_name, &target.to_string()];
        format!("kubevirt-evacuation-{}", rng::suffix(self.seed, &what))
    }

    /// The name of the pod that holds a hotplugged disk on the guest's node.
    pub fn attachment_name(&self, disk: &Disk) -> String {
        format!(
            "hp-volume-{}",
            rng::suffix(self.seed, &["attachment", &disk.claim, &self.incarnation.to_string()])
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_as_generate_name_does() {
        let guest = Guest::new("data", &"x".repeat(60)).running_on("n", 0);
        assert_eq!((guest.vm_name.len(), guest.pod_name(0).len()), (63, 63));
        assert!(guest.pod_name(0).starts_with(&format!("virt-launcher-{}", "x".repeat(44))));
    }
}
