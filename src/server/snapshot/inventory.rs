//! Who is there: every Wukong, every VirtualMachine that no Wukong owns, and every instance that stands alone; each
//! with its KubeVirt objects.

use hashbrown::{HashMap, HashSet};

use super::{
    facts::{At, InstanceFacts, VmFacts, WukongFacts},
    pods::cut_prefix,
    world::World,
};
use crate::model::{
    source::SourceId,
    vm::{Kind, Status},
};

/// One VM before it is joined with its figures.
pub(super) struct Entry<'a> {
    pub kind: Kind,
    pub wukong: Option<&'a WukongFacts>,
    pub vm: Option<&'a VmFacts>,
    pub instance: Option<&'a InstanceFacts>,
    /// The VirtualMachine's name; empty where nothing tells it.
    pub vm_name: &'a str,
}

impl<'a> Entry<'a> {
    pub fn namespace(&self) -> &'a str {
        self.key().0
    }

    pub fn name(&self) -> &'a str {
        self.key().1
    }

    fn key(&self) -> (&'a str, &'a str) {
        match (self.wukong, self.vm, self.instance) {
            (Some(wukong), _, _) => (&wukong.namespace, &wukong.name),
            (None, Some(vm), _) => (&vm.namespace, &vm.name),
            (None, None, Some(instance)) => (&instance.namespace, &instance.name),
            (None, None, None) => ("", ""),
        }
    }

    /// As people and lists sort them.
    pub fn order(&self) -> (&'a str, &'a str, &'a str) {
        (self.name(), self.namespace(), self.uid())
    }

    pub fn uid(&self) -> &'a str {
        match (self.wukong, self.vm, self.instance) {
            (Some(wukong), _, _) => &wukong.uid,
            (None, Some(vm), _) => &vm.uid,
            (None, None, Some(instance)) => &instance.uid,
            (None, None, None) => "",
        }
    }

    /// KubeVirt's word where it can be read, else the Wukong's phase.
    pub fn status(&self) -> Status {
        let said = self.vm.and_then(|vm| from_kubevirt(&vm.printable_status));
        said.unwrap_or_else(|| match (self.wukong, self.instance) {
            (Some(wukong), _) => from_phase(&wukong.phase),
            (None, Some(instance)) => from_instance(&instance.phase),
            (None, None) => Status::Unknown,
        })
    }
}

/// `VirtualMachine.status.printableStatus`. None where it says nothing.
fn from_kubevirt(printable: &str) -> Option<Status> {
    Some(match printable {
        // A paused or migrating guest is in memory: it is measured.
        "Running" | "Migrating" | "Paused" => Status::Running,
        "Stopped" | "Stopping" | "Terminating" => Status::Stopped,
        "Provisioning" | "WaitingForVolumeBinding" | "WaitingForReceiver" => Status::Pending,
        "Starting" => Status::Creating,
        "" | "Unknown" => return None,
        // CrashLoopBackOff, ErrorUnschedulable, ErrImagePull, ImagePullBackOff, ErrorPvcNotFound, DataVolumeError …
        _ => Status::Error,
    })
}

/// `VirtualMachineInstance.status.phase`.
fn from_instance(phase: &str) -> Status {
    match phase {
        "Running" => Status::Running,
        "Pending" => Status::Pending,
        "Scheduling" | "Scheduled" | "WaitingForSync" => Status::Creating,
        "Succeeded" => Status::Stopped,
        "Failed" => Status::Error,
        _ => Status::Unknown,
    }
}

/// `Wukong.status.phase`, older operators' words included.
fn from_phase(phase: &str) -> Status {
    match phase {
        "Running" => Status::Running,
        "Creating" => Status::Creating,
        "Pending" | "Scheduling" => Status::Pending,
        "Stopped" => Status::Stopped,
        "Error" | "Failed" => Status::Error,
        _ => Status::Unknown,
    }
}

impl World {
    pub(super) fn inventory(&self) -> Vec<Entry<'_>> {
        let by_owner = self.by_owner();
        let mut entries: Vec<Entry> =
            self.wukongs.values().map(|wukong| self.of_wukong(wukong, &by_owner)).collect();
        let taken: HashSet<(&str, &str)> =
            entries.iter().map(|entry| (entry.namespace(), entry.vm_name)).collect();
        let owners: HashSet<&str> = self.wukongs.values().map(|wukong| wukong.uid.as_str()).collect();
        let free = self.vms.values().filter(|vm| {
            !taken.contains(&(vm.namespace.as_str(), vm.name.as_str()))
                && !owners.contains(vm.owner_wukong.as_str())
        });
        entries.extend(free.map(|vm| self.of_vm(vm)));
        entries.extend(self.alone(&taken));
        entries
    }

    /// Instances that no VirtualMachine controls; all that no Wukong names where VirtualMachines cannot be read.
    fn alone<'a>(&'a self, taken: &HashSet<(&str, &str)>) -> Vec<Entry<'a>> {
        let free = |instance: &&InstanceFacts| {
            let key = (instance.namespace.as_str(), instance.name.as_str());
            let controlled = !instance.owner_vm.is_empty() && self.listed(SourceId::VirtualMachines, key.0);
            let known = self.vms.contains_key(&At(key.0, key.1));
            !controlled && !known && !taken.contains(&key)
        };
        let instances = self.instances.values().map(|instance| &**instance).filter(free);
        let entry = |instance: &'a InstanceFacts| Entry {
            kind: Kind::VirtualMachineInstance,
            wukong: None,
            vm: None,
            instance: Some(instance),
            vm_name: &instance.name,
        };
        instances.map(entry).collect()
    }

    fn by_owner(&self) -> HashMap<&str, Vec<&VmFacts>> {
        let mut by_owner: HashMap<&str, Vec<&VmFacts>> = HashMap::new();
        for vm in self.vms.values().filter(|vm| !vm.owner_wukong.is_empty()) {
            by_owner.entry(&vm.owner_wukong).or_default().push(vm);
        }
        by_owner
    }

    fn of_wukong<'a>(
        &'a self,
        wukong: &'a WukongFacts,
        by_owner: &HashMap<&str, Vec<&'a VmFacts>>,
    ) -> Entry<'a> {
        let named = self.vms.get(&At(&wukong.namespace, &wukong.vm_name)).map(Box::as_ref);
        let vm = named.or_else(|| match by_owner.get(wukong.uid.as_str()).map(Vec::as_slice) {
            Some([vm]) if wukong.vm_name.is_empty() => Some(*vm),
            _ => None,
        });
        let vm_name = if wukong.vm_name.is_empty() { vm.map_or("", |vm| &vm.name) } else { &wukong.vm_name };
        let instance = self.instances.get(&At(&wukong.namespace, vm_name)).map(Box::as_ref);
        Entry { kind: Kind::Wukong, wukong: Some(wukong), vm, instance, vm_name }
    }

    fn of_vm<'a>(&'a self, vm: &'a VmFacts) -> Entry<'a> {
        let instance = self.instances.get(&At(&vm.namespace, &vm.name)).map(Box::as_ref);
        Entry { kind: Kind::VirtualMachine, wukong: None, vm: Some(vm), instance, vm_name: &vm.name }
    }
}

/// Cut pod name prefixes that more than one VM of a namespace would give its pods.
pub(super) struct SharedPrefixes<'a> {
    counts: HashMap<(&'a str, String), u32>,
}

impl<'a> SharedPrefixes<'a> {
    pub fn of(entries: &[Entry<'a>]) -> Self {
        let mut counts = HashMap::new();
        for entry in entries.iter().filter(|entry| !entry.vm_name.is_empty()) {
            *counts.entry((entry.namespace(), cut_prefix(entry.vm_name))).or_insert(0) += 1;
        }
        Self { counts }
    }

    pub fn contains(&self, namespace: &str, prefix: &str) -> bool {
        self.counts.get(&(namespace, prefix.to_owned())).is_some_and(|count| *count > 1)
    }
}
