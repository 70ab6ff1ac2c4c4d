//! What is wrong with one node, and what helps: what its page says first. `nodes` asks for it.

use std::cmp::Reverse;

use i18n::{Message, msg};
use model::{
    figure::{Figure, Sample, Unit},
    format,
    groups::{Group, Node, NodePressure, NodeUse},
    name::in_command,
    reason::Reason,
    thresholds::USE,
    vm_health::{Level, Problem},
};

use super::fix;

/// Returns how the node is, and its problems, the most serious first.
pub fn health(group: &Group) -> (Level, Vec<Problem>) {
    let Some(node) = &group.node else { return (Level::Normal, Vec::new()) };
    let used = node.used.as_deref();
    let found = [not_ready(node)]
        .into_iter()
        .chain(pressure(node.pressure))
        .chain([
            used.and_then(full_memory),
            node.unschedulable.then(|| cordoned(&node.name)),
            (node.takes_vms && !node.schedulable && node.ready == Some(true))
                .then(|| without_label(&node.name)),
            used.and_then(busy_cpu),
            overcommitted_memory(group),
        ])
        .flatten();
    let mut found: Vec<(Level, Problem)> = found.collect();
    found.sort_by_key(|(level, _)| Reverse(*level));
    let level = found.first().map_or(Level::Normal, |(level, _)| *level);
    (level, found.into_iter().map(|(_, problem)| problem).collect())
}

fn not_ready(node: &Node) -> Option<(Level, Problem)> {
    let since = node.ready_since.map(format::utc_minute);
    let text = match (node.ready, since) {
        (Some(true), _) => return None,
        (Some(false), Some(since)) => msg!(node_health.not_ready_since, time = since),
        (Some(false), None) => msg!(node_health.not_ready),
        (None, Some(since)) => msg!(node_health.silent_since, time = since),
        (None, None) => msg!(node_health.silent),
    };
    Some((Level::Critical, Problem { text, advice: fix::kubelet(Reason::Unreachable, &node.name) }))
}

/// A kubelet that reports one of these evicts pods.
fn pressure(of: NodePressure) -> impl Iterator<Item = Option<(Level, Problem)>> {
    let NodePressure { memory, disk, pids } = of;
    let all = [
        (memory, msg!(node_health.memory_pressure), msg!(node_health.advice_memory)),
        (disk, msg!(node_health.disk_pressure), msg!(node_health.advice_disk)),
        (pids, msg!(node_health.pid_pressure), msg!(node_health.advice_pids)),
    ];
    let problem = |(is_short, text, advice)| {
        (is_short == Some(true)).then_some((Level::Critical, Problem { text, advice }))
    };
    all.into_iter().map(problem)
}

/// Somebody may want it, or may have forgotten it: nothing runs worse because of it.
fn cordoned(name: &str) -> (Level, Problem) {
    let command = format!("kubectl uncordon {}", in_command(name, "NODE"));
    let advice = msg!(node_health.advice_cordoned, command = command);
    (Level::High, Problem { text: msg!(node_health.cordoned), advice })
}

/// KubeVirt sets the label to `false` while its virt-handler there does not report.
fn without_label(name: &str) -> (Level, Problem) {
    let node = in_command(name, "NODE");
    let command = format!(
        "kubectl get pods -A -o wide -l kubevirt.io=virt-handler --field-selector spec.nodeName={node}"
    );
    let advice = msg!(node_health.advice_label, command = command);
    (Level::High, Problem { text: msg!(node_health.without_label), advice })
}

fn full_memory(used: &NodeUse) -> Option<(Level, Problem)> {
    let sample = fresh(&used.memory)?;
    let level = Level::of_space(sample.percent());
    let text = msg!(
        node_health.memory,
        used = amount(Unit::Bytes, sample.used),
        all = amount(Unit::Bytes, sample.of),
        percent = format::grouped(sample.percent()),
    );
    (level > Level::Normal).then(|| (level, Problem { text, advice: msg!(node_health.advice_full_memory) }))
}

/// Full use of CPU is no fault, so it is never critical.
fn busy_cpu(used: &NodeUse) -> Option<(Level, Problem)> {
    let sample = fresh(&used.cpu).filter(|sample| sample.percent() >= USE)?;
    let text = msg!(
        node_health.cpu,
        used = amount(Unit::Nanocores, sample.used),
        all = amount(Unit::Nanocores, sample.of),
        percent = format::grouped(sample.percent()),
    );
    Some((Level::High, Problem { text, advice: msg!(node_health.advice_cpu) }))
}

/// Overcommitting CPU is normal; overcommitting memory is not.
fn overcommitted_memory(group: &Group) -> Option<(Level, Problem)> {
    let percent = group.memory.percent().filter(|percent| *percent > 100)?;
    let text = msg!(
        node_health.allocated,
        given = amount(Unit::Bytes, group.memory.allocated),
        all = amount(Unit::Bytes, group.memory.allocatable.unwrap_or_default()),
        percent = format::grouped(percent),
    );
    Some((Level::High, Problem { text, advice: msg!(node_health.advice_allocated) }))
}

/// An old figure says nothing of now.
fn fresh(figure: &Figure) -> Option<&Sample> {
    figure.sample().filter(|sample| !sample.stale)
}

fn amount(unit: Unit, amount: u64) -> Message {
    match unit {
        Unit::Nanocores => (format::allocation(unit, amount) + " vCPU").into(),
        Unit::Bytes => {
            let format::Amount { digits, unit } = format::total_bytes(amount);
            [&digits, " ", unit].concat().into()
        }
    }
}
