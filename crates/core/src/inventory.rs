//! Lists every VM once, for `join`: every Wukong, every VirtualMachine that no Wukong shows, and every
//! instance that stands alone, each with its KubeVirt objects. The writer of an object chooses its owner
//! references, so they never hide a VM.

use std::sync::Arc;

use super::{
    dependencies::Dependencies,
    observation::{InstanceFacts, Key, KeyRef, Migration, Pause, VmFacts, WukongFacts},
    state::ClusterState,
    status::is_fault,
    touched::{Name, RowKey},
    usage::is_new,
};
use i18n::msg;
use model::{message::Message, source::SourceId, vm::Kind};

/// One VM before it is joined with its figures.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    pub kind: Kind,
    pub wukong: Option<&'a WukongFacts>,
    pub vm: Option<&'a VmFacts>,
    pub instance: Option<&'a InstanceFacts>,
    /// The VirtualMachine's name; empty if no object gives it, or if another entry shows that VirtualMachine.
    pub vm_name: &'a str,
    pub conflict: Option<Conflict<'a>>,
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

    /// The sort key: name, namespace, uid, kind.
    pub fn order(&self) -> (&'a str, &'a str, &'a str, Kind) {
        (self.name(), self.namespace(), self.uid(), self.kind)
    }

    pub fn uid(&self) -> &'a str {
        match (self.wukong, self.vm, self.instance) {
            (Some(wukong), _, _) => &wukong.uid,
            (None, Some(vm), _) => &vm.uid,
            (None, None, Some(instance)) => &instance.uid,
            (None, None, None) => "",
        }
    }

    /// Returns the contradiction as a message.
    pub fn conflict(&self) -> Option<Box<Message>> {
        let claimed = self.vm.map_or("", |vm| &vm.owner_name);
        let namespace = self.namespace();
        Some(Box::new(match self.conflict? {
            Conflict::Shared(other) => {
                msg!(owner.shared, vm = other.vm_name.as_str(), wukong = other.name.as_str())
            }
            Conflict::NamesOther => msg!(owner.names_other, vm = self.vm_name, wukong = claimed),
            Conflict::NoSuchOwner => msg!(owner.unknown, wukong = claimed, namespace = namespace),
            Conflict::OtherVm(owner) => {
                msg!(owner.other_vm, wukong = owner.name.as_str(), vm = owner.vm_name.as_str())
            }
            Conflict::SeveralVms(owner) => msg!(owner.several, wukong = owner.name.as_str()),
        }))
    }

    /// Whether another Wukong shows the VM that this one names.
    pub fn is_shown_elsewhere(&self) -> bool {
        matches!(self.conflict, Some(Conflict::Shared(_)))
    }

    /// Returns the migration that is under way: it has begun and not ended.
    pub fn migration(&self) -> Option<&'a Migration> {
        let under_way = |migration: &&Migration| !migration.completed && !migration.failed;
        self.instance.and_then(|instance| instance.migration.as_deref()).filter(under_way)
    }

    /// Returns the condition `Paused` of the instance, or the VirtualMachine's copy of it.
    pub fn pause(&self) -> Option<&'a Pause> {
        match (self.instance, self.vm) {
            (Some(instance), _) => instance.pause.as_deref(),
            (None, Some(vm)) => vm.pause.as_deref(),
            (None, None) => None,
        }
    }

    /// Returns [`Self::pause`] if a fault is the cause.
    pub fn fault(&self) -> Option<&'a Pause> {
        self.pause().filter(|pause| is_fault(pause, self.migration().is_some()))
    }
}

impl ClusterState {
    /// Returns the keys of all objects that may have a row.
    pub(super) fn row_keys(&self) -> Vec<RowKey> {
        let wukongs = self.wukongs.keys().map(|key| (Kind::Wukong, key.clone()));
        let vms = self.vms.keys().map(|key| (Kind::VirtualMachine, key.clone()));
        let instances = self.instances.keys().map(|key| (Kind::VirtualMachineInstance, key.clone()));
        wukongs.chain(vms).chain(instances).collect()
    }

    pub(super) fn has_object(&self, (kind, key): &RowKey) -> bool {
        match kind {
            Kind::Wukong => self.wukongs.contains_key(key),
            Kind::VirtualMachine => self.vms.contains_key(key),
            Kind::VirtualMachineInstance => self.instances.contains_key(key),
        }
    }

    /// Returns the VM that the row of this object shows; `None` if another row shows it, or if the object does
    /// not exist. Each VM is shown once, whatever owner references and `status.vmName` say. A VirtualMachine is
    /// shown by the Wukong whose `status.vmName` names it; if there are several, by the one that the
    /// VirtualMachine names as its owner, else by the oldest. A VirtualMachine that no Wukong names is shown by
    /// the Wukong that it names as its owner, if that Wukong has no `status.vmName` and no other VirtualMachine
    /// names it; otherwise by itself.
    pub(super) fn entry(&self, (kind, key): &RowKey, dependencies: &Dependencies) -> Option<Entry<'_>> {
        match kind {
            Kind::Wukong => {
                dependencies.note(Name::Wukong(&key.namespace, &key.name));
                self.wukongs.get(key).map(|wukong| self.of_wukong(wukong, dependencies))
            }
            Kind::VirtualMachine => {
                dependencies.note(Name::vm(key));
                let vm = self.vms.get(key)?;
                (!self.is_shown_by_wukong(key, dependencies)).then(|| self.of_vm(vm, dependencies))
            }
            Kind::VirtualMachineInstance => {
                dependencies.note(Name::vm(key));
                let instance = self.instances.get(key)?;
                self.is_alone(key, instance, dependencies).then(|| Entry {
                    kind: Kind::VirtualMachineInstance,
                    wukong: None,
                    vm: None,
                    instance: Some(instance),
                    vm_name: &instance.name,
                    conflict: None,
                })
            }
        }
    }

    /// Whether a Wukong shows the VM of this name.
    fn is_shown_by_wukong(&self, key: &Key, dependencies: &Dependencies) -> bool {
        let is_only_vm = |vm: &VmFacts| {
            let owner = self.wukong_of(vm, dependencies);
            let only = owner.and_then(|owner| self.only_vm_of(owner, dependencies));
            only.is_some_and(|only| *only.name == *key.name)
        };
        self.shown_by(&key.namespace, &key.name, dependencies).is_some()
            || self.vms.get(key).is_some_and(|vm| is_only_vm(vm))
    }

    /// Whether no VirtualMachine controls an instance; if VirtualMachines cannot be read, whether no Wukong
    /// names it.
    fn is_alone(&self, key: &Key, instance: &InstanceFacts, dependencies: &Dependencies) -> bool {
        // The VirtualMachine is not listed yet, or was deleted a moment ago. KubeVirt gives both the same name,
        // so a known VirtualMachine of another name does not control the instance, whatever its owner reference
        // says.
        let is_awaited = || {
            !instance.owner_vm.is_empty()
                && self.listed(SourceId::VirtualMachines, &key.namespace)
                && !self.has_vm(&instance.owner_vm, dependencies)
                && is_new(instance.created, dependencies)
        };
        !self.vms.contains_key(key) && !self.is_shown_by_wukong(key, dependencies) && !is_awaited()
    }

    fn has_vm(&self, uid: &str, dependencies: &Dependencies) -> bool {
        let name = Name::Uid(uid);
        dependencies.note(name);
        self.vms.named(name).iter().any(|vm| vm.uid == uid)
    }

    fn of_wukong<'a>(&'a self, wukong: &'a WukongFacts, dependencies: &Dependencies) -> Entry<'a> {
        let none = Entry {
            kind: Kind::Wukong,
            wukong: Some(wukong),
            vm: None,
            instance: None,
            vm_name: "",
            conflict: None,
        };
        let (namespace, vm_name) = (wukong.namespace.as_str(), wukong.vm_name.as_str());
        let shown_by = self.shown_by(namespace, vm_name, dependencies);
        if let Some(shown_by) = shown_by.filter(|first| first.name != wukong.name) {
            return Entry { conflict: Some(Conflict::Shared(shown_by)), ..none };
        }
        let named = self.vms.get(&KeyRef(namespace, vm_name)).map(AsRef::as_ref);
        let vm = named.or_else(|| self.only_vm_of(wukong, dependencies));
        let vm_name = if vm_name.is_empty() { vm.map_or("", |vm| &vm.name) } else { vm_name };
        dependencies.note(Name::Vm(namespace, vm_name));
        let instance = self.instances.get(&KeyRef(namespace, vm_name)).map(AsRef::as_ref);
        let other = vm.filter(|vm| !vm.owner_wukong.is_empty() && vm.owner_wukong != wukong.uid);
        Entry { vm, instance, vm_name, conflict: other.map(|_| Conflict::NamesOther), ..none }
    }

    fn of_vm<'a>(&'a self, vm: &'a VmFacts, dependencies: &Dependencies) -> Entry<'a> {
        let instance = self.instances.get(&KeyRef(&vm.namespace, &vm.name)).map(AsRef::as_ref);
        let conflict = self.conflict_of(vm, dependencies);
        Entry {
            kind: Kind::VirtualMachine,
            wukong: None,
            vm: Some(vm),
            instance,
            vm_name: &vm.name,
            conflict,
        }
    }

    /// Returns why the Wukong that a VirtualMachine names as its owner does not show it. `None` if Wukongs
    /// were not read.
    fn conflict_of(&self, vm: &VmFacts, dependencies: &Dependencies) -> Option<Conflict<'_>> {
        if vm.owner_wukong.is_empty() || !self.listed(SourceId::Wukongs, &vm.namespace) {
            return None;
        }
        Some(match self.wukong_of(vm, dependencies) {
            // The owner may be among the Wukongs that were left out.
            None if self.omits(SourceId::Wukongs, &vm.namespace) => return None,
            None => Conflict::NoSuchOwner,
            Some(owner) if owner.vm_name.is_empty() => Conflict::SeveralVms(owner),
            Some(owner) => Conflict::OtherVm(owner),
        })
    }

    /// Returns the Wukong that shows the VM of this name, of those that name it: the owner of its VirtualMachine,
    /// else the oldest.
    fn shown_by(&self, namespace: &str, vm_name: &str, dependencies: &Dependencies) -> Option<&WukongFacts> {
        if vm_name.is_empty() {
            return None;
        }
        let name = Name::Vm(namespace, vm_name);
        dependencies.note(name);
        let names_it =
            |wukong: &&Arc<WukongFacts>| wukong.namespace == namespace && wukong.vm_name == vm_name;
        let owner = self.vms.get(&KeyRef(namespace, vm_name)).map_or("", |vm| &vm.owner_wukong);
        let mut owners = self.wukongs.named(Name::Uid(owner)).iter().filter(|wukong| wukong.uid == owner);
        let first = || self.wukongs.named(name).iter().find(names_it);
        owners.find(names_it).or_else(first).map(AsRef::as_ref)
    }

    /// Returns the Wukong that a VirtualMachine names as its owner. An owner is in the same namespace, as
    /// Kubernetes requires.
    fn wukong_of(&self, vm: &VmFacts, dependencies: &Dependencies) -> Option<&WukongFacts> {
        let name = Name::Uid(&vm.owner_wukong);
        dependencies.note(name);
        let is_owner =
            |wukong: &&Arc<WukongFacts>| wukong.namespace == vm.namespace && wukong.uid == vm.owner_wukong;
        self.wukongs.named(name).iter().find(is_owner).map(AsRef::as_ref)
    }

    /// Returns the VirtualMachine of a Wukong whose `status.vmName` is empty, if exactly one that no Wukong
    /// names has this owner.
    fn only_vm_of(&self, wukong: &WukongFacts, dependencies: &Dependencies) -> Option<&VmFacts> {
        if !wukong.vm_name.is_empty() || wukong.uid.is_empty() {
            return None;
        }
        let name = Name::Uid(&wukong.uid);
        dependencies.note(name);
        let is_of = |vm: &&Arc<VmFacts>| {
            (&vm.namespace, &vm.owner_wukong) == (&wukong.namespace, &wukong.uid)
                && self.shown_by(&vm.namespace, &vm.name, dependencies).is_none()
        };
        let mut vms = self.vms.named(name).iter().filter(is_of);
        let only = vms.next().filter(|_| vms.next().is_none())?;
        let is_owner = self.wukong_of(only, dependencies)?.name == wukong.name;
        is_owner.then_some(only)
    }
}

/// A contradiction between objects about which of them shows a VM.
#[derive(Clone, Copy)]
pub(super) enum Conflict<'a> {
    /// On a Wukong: `status.vmName` names a VM that this other Wukong shows.
    Shared(&'a WukongFacts),
    /// On a Wukong: its VirtualMachine names another owner.
    NamesOther,
    /// On a VirtualMachine: the Wukong that it names as its owner does not exist in its namespace.
    NoSuchOwner,
    /// On a VirtualMachine: the Wukong that it names as its owner names another VirtualMachine.
    OtherVm(&'a WukongFacts),
    /// On a VirtualMachine: the Wukong that it names as its owner names none, and several VirtualMachines
    /// name that Wukong.
    SeveralVms(&'a WukongFacts),
}
