//! What the HTTP APIs read: objects, changes and figures.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::watch;

use super::{Change, Object, SimulatedCluster, state::key};
use crate::{
    clock::{Millis, millis},
    figures,
    guest::{Guest, Launcher, PodPhase, State},
    hardware::DiskMode,
    load::{Amounts, Share},
    node::{Kubelet, Node, PlainPod},
    objects::{self, Body, NodePod, Part, PodSample},
    resource::Resource,
    store::Expired,
    tenants::Tenants,
};

impl SimulatedCluster {
    pub(crate) fn is_installed(&self, group: &str) -> bool {
        !self.state.read().absent.contains(group)
    }

    /// Subscribes to changes, as watches do.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(crate) fn get(&self, resource: Resource, key: &str) -> Option<Object> {
        self.state.read().store.get(resource, key)
    }

    /// Returns the objects at `revision`, or the current ones, and their revision. Fails if it has left the
    /// log.
    pub(crate) fn list(
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
    pub(crate) fn since(&self, resource: Resource, revision: u64) -> Result<(Vec<Change>, u64), Expired> {
        let state = self.state.read();
        Ok((state.store.since(resource, revision)?, state.store.revision()))
    }

    /// Returns what metrics-server has of the pods in `namespace`, or in all: the pods of nodes whose kubelet
    /// answers.
    pub(crate) fn pod_metrics(&self, namespace: Option<&str>) -> Vec<PodSample> {
        let state = self.state.read();
        let wanted = |found: &str| namespace.is_none_or(|namespace| namespace == found);
        let tenants = state.tenants();
        let share = |node: &str, at| tenants.get(node).map_or(Share::WHOLE, |tenants| tenants.share(at));
        let scrape = |node: &str| {
            let answers = state.nodes.get(node).is_some_and(|node| node.kubelet == Kubelet::Answers);
            answers.then(|| figures::scrape(node, self.clock.now(), millis(self.pace.metrics)))
        };
        let ahead = |node: &str| state.nodes.get(node).map_or(0, |node| node.clock_ahead);
        let by_its_node =
            |sampled: PodSample, node: &str| PodSample { at: sampled.at + ahead(node), ..sampled };
        let guests = state.guests.values().filter(|guest| wanted(&guest.namespace));
        let launchers = guests.flat_map(|guest| {
            let measured =
                guest.launchers.iter().filter(|pod| pod.phase == PodPhase::Running && pod.measured);
            measured.filter_map(|pod| {
                let scrape = scrape(&pod.node)?;
                let sampled = figures::sample_launcher(guest, pod, share(&pod.node, scrape.at), scrape);
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
    pub(crate) fn instance(&self, namespace: &str, name: &str) -> Option<Arc<Guest>> {
        match &self.get(Resource::Instances, &key(namespace, name))?.body {
            Body::Guest(Part::Instance, guest) => Some(guest.clone()),
            _ => None,
        }
    }

    /// Whether the pod runs on a node that Prometheus can scrape.
    pub(crate) fn is_scraped(&self, pod: &Launcher) -> bool {
        let node = self.node(&pod.node);
        pod.phase == PodPhase::Running && node.is_some_and(|node| node.kubelet == Kubelet::Answers)
    }

    /// Returns the summary of a node's kubelet as JSON.
    pub(crate) fn summary(&self, node: &Node) -> String {
        let now = self.clock.now();
        let (at, volumes_at) = (
            figures::scrape(&node.name, now, millis(self.pace.metrics)).at,
            figures::scrape(&node.name, now, millis(self.pace.volumes)).at,
        );
        let (pods, used) = self.pods_on(node, at, volumes_at);
        let mut out = String::new();
        let ahead = node.clock_ahead;
        objects::summary(&mut out, node, used, &pods, at + ahead, volumes_at + ahead);
        out
    }

    /// Returns what runs on a node.
    pub(crate) fn tenants_of(&self, node: &Arc<Node>) -> Tenants {
        self.state.read().tenants_of(node.clone())
    }

    /// Returns what runs on each node, by its name.
    pub(crate) fn tenants(&self) -> HashMap<String, Tenants> {
        self.state.read().tenants()
    }

    /// Returns the guests that run on a node: their domains are there.
    pub(crate) fn guests_on(&self, node: &str) -> Vec<Arc<Guest>> {
        let here = |guest: &&Arc<Guest>| {
            guest.state == State::Running && guest.holder().is_some_and(|holder| holder.node == node)
        };
        self.state.read().guests.values().filter(here).cloned().collect()
    }

    /// Returns the virt-handler pods.
    pub(crate) fn virt_handlers(&self) -> Vec<PlainPod> {
        let state = self.state.read();
        state.plain.values().filter(|pod| pod.is_virt_handler()).map(|pod| PlainPod::clone(pod)).collect()
    }

    /// Returns the pods on a node, and what the whole node uses.
    fn pods_on(&self, record: &Node, at: Millis, volumes_at: Millis) -> (Vec<NodePod>, Amounts) {
        let (state, node) = (self.state.read(), record.name.as_str());
        let here = |guest: &Arc<Guest>| guest.launchers.iter().any(|pod| pod.node == node);
        let guests: Vec<_> = state.guests.values().filter(|guest| here(guest)).cloned().collect();
        let plain: Vec<_> = state.plain.values().filter(|pod| pod.node == node).cloned().collect();
        let tenants = state.tenants_of(Arc::new(record.clone()));
        drop(state);
        let launchers = guests.iter().flat_map(|guest| {
            let pods =
                guest.launchers.iter().filter(|pod| pod.node == node && pod.phase == PodPhase::Running);
            pods.map(|pod| figures::launcher_node_pod(guest, pod, &tenants, at, volumes_at))
        });
        let attachments = guests.iter().flat_map(|guest| {
            let held = guest.holder().is_some_and(|holder| holder.node == node);
            guest
                .disks
                .iter()
                .filter(move |disk| held && disk.mode == DiskMode::Hotplug)
                .map(|disk| figures::attachment_node_pod(guest, disk, at, volumes_at))
        });
        let plain = plain.iter().map(|pod| figures::plain_node_pod(pod, at));
        (launchers.chain(attachments).chain(plain).collect(), tenants.node_use(at))
    }
}
