//! Lists every VM once, for `join`: every Wukong, every VirtualMachine that no Wukong shows, and every
//! instance that stands alone, each with its KubeVirt objects. The writer of an object chooses its owner
//! references, so they never hide a VM.

use std::cell::LazyCell;

use hashbrown::{HashMap, HashSet};

use super::{
    observation::{At, InstanceFacts, Migration, Pause, VmFacts, WukongFacts},
    pods::cut_prefix,
    state::ClusterState,
    status::is_fault,
    usage::is_new,
};
use i18n::msg;
use model::{Millis, message::Message, source::SourceId, vm::Kind};

/// One VM before it is joined with its figures.
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

    /// The sort key: name, namespace, uid.
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
    /// Returns each VM once, whatever owner references and `status.vmName` say. A VirtualMachine is shown by
    /// the Wukong whose `status.vmName` names it; if there are several, by the one that the VirtualMachine
    /// names as its owner, else by the oldest. A VirtualMachine that no Wukong names is shown by the Wukong
    /// that it names as its owner, if that Wukong has no `status.vmName` and no other VirtualMachine names
    /// it; otherwise by itself.
    pub(super) fn inventory(&self, now: Millis) -> Vec<Entry<'_>> {
        let owners = Owners::of(self);
        let mut entries: Vec<Entry> =
            self.wukongs.values().map(|wukong| self.of_wukong(wukong, &owners)).collect();
        let taken: HashSet<(&str, &str)> = entries
            .iter()
            .filter(|entry| !entry.vm_name.is_empty())
            .map(|entry| (entry.namespace(), entry.vm_name))
            .collect();
        let free = self.vms.values().filter(|vm| !taken.contains(&(vm.namespace.as_str(), vm.name.as_str())));
        entries.extend(free.map(|vm| self.of_vm(vm, &owners)));
        entries.extend(self.alone(&taken, now));
        entries
    }

    /// Returns the instances that no VirtualMachine controls; if VirtualMachines cannot be read, all that no
    /// Wukong names.
    fn alone<'a>(&'a self, taken: &HashSet<(&str, &str)>, now: Millis) -> Vec<Entry<'a>> {
        let uids = LazyCell::new(|| self.vms.values().map(|vm| vm.uid.as_str()).collect::<HashSet<&str>>());
        let free = |instance: &&InstanceFacts| {
            let key = (instance.namespace.as_str(), instance.name.as_str());
            let known = self.vms.contains_key(&At(key.0, key.1));
            // The VirtualMachine is not listed yet, or was deleted a moment ago. KubeVirt gives both the same
            // name, so a known VirtualMachine of another name does not control the instance, whatever its
            // owner reference says.
            let awaited = !instance.owner_vm.is_empty()
                && self.listed(SourceId::VirtualMachines, key.0)
                && !uids.contains(instance.owner_vm.as_str())
                && is_new(instance.created, now);
            !awaited && !known && !taken.contains(&key)
        };
        let instances = self.instances.values().map(|instance| &**instance).filter(free);
        let entry = |instance: &'a InstanceFacts| Entry {
            kind: Kind::VirtualMachineInstance,
            wukong: None,
            vm: None,
            instance: Some(instance),
            vm_name: &instance.name,
            conflict: None,
        };
        instances.map(entry).collect()
    }

    fn of_wukong<'a>(&'a self, wukong: &'a WukongFacts, owners: &Owners<'a>) -> Entry<'a> {
        let none = Entry {
            kind: Kind::Wukong,
            wukong: Some(wukong),
            vm: None,
            instance: None,
            vm_name: "",
            conflict: None,
        };
        let key = (wukong.namespace.as_str(), wukong.vm_name.as_str());
        if let Some(shown_by) = owners.by_vm_name.get(&key).filter(|first| first.name != wukong.name) {
            return Entry { conflict: Some(Conflict::Shared(shown_by)), ..none };
        }
        let named = self.vms.get(&At(key.0, key.1)).map(Box::as_ref);
        let vm = named.or_else(|| owners.only_vm_of(wukong));
        let vm_name = if wukong.vm_name.is_empty() { vm.map_or("", |vm| &vm.name) } else { &wukong.vm_name };
        let instance = self.instances.get(&At(key.0, vm_name)).map(Box::as_ref);
        let other = vm.filter(|vm| !vm.owner_wukong.is_empty() && vm.owner_wukong != wukong.uid);
        Entry { vm, instance, vm_name, conflict: other.map(|_| Conflict::NamesOther), ..none }
    }

    fn of_vm<'a>(&'a self, vm: &'a VmFacts, owners: &Owners<'a>) -> Entry<'a> {
        let instance = self.instances.get(&At(&vm.namespace, &vm.name)).map(Box::as_ref);
        let conflict = self.conflict_of(vm, owners);
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
    fn conflict_of<'a>(&self, vm: &'a VmFacts, owners: &Owners<'a>) -> Option<Conflict<'a>> {
        if vm.owner_wukong.is_empty() || !self.listed(SourceId::Wukongs, &vm.namespace) {
            return None;
        }
        Some(match owners.wukong_of(vm) {
            // The owner may be among the Wukongs that were left out.
            None if self.omits(SourceId::Wukongs, &vm.namespace) => return None,
            None => Conflict::NoSuchOwner,
            Some(owner) if owner.vm_name.is_empty() => Conflict::SeveralVms(owner),
            Some(owner) => Conflict::OtherVm(owner),
        })
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

/// Which Wukong may show which VirtualMachine. An owner is in the same namespace, as Kubernetes requires.
struct Owners<'a> {
    /// By namespace and uid.
    wukongs: HashMap<(&'a str, &'a str), &'a WukongFacts>,
    /// The one Wukong that shows a VM, by the VM's namespace and name.
    by_vm_name: HashMap<(&'a str, &'a str), &'a WukongFacts>,
    /// VirtualMachines that no Wukong names, by namespace and the owner's uid.
    vms: HashMap<(&'a str, &'a str), Vec<&'a VmFacts>>,
}

impl<'a> Owners<'a> {
    fn of(state: &'a ClusterState) -> Self {
        let mut owners = Self { wukongs: HashMap::new(), by_vm_name: HashMap::new(), vms: HashMap::new() };
        for wukong in state.wukongs.values().map(|wukong| &**wukong) {
            owners.wukongs.insert((&wukong.namespace, &wukong.uid), wukong);
            owners.claim(wukong, state);
        }
        for vm in state.vms.values().filter(|vm| !vm.owner_wukong.is_empty()) {
            if !owners.by_vm_name.contains_key(&(vm.namespace.as_str(), vm.name.as_str())) {
                owners.vms.entry((&vm.namespace, &vm.owner_wukong)).or_default().push(vm);
            }
        }
        owners
    }

    /// Claims the VM that a Wukong names, unless a Wukong with a better claim has it.
    fn claim(&mut self, wukong: &'a WukongFacts, state: &'a ClusterState) {
        if wukong.vm_name.is_empty() {
            return;
        }
        let owner = state.vms.get(&At(&wukong.namespace, &wukong.vm_name)).map_or("", |vm| &vm.owner_wukong);
        let rank = |wukong: &'a WukongFacts| (wukong.uid != owner, wukong.created, &wukong.name, &wukong.uid);
        let first = self.by_vm_name.entry((&wukong.namespace, &wukong.vm_name)).or_insert(wukong);
        if rank(wukong) < rank(first) {
            *first = wukong;
        }
    }

    fn wukong_of(&self, vm: &VmFacts) -> Option<&'a WukongFacts> {
        self.wukongs.get(&(vm.namespace.as_str(), vm.owner_wukong.as_str())).copied()
    }

    /// Returns the VirtualMachine of a Wukong whose `status.vmName` is empty, if there is exactly one.
    fn only_vm_of(&self, wukong: &WukongFacts) -> Option<&'a VmFacts> {
        match self.vms.get(&(wukong.namespace.as_str(), wukong.uid.as_str())).map(Vec::as_slice) {
            Some([vm]) if wukong.vm_name.is_empty() && self.wukong_of(vm)?.name == wukong.name => Some(vm),
            _ => None,
        }
    }
}

/// Truncated pod name prefixes that more than one VM of a namespace would give its pods.
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

    /// Whether more than one VM of the namespace has this prefix.
    pub fn contains(&self, namespace: &str, prefix: &str) -> bool {
        self.counts.get(&(namespace, prefix.to_owned())).is_some_and(|count| *count > 1)
    }
}
