//! The records of the cluster, and the objects that are derived from them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use crate::{
    guest::{self, Guest},
    hardware::{Backend, DiskMode},
    node::{Node, PlainPod},
    objects::{self, Body, Part},
    resource::Resource,
    store::Store,
    tenants::Tenants,
    users::Viewer,
};

/// Records by name, and the objects that watches follow.
#[derive(Debug)]
pub struct State {
    pub store: Store<Body>,
    pub guests: BTreeMap<String, Arc<Guest>>,
    pub nodes: BTreeMap<String, Arc<Node>>,
    pub plain: BTreeMap<String, Arc<PlainPod>>,
    /// API groups that are not installed.
    pub absent: BTreeSet<String>,
}

impl State {
    pub fn new(window: usize) -> Self {
        Self {
            store: Store::new(window),
            guests: BTreeMap::new(),
            nodes: BTreeMap::new(),
            plain: BTreeMap::new(),
            absent: BTreeSet::new(),
        }
    }

    pub fn put_guest(&mut self, guest: Guest) {
        let guest = Arc::new(guest);
        self.put_dependencies(&guest);
        let old = self.guests.insert(key(&guest.namespace, &guest.name), guest.clone());
        let before = old.as_ref().map(parts).unwrap_or_default();
        let after = parts(&guest);
        for (resource, key, _) in &before {
            if !after.iter().any(|(other, kept, _)| (other, kept) == (resource, key)) {
                self.store.remove(*resource, key);
            }
        }
        for (resource, key, body) in after {
            let known = before.iter().find(|(other, kept, _)| (*other, kept) == (resource, &key));
            if known.is_none_or(|(_, _, old)| differ(resource, old, &body)) {
                self.store.put(resource, &key, body);
            }
        }
    }

    /// Makes sure that the namespace, the nodes and the instance type that a VM names exist.
    fn put_dependencies(&mut self, guest: &Guest) {
        self.put_namespace(&guest.namespace);
        if let Some(name) = &guest.instancetype
            && self.store.get(Resource::ClusterInstancetypes, name).is_none()
        {
            let body = Body::Raw(Arc::new(objects::instancetype(name, guest)));
            self.store.put(Resource::ClusterInstancetypes, name, body);
        }
        if guest.disks.iter().any(|disk| disk.backend == Backend::Longhorn) {
            self.put_namespace(objects::LONGHORN_NAMESPACE);
        }
        for launcher in &guest.launchers {
            if !launcher.node.is_empty() && !self.nodes.contains_key(&launcher.node) {
                self.put_node(Node::new(&launcher.node));
            }
        }
    }

    fn put_namespace(&mut self, name: &str) {
        if self.store.get(Resource::Namespaces, name).is_none() {
            self.store.put(Resource::Namespaces, name, Body::Namespace(name.into()));
        }
    }

    /// Stores what lets a viewer look into their namespaces.
    pub fn put_viewer(&mut self, viewer: &Viewer) {
        for namespace in &viewer.namespaces {
            let body = Body::Raw(Arc::new(viewer.binding(namespace)));
            self.store.put(Resource::RoleBindings, &key(namespace, &viewer.name), body);
        }
    }

    /// Returns what runs on a node.
    pub fn tenants_of(&self, node: Arc<Node>) -> Tenants {
        let mut tenants = Tenants::new(node);
        self.guests.values().for_each(|guest| tenants.add_guest(guest));
        self.plain.values().for_each(|pod| tenants.add_pod(pod));
        tenants
    }

    /// Returns what runs on each node, by its name.
    pub fn tenants(&self) -> HashMap<String, Tenants> {
        let nodes = self.nodes.values();
        let mut all: HashMap<_, _> =
            nodes.map(|node| (node.name.clone(), Tenants::new(node.clone()))).collect();
        for guest in self.guests.values() {
            let nodes: BTreeSet<&str> = guest.launchers.iter().map(|pod| pod.node.as_str()).collect();
            for node in nodes {
                if let Some(tenants) = all.get_mut(node) {
                    tenants.add_guest(guest);
                }
            }
        }
        for pod in self.plain.values() {
            if let Some(tenants) = all.get_mut(&pod.node) {
                tenants.add_pod(pod);
            }
        }
        all
    }

    pub fn put_node(&mut self, node: Node) {
        let node = Arc::new(node);
        self.store.put(Resource::Nodes, &node.name, Body::Node(node.clone()));
        self.nodes.insert(node.name.clone(), node);
    }

    pub fn put_pod(&mut self, pod: PlainPod) {
        let (pod, key) = (Arc::new(pod.clone()), key(&pod.namespace, &pod.name));
        self.put_namespace(&pod.namespace);
        self.store.put(Resource::Pods, &key, Body::Plain(pod.clone()));
        self.plain.insert(key, pod);
    }
}

/// Returns every object of a guest.
pub fn parts(guest: &Arc<Guest>) -> Vec<(Resource, String, Body)> {
    let namespace = &guest.namespace;
    let body = |part| Body::Guest(part, guest.clone());
    let mut parts = Vec::new();
    if guest.has_machine {
        parts.push((Resource::VirtualMachines, key(namespace, &guest.vm_name), body(Part::Machine)));
    }
    if guest.has_wukong {
        parts.push((Resource::Wukongs, key(namespace, &guest.name), body(Part::Wukong)));
    }
    for (index, disk) in guest.disks.iter().enumerate() {
        parts.push((Resource::Claims, key(namespace, &disk.claim), body(Part::Claim(index))));
        if guest.state != guest::State::Pending {
            let name = guest.volume_name(disk);
            if disk.backend == Backend::Longhorn {
                let key = key(objects::LONGHORN_NAMESPACE, &name);
                parts.push((Resource::LonghornVolumes, key, body(Part::LonghornVolume(index))));
            }
            parts.push((Resource::PersistentVolumes, name, body(Part::PersistentVolume(index))));
        }
    }
    for pod in &guest.launchers {
        let name = guest.pod_name(pod.serial);
        parts.push((Resource::Pods, key(namespace, &name), body(Part::Launcher(pod.serial))));
    }
    if guest.has_instance() {
        parts.push((Resource::Instances, key(namespace, &guest.vm_name), body(Part::Instance)));
        for disk in guest.disks.iter().filter(|disk| disk.mode == DiskMode::Hotplug) {
            let pod = objects::attachment(guest, disk);
            parts.push((Resource::Pods, key(namespace, &pod.name), Body::Plain(Arc::new(pod))));
        }
    }
    parts.extend(reports(guest));
    parts
}

/// Returns the objects that tell what happened to a guest.
fn reports(guest: &Arc<Guest>) -> impl Iterator<Item = (Resource, String, Body)> {
    let part = |resource, name: &str, part| {
        (resource, key(&guest.namespace, name), Body::Guest(part, guest.clone()))
    };
    let migrations = guest.migrations().map(move |migration| {
        let target = migration.target;
        part(Resource::Migrations, &guest.migration_name(target), Part::Migration(target))
    });
    let occurrences = guest.occurrences.iter().enumerate();
    let reported = occurrences.filter(|(_, occurrence)| {
        guest.has_machine || occurrence.kind.involved_object() != guest::InvolvedObject::Machine
    });
    let events = reported.map(move |(index, occurrence)| {
        part(Resource::Events, &guest.event_name(occurrence), Part::Event(index))
    });
    migrations.chain(events)
}

/// Whether a client would see a difference. An object gets a new version only then.
fn differ(resource: Resource, old: &Body, new: &Body) -> bool {
    let [mut before, mut after] = [String::new(), String::new()];
    objects::render(&mut before, resource, old, 0, false);
    objects::render(&mut after, resource, new, 0, false);
    before != after
}

pub fn key(namespace: &str, name: &str) -> String {
    format!("{namespace}/{name}")
}
