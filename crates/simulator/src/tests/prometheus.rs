//! The Prometheus that scrapes the simulated cluster.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{Backend, Clock, Disk, DiskMode, Fault, Guest, Handle, Kubelet, Options, Target, start};

const NOW: i64 = 1_700_049_600_000;

pub async fn query(sim: &Handle, text: &str) -> (u16, Value) {
    let url = format!("{}/api/v1/query", sim.prometheus_url());
    let response = reqwest::Client::new().post(url).body(form(text)).send().await.unwrap();
    let code = response.status().as_u16();
    (code, serde_json::from_str(&response.text().await.unwrap()).unwrap_or_default())
}

fn form(text: &str) -> String {
    let escaped: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
    format!("query={escaped}")
}

async fn result(sim: &Handle, text: &str) -> Vec<Value> {
    let (code, answer) = query(sim, text).await;
    assert_eq!((code, &answer["status"]), (200, &json!("success")), "{text}: {answer}");
    answer["data"]["result"].as_array().unwrap().clone()
}

/// Starts a cluster of two VMs that have run for a day, on a fixed clock.
async fn two_vms() -> Handle {
    let options = Options {
        clock: Clock::fixed(NOW),
        metrics_interval: Duration::from_secs(15),
        volumes_interval: Duration::from_secs(60),
        ..Options::empty()
    };
    let sim = start(options).await.unwrap();
    let disks = vec![
        Disk::new("one", "root", "10Gi").holds(3 << 30, 10 << 30),
        Disk::new("one", "raw", "5Gi").mode(DiskMode::Block),
        Disk::new("one", "left", "7Gi").unlisted().holds(1 << 30, 7 << 30),
        Disk::new("one", "dir", "7Gi").on(Backend::HostPath),
    ];
    let since = NOW - 86_400_000;
    let one = Guest::new("a", "one").memory("4Gi").uses("250m", "2Gi").disks(disks);
    sim.world().put(one.running_on("n1", since));
    sim.world().put(Guest::new("b", "two").uses("1", "1Gi").running_on("n2", since));
    sim
}

pub async fn range(sim: &Handle, text: &str, times: &str) -> (u16, Value) {
    let url = format!("{}/api/v1/query_range", sim.prometheus_url());
    let body = format!("{}&{times}", form(text));
    let response = reqwest::Client::new().post(url).body(body).send().await.unwrap();
    (response.status().as_u16(), serde_json::from_str(&response.text().await.unwrap()).unwrap())
}

#[tokio::test]
async fn a_range_query_ends_at_the_present() {
    let sim = two_vms().await;
    let end = NOW / 1000;
    let times = format!("start={}&end={}&step=3600", end - 2 * 86_400, end + 86_400);
    let query = r#"max by (namespace,name) ({__name__="kubevirt_vmi_memory_resident_bytes",namespace="a"})"#;
    let (code, answer) = range(&sim, query, &times).await;
    assert_eq!((code, &answer["data"]["resultType"]), (200, &json!("matrix")));
    let series = &answer["data"]["result"].as_array().unwrap()[..];
    let [one] = series else { panic!("{answer}") };
    assert_eq!(one["metric"], json!({"namespace": "a", "name": "one-vm"}));
    let values = one["values"].as_array().unwrap();
    assert_eq!(values.len(), 24, "it has been there for a day: {values:?}");
    let memory = (2u64 << 30).to_string();
    assert!(values.iter().all(|value| value[1] == memory));
    assert_eq!(values.last().unwrap()[0], json!(end as f64));
    // A counter grows by a quarter of a core.
    let query = r#"max by (name,node) ({__name__="kubevirt_vmi_cpu_usage_seconds_total",namespace="a"})"#;
    let (_, answer) = range(&sim, query, &format!("start={}&end={end}&step=60", end - 600)).await;
    let values: Vec<f64> = answer["data"]["result"][0]["values"]
        .as_array()
        .unwrap()
        .iter()
        .map(|value| value[1].as_str().unwrap().parse().unwrap())
        .collect();
    assert_eq!(values.len(), 11);
    assert!(values.windows(2).all(|pair| (pair[1] - pair[0] - 15.0).abs() < 0.01), "{values:?}");
    for (text, times) in [
        ("up{a=\"b\"}[3m]", "start=0&end=1&step=1"),
        ("up{a=\"b\"}", "start=0&end=1&step=0"),
        ("up{a=\"b\"}", "start=0&end=11001&step=1"),
        ("up{a=\"b\"}", "start=0&step=1"),
        ("up{", "start=0&end=1&step=1"),
    ] {
        assert_eq!(range(&sim, text, times).await.0, 400, "{text} {times}");
    }
}

#[tokio::test]
async fn volume_series_have_samples_of_a_range() {
    let sim = two_vms().await;
    let series = result(
        &sim,
        r#"{__name__=~"kubelet_volume_stats_(used|capacity)_bytes|kubelet_volume_stats_inodes",namespace=~"a|c"}[3m]"#,
    )
    .await;
    let of = |metric: &str, claim: &str| {
        let found = series.iter().find(|one| {
            one["metric"]["__name__"] == metric && one["metric"]["persistentvolumeclaim"] == claim
        });
        found.map(|one| one["values"].as_array().unwrap().clone())
    };
    assert_eq!(series.len(), 9, "three metrics of three claims of one namespace");
    let used = of("kubelet_volume_stats_used_bytes", "one-root").unwrap();
    assert_eq!(used.len(), 12);
    let times: Vec<f64> = used.iter().map(|sample| sample[0].as_f64().unwrap()).collect();
    assert!(times.is_sorted() && times[11] <= 1_700_049_600.0 && times[0] > 1_700_049_420.0, "{times:?}");
    assert!(used.iter().all(|sample| sample[1] == "3221225472"), "{used:?}");
    assert_eq!(
        of("kubelet_volume_stats_used_bytes", "one-raw").unwrap()[0][1],
        "0",
        "a block volume's zeros"
    );
    assert_eq!(of("kubelet_volume_stats_capacity_bytes", "one-raw").unwrap()[0][1], "5368709120");
    assert_eq!(of("kubelet_volume_stats_used_bytes", "one-left").unwrap()[0][1], "1073741824");
    assert!(of("kubelet_volume_stats_used_bytes", "one-dir").is_none());
    let labels = &series[0]["metric"];
    assert_eq!((&labels["node"], &labels["job"]), (&json!("n1"), &json!("kubelet")));
}

#[tokio::test]
async fn guest_series_have_instants_and_rates() {
    let sim = two_vms().await;
    let cpu = result(
        &sim,
        r#"sum by (namespace, name) (max by (namespace, name, node) (rate({__name__="kubevirt_vmi_cpu_usage_seconds_total",namespace=~"a"}[5m])))"#,
    )
    .await;
    assert_eq!(cpu.len(), 1);
    assert_eq!(cpu[0]["metric"], json!({"name": "one-vm", "namespace": "a"}));
    assert_eq!(cpu[0]["value"], json!([1_700_049_600.0, "0.25"]));
    let counter = result(&sim, "kubevirt_vmi_cpu_usage_seconds_total{name=\"one-vm\"}[3m]").await;
    let samples = counter[0]["values"].as_array().unwrap();
    let of =
        |n: usize| (samples[n][0].as_f64().unwrap(), samples[n][1].as_str().unwrap().parse::<f64>().unwrap());
    assert_eq!(samples.len(), 12);
    for n in 1..12 {
        let ((before, low), (at, high)) = (of(n - 1), of(n));
        assert!(((high - low) / (at - before) - 0.25).abs() < 1e-6, "{samples:?}");
    }
    let memory = result(&sim, "kubevirt_vmi_memory_resident_bytes").await;
    let values: Vec<_> = memory.iter().map(|one| one["value"][1].as_str().unwrap()).collect();
    assert_eq!(values, ["2147483648", "1073741824"]);
    let guest = |metric: &str| format!("{metric}{{name=\"one-vm\"}}");
    let number = |series: &[Value]| series[0]["value"][1].as_str().unwrap().parse::<f64>().unwrap();
    let available = number(&result(&sim, &guest("kubevirt_vmi_memory_available_bytes")).await);
    let usable = number(&result(&sim, &guest("kubevirt_vmi_memory_usable_bytes")).await);
    assert!(usable < available && available < 4.0 * 1024.0 * 1024.0 * 1024.0);
}

#[tokio::test]
async fn a_counter_that_is_reset_restarts_at_zero() {
    let midnight = NOW - NOW.rem_euclid(86_400_000);
    let clock = Clock::fixed(midnight + 60_000);
    let options = Options { clock, metrics_interval: Duration::from_secs(15), ..Options::empty() };
    let sim = start(options).await.unwrap();
    sim.world().put(Guest::new("a", "one").uses("2", "1Gi").running_on("n1", midnight - 86_400_000));
    let counter = result(&sim, "kubevirt_vmi_cpu_usage_seconds_total[3m]").await;
    let values: Vec<f64> = counter[0]["values"]
        .as_array()
        .unwrap()
        .iter()
        .map(|sample| sample[1].as_str().unwrap().parse().unwrap())
        .collect();
    let falls: Vec<_> = values.windows(2).filter(|pair| pair[1] < pair[0]).collect();
    assert_eq!(falls.len(), 1, "{values:?}");
    assert!(falls[0][1] <= 30.0 && falls[0][0] > 86_000.0 * 2.0 - 100.0, "{values:?}");
}

#[tokio::test]
async fn a_pod_that_is_not_scraped_has_no_series() {
    let sim = two_vms().await;
    sim.world().set_kubelet("n1", Kubelet::Refuses);
    assert!(result(&sim, "kubelet_volume_stats_used_bytes{namespace=\"a\"}").await.is_empty());
    assert!(result(&sim, "kubevirt_vmi_memory_usable_bytes{namespace=\"a\"}").await.is_empty());
    assert_eq!(result(&sim, "kubevirt_vmi_memory_usable_bytes").await.len(), 1);
    assert!(result(&sim, "no_such_metric").await.is_empty());
    let fresh = Guest::new("c", "new").uses("1", "1Gi").running_on("n3", NOW);
    sim.world().put(fresh);
    let rate = "rate(kubevirt_vmi_cpu_usage_seconds_total{namespace=\"c\"}[5m])";
    assert!(result(&sim, rate).await.is_empty(), "a rate needs two samples");
}

#[tokio::test]
async fn a_migrating_vm_has_a_series_of_each_kubelet() {
    let sim = two_vms().await;
    sim.world().start_migration("b", "two", "n3");
    let series = result(&sim, "kubelet_volume_stats_used_bytes{namespace=\"b\"}").await;
    let nodes: Vec<_> = series.iter().map(|one| one["metric"]["node"].as_str().unwrap()).collect();
    assert_eq!(nodes, ["n2", "n3"]);
    assert_eq!(result(&sim, "kubevirt_vmi_memory_usable_bytes{namespace=\"b\"}").await.len(), 1);
}

#[tokio::test]
async fn bad_queries_and_faults_are_answered_in_prometheus_words() {
    let sim = two_vms().await;
    let (code, answer) = query(&sim, "up{").await;
    assert_eq!((code, &answer["errorType"]), (400, &json!("bad_data")));
    sim.faults().add_times(Target::Prometheus, Fault::status(503), 1);
    let (code, answer) = query(&sim, "up").await;
    assert_eq!((code, &answer["status"]), (503, &json!("error")));
    sim.faults().add_times(Target::Prometheus, Fault::Numbers("NaN"), 1);
    let (_, answer) = query(&sim, "kubevirt_vmi_memory_resident_bytes").await;
    assert_eq!(answer["data"]["result"][0]["value"][1], "NaN");
    sim.faults().add_times(Target::Prometheus, Fault::Redirect, 1);
    let lost = reqwest::get(format!("{}/api/v1/query?query=up", sim.prometheus_url())).await;
    assert!(lost.is_err(), "where it leads to, nobody listens");
    assert_eq!(sim.requests().count(&Target::Prometheus), 4);
}
