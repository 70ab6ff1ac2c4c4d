//! Builds one node's page, which `/api/nodes/{name}` answers too: its VMs as a group, what is wrong with it, and its largest
//! consumers. Pure: of what one viewer may see.

use std::collections::HashSet;

use super::{
    Visible, amounts,
    frame::{Identity, frame},
    groups::{consumer, group, largest, using},
    node_health::health,
    problems::waits_for_cpu,
    select::on_node,
};
use model::{
    Millis,
    activity::{Activity, Amount},
    groups::Consumer,
    nodes::{LISTED, NodeReport, NodeView, Ranking, TopBy},
    vm::{Status, Vm},
};

/// Returns the page of a node; its `node` is `None` if the viewer knows no such node.
pub fn view(visible: &Visible, identity: &Identity, name: &str, now: Millis) -> NodeView {
    NodeView { frame: frame(visible, identity, now), node: report(visible, name).map(Box::new) }
}

/// Returns what is known of a node. A viewer knows a node if they may list nodes and there is one of this name, or if a VM
/// that they may see is on it, or migrates to it.
pub fn report(visible: &Visible, name: &str) -> Option<NodeReport> {
    let node = visible.nodes().iter().find(|node| node.name == name);
    let listed: Vec<&Vm> = on_node(visible, name).collect();
    if name.is_empty() || node.is_none() && listed.is_empty() {
        return None;
    }
    let own: Vec<&Vm> = listed.iter().copied().filter(|vm| vm.summary.node == name).collect();
    let group = group(name, &own, node);
    let (level, problems) = health(&group);
    let top = TopBy::ALL.map(|by| ranking(&own, listed.len(), by));
    let findings = findings(visible, &listed);
    Some(NodeReport { group, level, problems, top, findings })
}

/// Other VMs of its node that a VM's page names.
const NEIGHBOURS: usize = 3;

/// Returns the other VMs of its node that use the most CPU, of those that the viewer may see; none unless the VM waits for a
/// CPU, so that the pages of all others do not change with their neighbours.
pub fn neighbours(visible: &Visible, vm: &Vm) -> Vec<Consumer> {
    if !waits_for_cpu(vm) {
        return Vec::new();
    }
    let node = vm.summary.node.as_str();
    let is_neighbour = |other: &&Vm| {
        let summary = &other.summary;
        summary.node == node && summary.status == Status::Running && summary.key() != vm.summary.key()
    };
    let others = visible.vms().iter().map(|vm| &**vm).filter(|_| !node.is_empty()).filter(is_neighbour);
    largest(others.filter_map(|vm| use_of(vm, TopBy::Cpu)).collect(), NEIGHBOURS)
}

/// `all` is how many VMs the list shows for the node.
fn ranking(vms: &[&Vm], all: usize, by: TopBy) -> Ranking {
    let running = vms.iter().filter(|vm| vm.summary.status == Status::Running);
    let vms = largest(running.filter_map(|vm| use_of(vm, by)).collect(), LISTED);
    let more = all.saturating_sub(vms.len()) as u32;
    Ranking { vms, more }
}

fn use_of(vm: &Vm, by: TopBy) -> Option<Consumer> {
    match by {
        TopBy::Memory => consumer(vm, &vm.summary.usage.memory),
        TopBy::Cpu => consumer(vm, &vm.summary.usage.cpu),
        TopBy::Network => traffic(vm, amounts::network(vm)),
        TopBy::DiskIo => traffic(vm, amounts::storage(vm)),
    }
}

fn traffic(vm: &Vm, amount: Amount) -> Option<Consumer> {
    let stale = matches!(&vm.activity, Activity::Known(known) if known.stale);
    let partial = matches!(amount, Amount::AtLeast(_));
    Some(Consumer { stale, partial, ..using(vm, amount.known()?) })
}

/// Counts the findings about these VMs.
fn findings(visible: &Visible, vms: &[&Vm]) -> u32 {
    let names: HashSet<_> = vms.iter().map(|vm| vm.summary.key()).collect();
    visible.findings().filter(|row| names.contains(&row.key())).count() as u32
}
