//! What runs on a node never uses more than the node does, and the node never more than it has: whatever a page compares.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

use crate::{
    Clock, Node, Scenario, life,
    load::{Usage, bytes},
    world::{Pace, SimulatedCluster},
};

const NOW: i64 = 1_700_049_600_000;
/// How much younger the figures of VMs may be on a page than those of their nodes.
const YOUNGER: Duration = Duration::from_secs(75);

/// Nanocores and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct MeasuredUsage {
    nanos: u64,
    bytes: u64,
}

impl MeasuredUsage {
    /// Of a node or a pod in a kubelet's summary.
    fn of_summary(part: &Value) -> Self {
        let of = |pointer: &str| part.pointer(pointer).and_then(Value::as_u64).unwrap();
        Self { nanos: of("/cpu/usageNanoCores"), bytes: of("/memory/workingSetBytes") }
    }

    fn of_container(usage: &Usage) -> Self {
        let nanos = usage.cpu.strip_suffix('n').unwrap().parse().unwrap();
        Self { nanos, bytes: bytes(&usage.memory).unwrap() }
    }

    fn add(&mut self, more: Self) {
        self.nanos += more.nanos;
        self.bytes += more.bytes;
    }

    fn is_within(self, most: Self) -> bool {
        self.nanos <= most.nanos && self.bytes <= most.bytes
    }
}

fn cluster(vms: u32, nodes: u32, clock: &Clock) -> SimulatedCluster {
    let pace = Pace { metrics: Duration::from_secs(15), volumes: Duration::from_secs(60) };
    SimulatedCluster::new(Scenario::demo(vms, nodes, 7, NOW), clock.clone(), pace, 1_000)
}

/// Returns what each node uses, as its kubelet says. Asserts that it is no more than it has, and no less than its pods use.
fn of_nodes(world: &SimulatedCluster) -> BTreeMap<String, MeasuredUsage> {
    let used = |node: &Node| {
        let summary: Value = serde_json::from_str(&world.summary(node)).unwrap();
        let whole = MeasuredUsage::of_summary(&summary["node"]);
        let has = MeasuredUsage { nanos: u64::from(node.cores) * 1_000_000_000, bytes: node.memory_bytes };
        assert!(whole.is_within(has), "{}: {whole:?} of {has:?}", node.name);
        let mut pods = MeasuredUsage::default();
        for pod in summary["pods"].as_array().unwrap() {
            pods.add(MeasuredUsage::of_summary(pod));
        }
        assert!(pods.is_within(whole), "{}: pods {pods:?} of {whole:?}", node.name);
        whole
    };
    world.nodes().iter().map(|node| (node.name.clone(), used(node))).collect()
}

/// Returns what the VMs on each node use, as metrics-server says.
fn of_vms(world: &SimulatedCluster) -> BTreeMap<String, MeasuredUsage> {
    let mut nodes = BTreeMap::new();
    for guest in world.guests() {
        let pods = guest.launchers.iter();
        nodes.extend(
            pods.map(|pod| ((guest.namespace.clone(), guest.pod_name(pod.serial)), pod.node.clone())),
        );
    }
    let mut used: BTreeMap<String, MeasuredUsage> = BTreeMap::new();
    for sample in world.pod_metrics(None) {
        if let Some(node) = nodes.get(&(sample.namespace, sample.name)) {
            let of_node = used.entry(node.clone()).or_default();
            sample.containers.iter().for_each(|(_, usage)| of_node.add(MeasuredUsage::of_container(usage)));
        }
    }
    used
}

fn assert_no_contradiction(
    vms: &BTreeMap<String, MeasuredUsage>,
    nodes: &BTreeMap<String, MeasuredUsage>,
    when: &str,
) {
    assert!(!vms.is_empty());
    for (node, used) in vms {
        assert!(used.is_within(nodes[node]), "{node} {when}: VMs {used:?}, the node {:?}", nodes[node]);
    }
}

/// The VMs of one node used 26.7 of its 24 cores, and the node 24.
#[test]
fn vms_use_no_more_than_their_node_at_any_time_of_the_day_in_any_size() {
    for (vms, nodes, steps) in [(60, 6, 16), (12, 1, 16), (300, 3, 8), (1_000, 4, 2)] {
        let clock = Clock::fixed(NOW - 3_600_000);
        let world = cluster(vms, nodes, &clock);
        for step in 0..steps {
            let used = of_nodes(&world);
            for _ in 0..=YOUNGER.as_secs() / 15 {
                let when = format!("{vms} VMs, step {step}, at {}", clock.now());
                assert_no_contradiction(&of_vms(&world), &used, &when);
                clock.advance(Duration::from_secs(15));
            }
            clock.advance(Duration::from_secs(89 * 60 + 7));
        }
    }
}

#[test]
fn vms_use_no_more_than_their_node_while_they_move_start_and_stop() {
    let clock = Clock::fixed(NOW);
    let world = cluster(60, 6, &clock);
    for step in 1..150 {
        life::take_step(&world, 7, step);
        assert_no_contradiction(&of_vms(&world), &of_nodes(&world), &format!("step {step}"));
        clock.advance(Duration::from_secs(30));
    }
}

/// The neighbour is noisy because the others get less than they want.
#[test]
fn the_node_of_the_noisy_neighbour_is_full_and_no_other_is() {
    let clock = Clock::fixed(NOW);
    let world = cluster(60, 6, &clock);
    for node in world.nodes() {
        let share = world.tenants_of(&node).share(NOW);
        assert_eq!(share.cpu < 1.0, node.noisy_neighbour.is_some(), "{}: {share:?}", node.name);
        assert_eq!(share.memory, 1.0, "{}", node.name);
    }
}
