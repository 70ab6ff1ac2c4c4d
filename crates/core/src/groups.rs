//! Groups VMs by node or by namespace, for the groups page and `/api/groups`. Pure: takes a snapshot's VMs
//! and nodes, returns rows.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use hashbrown::HashSet;

use super::{
    Visible,
    frame::{Identity, frame},
};
use model::{
    Millis,
    figure::{Basis, Figure, Sample},
    groups::{Consumer, Group, GroupsQuery, GroupsView, Node, PAGE_SIZE, Share, TOP, Top},
    query::GroupBy,
    totals::{Capacity, Totals},
    vm::{Status, Vm, VmSummary},
};

/// Returns one page of groups, and the largest consumers.
pub fn view(visible: &Visible, identity: &Identity, query: &GroupsQuery, now: Millis) -> GroupsView {
    let groups = groups(visible, query);
    let matching = groups.iter().filter(|group| !group.name.is_empty()).count() as u32;
    let pages = (groups.len() as u32).div_ceil(PAGE_SIZE).max(1);
    let page = query.page.clamp(1, pages);
    let shown = groups.into_iter().skip(((page - 1) * PAGE_SIZE) as usize).take(PAGE_SIZE as usize);
    let namespaces: BTreeSet<&String> = visible.vms().iter().map(|vm| &vm.summary.namespace).collect();
    GroupsView {
        frame: frame(visible, identity, now),
        query: GroupsQuery { page, ..query.clone() },
        pages,
        matching,
        groups: shown.collect(),
        top: top(visible, &query.namespace),
        namespaces: namespaces.into_iter().cloned().collect(),
    }
}

/// Returns every group, sorted. Nodes that KubeVirt can place VMs on are included without a VM.
pub fn groups(visible: &Visible, query: &GroupsQuery) -> Vec<Group> {
    let mut members: BTreeMap<&str, Vec<&Vm>> = BTreeMap::new();
    for vm in visible.vms() {
        members.entry(key(&vm.summary, query.by)).or_default().push(vm);
    }
    let nodes: BTreeMap<&str, &Node> = match query.by {
        GroupBy::Node => visible.nodes().iter().map(|node| (node.name.as_str(), node)).collect(),
        GroupBy::Namespace => BTreeMap::new(),
    };
    for node in nodes.values().filter(|node| node.takes_vms) {
        members.entry(&node.name).or_default();
    }
    let group = |(name, vms): (&str, Vec<&Vm>)| group(name, &vms, nodes.get(name).copied());
    let mut groups: Vec<Group> = members.into_iter().map(group).collect();
    groups.sort_by(|a, b| a.order(b, query));
    groups
}

/// Returns what the nodes that have VMs, or that KubeVirt can place VMs on, can allocate; or that of one node, if it is
/// named; and what `vms` are allocated of it. Nothing is known of nodes that the viewer may not see.
pub fn capacity<'a>(visible: &Visible, node: &str, vms: impl Iterator<Item = &'a VmSummary>) -> Capacity {
    let used: HashSet<&str> = visible.vms().iter().map(|vm| vm.summary.node.as_str()).collect();
    let is_meant = |of: &&Node| match node {
        "" => of.takes_vms || used.contains(of.name.as_str()),
        node => of.name == node,
    };
    let nodes: Vec<&Node> = visible.nodes().iter().filter(is_meant).collect();
    let sum = |amount: fn(&Node) -> Option<u64>| {
        let amounts = nodes.iter().map(|node| amount(node));
        let sum = amounts.reduce(|sum, amount| Some(sum?.saturating_add(amount?)));
        sum.flatten().filter(|sum| *sum > 0)
    };
    let is_there = |vm: &&VmSummary| match node {
        "" => !vm.node.is_empty(),
        node => vm.node == node,
    };
    let (mut cpu_held, mut memory_held) = (0_u64, 0_u64);
    for vm in vms.filter(|vm| holds(vm.status)).filter(is_there) {
        cpu_held = cpu_held.saturating_add(vm.cpu.unwrap_or(0));
        memory_held = memory_held.saturating_add(vm.memory.unwrap_or(0));
    }
    let (cpu, memory) = (sum(|node| node.cpu), sum(|node| node.memory));
    Capacity { cpu, memory, cpu_held, memory_held }
}

/// Returns the VM's group: its namespace, or the node where the guest runs (the source while it migrates).
/// Empty if the VM is on no node.
pub fn key(vm: &VmSummary, by: GroupBy) -> &str {
    match by {
        GroupBy::Node => &vm.node,
        GroupBy::Namespace => &vm.namespace,
    }
}

/// Returns the group of these VMs. `node` is the node's own object, if the group is a node and its object is known.
pub(super) fn group(name: &str, vms: &[&Vm], node: Option<&Node>) -> Group {
    let held = || vms.iter().map(|vm| &vm.summary).filter(|vm| holds(vm.status));
    Group {
        name: name.to_owned(),
        totals: Totals::of(vms.iter().copied()),
        cpu_unreadable: vms.iter().filter(|vm| vm.summary.cpu.is_none()).count() as u32,
        cpu: share(held().map(|vm| vm.cpu), node.and_then(|node| node.cpu)),
        memory: share(held().map(|vm| vm.memory), node.and_then(|node| node.memory)),
        node: node.cloned(),
    }
}

/// Whether a VM takes up room on its node. The Wukong of a stopped VM may still name the last node.
fn holds(status: Status) -> bool {
    match status {
        Status::Running | Status::Creating | Status::Pending | Status::Unknown => true,
        Status::Stopped | Status::Error => false,
    }
}

fn share(amounts: impl Iterator<Item = Option<u64>>, allocatable: Option<u64>) -> Share {
    let mut share = Share { allocatable, ..Share::default() };
    for amount in amounts {
        share.allocated = share.allocated.saturating_add(amount.unwrap_or(0));
        share.unreadable += u32::from(amount.is_none());
    }
    share
}

/// Returns the VMs that use the most of each figure, in the whole cluster or in one namespace.
pub fn top(visible: &Visible, namespace: &str) -> Top {
    let vms: Vec<&Arc<Vm>> = visible
        .vms()
        .iter()
        .filter(|vm| vm.summary.status == Status::Running)
        .filter(|vm| namespace.is_empty() || vm.summary.namespace == namespace)
        .collect();
    let largest =
        |used: fn(&Vm) -> Option<Consumer>| largest(vms.iter().filter_map(|vm| used(vm)).collect(), TOP);
    Top {
        cpu: largest(|vm| consumer(vm, &vm.summary.usage.cpu)),
        memory: largest(|vm| consumer(vm, &vm.summary.usage.memory)),
        disk: largest(disk),
        disk_left_out: vms.iter().filter(|vm| left_out(vm)).count() as u32,
    }
}

/// Returns what the VM uses by this figure; `None` if it is not known.
pub(super) fn consumer(vm: &Vm, figure: &Figure) -> Option<Consumer> {
    let sample = figure.sample()?;
    Some(Consumer { of: Some(sample.of), stale: sample.stale, ..using(vm, sample.used) })
}

/// Returns the VM as one that uses this much, of nothing yet.
pub(super) fn using(vm: &Vm, used: u64) -> Consumer {
    let VmSummary { namespace, name, .. } = &vm.summary;
    Consumer {
        namespace: namespace.clone(),
        name: name.clone(),
        used,
        of: None,
        stale: false,
        partial: false,
    }
}

/// Returns the VM's disk usage as the totals count it: without volumes on a shared file system. `None` if no
/// volume is known.
fn disk(vm: &Vm) -> Option<Consumer> {
    let own = |sample: &&Sample| sample.basis == Basis::Own;
    let samples: Vec<&Sample> =
        vm.volumes.iter().filter_map(|volume| volume.usage.sample()).filter(own).collect();
    let sum =
        |of: fn(&Sample) -> u64| samples.iter().fold(0_u64, |sum, sample| sum.saturating_add(of(sample)));
    (!samples.is_empty()).then(|| Consumer {
        of: Some(sum(|sample| sample.of)),
        stale: samples.iter().any(|sample| sample.stale),
        partial: vm.volumes.iter().any(|volume| volume.usage.sample().is_none()),
        ..using(vm, sum(|sample| sample.used))
    })
}

/// Whether a volume of the VM is known but not counted, because it is not the VM's own.
fn left_out(vm: &Vm) -> bool {
    vm.volumes.iter().filter_map(|volume| volume.usage.sample()).any(|sample| sample.basis != Basis::Own)
}

/// Returns those that use the most, at most `most`, largest first.
pub(super) fn largest(mut consumers: Vec<Consumer>, most: usize) -> Vec<Consumer> {
    let by_use = |a: &Consumer, b: &Consumer| {
        b.used.cmp(&a.used).then_with(|| (&a.name, &a.namespace).cmp(&(&b.name, &b.namespace)))
    };
    if consumers.len() > most {
        consumers.select_nth_unstable_by(most, by_use);
        consumers.truncate(most);
    }
    consumers.sort_by(by_use);
    consumers
}
