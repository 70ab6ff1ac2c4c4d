//! The content of the cluster: a demo that shows every state of a VM, in any size, and the same for the same
//! seed.

mod cast;
mod fleet;
mod placement;
mod stories;

use super::{
    clock::{DAY, MINUTE, Millis},
    guest::{EVENT_TTL, Guest},
    node::{Kubelet, Node, PlainPod},
    rng::{self, Rng},
    users::Viewer,
};
use placement::{Placement, SKEWED_NODE};

/// The content of the cluster at its start.
#[derive(Clone, Debug, Default)]
pub struct Scenario {
    pub nodes: Vec<Node>,
    pub guests: Vec<Guest>,
    pub pods: Vec<PlainPod>,
    /// People besides the fixed ones.
    pub viewers: Vec<Viewer>,
}

impl Scenario {
    /// Returns an empty scenario, to which a test adds what it needs.
    pub fn empty() -> Self {
        Self::default()
    }

    pub fn node(mut self, node: Node) -> Self {
        self.nodes.push(node);
        self
    }

    pub fn guest(mut self, guest: Guest) -> Self {
        self.guests.push(guest);
        self
    }

    pub fn pod(mut self, pod: PlainPod) -> Self {
        self.pods.push(pod);
        self
    }

    /// Returns a believable cluster. The VMs of [`cast`] come first, so that a small one shows as much as
    /// possible.
    pub fn demo(vms: u32, nodes: u32, seed: u64, now: Millis) -> Self {
        // Ages are relative to midnight, so that all runs of a day are alike.
        let today = now.div_euclid(DAY) * DAY;
        let mut nodes = machines(nodes.max(1), seed, today);
        let placement = Placement {
            names: nodes.iter().map(|node| node.name.clone()).collect(),
            down: are_dead(&nodes),
            now,
        };
        stories::add_noisy_neighbour(&mut nodes, &placement);
        let mut guests = cast::cast(&placement, today);
        guests.truncate(vms as usize);
        let more = vms - guests.len() as u32;
        guests.extend(fleet::fleet(more, &placement, seed, today));
        guests.iter_mut().enumerate().for_each(|(index, guest)| {
            guest.finish(index as u64, seed);
            guest.forget_occurrences_before(now - EVENT_TTL);
        });
        let pods = daemons(&nodes, today);
        Self { nodes, guests, pods, viewers: Vec::new() }
    }
}

fn machines(count: u32, seed: u64, today: Millis) -> Vec<Node> {
    let width = if count > 99 { 3 } else { 2 };
    (0..count)
        .map(|index| {
            let mut node = Node::new(&format!("worker-{:0width$}", index + 1));
            let mut rng = Rng::of(seed, &["node", &node.name]);
            node.created = today - (200 + rng.below(400) as Millis) * DAY;
            (node.cores, node.memory_bytes) = *rng.pick(&[(64, 256 << 30), (96, 384 << 30), (64, 512 << 30)]);
            node.kubelet = kubelet_of(index, count);
            // A third of the first 24 nodes: each takes a socket, and small machines have few.
            node.direct = index % 3 == 1 && index < 24;
            node.clock_ahead = if index as usize == SKEWED_NODE && count > 5 { SKEW } else { 0 };
            node
        })
        .collect()
}

/// The state of a node's kubelet. Every 100th node refuses connections (in a cluster of fewer than 100, the
/// last one), and node 150 hangs. In a cluster of fewer than three nodes all answer.
fn kubelet_of(index: u32, count: u32) -> Kubelet {
    match () {
        () if count < 3 => Kubelet::Answers,
        () if index == 149 => Kubelet::Hangs,
        () if index % 100 == 99 || (count < 100 && index + 1 == count) => Kubelet::Refuses,
        () => Kubelet::Answers,
    }
}

fn are_dead(nodes: &[Node]) -> Vec<bool> {
    nodes.iter().map(|node| !node.is_ready()).collect()
}

const SKEW: Millis = -7 * MINUTE;

/// The pods that every cluster runs besides VMs.
fn daemons(nodes: &[Node], today: Millis) -> Vec<PlainPod> {
    let named = |namespace: &str, app: &str, image: &str, node: &Node| {
        let name = format!("{app}-{}", rng::suffix(0, &[app, &node.name]));
        let mut pod = PlainPod::new(namespace, &name, app, image, &node.name);
        pod.created = today - 30 * DAY;
        pod
    };
    let handler = |node: &Node| {
        let mut pod = PlainPod::virt_handler(&node.name);
        pod.created = today - 30 * DAY;
        pod
    };
    let mut pods: Vec<_> = nodes
        .iter()
        .flat_map(|node| {
            [handler(node), named("kube-system", "kube-proxy", "registry.k8s.io/kube-proxy:v1.34.1", node)]
        })
        .collect();
    if let Some(node) = nodes.first() {
        pods.push(named("kube-system", "coredns", "registry.k8s.io/coredns/coredns:v1.12.1", node));
        pods.push(named(
            "kube-system",
            "metrics-server",
            "registry.k8s.io/metrics-server/metrics-server:v0.8.0",
            node,
        ));
        pods.push(named("kubevirt", "virt-api", "quay.io/kubevirt/virt-api:v1.6.2", node));
        pods.push(named("kubevirt", "virt-controller", "quay.io/kubevirt/virt-controller:v1.6.2", node));
    }
    pods
}

impl Guest {
    /// Sets the seeds from which this run's load curves and uids follow.
    fn finish(&mut self, index: u64, seed: u64) {
        use super::load::Fill;
        self.seed = rng::hash(seed, &[&self.namespace, &self.name]) ^ index;
        self.load.reseed(self.seed);
        for (number, disk) in self.disks.iter_mut().enumerate() {
            if let Fill::Curve { seed, .. } = &mut disk.fill {
                *seed = self.seed ^ (number as u64 + 1);
            }
        }
        self.networks = self.networks.iter().map(|network| network.readdressed(self.seed)).collect();
    }
}
