//! Nodes, and the ordinary pods that share them with VMs.

use std::net::SocketAddr;

use super::{
    activity::seconds,
    clock::Millis,
    guest::Guest,
    load::{Amounts, Load, Profile},
    rng::{self, Rng},
};

/// The namespace of KubeVirt.
pub const KUBEVIRT_NAMESPACE: &str = "kubevirt";
const VIRT_HANDLER: &str = "virt-handler";

/// The cores and bytes that an ordinary pod has, about.
pub const PLAIN_POD_SIZE: (u32, u64) = (1, 512 << 20);

/// A node, and the state of its kubelet.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub name: String,
    pub cores: u32,
    pub memory_bytes: u64,
    pub created: Millis,
    pub kubelet: Kubelet,
    /// Whether its kubelet can also be reached directly.
    pub direct: bool,
    /// Milliseconds by which its clock is ahead of all others; negative if it is behind.
    pub clock_ahead: Millis,
    /// Who takes the CPU from the other guests, if somebody does.
    pub noisy_neighbour: Option<NoisyNeighbour>,
}

/// A guest that takes the CPU of its node: the others wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoisyNeighbour {
    pub since: Millis,
    /// Milliseconds of each second that each vCPU of the others waits, in addition to what it waits anyway.
    pub wait: u64,
    /// Namespace and name of the guest.
    pub by: (String, String),
}

/// What happens to a request to the node's kubelet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kubelet {
    Answers,
    /// The machine is up, but nothing listens on port 10250.
    Refuses,
    /// The machine is gone: there is never an answer.
    Hangs,
}

/// A pod that does not belong to a VM.
#[derive(Clone, Debug, PartialEq)]
pub struct PlainPod {
    pub seed: u64,
    pub namespace: String,
    pub name: String,
    pub app: String,
    pub image: String,
    pub node: String,
    pub created: Millis,
    pub labels: Vec<(String, String)>,
    pub owner: Owner,
    /// Volume name and claim; `None` for a pod without storage.
    pub claim: Option<(String, String)>,
    pub load: Load,
    /// Where it serves metrics, if it does.
    pub metrics: Option<SocketAddr>,
}

/// The controller of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    pub api_version: &'static str,
    pub kind: &'static str,
    pub name: String,
    pub uid: String,
}

impl Node {
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            cores: 64,
            memory_bytes: 256 << 30,
            created: 0,
            kubelet: Kubelet::Answers,
            direct: false,
            clock_ahead: 0,
            noisy_neighbour: None,
        }
    }

    pub fn clock_ahead(mut self, by: Millis) -> Self {
        self.clock_ahead = by;
        self
    }

    pub fn with_noisy_neighbour(mut self, neighbour: NoisyNeighbour) -> Self {
        self.noisy_neighbour = Some(neighbour);
        self
    }

    /// Milliseconds of each second that each vCPU of a guest waits at `at` because of the noisy neighbour.
    pub fn wait_of(&self, guest: &Guest, at: Millis) -> u64 {
        let neighbour = self.noisy_neighbour.iter().filter(|neighbour| neighbour.since <= at);
        // Who takes the CPU waits a little too.
        neighbour
            .map(|neighbour| if neighbour.is_by(guest) { neighbour.wait / 20 } else { neighbour.wait })
            .sum()
    }

    /// Seconds that each vCPU of a guest has waited because of the noisy neighbour since it came to the node.
    pub fn waited_by(&self, guest: &Guest, at: Millis) -> f64 {
        let since =
            self.noisy_neighbour.as_ref().map_or(at, |neighbour| neighbour.since.max(guest.on_node_since()));
        seconds(since, at) * self.wait_of(guest, at) as f64 / 1000.0
    }

    pub fn kubelet(mut self, kubelet: Kubelet) -> Self {
        self.kubelet = kubelet;
        self
    }

    pub fn direct(mut self) -> Self {
        self.direct = true;
        self
    }

    /// A loopback address, so that a direct request to a simulated kubelet can never reach a real machine.
    pub fn ip(&self) -> String {
        let mut rng = Rng::of(0, &["node", &self.name]);
        format!("127.{}.{}.{}", rng.below(254) + 1, rng.below(254), rng.below(253) + 1)
    }

    pub fn uid(&self) -> String {
        rng::uid(0, &["node", &self.name])
    }

    /// What everything uses that is no pod: the kernel, the kubelet, the processes of storage and network.
    pub fn own_use(&self) -> Amounts {
        Amounts { cores: f64::from(self.cores) / 16.0, bytes: (3_u64 << 30) as f64 }
    }

    /// Whether the node is Ready: its kubelet answers.
    pub fn is_ready(&self) -> bool {
        self.kubelet == Kubelet::Answers
    }
}

impl NoisyNeighbour {
    fn is_by(&self, guest: &Guest) -> bool {
        (&self.by.0, &self.by.1) == (&guest.namespace, &guest.name)
    }
}

/// Returns what an ordinary pod of this load uses.
pub fn plain_pod_amounts(load: &Load, at: Millis) -> Amounts {
    load.amounts(PLAIN_POD_SIZE.0, PLAIN_POD_SIZE.1, at)
}

impl PlainPod {
    pub fn new(namespace: &str, name: &str, app: &str, image: &str, node: &str) -> Self {
        let seed = rng::hash(0, &["plain", namespace, name]);
        Self {
            seed,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            app: app.to_owned(),
            image: image.to_owned(),
            node: node.to_owned(),
            created: 0,
            labels: vec![("app.kubernetes.io/name".to_owned(), app.to_owned())],
            owner: Owner {
                api_version: "apps/v1",
                kind: "ReplicaSet",
                name: app.to_owned(),
                uid: rng::uid(0, &["owner", app]),
            },
            claim: None,
            load: Load::Curve { profile: Profile::Idle, seed, memory: 0.3 },
            metrics: None,
        }
    }

    /// KubeVirt's agent on a node. The simulated cluster serves its metrics.
    pub fn virt_handler(node: &str) -> Self {
        let name = format!("{VIRT_HANDLER}-{}", rng::suffix(0, &[VIRT_HANDLER, node]));
        let image = "quay.io/kubevirt/virt-handler:v1.6.2";
        let mut pod = Self::new(KUBEVIRT_NAMESPACE, &name, VIRT_HANDLER, image, node);
        pod.labels.push(("kubevirt.io".to_owned(), VIRT_HANDLER.to_owned()));
        pod.owner = Owner { kind: "DaemonSet", ..pod.owner };
        pod
    }

    pub fn is_virt_handler(&self) -> bool {
        self.namespace == KUBEVIRT_NAMESPACE && self.app == VIRT_HANDLER
    }

    pub fn uid(&self) -> String {
        rng::uid(self.seed, &["pod", &self.namespace, &self.name])
    }

    /// The volume that holds its service account token.
    pub fn token_volume(&self) -> String {
        format!("kube-api-access-{}", rng::suffix(self.seed, &["token"]))
    }
}
