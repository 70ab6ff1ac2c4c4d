//! A kubelet's `/stats/summary`.

use super::template::{Quoted, join, put};
use crate::{
    clock::{Millis, SECOND, rfc3339},
    load::{self, Amounts, Usage, VolumeFigures},
    node::Node,
    pressure::{Pressure, Stall},
    rng::hash,
};

/// A pod on the node.
#[derive(Debug)]
pub struct NodePod {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub created: Millis,
    pub containers: Vec<(String, Usage)>,
    /// The first is the default one.
    pub interfaces: Vec<InterfaceBytes>,
    pub pressure: Pressure,
    /// Volume name, its claim if it has one, and its figures.
    pub volumes: Vec<(String, Option<String>, VolumeFigures)>,
}

/// What an interface in a pod has received and transmitted.
#[derive(Debug)]
pub struct InterfaceBytes {
    pub name: String,
    pub receive: u64,
    pub transmit: u64,
}

/// Writes the whole summary. `used` is what the node and its pods use, `at` when containers were sampled; `volumes_at` is
/// when volumes were, once a minute by default.
pub fn summary(
    out: &mut String,
    node: &Node,
    used: Amounts,
    pods: &[NodePod],
    at: Millis,
    volumes_at: Millis,
) {
    node_stats(out, node, used, pods, at);
    out.push_str(r#","pods":["#);
    join(out, pods, |out, pod| pod_stats(out, pod, at, volumes_at));
    out.push_str("]}");
}

fn node_stats(out: &mut String, node: &Node, used: Amounts, pods: &[NodePod], at: Millis) {
    let (nanos, bytes) = ((used.cores * 1e9) as u64, used.bytes as u64);
    put!(
        out,
        r#"{{"node":{{"nodeName":{},"systemContainers":[{{"name":"kubelet","startTime":"{}","#,
        Quoted(&node.name),
        rfc3339(node.created)
    );
    resources(out, (180_000_000, 140 << 20), None, &Pressure::none(), at);
    put!(out, r#"}}],"startTime":"{}","#, rfc3339(node.created));
    let pressure = Pressure::of_node(pods.iter().map(|pod| &pod.pressure));
    resources(out, (nanos, bytes), Some(node.memory_bytes), &pressure, at);
    put!(
        out,
        r#","network":{{"time":"{}","name":"eth0","rxBytes":8123456789012,"rxErrors":0,"txBytes":9123456789012,"txErrors":0}},"fs":"#,
        rfc3339(at)
    );
    file_system(out, at, 210 << 30, 467 << 30);
    out.push_str(r#","runtime":{"imageFs":"#);
    file_system(out, at, 64 << 30, 467 << 30);
    out.push_str("}}");
}

fn pod_stats(out: &mut String, pod: &NodePod, at: Millis, volumes_at: Millis) {
    let started = rfc3339(pod.created);
    put!(
        out,
        r#"{{"podRef":{{"name":{},"namespace":{},"uid":"{}"}},"startTime":"{started}","containers":["#,
        Quoted(&pod.name),
        Quoted(&pod.namespace),
        pod.uid
    );
    join(out, &pod.containers, |out, (name, usage)| {
        put!(out, r#"{{"name":{},"startTime":"{started}","#, Quoted(name));
        resources(out, numbers(usage), None, &pod.pressure, at);
        out.push_str(r#","rootfs":"#);
        file_system(out, at, 4 << 20, 467 << 30);
        out.push_str(r#","logs":"#);
        file_system(out, at, 1 << 20, 467 << 30);
        out.push('}');
    });
    out.push_str("],");
    let all = pod.containers.iter().map(|(_, usage)| numbers(usage));
    let sum = all.fold((0, 0), |(nanos, bytes), (more, most)| (nanos + more, bytes + most));
    resources(out, sum, None, &pod.pressure, at);
    network(out, &pod.interfaces, at);
    out.push_str(r#","volume":["#);
    join(out, &pod.volumes, |out, (name, claim, figures)| {
        volume(out, volumes_at, name, claim.as_deref().map(|claim| (pod.namespace.as_str(), claim)), figures);
    });
    out.push_str(r#"],"ephemeral-storage":"#);
    file_system(out, at, 6 << 20, 467 << 30);
    out.push('}');
}

fn volume(out: &mut String, at: Millis, name: &str, claim: Option<(&str, &str)>, figures: &VolumeFigures) {
    put!(
        out,
        r#"{{"time":"{}","availableBytes":{},"capacityBytes":{},"usedBytes":{},"inodesFree":{},"inodes":{},"inodesUsed":{},"name":{}"#,
        rfc3339(at),
        figures.available,
        figures.capacity,
        figures.used,
        figures.inodes_free,
        figures.inodes,
        figures.inodes_used,
        Quoted(name)
    );
    if let Some((namespace, claim)) = claim {
        put!(out, r#","pvcRef":{{"name":{},"namespace":{}}}"#, Quoted(claim), Quoted(namespace));
    }
    out.push('}');
}

/// Writes CPU in nanocores, memory in bytes, and I/O, each with its pressure.
fn resources(
    out: &mut String,
    (nanos, bytes): (u64, u64),
    capacity: Option<u64>,
    pressure: &Pressure,
    at: Millis,
) {
    // A growing counter: the current rate times the seconds since the epoch, modulo 10,000,000.
    let total = nanos.saturating_mul((at / SECOND).unsigned_abs() % 10_000_000);
    let time = rfc3339(at);
    put!(out, r#""cpu":{{"time":"{time}","usageNanoCores":{nanos},"usageCoreNanoSeconds":{total}"#);
    stall(out, &pressure.cpu);
    put!(out, r#"}},"memory":{{"time":"{time}","#);
    if let Some(capacity) = capacity {
        put!(out, r#""availableBytes":{},"#, capacity.saturating_sub(bytes));
    }
    let (usage, rss) = (bytes + bytes / 20, bytes - bytes / 10);
    put!(
        out,
        r#""usageBytes":{usage},"workingSetBytes":{bytes},"rssBytes":{rss},"pageFaults":{},"majorPageFaults":3"#,
        hash(bytes, &[]) % 900_000
    );
    stall(out, &pressure.memory);
    put!(out, r#"}},"io":{{"time":"{time}""#);
    stall(out, &pressure.io);
    out.push('}');
}

/// Writes pressure in the order of Kubernetes' type, after other members.
fn stall(out: &mut String, stall: &Stall) {
    let Stall { some, full, some_total, full_total } = stall;
    put!(
        out,
        r#","psi":{{"full":{{"total":{full_total},"avg10":{full},"avg60":{full},"avg300":{full}}},"some":{{"total":{some_total},"avg10":{some},"avg60":{some},"avg300":{some}}}}}"#
    );
}

/// Writes the interfaces, and the default one of them besides.
fn network(out: &mut String, interfaces: &[InterfaceBytes], at: Millis) {
    let Some(first) = interfaces.first() else { return };
    put!(out, r#","network":{{"time":"{}","#, rfc3339(at));
    interface(out, first);
    out.push_str(r#","interfaces":["#);
    join(out, interfaces, |out, found| {
        out.push('{');
        interface(out, found);
        out.push('}');
    });
    out.push_str("]}");
}

fn interface(out: &mut String, InterfaceBytes { name, receive, transmit }: &InterfaceBytes) {
    put!(
        out,
        r#""name":{},"rxBytes":{receive},"rxErrors":0,"txBytes":{transmit},"txErrors":0"#,
        Quoted(name)
    );
}

fn file_system(out: &mut String, at: Millis, used: u64, capacity: u64) {
    put!(
        out,
        r#"{{"time":"{}","availableBytes":{},"capacityBytes":{capacity},"usedBytes":{used},"inodesFree":30412311,"inodes":31129600,"inodesUsed":717289}}"#,
        rfc3339(at),
        capacity - used
    );
}

/// Returns a usage in nanocores and bytes. An invalid fixed quantity counts as zero.
fn numbers(usage: &Usage) -> (u64, u64) {
    let nanos = match (usage.cpu.strip_suffix('n'), usage.cpu.strip_suffix('m')) {
        (Some(nanos), _) => nanos.parse().unwrap_or(0),
        (_, Some(milli)) => milli.parse::<u64>().unwrap_or(0).saturating_mul(1_000_000),
        _ => (usage.cpu.parse::<f64>().unwrap_or(0.0) * 1e9) as u64,
    };
    (nanos, load::bytes(&usage.memory).unwrap_or(0))
}
