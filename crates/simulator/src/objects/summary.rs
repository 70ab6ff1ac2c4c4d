//! A kubelet's `/stats/summary`.

use super::template::{Quoted, join, put};
use crate::{
    clock::{Millis, SECOND, rfc3339},
    load::{self, Usage, VolumeFigures},
    node::Node,
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
    /// Volume name, its claim if it has one, and its figures.
    pub volumes: Vec<(String, Option<String>, VolumeFigures)>,
}

/// Writes the whole summary. `at` is when containers were sampled; `volumes_at` is when volumes were, once a
/// minute by default.
pub fn summary(out: &mut String, node: &Node, pods: &[NodePod], at: Millis, volumes_at: Millis) {
    node_stats(out, node, pods, at);
    out.push_str(r#","pods":["#);
    join(out, pods, |out, pod| pod_stats(out, pod, at, volumes_at));
    out.push_str("]}");
}

fn node_stats(out: &mut String, node: &Node, pods: &[NodePod], at: Millis) {
    let used: Vec<_> = pods.iter().flat_map(|pod| &pod.containers).map(|(_, usage)| numbers(usage)).collect();
    let nanos = used.iter().map(|(nanos, _)| nanos).sum::<u64>() + 900_000_000;
    let bytes = used.iter().map(|(_, bytes)| bytes).sum::<u64>() + (3 << 30);
    put!(
        out,
        r#"{{"node":{{"nodeName":{},"systemContainers":[{{"name":"kubelet","startTime":"{}","#,
        Quoted(&node.name),
        rfc3339(node.created)
    );
    processor(out, 180_000_000, at);
    out.push(',');
    memory(out, 140 << 20, None, at);
    put!(out, r#"}}],"startTime":"{}","#, rfc3339(node.created));
    processor(out, nanos, at);
    out.push(',');
    memory(out, bytes, Some(node.memory_bytes), at);
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
        let (nanos, bytes) = numbers(usage);
        put!(out, r#"{{"name":{},"startTime":"{started}","#, Quoted(name));
        processor(out, nanos, at);
        out.push(',');
        memory(out, bytes, None, at);
        out.push_str(r#","rootfs":"#);
        file_system(out, at, 4 << 20, 467 << 30);
        out.push_str(r#","logs":"#);
        file_system(out, at, 1 << 20, 467 << 30);
        out.push('}');
    });
    out.push_str(r#"],"volume":["#);
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

fn processor(out: &mut String, nanos: u64, at: Millis) {
    // A growing counter: the current rate times the seconds since the epoch, modulo 10,000,000.
    let total = nanos.saturating_mul((at / SECOND).unsigned_abs() % 10_000_000);
    put!(
        out,
        r#""cpu":{{"time":"{}","usageNanoCores":{nanos},"usageCoreNanoSeconds":{total}}}"#,
        rfc3339(at)
    );
}

fn memory(out: &mut String, bytes: u64, capacity: Option<u64>, at: Millis) {
    put!(out, r#""memory":{{"time":"{}","#, rfc3339(at));
    if let Some(capacity) = capacity {
        put!(out, r#""availableBytes":{},"#, capacity.saturating_sub(bytes));
    }
    let (usage, rss) = (bytes + bytes / 20, bytes - bytes / 10);
    put!(
        out,
        r#""usageBytes":{usage},"workingSetBytes":{bytes},"rssBytes":{rss},"pageFaults":{},"majorPageFaults":3}}"#,
        hash(bytes, &[]) % 900_000
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
