//! The current state of the cluster. Tests and `life` change it; the HTTP APIs read it.

mod query;
mod state;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use parking_lot::RwLock;
use serde_json::Value;
use tokio::sync::watch;

use super::{
    clock::Clock,
    guest::Guest,
    load::VolumeFigures,
    node::{Kubelet, Node, PlainPod},
    objects::Body,
    resource::{RBAC_GROUP, Resource},
    scenario::Scenario,
    store::{Entry, Event},
    users::Viewer,
};
use state::{State, key, parts};

/// The cluster's state behind a lock. Every change is signalled to watches.
#[derive(Debug)]
pub struct SimulatedCluster {
    state: RwLock<State>,
    /// The newest revision. It also signals other changes that watches must notice.
    changed: watch::Sender<u64>,
    pub clock: Clock,
    pace: Pace,
    viewers: Viewers,
}

/// The viewers of the scenario.
#[derive(Debug)]
struct Viewers {
    by_token_and_name: HashMap<String, Arc<Viewer>>,
    /// The namespaces in which everybody of a group may list objects.
    of_groups: HashMap<String, HashSet<String>>,
}

/// How often figures are taken.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    pub metrics: Duration,
    pub volumes: Duration,
}

pub type Object = Arc<Entry<Body>>;
pub type Change = Arc<Event<Body>>;

impl Viewers {
    fn new(viewers: Vec<Arc<Viewer>>) -> Self {
        let mut of_groups: HashMap<String, HashSet<String>> = HashMap::new();
        for viewer in &viewers {
            for group in &viewer.groups {
                of_groups.entry(group.clone()).or_default().extend(viewer.namespaces.iter().cloned());
            }
        }
        let keys =
            |viewer: Arc<Viewer>| [(viewer.token.clone(), viewer.clone()), (viewer.name.clone(), viewer)];
        Self { by_token_and_name: viewers.into_iter().flat_map(keys).collect(), of_groups }
    }
}

impl SimulatedCluster {
    pub(super) fn new(scenario: Scenario, clock: Clock, pace: Pace, window: usize) -> Self {
        let mut state = State::new(window);
        scenario.nodes.into_iter().for_each(|node| state.put_node(node));
        scenario.pods.into_iter().for_each(|pod| state.put_pod(pod));
        scenario.guests.into_iter().for_each(|guest| state.put_guest(guest));
        let viewers: Vec<Arc<Viewer>> = scenario.viewers.into_iter().map(Arc::new).collect();
        viewers.iter().for_each(|viewer| state.put_viewer(viewer));
        if viewers.is_empty() {
            state.absent.insert(RBAC_GROUP.to_owned());
        }
        state.store.compact();
        let changed = watch::Sender::new(state.store.revision());
        Self { state: RwLock::new(state), changed, clock, pace, viewers: Viewers::new(viewers) }
    }

    /// Adds a VM, or replaces the one of that name. Watches see the objects that change.
    pub fn put(&self, guest: Guest) {
        self.write(|state| state.put_guest(guest));
    }

    /// Returns the viewer with this token or this name.
    pub(super) fn viewer(&self, token_or_name: &str) -> Option<&Viewer> {
        self.viewers.by_token_and_name.get(token_or_name).map(|viewer| &**viewer)
    }

    /// Returns whether viewers of this group may list objects in a namespace.
    pub(super) fn may_group_list(&self, group: &str, namespace: &str) -> bool {
        self.viewers.of_groups.get(group).is_some_and(|namespaces| namespaces.contains(namespace))
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
    /// installed at first, but RBAC only if the scenario has viewers.
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

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
