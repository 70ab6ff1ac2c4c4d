//! The Prometheus and the Ceph dashboard that stand beside the cluster.

use std::{sync::Arc, time::Duration};

use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{self, ClientConfig, RootCertStore},
};

use super::support::{empty, get};
use crate::{
    Backend, Clock, Disk, DiskMode, Fault, Guest, Handle, Kubelet, Node, Options, Scenario, Target, start,
};

const NOW: i64 = 1_700_049_600_000;

async fn query(sim: &Handle, text: &str) -> (u16, Value) {
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

/// Two VMs that stood for a day, on a clock that stands still.
async fn standing() -> Handle {
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

async fn range(sim: &Handle, text: &str, times: &str) -> (u16, Value) {
    let url = format!("{}/api/v1/query_range", sim.prometheus_url());
    let body = format!("{}&{times}", form(text));
    let response = reqwest::Client::new().post(url).body(body).send().await.unwrap();
    (response.status().as_u16(), serde_json::from_str(&response.text().await.unwrap()).unwrap())
}

#[tokio::test]
async fn the_past_is_told_step_by_step_and_no_further_than_now() {
    let sim = standing().await;
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
async fn volumes_come_as_ranges_of_samples() {
    let sim = standing().await;
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
async fn guests_come_as_instants_and_rates() {
    let sim = standing().await;
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
async fn a_counter_that_starts_anew_only_ever_falls_to_what_was_used_since() {
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
async fn what_is_not_scraped_has_no_series() {
    let sim = standing().await;
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
    let sim = standing().await;
    sim.world().start_migration("b", "two", "n3");
    let series = result(&sim, "kubelet_volume_stats_used_bytes{namespace=\"b\"}").await;
    let nodes: Vec<_> = series.iter().map(|one| one["metric"]["node"].as_str().unwrap()).collect();
    assert_eq!(nodes, ["n2", "n3"]);
    assert_eq!(result(&sim, "kubevirt_vmi_memory_usable_bytes{namespace=\"b\"}").await.len(), 1);
}

#[tokio::test]
async fn bad_queries_and_faults_are_answered_in_prometheus_words() {
    let sim = standing().await;
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

/// A client of the dashboard.
struct Client<'a> {
    sim: &'a Handle,
    token: String,
}

impl Client<'_> {
    async fn login(sim: &Handle, user: &str, password: &str) -> (u16, Value) {
        let request = reqwest::Client::new().post(format!("{}/api/auth", sim.ceph_url()));
        let request = request.header("accept", "application/vnd.ceph.api.v1.0+json");
        let body = json!({"username": user, "password": password}).to_string();
        let response = request.header("content-type", "application/json").body(body).send().await.unwrap();
        (response.status().as_u16(), serde_json::from_str(&response.text().await.unwrap()).unwrap())
    }

    async fn new(sim: &Handle) -> Client<'_> {
        let (code, answer) = Self::login(sim, &sim.ceph().user, &sim.ceph().password).await;
        assert_eq!(code, 201, "{answer}");
        Client { sim, token: answer["token"].as_str().unwrap().to_owned() }
    }

    async fn get(&self, path: &str, version: &str) -> (u16, Option<usize>, Value) {
        let request = reqwest::Client::new().get(format!("{}{path}", self.sim.ceph_url()));
        let request = request.header("accept", format!("application/vnd.ceph.api.v{version}+json"));
        let response = request.bearer_auth(&self.token).send().await.unwrap();
        let total =
            response.headers().get("x-total-count").map(|total| total.to_str().unwrap().parse().unwrap());
        let code = response.status().as_u16();
        (code, total, serde_json::from_str(&response.text().await.unwrap()).unwrap())
    }
}

async fn with_images(count: usize) -> Handle {
    let sim = empty().await;
    for n in 0..count {
        let name = format!("vm-{n}");
        let disk = Disk::new(&name, "root", "10Gi").on(Backend::Rbd { fast_diff: n > 0 });
        sim.world()
            .put(Guest::new("a", &name).disks(vec![disk.holds(1 << 30, 10 << 30)]).running_on("n1", 0));
    }
    sim
}

#[tokio::test]
async fn images_come_in_pages_and_one_by_one() {
    let sim = with_images(7).await;
    let client = Client::new(&sim).await;
    let (code, total, page) = client.get("/api/block/image?pool_name=vms", "2.0").await;
    assert_eq!((code, total, &page[0]["pool_name"]), (200, Some(7), &json!("vms")));
    let first = page[0]["value"].as_array().unwrap();
    assert_eq!(first.len(), 5, "unless told otherwise");
    let (.., rest) = client.get("/api/block/image?pool_name=vms&offset=5&limit=5", "2.0").await;
    assert_eq!(rest[0]["value"].as_array().unwrap().len(), 2);
    let (.., all) = client.get("/api/block/image?limit=-1", "2.0").await;
    assert_eq!(all[0]["value"].as_array().unwrap().len(), 7);
    assert_eq!(client.get("/api/block/image?offset=7", "2.0").await.2, json!([]));
    let size = first[0].to_string().len();
    assert!((4_000..8_000).contains(&size), "{size}");

    let unknown =
        all[0]["value"].as_array().unwrap().iter().filter(|image| image["total_disk_usage"].is_null());
    assert_eq!(unknown.count(), 1, "without fast-diff");
    let name = first[0]["name"].as_str().unwrap();
    let (code, _, one) = client.get(&format!("/api/block/image/vms%2F{name}"), "1.0").await;
    assert_eq!((code, &one), (200, &first[0]));
}

#[tokio::test]
async fn what_is_wrong_is_told_as_ceph_does() {
    let sim = with_images(1).await;
    let client = Client::new(&sim).await;
    for (path, version, code) in [
        ("/api/block/image", "1.0", 415),
        ("/api/block/image/vms%2Fnone", "1.0", 404),
        ("/api/block/image/vms%2Fnone", "2.0", 415),
        ("/api/block/image?pool_name=none", "2.0", 400),
        ("/api/block/image?limit=many", "2.0", 400),
        ("/api/pool", "1.0", 404),
    ] {
        assert_eq!(client.get(path, version).await.0, code, "{path} {version}");
    }
    sim.ceph().expire_tokens();
    assert_eq!(client.get("/api/block/image", "2.0").await.0, 401);
    sim.ceph().set_token_ttl(Duration::from_secs(2));
    let client = Client::new(&sim).await;
    assert_eq!(client.get("/api/block/image", "2.0").await.0, 200);
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert_eq!(client.get("/api/block/image", "2.0").await.0, 401);
    sim.faults().add_times(Target::Ceph, Fault::status(503), 1);
    assert_eq!(client.get("/api/block/image", "2.0").await.0, 503);
}

#[tokio::test]
async fn too_many_bad_logins_lock_the_account() {
    let sim = empty().await;
    let (user, password) = (sim.ceph().user.clone(), sim.ceph().password.clone());
    for _ in 0..9 {
        let (code, answer) = Client::login(&sim, &user, "wrong").await;
        assert_eq!((code, &answer["code"]), (400, &json!("invalid_credentials")));
    }
    assert!(!sim.ceph().is_locked());
    assert_eq!(Client::login(&sim, &user, &password).await.0, 201, "which counts them anew");
    for _ in 0..10 {
        Client::login(&sim, &user, "wrong").await;
    }
    assert!(sim.ceph().is_locked());
    let (code, answer) = Client::login(&sim, &user, &password).await;
    assert_eq!((code, &answer["code"]), (400, &json!("invalid_credentials")), "the same answer");
    sim.ceph().unlock();
    assert_eq!(Client::login(&sim, &user, &password).await.0, 201);
}

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

/// One request over TLS, spoken by hand: the tests' client has none.
async fn direct(address: &str, port: u16, authority: &str) -> std::io::Result<Value> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect((address, port)).await?;
    let name = ServerName::try_from(address.to_owned()).unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    stream.write_all(b"GET /stats/summary HTTP/1.0\r\nhost: kubelet\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok(serde_json::from_str(body)?)
}
