//! KubeVirt's instance types: CPU and memory under a name. `allocation` reads them.

/// The instance type that a VirtualMachine names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstancetypeRef {
    /// Whether it is a `VirtualMachineClusterInstancetype`, rather than a `VirtualMachineInstancetype` of the
    /// VM's namespace.
    pub cluster: bool,
    /// Empty if KubeVirt has not inferred it from a volume yet, or if its kind is unknown.
    pub name: String,
    /// The ControllerRevision with the instance type as the VM starts with it; empty until KubeVirt creates
    /// one.
    pub revision: String,
}

/// An instance type of `instancetype.kubevirt.io`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstancetypeFacts {
    pub uid: String,
    /// Empty for a cluster-wide one.
    pub namespace: String,
    pub name: String,
    /// `metadata.generation`; `None` if it is not a number.
    pub generation: Option<u64>,
    /// `spec.cpu.guest`, and `spec.memory.guest` as written.
    pub vcpus: Option<u64>,
    pub memory: String,
}

impl InstancetypeFacts {
    /// Returns whether a ControllerRevision of this name may hold the instance type in its current state. The
    /// names that KubeVirt generates end with uid and generation (pkg/instancetype/revision/store.go,
    /// `GenerateName`).
    pub fn may_be_revision(&self, revision: &str) -> bool {
        let Some((rest, generation)) = revision.rsplit_once('-') else { return true };
        let (Ok(generation), Some(now)) = (generation.parse::<u64>(), self.generation) else { return true };
        let is_uid = |text: &str| text.len() == UID && text.bytes().filter(|byte| *byte == b'-').count() == 4;
        let uid = rest.len().checked_sub(UID).and_then(|at| rest.get(at..)).filter(|uid| is_uid(uid));
        uid.is_none_or(|uid| (uid, generation) == (&self.uid, now))
    }
}

/// Characters of a uid.
const UID: usize = 36;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_that_kubevirt_names_after_another_generation_is_another() {
        let uid = "7286dfe6-7c44-4057-a8f4-362cc1e7468c";
        let facts = InstancetypeFacts { uid: uid.into(), generation: Some(2), ..Default::default() };
        for (revision, want) in [
            (format!("web-u1.medium-v1beta1-{uid}-2"), true),
            (format!("web-u1.medium-v1beta1-{uid}-1"), false),
            (format!("web-u1.medium-{uid}-2"), true),
            ("web-u1.medium-v1beta1-00000000-7c44-4057-a8f4-362cc1e7468c-2".into(), false),
            // Not named by KubeVirt: the name says nothing.
            ("golden-2".into(), true),
            ("golden".into(), true),
            (String::new(), true),
        ] {
            assert_eq!(facts.may_be_revision(&revision), want, "{revision}");
        }
    }
}
