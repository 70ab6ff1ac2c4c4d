//! Tests of the core. Each states only the facts that it is about; the rest comes from these fixtures.

mod access;
mod activity;
mod clocks;
mod delta;
mod details;
mod events;
mod groups;
mod guests;
mod health;
mod history;
mod incidents;
mod incremental;
mod insight;
mod instancetypes;
mod inventory;
mod join;
mod kubelets;
mod long_term;
mod map;
mod node_usage;
mod nodes;
mod pod_stats;
mod pods;
mod problems;
mod property;
mod row_limit;
mod scope;
mod scraped_guests;
mod search;
mod sharing;
mod similar;
mod sources;
mod usage;
mod view;
mod volumes;

use std::sync::Arc;

use super::{ClusterState, Limits, Scope, Snapshot, Visible, observation::*};
use model::{Millis, figure::Source, reason::Reason, source::SourceId, vm::Vm};

/// The moment of the tests.
pub const NOW: Millis = 1_800_000_000_000;
pub const GI: u64 = 1 << 30;
const SECOND: Millis = 1_000;

pub fn limits() -> Limits {
    Limits {
        metrics_interval: 15 * SECOND,
        disk_interval: 60 * SECOND,
        ceph_interval: 300 * SECOND,
        disk_sources: vec![SourceId::Kubelet],
        virt_handler: false,
        most_vms: usize::MAX,
    }
}

/// Returns the snapshot as a viewer with access to everything sees it.
pub fn everything(snapshot: &Snapshot) -> Visible {
    Visible::new(&Arc::new(snapshot.clone()), &Scope::all())
}

/// A state in which every source has answered, with nothing in it.
pub fn state() -> ClusterState {
    let mut state = silent_state();
    state.apply(Observation::Wukongs(replaced(vec![])));
    state.apply(Observation::VirtualMachines(replaced(vec![])));
    state.apply(Observation::Instances(replaced(vec![])));
    state.apply(Observation::Migrations(replaced(vec![])));
    state.apply(Observation::Pods(replaced(vec![])));
    state.apply(Observation::Claims(replaced(vec![])));
    state.apply(Observation::PersistentVolumes(replaced(vec![])));
    state.apply(Observation::Nodes(replaced(vec![])));
    state.apply(Observation::ClusterInstancetypes(replaced(vec![])));
    state.apply(Observation::Instancetypes(replaced(vec![])));
    state.apply(metrics(vec![]));
    state
}

pub fn silent_state() -> ClusterState {
    ClusterState::new(limits())
}

pub fn replaced<T>(items: Vec<T>) -> Change<T> {
    Change::Replaced { namespace: None, items, at: NOW }
}

pub fn applied<T>(item: T) -> Change<T> {
    Change::Applied { item, at: NOW }
}

pub fn metrics(items: Vec<PodMetricsFacts>) -> Observation {
    Observation::PodMetrics { namespace: None, at: NOW, result: Ok(items) }
}

pub fn refused(reason: Reason) -> SourceError {
    SourceError { reason, detail: format!("{reason:?}, in words").into() }
}

/// A running Wukong of 2 cores and 4Gi, its VM named `{name}-vm`.
pub fn wukong(namespace: &str, name: &str) -> WukongFacts {
    WukongFacts {
        uid: format!("wukong-{namespace}-{name}"),
        namespace: namespace.into(),
        name: name.into(),
        cpu: Some(2),
        memory: "4Gi".into(),
        phase: "Running".into(),
        vm_name: format!("{name}-vm"),
        ..Default::default()
    }
}

pub fn instance(namespace: &str, vm_name: &str, node: &str) -> InstanceFacts {
    InstanceFacts {
        uid: format!("vmi-{namespace}-{vm_name}"),
        namespace: namespace.into(),
        name: vm_name.into(),
        phase: "Running".into(),
        node_name: node.into(),
        owner_vm: format!("vm-{namespace}-{vm_name}"),
        ..Default::default()
    }
}

/// A pod without labels or owner: only its name says which VM it belongs to.
pub fn pod(namespace: &str, name: &str, node: &str) -> PodFacts {
    PodFacts {
        uid: format!("pod-{namespace}-{name}"),
        namespace: namespace.into(),
        name: name.into(),
        node_name: node.into(),
        phase: "Running".into(),
        created: NOW - 3_600 * SECOND,
        ..Default::default()
    }
}

/// Figures of a pod, sampled 10 s ago over 15 s.
pub fn sample(namespace: &str, name: &str, milli: u64, memory: u64) -> PodMetricsFacts {
    PodMetricsFacts {
        namespace: namespace.into(),
        name: name.into(),
        created_by: String::new(),
        containers: vec![ContainerUsage {
            name: "compute".into(),
            cpu_nanocores: Some(milli * 1_000_000),
            memory_bytes: Some(memory),
        }],
        containers_left_out: 0,
        at: Some(NOW - 10 * SECOND),
        made: None,
        window_ms: 15_000,
    }
}

pub fn stats(namespace: &str, claim: &str, used: u64, capacity: u64) -> VolumeStats {
    VolumeStats {
        of: VolumeRef::Claim(Key::new(namespace, claim)),
        used: Some(used),
        capacity: Some(capacity),
        available: Some(capacity.saturating_sub(used)),
        inodes: Some(1000),
        at: Some(NOW - 30 * SECOND),
        node: Box::default(),
        trusted_time: true,
    }
}

pub fn summary(node: &str, stats: Vec<VolumeStats>) -> Observation {
    summary_at(node, NOW, stats)
}

pub fn summary_at(node: &str, at: Millis, volumes: Vec<VolumeStats>) -> Observation {
    Observation::Summary { node: node.into(), at, result: Ok(summary_facts(volumes)) }
}

/// An answer that says only this.
pub fn summary_facts(volumes: Vec<VolumeStats>) -> SummaryFacts {
    SummaryFacts {
        source: Source::KubeletProxy,
        volumes,
        pods: Vec::new(),
        node_filesystems: Vec::new(),
        node_usage: NodeUsage::default(),
        left_out: None,
    }
}

/// Applies a kubelet's answer, after the claims that it mentions: a kubelet mounts no other.
pub fn report(state: &mut ClusterState, answer: Observation) {
    if let Observation::Summary { result: Ok(facts), .. } = &answer {
        for stats in &facts.volumes {
            let VolumeRef::Claim(claim) = &stats.of else { continue };
            if !state.claims.contains_key(claim) {
                let (namespace, name) = (claim.namespace.to_string(), claim.name.to_string());
                let claim = ClaimFacts { namespace, name, ..ClaimFacts::default() };
                state.apply(Observation::Claims(applied(claim)));
            }
        }
    }
    state.apply(answer);
}

/// A Wukong with its instance on `n1`, its labelled launcher pod, and that pod's figures.
pub fn add_vm(state: &mut ClusterState, namespace: &str, name: &str, milli: u64, memory: u64) {
    let vm_name = format!("{name}-vm");
    let instance = instance(namespace, &vm_name, "n1");
    let pod_name = format!("virt-launcher-{vm_name}-abc12");
    let mut pod = pod(namespace, &pod_name, "n1");
    pod.created_by = instance.uid.clone();
    state.apply(Observation::Wukongs(applied(wukong(namespace, name))));
    state.apply(Observation::Instances(applied(instance)));
    state.apply(Observation::Pods(applied(pod)));
    state.apply(metrics(vec![sample(namespace, &pod_name, milli, memory)]));
}

pub fn find(snapshot: &Snapshot, namespace: &str, name: &str) -> Arc<Vm> {
    let found = snapshot.vms.iter().find(|vm| vm.key() == (namespace, name));
    found.unwrap_or_else(|| panic!("no {namespace}/{name}")).clone()
}

/// The one VM `a/web` as joined now.
pub fn web(state: &mut ClusterState) -> Arc<Vm> {
    find(&state.join(NOW), "a", "web")
}

pub fn milli(vm: &Vm) -> Result<u64, Reason> {
    used(&vm.summary.usage.cpu).map(|nanocores| nanocores / 1_000_000)
}

pub fn used(figure: &model::figure::Figure) -> Result<u64, Reason> {
    figure.sample().map(|sample| sample.used).ok_or_else(|| figure.missing().unwrap().reason)
}

pub fn health(snapshot: &Snapshot, id: SourceId) -> model::source::SourceHealth {
    snapshot.sources.iter().find(|source| source.id == id).unwrap().clone()
}
