//! Writes Nodes and Namespaces.

use std::sync::LazyLock;

use super::{
    labels,
    managed::{Manager, complete},
    template::{Quoted, Template, join, put},
};
use crate::{clock::rfc3339, node::Node, resource::Resource, rng};

pub fn render(out: &mut String, node: &Node, revision: u64) {
    write(&TEMPLATE, out, node, revision);
}

pub fn render_namespace(out: &mut String, name: &str, revision: u64) {
    put!(
        out,
        r#""metadata":{{"name":{0},"uid":"{1}","resourceVersion":"{revision}","creationTimestamp":"2025-02-03T08:00:00Z","labels":{{"kubernetes.io/metadata.name":{0}}}}},"spec":{{"finalizers":["kubernetes"]}},"status":{{"phase":"Active"}}"#,
        Quoted(name),
        rng::uid(0, &["namespace", name])
    );
}

static TEMPLATE: LazyLock<Template> = LazyLock::new(|| {
    let managers = [
        Manager { name: "kubeadm", subresource: "", fields: &["metadata", "spec"] },
        Manager { name: "kubelet", subresource: "status", fields: &["status"] },
    ];
    complete(include_str!("templates/node.json"), Resource::Nodes, &managers, |template, out| {
        write(template, out, &Node::new("sample"), 1);
    })
});

fn write(template: &Template, out: &mut String, node: &Node, revision: u64) {
    template.render(out, |out, place| match place {
        "name" => put!(out, "{}", Quoted(&node.name)),
        "uid" => out.push_str(&node.uid()),
        "machine" => out.push_str(&node.uid().replace('-', "")),
        "boot" => out.push_str(&rng::uid(1, &["boot", &node.name])),
        "ip" => out.push_str(&node.ip()),
        "revision" => put!(out, "{revision}"),
        "created" | "changed" => out.push_str(&rfc3339(node.created)),
        "labels" => labels::write(out, &labels::of_node(node)),
        "cores" => put!(out, "{}", node.cores),
        "memoryKi" => put!(out, "{}", node.memory_bytes >> 10),
        "allocatableMilli" => put!(out, "{}", node.cores * 1000 - 500),
        "allocatableKi" => put!(out, "{}", (node.memory_bytes >> 10).saturating_sub(4 << 20)),
        "taints" if !node.is_ready() => out.push_str(
            r#","taints":[{"effect":"NoSchedule","key":"node.kubernetes.io/unreachable"},{"effect":"NoExecute","key":"node.kubernetes.io/unreachable"}]"#,
        ),
        "taints" => {}
        "conditions" => conditions(out, node),
        _ => debug_assert!(false, "no such place: {place}"),
    });
}

fn conditions(out: &mut String, node: &Node) {
    let list = [
        ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    ];
    join(out, list, |out, (kind, status, reason, message)| {
        let lost = ("Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.");
        let (status, reason, message) = if node.is_ready() { (status, reason, message) } else { lost };
        put!(
            out,
            r#"{{"type":"{kind}","status":"{status}","lastHeartbeatTime":"{0}","lastTransitionTime":"{0}","reason":"{reason}","message":"{message}"}}"#,
            rfc3339(node.created)
        );
    });
}
