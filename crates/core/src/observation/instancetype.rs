//! KubeVirt's instance types: CPU and memory by name.

/// The instance type that a VirtualMachine names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstancetypeRef {
    /// A `VirtualMachineClusterInstancetype`; else a `VirtualMachineInstancetype` of the VM's namespace.
    pub cluster: bool,
    /// Empty while KubeVirt has not inferred it from a volume yet, or where its kind is unknown.
    pub name: String,
    /// The ControllerRevision that holds the instance type as the VM starts with it; empty before KubeVirt made one.
    pub revision: String,
}

/// `instancetype.kubevirt.io`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstancetypeFacts {
    pub uid: String,
    /// Empty for one of the whole cluster.
    pub namespace: String,
    pub name: String,
    /// `metadata.generation`; none where it is no number.
    pub generation: Option<u64>,
    /// `spec.cpu.guest` and, as written, `spec.memory.guest`.
    pub vcpus: Option<u64>,
    pub memory: String,
}

impl InstancetypeFacts {
    /// Whether a ControllerRevision of this name may hold the instance type as it is now. KubeVirt ends the names of those
    /// that it makes with uid and generation (pkg/instancetype/revision/store.go, `GenerateName`).
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
            // Named by somebody else: its name says nothing.
            ("golden-2".into(), true),
            ("golden".into(), true),
            (String::new(), true),
        ] {
            assert_eq!(facts.may_be_revision(&revision), want, "{revision}");
        }
    }
}
