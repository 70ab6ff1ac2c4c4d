//! PodMetrics and summaries: exact figures, and figures that a real cluster lacks too.

use serde_json::{Value, json};

use super::support::{ask, demo, empty, get, items, names};
use crate::{Disk, DiskMode, Guest, Kubelet, VolumeFigures};

const METRICS: &str = "/apis/metrics.k8s.io/v1beta1/pods?labelSelector=kubevirt.io%3Dvirt-launcher";

fn summary(node: &str) -> String {
    format!("/api/v1/nodes/{node}/proxy/stats/summary")
}

fn volumes(summary: &Value) -> Vec<&Value> {
    summary["pods"].as_array().unwrap().iter().flat_map(|pod| pod["volume"].as_array().unwrap()).collect()
}

fn of_claim<'a>(summary: &'a Value, claim: &str) -> Option<&'a Value> {
    volumes(summary).into_iter().find(|volume| volume["pvcRef"]["name"] == claim)
}

#[tokio::test]
async fn exact_figures_are_served_as_they_were_set() {
    let sim = empty().await;
    let guest = Guest::new("a", "one").uses("199994503n", "1234Ki").running_on("n1", 0);
    sim.world().put(guest.disks(vec![Disk::new("one", "root", "10Gi").holds(3 << 30, 10 << 30)]));
    let list = get(&sim, METRICS).await;
    let item = &items(&list)[0];
    assert_eq!(
        item["containers"],
        json!([{"name": "compute", "usage": {"cpu": "199994503n", "memory": "1234Ki"}}])
    );
    assert_eq!(item["metadata"]["labels"]["kubevirt.io"], "virt-launcher");
    assert!(
        item["timestamp"].as_str().unwrap().ends_with('Z') && item["window"].as_str().unwrap().ends_with('s')
    );
    assert_eq!(list["kind"], "PodMetricsList");

    let summary = get(&sim, &summary("n1")).await;
    let disk = of_claim(&summary, "one-root").unwrap();
    assert_eq!((&disk["usedBytes"], &disk["capacityBytes"]), (&json!(3_u64 << 30), &json!(10_u64 << 30)));
    assert_eq!(disk["pvcRef"]["namespace"], "a");
    assert_eq!(disk["name"], "root");
    assert_eq!(summary["pods"][0]["podRef"]["name"], item["metadata"]["name"]);

    sim.world().set_usage("a", "one", "2", "3Gi");
    sim.world().set_volume("a", "one", "root", VolumeFigures::of_block(5));
    assert_eq!(items(&get(&sim, METRICS).await)[0]["containers"][0]["usage"]["memory"], "3Gi");
}

#[tokio::test]
async fn only_the_holder_of_the_guest_is_busy_in_a_migration() {
    let sim = empty().await;
    sim.world().put(Guest::new("a", "one").uses("2", "1Gi").running_on("n1", 0));
    sim.world().start_migration("a", "one", "n2");
    let busy = async || {
        let list = get(&sim, METRICS).await;
        let busy = items(&list).iter().filter(|item| item["containers"][0]["usage"]["cpu"] == "2");
        (items(&list).len(), busy.map(|item| item["metadata"]["name"].to_string()).collect::<Vec<_>>())
    };
    let (count, source) = busy().await;
    assert_eq!((count, source.len()), (2, 1));
    sim.world().finish_migration("a", "one", false);
    let (count, target) = busy().await;
    assert_eq!((count, target.len()), (1, 1), "the source's pod is finished and measured no more");
    assert_ne!(source, target);
}

#[tokio::test]
async fn a_dead_node_has_neither_pod_metrics_nor_a_summary() {
    let sim = demo().await;
    let metrics = get(&sim, METRICS).await;
    let pods = get(
        &sim,
        "/api/v1/pods?labelSelector=kubevirt.io%3Dvirt-launcher,kubevirt.io%2FnodeName%3Dworker-04",
    )
    .await;
    assert!(items(&pods).len() >= 2);
    assert!(names(&pods).iter().all(|name| !names(&metrics).contains(name)));
    let (code, status) = ask(&sim, &summary("worker-04")).await;
    assert_eq!((code, &status["reason"]), (503, &json!("ServiceUnavailable")));
    assert!(status["message"].as_str().unwrap().contains("connection refused"));
    assert_eq!(ask(&sim, &summary("worker-99")).await.0, 404);

    sim.world().set_kubelet("worker-04", Kubelet::Answers);
    let metrics = get(&sim, METRICS).await;
    assert!(names(&pods).iter().all(|name| names(&metrics).contains(name)));
    sim.world().set_kubelet("worker-04", Kubelet::Hangs);
    let hung =
        tokio::time::timeout(std::time::Duration::from_millis(300), ask(&sim, &summary("worker-04"))).await;
    assert!(hung.is_err());
}

#[tokio::test]
async fn the_demo_has_volumes_of_every_kind() {
    let sim = demo().await;
    let mut all = Vec::new();
    for node in ["worker-01", "worker-02", "worker-03"] {
        all.push(get(&sim, &summary(node)).await);
    }
    let find = |claim: &str| all.iter().find_map(|summary| of_claim(summary, claim)).unwrap();
    let share =
        |volume: &Value| volume["usedBytes"].as_f64().unwrap() / volume["capacityBytes"].as_f64().unwrap();
    let block = find("analytics-warehouse-lake");
    let known =
        ["usedBytes", "availableBytes", "inodes", "inodesUsed"].map(|name| block[name].as_u64().unwrap());
    assert_eq!((known, &block["capacityBytes"]), ([0; 4], &json!(2_u64 << 40)));
    assert!(share(find("db-postgres-0-data")) > 0.9);
    assert_eq!(find("media-nfs-01-media")["capacityBytes"], json!(40_u64 << 40));
    let plain = all.iter().flat_map(volumes).filter(|volume| volume.get("pvcRef").is_none());
    let plain: Vec<_> = plain.map(|volume| volume["name"].as_str().unwrap()).collect();
    assert!(plain.contains(&"private") && plain.iter().any(|name| name.starts_with("kube-api-access-")));
}

#[tokio::test]
async fn a_hotplugged_disk_is_reported_with_its_attachment_pod() {
    let sim = demo().await;
    for node in ["worker-01", "worker-02", "worker-03"] {
        let summary = get(&sim, &summary(node)).await;
        let holds = |pod: &&Value| pod["volume"].to_string().contains("billing-archive-archive-2025");
        if let Some(pod) = summary["pods"].as_array().unwrap().iter().find(holds) {
            assert!(pod["podRef"]["name"].as_str().unwrap().starts_with("hp-volume-"));
            return;
        }
    }
    panic!("no node reports the hotplugged disk");
}

#[tokio::test]
async fn figures_of_the_demo_show_each_situation() {
    let sim = demo().await;
    let metrics = get(&sim, METRICS).await;
    let memory = |vm: &str| {
        let item =
            items(&metrics).iter().find(|item| item["metadata"]["labels"]["vm.kubevirt.io/name"] == vm)?;
        item["containers"][0]["usage"]["memory"].as_str()?.strip_suffix("Ki")?.parse::<u64>().ok()
    };
    assert!(memory("cache-redis-01-vm").unwrap() > 8 << 20, "above its 8Gi");
    assert!(memory("web").unwrap() < 4 << 20);
    assert_eq!(memory("runner-ephemeral-41f2-vm"), None, "too new");
    assert_eq!(memory("ledger-batch-01-vm"), None, "stopped");
}

#[tokio::test]
async fn ordinary_pods_are_measured_and_the_selector_excludes_them() {
    let sim = demo().await;
    let all = get(&sim, "/apis/metrics.k8s.io/v1beta1/pods").await;
    let own = get(&sim, "/apis/metrics.k8s.io/v1beta1/namespaces/kube-system/pods").await;
    assert!(names(&all).iter().any(|name| name.starts_with("virt-handler-")));
    assert!(!names(&get(&sim, METRICS).await).iter().any(|name| name.starts_with("virt-handler-")));
    let one =
        get(&sim, &format!("/apis/metrics.k8s.io/v1beta1/namespaces/kube-system/pods/{}", names(&own)[0]))
            .await;
    assert_eq!(one["kind"], "PodMetrics");
}

#[tokio::test]
async fn the_mode_of_a_disk_decides_what_a_kubelet_reports() {
    let sim = empty().await;
    let disks = vec![
        Disk::new("one", "root", "10Gi"),
        Disk::new("one", "raw", "5Gi").mode(DiskMode::Block),
        Disk::new("one", "hot", "7Gi").mode(DiskMode::Hotplug).holds(1, 7 << 30),
    ];
    sim.world().put(Guest::new("a", "one").disks(disks).running_on("n1", 0));
    let summary = get(&sim, &summary("n1")).await;
    assert_eq!(of_claim(&summary, "one-raw").unwrap()["capacityBytes"], json!(5_u64 << 30));
    assert_eq!(of_claim(&summary, "one-hot").unwrap()["usedBytes"], json!(1));
    let pod = &items(&get(&sim, "/api/v1/pods?labelSelector=kubevirt.io%3Dvirt-launcher").await)[0].clone();
    let claims: Vec<_> = pod["spec"]["volumes"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|v| v.get("persistentVolumeClaim"))
        .collect();
    assert_eq!(claims, [&json!({"claimName": "one-root"}), &json!({"claimName": "one-raw"})]);
    assert_eq!(pod["spec"]["containers"][0]["volumeDevices"][0]["name"], "raw");
}
