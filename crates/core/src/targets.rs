//! Lists what the collector should ask: nodes, guests and images that have a Running VM. `join` puts it into
//! the snapshot.

use std::{collections::BTreeSet, mem, sync::Arc};

use super::{
    dependencies::Dependencies,
    inventory::Entry,
    observation::{Backend, Image, Key, NodeTarget, Targets},
    rows::Rows,
    state::ClusterState,
    touched::Name,
};
use model::{
    activity::Activity,
    figure::Source,
    source::SourceId,
    vm::{Status, Vm},
};

/// What one VM is worth asking for.
#[derive(Debug, PartialEq)]
pub(super) struct Asks {
    /// Its node.
    pub node: bool,
    /// Its guest's agent.
    pub guest: bool,
    pub images: Box<[Image]>,
}

impl ClusterState {
    pub(super) fn asks(&self, entry: &Entry, vm: &Vm, dependencies: &Dependencies) -> Asks {
        if vm.summary.status != Status::Running {
            return Asks { node: false, guest: false, images: Box::default() };
        }
        dependencies.note(Name::Node(&vm.summary.node));
        Asks {
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
            nodes: self.with_addresses(if changes.nodes { self.rows.nodes() } else { nodes }),
            guests: if changes.guests { self.rows.guests() } else { guests },
            images: if changes.images { self.rows.images() } else { images },
            names: self.tracked_names(),
            uncounted: if changes.counted { self.rows.uncounted() } else { uncounted },
        };
    }

    /// Returns the nodes with the address that one of the pods on each gives.
    fn with_addresses(&self, nodes: Arc<[NodeTarget]>) -> Arc<[NodeTarget]> {
        let address = |node: &str| {
            let pods = self.pods.named(Name::PodsOn(node)).iter().filter(|pod| pod.node_name == node);
            pods.filter_map(|pod| pod.host_ip).next()
        };
        if nodes.iter().all(|node| node.address == address(&node.name)) {
            return nodes;
        }
        nodes.iter().map(|node| NodeTarget { address: address(&node.name), ..node.clone() }).collect()
    }
}

impl Rows {
    fn nodes(&self) -> Arc<[NodeTarget]> {
        let nodes = self.shown().filter(|(_, asks)| asks.node).map(|(vm, _)| vm.summary.node.as_str());
        let nodes: BTreeSet<&str> = nodes.collect();
        nodes.into_iter().map(|name| NodeTarget { name: name.into(), address: None }).collect()
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

/// Whether virt-handler counts what the VM does now.
pub(super) fn is_counted(vm: &Vm) -> bool {
    match &vm.activity {
        Activity::Known(known) => known.source == Source::VirtHandler && !known.stale,
        Activity::Missing(_) => false,
    }
}
