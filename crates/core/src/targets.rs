//! Lists what the collector should ask: nodes, guests and images that have a Running VM. `join` puts it into
//! the snapshot.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use hashbrown::HashMap;

use super::{
    observation::{Backend, Image, Key, NodeTarget, Targets},
    state::ClusterState,
};
use model::{
    activity::Activity,
    figure::Source,
    source::SourceId,
    vm::{Status, Vm},
};

impl ClusterState {
    pub(super) fn targets(&self, vms: &[Arc<Vm>]) -> Targets {
        let running: Vec<&Vm> =
            vms.iter().map(|vm| &**vm).filter(|vm| vm.summary.status == Status::Running).collect();
        Targets {
            nodes: self.nodes(&running),
            guests: self.guests_of(&running),
            images: self.images_of(&running),
            names: self.tracked_names(),
            uncounted: uncounted(&running),
        }
    }

    fn nodes(&self, running: &[&Vm]) -> Arc<[NodeTarget]> {
        let names = running.iter().map(|vm| vm.summary.node.as_str());
        let names: BTreeSet<&str> = names.filter(|node| self.may_be_node(node)).collect();
        let addresses: HashMap<&str, IpAddr> =
            self.pods.values().filter_map(|pod| Some((pod.node_name.as_str(), pod.host_ip?))).collect();
        let target = |name: &str| NodeTarget { name: name.into(), address: addresses.get(name).copied() };
        names.into_iter().map(target).collect()
    }

    fn guests_of(&self, running: &[&Vm]) -> Arc<[Key]> {
        if !self.limits.asks(SourceId::GuestAgent) {
            return Arc::default();
        }
        let key = |vm: &&Vm| Key::new(&vm.summary.namespace, &vm.vm_name);
        let connected = |key: &Key| self.instances.get(key).is_some_and(|instance| instance.agent_connected);
        running.iter().map(key).filter(connected).collect()
    }

    fn images_of(&self, running: &[&Vm]) -> Arc<[Image]> {
        if !self.limits.asks(SourceId::Ceph) {
            return Arc::default();
        }
        let claims = running
            .iter()
            .flat_map(|vm| vm.volumes.iter().map(|volume| Key::new(&vm.summary.namespace, &volume.claim)));
        let image = |claim| match self.backend(&claim)? {
            Backend::Rbd(image) => Some(&**image),
            Backend::Longhorn(_) => None,
        };
        let images: BTreeSet<&Image> = claims.filter_map(image).collect();
        images.into_iter().cloned().collect()
    }
}

/// The nodes of these VMs on which virt-handler counts none of them now.
fn uncounted(running: &[&Vm]) -> Arc<[Box<str>]> {
    let is_counted = |vm: &Vm| match &vm.activity {
        Activity::Known(known) => known.source == Source::VirtHandler && !known.stale,
        Activity::Missing(_) => false,
    };
    let nodes: BTreeSet<&str> = running.iter().map(|vm| vm.summary.node.as_str()).collect();
    let counted: BTreeSet<&str> =
        running.iter().filter(|vm| is_counted(vm)).map(|vm| vm.summary.node.as_str()).collect();
    nodes.difference(&counted).filter(|node| !node.is_empty()).map(|node| Box::from(*node)).collect()
}
