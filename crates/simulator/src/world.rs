//! The current state of the cluster. Tests and `life` change it; the HTTP APIs read it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use parking_lot::RwLock;
use serde_json::Value;
use tokio::sync::watch;

use super::{
    clock::{Clock, Millis, millis},
    figures,
    guest::{self, Guest, Launcher, PodPhase},
    hardware::{Backend, DiskMode},
    load::VolumeFigures,
    node::{Kubelet, Node, PlainPod},
    objects::{self, Body, Part, Sampled, Tenant},
    resource::Resource,
    scenario::Scenario,
    store::{Entry, Event, Expired, Store},
};

/// The cluster's state behind a lock. Every change is signalled to watches.
#[derive(Debug)]
pub struct World {
    state: RwLock<State>,
    /// The newest revision. It also signals other changes that watches must notice.
    changed: watch::Sender<u64>,
    pub clock: Clock,
    pace: Pace,
}

/// How often figures are taken.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    pub metrics: Duration,
    pub volumes: Duration,
}

#[derive(Debug)]
struct State {
    store: Store<Body>,
    guests: BTreeMap<String, Arc<Guest>>,
    nodes: BTreeMap<String, Arc<Node>>,
    plain: BTreeMap<String, Arc<PlainPod>>,
    /// API groups that are not installed.
    absent: BTreeSet<String>,
}

pub type Object = Arc<Entry<Body>>;
pub type Change = Arc<Event<Body>>;

impl World {
    pub(super) fn new(scenario: Scenario, clock: Clock, pace: Pace, window: usize) -> Self {
        let mut state = State {
            store: Store::new(window),
            guests: BTreeMap::new(),
            nodes: BTreeMap::new(),
            plain: BTreeMap::new(),
            absent: BTreeSet::new(),
        };
        scenario.nodes.into_iter().for_each(|node| state.put_node(node));
        scenario.pods.into_iter().for_each(|pod| state.put_pod(pod));
        scenario.guests.into_iter().for_each(|guest| state.put_guest(guest));
        state.store.compact();
        let changed = watch::Sender::new(state.store.revision());
        Self { state: RwLock::new(state), changed, clock, pace }
    }

    /// Adds a VM, or replaces the one of that name. Watches see the objects that change.
    pub fn put(&self, guest: Guest) {
        self.write(|state| state.put_guest(guest));
    }

    pub(super) fn pace(&self) -> Pace {
        self.pace
    }

    /// Changes a VM; returns false if there is none.
    pub fn change(&self, namespace: &str, name: &str, change: impl FnOnce(&mut Guest)) -> bool {
        self.write(|state| {
            let Some(guest) = state.guests.get(&key(namespace, name)) else { return false };
            let mut guest = Guest::clone(guest);
            change(&mut guest);
            state.put_guest(guest);
            true
        })
    }

    /// Removes a VM and all its objects; returns false if there is none.
    pub fn remove(&self, namespace: &str, name: &str) -> bool {
        self.write(|state| {
            let Some(guest) = state.guests.remove(&key(namespace, name)) else { return false };
            parts(&guest).into_iter().for_each(|(resource, key, _)| {
                state.store.remove(resource, &key);
            });
            true
        })
    }

    pub fn guest(&self, namespace: &str, name: &str) -> Option<Arc<Guest>> {
        self.state.read().guests.get(&key(namespace, name)).cloned()
    }

    pub fn guests(&self) -> Vec<Arc<Guest>> {
        self.state.read().guests.values().cloned().collect()
    }

    pub fn nodes(&self) -> Vec<Arc<Node>> {
        self.state.read().nodes.values().cloned().collect()
    }

    pub fn node(&self, name: &str) -> Option<Arc<Node>> {
        self.state.read().nodes.get(name).cloned()
    }

    pub fn put_node(&self, node: Node) {
        self.write(|state| state.put_node(node));
    }

    /// Stops or starts a node's kubelet; the node's PodMetrics disappear and return with it. Returns false if
    /// there is no such node.
    pub fn set_kubelet(&self, node: &str, kubelet: Kubelet) -> bool {
        self.write(|state| {
            let Some(node) = state.nodes.get(node) else { return false };
            let node = Node::clone(node).kubelet(kubelet);
            state.put_node(node);
            true
        })
    }

    pub fn put_pod(&self, pod: PlainPod) {
        self.write(|state| state.put_pod(pod));
    }

    /// Removes an ordinary pod; returns false if there is none.
    pub fn remove_pod(&self, namespace: &str, name: &str) -> bool {
        self.write(|state| {
            state.plain.remove(&key(namespace, name));
            state.store.remove(Resource::Pods, &key(namespace, name))
        })
    }

    /// Sets exact figures for a VM, as quantities.
    pub fn set_usage(&self, namespace: &str, name: &str, cpu: &str, memory: &str) -> bool {
        self.change(namespace, name, |guest| *guest = guest.clone().uses(cpu, memory))
    }

    /// Sets exact figures for one disk of a VM.
    pub fn set_volume(&self, namespace: &str, name: &str, disk: &str, figures: VolumeFigures) -> bool {
        self.change(namespace, name, |guest| {
            for found in guest.disks.iter_mut().filter(|found| found.name == disk) {
                *found = found.clone().figures(figures);
            }
        })
    }

    /// Starts a live migration; returns false as [`Guest::start_migration`] does, or if there is no such VM.
    pub fn start_migration(&self, namespace: &str, name: &str, target_node: &str) -> bool {
        let (mut begun, now) = (false, self.clock.now());
        self.change(namespace, name, |guest| begun = guest.start_migration(target_node, now)) && begun
    }

    /// Ends a live migration; returns false as [`Guest::finish_migration`] does, or if there is no such VM.
    pub fn finish_migration(&self, namespace: &str, name: &str, failed: bool) -> bool {
        let (mut ended, now) = (false, self.clock.now());
        self.change(namespace, name, |guest| ended = guest.finish_migration(failed, now)) && ended
    }

    /// Stores exactly this object, under the namespace and name of its metadata.
    pub fn put_object(&self, resource: Resource, object: Value) {
        let key = resource.key(text(&object, "/metadata/namespace"), text(&object, "/metadata/name"));
        self.write(|state| state.store.put(resource, &key, Body::Raw(Arc::new(object))));
    }

    /// Deletes an object; returns false if there is none.
    pub fn delete_object(&self, resource: Resource, namespace: &str, name: &str) -> bool {
        self.write(|state| state.store.remove(resource, &resource.key(namespace, name)))
    }

    /// Installs or removes an API group. The paths of a removed group answer 404 and its watches end. All are
    /// installed at first.
    pub fn set_installed(&self, group: &str, installed: bool) {
        self.write(|state| match installed {
            true => state.absent.remove(group),
            false => state.absent.insert(group.to_owned()),
        });
    }

    /// Forgets all changes so far: requests for older revisions are answered with 410.
    pub fn compact(&self) {
        self.write(|state| state.store.compact());
    }

    /// The newest revision of the store.
    pub fn revision(&self) -> u64 {
        self.state.read().store.revision()
    }

    fn write<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let (done, revision) = {
            let mut state = self.state.write();
            (change(&mut state), state.store.revision())
        };
        self.changed.send_replace(revision);
        done
    }
}

/// What the HTTP APIs read.
impl World {
    pub(super) fn is_installed(&self, group: &str) -> bool {
        !self.state.read().absent.contains(group)
    }

    /// Subscribes to changes, as watches do.
    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(super) fn get(&self, resource: Resource, key: &str) -> Option<Object> {
        self.state.read().store.get(resource, key)
    }

    /// Returns the objects at `revision`, or the current ones, and their revision. Fails if it has left the
    /// log.
    pub(super) fn list(
        &self,
        resource: Resource,
        prefix: &str,
        after: &str,
        revision: Option<u64>,
    ) -> Result<(Vec<Object>, u64), Expired> {
        let state = self.state.read();
        let revision = revision.unwrap_or(state.store.revision());
        Ok((state.store.list(resource, prefix, after, revision)?, revision))
    }

    /// Returns the changes after `revision`, and the newest revision.
    pub(super) fn since(&self, resource: Resource, revision: u64) -> Result<(Vec<Change>, u64), Expired> {
        let state = self.state.read();
        Ok((state.store.since(resource, revision)?, state.store.revision()))
    }

    /// Returns what metrics-server has of the pods in `namespace`, or in all: the pods of nodes whose kubelet
    /// answers.
    pub(super) fn pod_metrics(&self, namespace: Option<&str>) -> Vec<Sampled> {
        let state = self.state.read();
        let wanted = |found: &str| namespace.is_none_or(|namespace| namespace == found);
        let scrape = |node: &str| {
            let answers = state.nodes.get(node).is_some_and(|node| node.kubelet == Kubelet::Answers);
            answers.then(|| figures::scrape(node, self.clock.now(), millis(self.pace.metrics)))
        };
        let ahead = |node: &str| state.nodes.get(node).map_or(0, |node| node.clock_ahead);
        let by_its_node = |sampled: Sampled, node: &str| Sampled { at: sampled.at + ahead(node), ..sampled };
        let guests = state.guests.values().filter(|guest| wanted(&guest.namespace));
        let launchers = guests.flat_map(|guest| {
            let measured =
                guest.launchers.iter().filter(|pod| pod.phase == PodPhase::Running && pod.measured);
            measured.filter_map(|pod| {
                let sampled = figures::sample_launcher(guest, pod, scrape(&pod.node)?);
                Some(by_its_node(sampled, &pod.node))
            })
        });
        let plain = state.plain.values().filter(|pod| wanted(&pod.namespace));
        let plain = plain.filter_map(|pod| {
            let sampled = figures::sample_plain(pod, scrape(&pod.node)?);
            Some(by_its_node(sampled, &pod.node))
        });
        launchers.chain(plain).collect()
    }

    /// Returns the guest of a VirtualMachineInstance.
    pub(super) fn instance(&self, namespace: &str, name: &str) -> Option<Arc<Guest>> {
        match &self.get(Resource::Instances, &key(namespace, name))?.body {
            Body::Guest(Part::Instance, guest) => Some(guest.clone()),
            _ => None,
        }
    }

    /// Whether the pod runs on a node that Prometheus can scrape.
    pub(super) fn is_scraped(&self, pod: &Launcher) -> bool {
        let node = self.node(&pod.node);
        pod.phase == PodPhase::Running && node.is_some_and(|node| node.kubelet == Kubelet::Answers)
    }

    /// Returns the summary of a node's kubelet as JSON.
    pub(super) fn summary(&self, node: &Node) -> String {
        let now = self.clock.now();
        let (at, volumes_at) = (
            figures::scrape(&node.name, now, millis(self.pace.metrics)).at,
            figures::scrape(&node.name, now, millis(self.pace.volumes)).at,
        );
        let tenants = self.tenants(&node.name, at, volumes_at);
        let mut out = String::new();
        let ahead = node.clock_ahead;
        objects::summary(&mut out, node, &tenants, at + ahead, volumes_at + ahead);
        out
    }

    fn tenants(&self, node: &str, at: Millis, volumes_at: Millis) -> Vec<Tenant> {
        let state = self.state.read();
        let here = |guest: &Arc<Guest>| guest.launchers.iter().any(|pod| pod.node == node);
        let guests: Vec<_> = state.guests.values().filter(|guest| here(guest)).cloned().collect();
        let plain: Vec<_> = state.plain.values().filter(|pod| pod.node == node).cloned().collect();
        drop(state);
        let launchers = guests.iter().flat_map(|guest| {
            let pods =
                guest.launchers.iter().filter(|pod| pod.node == node && pod.phase == PodPhase::Running);
            pods.map(|pod| figures::launcher_tenant(guest, pod, at, volumes_at))
        });
        let attachments = guests.iter().flat_map(|guest| {
            let held = guest.holder().is_some_and(|holder| holder.node == node);
            guest
                .disks
                .iter()
                .filter(move |disk| held && disk.mode == DiskMode::Hotplug)
                .map(|disk| figures::attachment_tenant(guest, disk, at, volumes_at))
        });
        launchers.chain(attachments).chain(plain.iter().map(|pod| figures::plain_tenant(pod, at))).collect()
    }
}

impl State {
    fn put_guest(&mut self, guest: Guest) {
        let guest = Arc::new(guest);
        self.settle(&guest);
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
    fn settle(&mut self, guest: &Guest) {
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

    fn put_node(&mut self, node: Node) {
        let node = Arc::new(node);
        self.store.put(Resource::Nodes, &node.name, Body::Node(node.clone()));
        self.nodes.insert(node.name.clone(), node);
    }

    fn put_pod(&mut self, pod: PlainPod) {
        let (pod, key) = (Arc::new(pod.clone()), key(&pod.namespace, &pod.name));
        self.put_namespace(&pod.namespace);
        self.store.put(Resource::Pods, &key, Body::Plain(pod.clone()));
        self.plain.insert(key, pod);
    }
}

/// Returns every object of a guest.
fn parts(guest: &Arc<Guest>) -> Vec<(Resource, String, Body)> {
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
    parts
}

/// Whether a client would see a difference. An object gets a new version only then.
fn differ(resource: Resource, old: &Body, new: &Body) -> bool {
    let [mut before, mut after] = [String::new(), String::new()];
    objects::render(&mut before, resource, old, 0, false);
    objects::render(&mut after, resource, new, 0, false);
    before != after
}

fn key(namespace: &str, name: &str) -> String {
    format!("{namespace}/{name}")
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
