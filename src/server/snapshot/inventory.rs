//! Who is there: every Wukong, and every VirtualMachine that no Wukong owns; each with its KubeVirt objects.

use std::collections::{HashMap, HashSet};

use super::{
    facts::{InstanceFacts, Key, VmFacts, WukongFacts},
    pods::cut_prefix,
    world::World,
};
use crate::model::vm::{Kind, Status};

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
        match (self.wukong, self.vm) {
            (Some(wukong), _) => &wukong.namespace,
            (None, Some(vm)) => &vm.namespace,
            (None, None) => "",
        }
    }

    pub fn name(&self) -> &'a str {
        match (self.wukong, self.vm) {
            (Some(wukong), _) => &wukong.name,
            (None, Some(vm)) => &vm.name,
            (None, None) => "",
        }
    }

    /// KubeVirt's word where it can be read, else the Wukong's phase.
    pub fn status(&self) -> Status {
        let said = self.vm.and_then(|vm| from_kubevirt(&vm.printable_status));
        said.unwrap_or_else(|| self.wukong.map_or(Status::Unknown, |wukong| from_phase(&wukong.phase)))
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
        entries
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
        let named = self.vms.get(&Key::new(&wukong.namespace, &wukong.vm_name)).map(Box::as_ref);
        let vm = named.or_else(|| match by_owner.get(wukong.uid.as_str()).map(Vec::as_slice) {
            Some([vm]) if wukong.vm_name.is_empty() => Some(*vm),
            _ => None,
        });
        let vm_name = if wukong.vm_name.is_empty() { vm.map_or("", |vm| &vm.name) } else { &wukong.vm_name };
        let instance = self.instances.get(&Key::new(&wukong.namespace, vm_name)).map(Box::as_ref);
        Entry { kind: Kind::Wukong, wukong: Some(wukong), vm, instance, vm_name }
    }

    fn of_vm<'a>(&'a self, vm: &'a VmFacts) -> Entry<'a> {
        let instance = self.instances.get(&Key::new(&vm.namespace, &vm.name)).map(Box::as_ref);
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
