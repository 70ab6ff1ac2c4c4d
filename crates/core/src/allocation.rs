//! The CPU and memory allocated to a VM, for `join`. The Wukong's spec comes first, then what the guest has
//! now, then what KubeVirt would start the VM with.

use super::{
    dependencies::Dependencies,
    fix,
    inventory::Entry,
    observation::{InstancetypeFacts, InstancetypeRef, KeyRef, VmFacts},
    state::ClusterState,
    touched::Name,
};
use i18n::msg;
use model::{figure::Missing, quantity::Quantity, reason::Reason, source::SourceId};

const NANOCORES: u64 = 1_000_000_000;

/// CPU and memory allocated to one VM. `None` and empty if no object says it.
#[derive(Clone, Debug, Default)]
pub(super) struct Allocation<'a> {
    /// Nanocores.
    pub cpu: Option<u64>,
    /// Memory in bytes, and as the object writes it.
    pub memory: Option<u64>,
    pub memory_text: &'a str,
    /// Why the instance type does not give the allocation.
    pub gap: Option<Box<Missing>>,
}

impl ClusterState {
    pub(super) fn allocation<'a>(&'a self, entry: &Entry<'a>, dependencies: &Dependencies) -> Allocation<'a> {
        if let Some(wukong) = entry.wukong {
            return Allocation::new(wukong.cpu.filter(|cores| *cores > 0), &wukong.memory);
        }
        let (vcpus, memory) =
            entry.instance.map_or((None, ""), |instance| (instance.vcpus, instance.memory.as_str()));
        let Some(vm) = entry.vm.filter(|_| vcpus.is_none() || memory.is_empty()) else {
            return Allocation::new(vcpus, memory);
        };
        let either = |of: Option<u64>, text: &'a str| {
            Allocation::new(vcpus.or(of), if memory.is_empty() { text } else { memory })
        };
        match &vm.instancetype {
            None => either(vm.vcpus, &vm.memory),
            Some(named) => match self.instancetype(vm, named, dependencies) {
                Ok(found) => either(found.vcpus, &found.memory),
                Err(missing) => Allocation { gap: Some(Box::new(missing)), ..either(None, "") },
            },
        }
    }

    /// Returns the instance type of a VirtualMachine as the VM starts with it. KubeVirt starts the VM with
    /// the copy in its ControllerRevision, even if the object has changed since (pkg/instancetype/find of
    /// KubeVirt). ControllerRevisions are not read.
    fn instancetype(
        &self,
        vm: &VmFacts,
        named: &InstancetypeRef,
        dependencies: &Dependencies,
    ) -> Result<&InstancetypeFacts, Missing> {
        let (id, namespace, all) = match named.cluster {
            true => (SourceId::ClusterInstancetypes, "", &self.cluster_instancetypes),
            false => (SourceId::Instancetypes, vm.namespace.as_str(), &self.instancetypes),
        };
        let missing = |detail, fix| Missing { detail, fix, ..Missing::from(Reason::NoAllocation) };
        if named.name.is_empty() {
            let fix = fix::virtual_machine(&vm.namespace, &vm.name);
            return Err(missing(msg!(size.inferred), fix));
        }
        let (name, revision) = (named.name.as_str(), named.revision.as_str());
        dependencies.note(Name::Instancetype(namespace, name));
        let Some(found) = all.get(&KeyRef(namespace, name)) else {
            let status = self.source_status(id, &vm.namespace);
            return Err(match status.and_then(|status| status.error.as_ref()) {
                Some(error) => missing(
                    msg!(size.unreadable, name = name, why = error.detail.clone()),
                    fix::source(id, error.reason),
                ),
                None if status.is_none_or(|status| status.last_success.is_none()) => Reason::Starting.into(),
                None if !revision.is_empty() => {
                    let kept = msg!(size.kept, name = name, revision = revision);
                    missing(kept, fix::revision(&vm.namespace, revision))
                }
                None => missing(msg!(size.no_type, name = name), fix::instancetypes(id, namespace)),
            });
        };
        if !found.may_be_revision(revision) {
            let fix = fix::revision(&vm.namespace, revision);
            return Err(missing(msg!(size.earlier, name = name, revision = revision), fix));
        }
        Ok(found)
    }
}

impl<'a> Allocation<'a> {
    fn new(vcpus: Option<u64>, memory_text: &'a str) -> Self {
        let memory = Quantity::parse(memory_text).ok().map(Quantity::units).filter(|bytes| *bytes > 0);
        let cpu = vcpus.and_then(|vcpus| vcpus.checked_mul(NANOCORES));
        Self { cpu, memory, memory_text, gap: None }
    }
}
