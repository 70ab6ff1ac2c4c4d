//! The metrics of virt-handlers.

use std::time::Duration;

use super::support::{ask_over_tls, get, items};
use crate::{
    Activity, Clock, Fault, Guest, Handle, Kubelet, Node, Options, PlainPod, Scenario, Target, start,
};

const MINUTE: Duration = Duration::from_secs(60);
const CA: &str = "/api/v1/namespaces/kubevirt/configmaps/kubevirt-ca";
const HANDLERS: &str = "/api/v1/namespaces/kubevirt/pods?labelSelector=kubevirt.io%3Dvirt-handler";

/// A cluster whose clock a test sets, with a guest on each of two nodes.
async fn cluster() -> (Handle, Clock) {
    let clock = Clock::fixed(1_000_000);
    let scenario = Scenario::empty()
        .node(Node::new("n1"))
        .node(Node::new("n2"))
        .pod(PlainPod::virt_handler("n1"))
        .pod(PlainPod::virt_handler("n2"));
    let sim = start(Options { clock: clock.clone(), ..Options::exactly(scenario) }).await.unwrap();
    let does = Activity { receive: 1_000, reads: 50, latency: 2_000, wait: 100, ..Activity::default() };
    sim.world().put(Guest::new("a", "one").cpu(2).does(does).running_on("n1", 1_000_000));
    sim.world().put(Guest::new("a", "two").running_on("n2", 1_000_000));
    (sim, clock)
}

/// The metrics of a node's virt-handler, as a client that trusts KubeVirt's authority gets them.
pub async fn metrics(sim: &Handle, node: &str) -> std::io::Result<String> {
    let authority = get(sim, CA).await["data"]["ca-bundle"].as_str().unwrap().to_owned();
    let pods = get(sim, HANDLERS).await;
    let pod = items(&pods).iter().find(|pod| pod["spec"]["nodeName"] == node).unwrap();
    assert_eq!(pod["metadata"]["ownerReferences"][0]["kind"], "DaemonSet");
    let port = pod["spec"]["containers"][0]["ports"][0]["containerPort"].as_u64().unwrap() as u16;
    let address = pod["status"]["podIP"].as_str().unwrap();
    ask_over_tls((address, port), "virt-handler.kubevirt.svc", &authority, "/metrics").await
}

pub fn value(metrics: &str, family: &str, labels: &str) -> f64 {
    let start = format!("kubevirt_vmi_{family}{{");
    let line = metrics.lines().find(|line| line.starts_with(&start) && line.contains(labels));
    let line = line.unwrap_or_else(|| panic!("no {family} {labels} in {metrics}"));
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}

#[tokio::test]
async fn counters_grow_by_what_the_guest_does_each_second() {
    let (sim, clock) = cluster().await;
    clock.advance(MINUTE);
    let first = metrics(&sim, "n1").await.unwrap();
    clock.advance(MINUTE);
    let second = metrics(&sim, "n1").await.unwrap();
    let grown = |family: &str, labels: &str| value(&second, family, labels) - value(&first, family, labels);
    assert_eq!(grown("network_receive_bytes_total", "interface="), 60_000.0);
    assert_eq!(grown("storage_iops_read_total", "drive=\"root\""), 3_000.0);
    assert!((grown("storage_read_times_seconds_total", "drive=\"root\"") - 6.0).abs() < 1e-6);
    assert!((grown("vcpu_delay_seconds_total", "id=\"1\"") - 6.0).abs() < 1e-6);
    assert!(second.contains("name=\"one-vm\",namespace=\"a\",node=\"n1\"") && !second.contains("two-vm"));
    assert!(second.contains("kubernetes_vmi_label_"), "the labels of the instance");
    assert_eq!(
        get(&sim, "/apis/kubevirt.io/v1/kubevirts").await["items"][0]["metadata"]["namespace"],
        "kubevirt"
    );
}

#[tokio::test]
async fn counters_start_over_where_the_guest_is_moved() {
    let (sim, clock) = cluster().await;
    clock.advance(MINUTE);
    assert!(sim.world().start_migration("a", "one", "n2"));
    assert!(sim.world().finish_migration("a", "one", false));
    clock.advance(Duration::from_secs(1));
    assert!(!metrics(&sim, "n1").await.unwrap().contains("one-vm"));
    let there = metrics(&sim, "n2").await.unwrap();
    assert_eq!(value(&there, "network_receive_bytes_total", "one-vm"), 1_000.0);
}

#[tokio::test]
async fn a_virt_handler_fails_as_it_is_told() {
    let (sim, _) = cluster().await;
    sim.faults().add_times(Target::VirtHandler("n1".into()), Fault::status(503), 1);
    assert!(metrics(&sim, "n1").await.unwrap().contains("503"));
    assert!(metrics(&sim, "n2").await.unwrap().contains("two-vm"));
    assert_eq!(sim.requests().count(&Target::VirtHandlers), 2);
    sim.world().set_kubelet("n1", Kubelet::Refuses);
    assert!(metrics(&sim, "n1").await.is_err());
}
