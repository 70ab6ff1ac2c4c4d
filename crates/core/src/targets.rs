//! Lists what the collector should ask: guests and images that have a Running VM, and nodes that have one or on which
//! KubeVirt can place one. `join` puts it into the snapshot.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    net::IpAddr,
    sync::Arc,
};

use super::{
    dependencies::Dependencies,
    inventory::Entry,
    last_rows::{Rows, VmTargets, is_counted},
    observation::{Backend, Image, Key, KeyRef, NodeTarget, Targets},
    state::ClusterState,
    touched::Name,
};
use model::{
    source::SourceId,
    vm::{Status, Vm},
};

impl ClusterState {
    pub(super) fn asks(&self, entry: &Entry, vm: &Vm, dependencies: &Dependencies) -> VmTargets {
        if vm.summary.status != Status::Running {
            return VmTargets { node: false, guest: false, images: Box::default() };
        }
        dependencies.note(Name::Node(&vm.summary.node));
        VmTargets {
            node: self.may_be_node(&vm.summary.node),
            guest: self.limits.asks(SourceId::GuestAgent)
                && entry.instance.is_some_and(|instance| instance.agent_connected),
            images: self.images_of(vm),
        }
    }

    fn images_of(&self, vm: &Vm) -> Box<[Image]> {
        if !self.limits.asks(SourceId::Ceph) {
            return Box::default();
        }
        let claims = vm.volumes.iter().map(|volume| Key::new(&vm.summary.namespace, &volume.claim));
        let image = |claim| match self.backend(&claim)? {
            Backend::Rbd(image) => Some(Image::clone(image)),
            Backend::Longhorn(_) => None,
        };
        claims.filter_map(image).collect()
    }

    /// Lists what the rows ask for. What did not change with the last join is not listed again.
    pub(super) fn list_targets(&mut self) {
        let Targets { nodes, guests, images, names: _, uncounted } = mem::take(&mut self.targets);
        let changes = self.rows.changes;
        self.targets = Targets {
            nodes: self.nodes_to_ask(nodes, changes.nodes),
            guests: if changes.guests { self.rows.guests() } else { guests },
            images: if changes.images { self.rows.images() } else { images },
            names: self.tracked_names(),
            uncounted: if changes.counted { self.rows.uncounted() } else { uncounted },
        };
    }

    /// Returns the nodes whose kubelets should be asked: those with a VM, and those on which KubeVirt can place one: the
    /// page of nodes shows what is free there. Each costs one request per interval. `last` is the list of the last join.
    fn nodes_to_ask(&self, last: Arc<[NodeTarget]>, has_changed: bool) -> Arc<[NodeTarget]> {
        let mut wanted: BTreeMap<&str, bool> = BTreeMap::new();
        if self.limits.asks(SourceId::Kubelet) {
            let schedulable = self.sorted_nodes.iter().filter(|node| node.schedulable);
            wanted.extend(schedulable.map(|node| (node.name.as_str(), false)));
        }
        match has_changed {
            true => wanted.extend(self.rows.nodes().map(|name| (name, true))),
            false => wanted.extend(last.iter().filter(|node| node.has_vms).map(|node| (&*node.name, true))),
        }
        let is_same = |((name, has_vms), node): ((&&str, &bool), &NodeTarget)| {
            (*name, *has_vms, self.address_of(name)) == (&*node.name, node.has_vms, node.address)
        };
        if wanted.len() == last.len() && wanted.iter().zip(last.iter()).all(is_same) {
            return last;
        }
        let target = |(name, has_vms): (&str, bool)| NodeTarget {
            name: name.into(),
            address: self.address_of(name),
            has_vms,
        };
        wanted.into_iter().map(target).collect()
    }

    /// Returns the address that one of the pods on a node gives, else that of its own object.
    fn address_of(&self, node: &str) -> Option<IpAddr> {
        let pods = self.pods.named(Name::PodsOn(node)).iter().filter(|pod| pod.node_name == node);
        let own = || self.nodes.get(&KeyRef("", node))?.address;
        pods.filter_map(|pod| pod.host_ip).next().or_else(own)
    }

    /// Whether the kubelet of a node is asked, as of the last join.
    pub(super) fn is_asked(&self, node: &str) -> bool {
        self.targets.nodes.binary_search_by(|target| (*target.name).cmp(node)).is_ok()
    }
}

impl Rows {
    /// The nodes of running VMs, some of them several times.
    fn nodes(&self) -> impl Iterator<Item = &str> {
        self.shown().filter(|(_, asks)| asks.node).map(|(vm, _)| vm.summary.node.as_str())
    }

    /// The nodes with a running VM on which virt-handler counts none now.
    fn uncounted(&self) -> Arc<[Box<str>]> {
        let running = || self.shown().filter(|(vm, _)| vm.summary.status == Status::Running);
        let nodes: BTreeSet<&str> = running().map(|(vm, _)| vm.summary.node.as_str()).collect();
        let counted = running().filter(|(vm, _)| is_counted(vm)).map(|(vm, _)| vm.summary.node.as_str());
        let counted: BTreeSet<&str> = counted.collect();
        nodes.difference(&counted).filter(|node| !node.is_empty()).map(|node| Box::from(*node)).collect()
    }

    fn guests(&self) -> Arc<[Key]> {
        let guests = self.shown().filter(|(_, asks)| asks.guest);
        let mut guests: Vec<Key> =
            guests.map(|(vm, _)| Key::new(&vm.summary.namespace, &vm.vm_name)).collect();
        guests.sort_unstable();
        guests.into()
    }

    fn images(&self) -> Arc<[Image]> {
        let images: BTreeSet<&Image> = self.shown().flat_map(|(_, asks)| &asks.images).collect();
        images.into_iter().cloned().collect()
    }
}
