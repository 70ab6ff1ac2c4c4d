//! Kubelets that can be reached directly.

use serde_json::Value;

use super::support::{ask_over_tls, get};
use crate::{Fault, Guest, Kubelet, Node, Options, Scenario, Target, start};

#[tokio::test]
async fn a_kubelet_can_be_asked_direct_at_its_own_address() {
    let scenario = Scenario::empty().node(Node::new("n1").direct()).node(Node::new("n2"));
    let sim = start(Options::exactly(scenario)).await.unwrap();
    sim.world().put(Guest::new("a", "one").running_on("n1", 0));
    let (port, authority) = sim.kubelets().expect("Linux has a whole network of loopback addresses");
    let pods = get(&sim, "/api/v1/pods").await;
    let address = pods["items"][0]["status"]["hostIP"].as_str().unwrap();
    assert!(address.starts_with("127."), "{address}");

    let summary = direct(address, port, authority).await.unwrap();
    assert_eq!(summary["node"]["nodeName"], "n1");
    assert!(summary.to_string().contains("one-root"));
    sim.faults().add_times(Target::Summary("n1".into()), Fault::status(403), 1);
    assert_eq!(direct(address, port, authority).await.unwrap()["code"], 403);
    assert_eq!(sim.requests().count(&Target::Path("/stats/summary".into())), 2);
    sim.world().set_kubelet("n1", Kubelet::Refuses);
    assert!(direct(address, port, authority).await.is_err());
    assert!(
        direct(&Node::new("n2").ip(), port, authority).await.is_err(),
        "it is asked through the API server"
    );
    sim.shutdown().await;
}

async fn direct(address: &str, port: u16, authority: &str) -> std::io::Result<Value> {
    let body = ask_over_tls((address, port), address, authority, "/stats/summary").await?;
    Ok(serde_json::from_str(&body)?)
}
