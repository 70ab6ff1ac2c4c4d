//! The stories of the demo, as its HTTP APIs tell them.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    support::{get, items},
    virt_handlers::{metrics, value},
};
use crate::{Clock, Handle, KubevirtVersion, Options, start};

const NOW: i64 = 1_700_049_600_000;
const MINUTE: u64 = 60;
/// The families of a guest at two times, a minute apart.
struct MinuteOfMetrics(String, String);

async fn cluster(kubevirt: KubevirtVersion) -> (Handle, Clock) {
    let clock = Clock::fixed(NOW);
    let options = Options { clock: clock.clone(), life: None, nodes: 6, kubevirt, ..Options::default() };
    (start(options).await.unwrap(), clock)
}

async fn instance(sim: &Handle, path: &str) -> Value {
    let (namespace, name) = path.split_once('/').unwrap();
    get(sim, &format!("/apis/kubevirt.io/v1/namespaces/{namespace}/virtualmachineinstances/{name}")).await
}

async fn node_of(sim: &Handle, path: &str) -> String {
    instance(sim, path).await["status"]["nodeName"].as_str().unwrap().to_owned()
}

async fn a_minute(sim: &Handle, clock: &Clock, node: &str) -> MinuteOfMetrics {
    let first = metrics(sim, node).await.unwrap();
    clock.advance(Duration::from_secs(MINUTE));
    MinuteOfMetrics(first, metrics(sim, node).await.unwrap())
}

impl MinuteOfMetrics {
    /// What a counter of a guest grew by each second.
    fn rate(&self, family: &str, guest: &str, labels: &str) -> f64 {
        let of = |metrics: &str| {
            let line = lines(metrics, family, guest).find(|line| line.contains(labels));
            line.unwrap_or_else(|| panic!("no {family} {guest} {labels}"))
                .rsplit_once(' ')
                .unwrap()
                .1
                .parse::<f64>()
                .unwrap()
        };
        (of(&self.1) - of(&self.0)) / MINUTE as f64
    }
}

/// The series of a guest in a family.
fn lines<'a>(metrics: &'a str, family: &str, guest: &str) -> impl Iterator<Item = &'a str> + use<'a> {
    let (start, name) = (format!("kubevirt_vmi_{family}{{"), format!("name=\"{guest}\","));
    metrics.lines().filter(move |line| line.starts_with(&start) && line.contains(&name))
}

async fn pod_of(sim: &Handle, node: &str, prefix: &str) -> Value {
    let summary = get(sim, &format!("/api/v1/nodes/{node}/proxy/stats/summary")).await;
    let mut pods = summary["pods"].as_array().unwrap().iter();
    pods.rfind(|pod| pod["podRef"]["name"].as_str().unwrap().starts_with(prefix)).unwrap().clone()
}

#[track_caller]
fn assert_close(found: f64, want: f64) {
    assert!((found - want).abs() <= want / 100.0, "{found} instead of {want}");
}

#[tokio::test]
async fn a_noisy_neighbour_lets_the_others_of_its_node_wait() {
    let (sim, clock) = cluster(KubevirtVersion::default()).await;
    let node = node_of(&sim, "ci/runner-large-01-vm").await;
    assert_eq!(node, node_of(&sim, "shop/web-db").await);
    let minute = a_minute(&sim, &clock, &node).await;
    assert_close(minute.rate("cpu_usage_seconds_total", "runner-large-01-vm", ""), 21.78);
    let waits = |guest: &str| minute.rate("vcpu_delay_seconds_total", guest, "id=\"0\"");
    assert!((0.35..0.37).contains(&waits("web-db")), "{}", waits("web-db"));
    assert!(waits("runner-large-01-vm") < 0.03);
    let other = node_of(&sim, "shop/web").await;
    let calm = a_minute(&sim, &clock, &other).await;
    assert!(calm.rate("vcpu_delay_seconds_total", "web", "id=\"0\"") < 0.02);

    let pressed = pod_of(&sim, &node, "virt-launcher-web-db-").await;
    let psi = &pressed["containers"][0]["cpu"]["psi"]["some"];
    assert!(psi["avg60"].as_f64().unwrap() > 80.0, "{psi}");
    let summary = get(&sim, &format!("/api/v1/nodes/{node}/proxy/stats/summary")).await;
    assert!(summary["node"]["cpu"]["usageNanoCores"].as_u64().unwrap() > 22_500_000_000);
    let record = get(&sim, &format!("/api/v1/nodes/{node}")).await;
    assert_eq!(record["status"]["capacity"]["cpu"], "24");
}

#[tokio::test]
async fn the_neighbour_became_noisy_half_an_hour_ago() {
    let start_of = |clock: Clock| {
        let scenario = crate::Scenario::demo(40, 6, 7, NOW);
        start(Options { clock, ..Options { life: None, ..Options::exactly(scenario) } })
    };
    let clock = Clock::fixed(NOW - 40 * 60_000);
    let sim = start_of(clock.clone()).await.unwrap();
    let minute = a_minute(&sim, &clock, "worker-02").await;
    assert!(minute.rate("vcpu_delay_seconds_total", "web-db", "id=\"0\"") < 0.02);
    assert_close(minute.rate("cpu_usage_seconds_total", "runner-large-01-vm", ""), 0.4);
}

#[tokio::test]
async fn a_saturated_disk_does_as_much_as_before_and_takes_far_longer() {
    let (sim, clock) = cluster(KubevirtVersion::default()).await;
    let node = node_of(&sim, "data/elastic-hot-01-vm").await;
    let minute = a_minute(&sim, &clock, &node).await;
    let rate =
        |family: &str, drive: &str| minute.rate(family, "elastic-hot-01-vm", &format!("drive=\"{drive}\""));
    assert_close(rate("storage_iops_read_total", "shards"), 700.0);
    assert_close(rate("storage_iops_write_total", "shards"), 900.0);
    let latency = |drive: &str| {
        rate("storage_write_times_seconds_total", drive) / rate("storage_iops_write_total", drive)
    };
    assert_close(latency("shards"), 0.08);
    assert_close(latency("root"), 0.0018);
    let queue = rate("storage_read_times_seconds_total", "shards")
        + rate("storage_write_times_seconds_total", "shards");
    assert_close(queue, 128.0);
    let pod = pod_of(&sim, &node, "virt-launcher-elastic-hot-01-vm").await;
    assert!(pod["io"]["psi"]["some"]["avg60"].as_f64().unwrap() > 75.0, "{}", pod["io"]);
    assert_eq!(pod["memory"]["psi"]["some"]["avg60"], 0);
}

#[tokio::test]
async fn a_guest_swaps_while_its_host_has_memory() {
    let (sim, clock) = cluster(KubevirtVersion::default()).await;
    let node = node_of(&sim, "shop/edge-cache-01-vm").await;
    let minute = a_minute(&sim, &clock, &node).await;
    let rate = |family: &str| minute.rate(family, "edge-cache-01-vm", "");
    assert_close(rate("memory_swap_in_traffic_bytes"), f64::from(18 << 20));
    assert_close(rate("memory_swap_out_traffic_bytes"), f64::from(12 << 20));
    assert_close(rate("memory_pgmajfault_total"), 4_200.0);
    let now = |family: &str| value(&minute.1, family, "edge-cache-01-vm");
    let available = now("memory_available_bytes");
    assert!((available - now("memory_usable_bytes")) / available > 0.98);
    let total = now("memory_domain_bytes");
    assert!(now("memory_resident_bytes") / total < 0.75);
    let pod = pod_of(&sim, &node, "virt-launcher-edge-cache-01-vm").await;
    assert!(pod["memory"]["workingSetBytes"].as_f64().unwrap() / total < 0.75);
}

#[tokio::test]
async fn no_source_counts_the_traffic_of_an_sriov_interface() {
    let (sim, clock) = cluster(KubevirtVersion::default()).await;
    let guest = instance(&sim, "payments/dpdk-gateway-01").await;
    let interfaces = guest["status"]["interfaces"].as_array().unwrap();
    assert_eq!((interfaces.len(), &interfaces[1]["name"]), (2, &json!("fast-path")));
    let node = guest["status"]["nodeName"].as_str().unwrap();
    let minute = a_minute(&sim, &clock, node).await;
    let received: Vec<_> = lines(&minute.1, "network_receive_bytes_total", "dpdk-gateway-01").collect();
    assert_eq!((received.len(), received[0].contains("interface=\"lan\"")), (1, true));
    assert!(minute.rate("network_receive_bytes_total", "dpdk-gateway-01", "") > 1_000.0);
    let network = &pod_of(&sim, node, "virt-launcher-dpdk-gateway-01").await["network"];
    let names: Vec<_> =
        network["interfaces"].as_array().unwrap().iter().map(|found| &found["name"]).collect();
    assert_eq!(names, ["eth0", "eth0-nic", "k6t-eth0", "tap0"]);
    assert_eq!((&network["name"], &network["rxBytes"]), (&json!("eth0"), &json!(0)));
}

#[tokio::test]
async fn the_tap_of_a_guest_counts_the_other_way_round() {
    let (sim, clock) = cluster(KubevirtVersion::default()).await;
    let node = node_of(&sim, "shop/web").await;
    let tap = async || {
        let pod = pod_of(&sim, &node, "virt-launcher-web-").await;
        let tap = pod["network"]["interfaces"]
            .as_array()
            .unwrap()
            .iter()
            .find(|found| found["name"] == "tap0")
            .unwrap();
        let of = |name: &str| tap[name].as_f64().unwrap();
        (of("rxBytes"), of("txBytes"), pod["network"]["time"].as_str().unwrap().to_owned())
    };
    let before = tap().await;
    // Kubelets measure every 15 seconds; a minute is four times that.
    let minute = a_minute(&sim, &clock, &node).await;
    let after = tap().await;
    assert_ne!(before.2, after.2);
    assert_close((after.0 - before.0) / 60.0, minute.rate("network_transmit_bytes_total", "web", ""));
    assert_close((after.1 - before.1) / 60.0, minute.rate("network_receive_bytes_total", "web", ""));
}

#[tokio::test]
async fn a_migration_does_not_converge() {
    let (sim, clock) = cluster(KubevirtVersion::default()).await;
    let guest = instance(&sim, "monitoring/prometheus-0-vm").await;
    let state = &guest["status"]["migrationState"];
    assert_eq!((&state["startTimestamp"], state.get("completed")), (&json!("2023-11-15T11:35:00Z"), None));
    let list = get(&sim, "/apis/kubevirt.io/v1/namespaces/monitoring/virtualmachineinstancemigrations").await;
    assert_eq!(items(&list)[0]["status"]["phase"], "Running");
    let minute = a_minute(&sim, &clock, state["sourceNode"].as_str().unwrap()).await;
    let newest = |metrics: &str, family: &str| {
        let samples = lines(metrics, &format!("migration_{family}_bytes"), "prometheus-0-vm");
        let samples: Vec<(i64, f64)> = samples
            .map(|line| {
                let mut words = line.rsplit(' ');
                (words.next().unwrap().parse().unwrap(), words.next().unwrap().parse().unwrap())
            })
            .collect();
        assert_eq!(samples.len(), 10, "{family}");
        samples.into_iter().max_by_key(|(at, _)| *at).unwrap()
    };
    let (dirty, sent) = (newest(&minute.1, "dirty_memory_rate"), newest(&minute.1, "disk_transfer_rate"));
    assert!(dirty.1 >= sent.1 && sent.1 > 0.0, "{dirty:?} {sent:?}");
    let (before, after) = (newest(&minute.0, "data_remaining"), newest(&minute.1, "data_remaining"));
    assert!(after.0 > before.0 && after.1 >= before.1, "{before:?} {after:?}");
    let (before, after) = (newest(&minute.0, "data_processed"), newest(&minute.1, "data_processed"));
    assert_close((after.1 - before.1) * 1000.0 / (after.0 - before.0) as f64, sent.1);
    let target = metrics(&sim, state["targetNode"].as_str().unwrap()).await.unwrap();
    assert_eq!(lines(&target, "migration_data_remaining_bytes", "prometheus-0-vm").count(), 0);
}

#[tokio::test]
async fn a_liveness_probe_restarted_a_guest() {
    let (sim, _) = cluster(KubevirtVersion::default()).await;
    let guest = instance(&sim, "shop/orders-worker-05-vm").await;
    assert_eq!(guest["metadata"]["creationTimestamp"], "2023-11-15T11:54:00Z");
    assert_eq!(guest["spec"]["livenessProbe"]["httpGet"]["path"], "/healthz");
    let count = value(
        &metrics(&sim, guest["status"]["nodeName"].as_str().unwrap()).await.unwrap(),
        "storage_iops_read_total",
        "orders-worker-05-vm",
    );
    let of = sim.world().guest("shop", "orders-worker-05").unwrap();
    assert_close(count, of.spans(NOW)[0].does.reads as f64 * 360.0);
    let query = "/api/v1/namespaces/shop/events?fieldSelector=type=Warning,involvedObject.kind=Pod";
    let events = get(&sim, query).await;
    let event = items(&events).iter().find(|event| event["reason"] == "Unhealthy").unwrap();
    assert_eq!((&event["count"], &event["lastTimestamp"]), (&json!(3), &json!("2023-11-15T11:54:00Z")));
    let pods = "/api/v1/namespaces/shop/pods?labelSelector=vm.kubevirt.io%2Fname%3Dorders-worker-05-vm";
    let pods = get(&sim, pods).await;
    assert_eq!(items(&pods).len(), 2);
    assert_eq!(items(&pods)[0]["spec"]["containers"][0]["livenessProbe"]["failureThreshold"], 3);
}

#[tokio::test]
async fn an_old_kubevirt_has_other_names_and_no_delay() {
    let (sim, clock) = cluster(KubevirtVersion::V1_0).await;
    let node = node_of(&sim, "data/elastic-hot-01-vm").await;
    let MinuteOfMetrics(first, second) = a_minute(&sim, &clock, &node).await;
    assert!(second.contains("kubeversion=\"v1.0.0\""));
    for family in ["vcpu_delay", "times_seconds", "memory_domain_bytes{", "cpu_usage_seconds_total"] {
        assert!(!second.contains(family), "{family}");
    }
    for family in ["cpu_usage_seconds", "memory_domain_bytes_total", "memory_swap_in_traffic_bytes_total"] {
        assert_eq!(lines(&second, family, "elastic-hot-01-vm").count(), 1, "{family}");
    }
    let minute = MinuteOfMetrics(first, second);
    let rate = |family| minute.rate(family, "elastic-hot-01-vm", "drive=\"shards\"");
    assert_close(rate("storage_write_times_ms_total") / rate("storage_iops_write_total"), 80.0);
    let kubevirt = get(&sim, "/apis/kubevirt.io/v1/kubevirts").await;
    assert_eq!(items(&kubevirt)[0]["status"]["observedKubeVirtVersion"], "v1.0.0");
    let source = node_of(&sim, "monitoring/prometheus-0-vm").await;
    let migrating = metrics(&sim, &source).await.unwrap();
    let line = migrating
        .lines()
        .find(|line| line.starts_with("kubevirt_migrate_vmi_data_remaining_bytes{"))
        .unwrap();
    assert_eq!(line.split(' ').count(), 2, "without a time: {line}");
}
