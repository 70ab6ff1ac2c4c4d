//! Nodes: the resources that VMs can use, readiness and pressure.

use std::net::IpAddr;

use super::{Kind, ObservedKind, Scope, texts};
use crate::k8s::{
    core::{NodeAddress, NodeSpec, NodeStatus},
    kubevirt::Condition,
    lenient::Scalar,
    meta::Object,
    time,
};
use model::{
    Millis,
    groups::{Node, NodePressure},
    quantity::Quantity,
    source::SourceId,
};
use wukong_core::observation::{Change, Key, Observation};

/// Nodes.
#[derive(Clone, Debug)]
pub struct Nodes;

impl Kind for Nodes {
    const GROUP: &'static str = "";
    const VERSION: &'static str = "v1";
    const PLURAL: &'static str = "nodes";
    const SCOPE: Scope = Scope::Cluster;

    type Spec = NodeSpec;
    type Status = NodeStatus;
    type Facts = Node;

    fn facts(object: Object<NodeSpec, NodeStatus>) -> Node {
        let (meta, status) = (object.metadata.0, object.status.0);
        Node {
            name: meta.name.0,
            cpu: quantity(&status.allocatable.cpu).map(Quantity::nanos).filter(|nanos| *nanos < u64::MAX),
            memory: quantity(&status.allocatable.memory)
                .map(Quantity::units)
                .filter(|bytes| *bytes < 1 << 63),
            ready: condition(&status, "Ready"),
            ready_since: status.conditions.iter().find(|of| &*of.r#type == "Ready").and_then(since),
            unschedulable: object.spec.unschedulable.0,
            takes_vms: !meta.labels.schedulable.is_empty(),
            schedulable: &*meta.labels.schedulable == "true",
            address: status.addresses.iter().find_map(internal_ip),
            pressure: NodePressure {
                memory: condition(&status, "MemoryPressure"),
                disk: condition(&status, "DiskPressure"),
                pids: condition(&status, "PIDPressure"),
            },
            kubelet_version: status.node_info.kubelet_version.0.clone(),
            used: None,
        }
    }

    fn left_out(object: &Object<NodeSpec, NodeStatus>) -> u32 {
        object.status.conditions.left_out + object.status.addresses.left_out
    }

    fn weight(facts: &Node) -> usize {
        size_of::<Node>() + texts(&[&facts.name, &facts.kubelet_version])
    }

    fn key(facts: &Node) -> Key {
        Key::new("", &facts.name)
    }
}

impl ObservedKind for Nodes {
    const SOURCE: SourceId = SourceId::Nodes;

    fn observation(change: Change<Node>) -> Observation {
        Observation::Nodes(change)
    }
}

fn quantity(text: &Scalar) -> Option<Quantity> {
    Quantity::parse(text.given()?).ok()
}

/// A condition. `Unknown` is `None`: the control plane writes it for a kubelet that has stopped reporting.
fn condition(status: &NodeStatus, kind: &str) -> Option<bool> {
    let mut of_kind = status.conditions.iter().filter(|condition| &*condition.r#type == kind);
    of_kind.find_map(|condition| match &*condition.status {
        "True" => Some(true),
        "False" => Some(false),
        _ => None,
    })
}

fn internal_ip(address: &NodeAddress) -> Option<IpAddr> {
    (&*address.r#type == "InternalIP").then(|| address.address.0.parse().ok())?
}

fn since(condition: &Condition) -> Option<Millis> {
    time::rfc3339(&condition.last_transition_time)
}

#[cfg(test)]
mod tests {
    use super::{super::read, *};

    fn node(spec: &str, status: &str) -> Node {
        let json = format!(
            r#"{{"metadata": {{"name": "n1", "labels": {{"kubevirt.io/schedulable": "false"}}}}, "spec": {spec}, "status": {status}}}"#
        );
        read::<Nodes>(&json).expect("a node has no namespace, and needs none")
    }

    #[test]
    fn a_node_says_what_it_can_allocate_and_whether_it_is_ready() {
        let status = r#"{"capacity": {"cpu": "64", "memory": "1Ki"}, "allocatable": {"cpu": "63500m", "memory": "251Ki"},
            "conditions": [{"type": "MemoryPressure", "status": "False"}, {"type": "DiskPressure", "status": "True"}, {"type": "PIDPressure", "status": "Unknown"},
                {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:01Z"}],
            "nodeInfo": {"kubeletVersion": "v1.34.1", "osImage": "Ubuntu"}}"#;
        let want = Node {
            name: "n1".into(),
            cpu: Some(63_500_000_000),
            memory: Some(251 << 10),
            ready: Some(true),
            ready_since: Some(1_767_225_601_000),
            unschedulable: true,
            takes_vms: true,
            schedulable: false,
            address: None,
            pressure: NodePressure { memory: Some(false), disk: Some(true), pids: None },
            kubelet_version: "v1.34.1".into(),
            used: None,
        };
        assert_eq!(node(r#"{"unschedulable": true}"#, status), want);
    }

    #[test]
    fn a_node_on_which_vms_can_be_placed_has_the_label_and_an_address() {
        let node = |label: &str, addresses: &str| {
            let json = format!(
                r#"{{"metadata": {{"name": "n1", "labels": {{"kubevirt.io/schedulable": "{label}"}}}}, "status": {{"addresses": {addresses}}}}}"#
            );
            let node = read::<Nodes>(&json).unwrap();
            (node.takes_vms, node.schedulable, node.address.map(|address| address.to_string()))
        };
        let all = r#"[{"type": "Hostname", "address": "10.0.0.1"}, {"type": "InternalIP", "address": "n1"},
            {"type": "InternalIP", "address": "fd00::7"}, {"type": "InternalIP", "address": "10.0.0.7"}]"#;
        assert_eq!(node("true", all), (true, true, Some("fd00::7".into())));
        assert_eq!(node("false", "[7, {}]"), (true, false, None));
        assert_eq!(node("", "{}"), (false, false, None));
    }

    #[test]
    fn an_allocatable_amount_that_cannot_be_read_is_unknown() {
        for (allocatable, cpu, memory) in [
            (r#"{"cpu": 4, "memory": 1024}"#, Some(4_000_000_000), Some(1024)),
            (r#"{"cpu": "-1", "memory": "lots"}"#, None, None),
            (r#"{"cpu": "9223372036854775807", "memory": "9223372036854775808"}"#, None, None),
            (r#"{"cpu": {}, "memory": null}"#, None, None),
            ("7", None, None),
        ] {
            let facts = node("[]", &format!(r#"{{"allocatable": {allocatable}}}"#));
            assert_eq!((facts.cpu, facts.memory), (cpu, memory), "{allocatable}");
            assert_eq!((facts.ready, facts.unschedulable), (None, false), "{allocatable}");
        }
    }

    #[test]
    fn a_node_that_lost_touch_is_neither_ready_nor_not() {
        for (status, ready) in [("True", Some(true)), ("False", Some(false)), ("Unknown", None), ("", None)] {
            let conditions = format!(r#"{{"conditions": [{{"type": "Ready", "status": "{status}"}}]}}"#);
            assert_eq!(node("{}", &conditions).ready, ready, "{status}");
        }
        let bare = read::<Nodes>(r#"{"metadata": {"name": "n1"}}"#).unwrap();
        assert!(!bare.takes_vms, "nothing of KubeVirt is on it");
        assert_eq!((bare.pressure, bare.kubelet_version.as_str()), (NodePressure::default(), ""));
        assert_eq!(node("{}", r#"{"nodeInfo": [7]}"#).kubelet_version, "");
    }
}
