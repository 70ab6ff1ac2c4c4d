//! A stub kubelet: `/stats/summary` and `/metrics/resource` over HTTPS, with figures that a test sets.
//!
//! CPU is a counter that truly advances with time, so that metrics-server has to make the rate of it.

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{Arc, Mutex},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use axum::{Json, Router, extract::State, routing::get};
use serde_json::{Value, json};

use super::{control_plane::ControlPlane, tls::Server};

/// The port that every kubelet has.
const PORT: u16 = 10250;
/// What every counter starts at: metrics-server takes 0 for "no figure".
const SINCE_BOOT: u128 = 1_000_000_000_000;

/// What one pod uses.
#[derive(Clone, Debug, Default)]
pub struct PodLoad {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub containers: Vec<ContainerLoad>,
    pub volumes: Vec<VolumeLoad>,
}

#[derive(Clone, Debug)]
pub struct ContainerLoad {
    pub name: &'static str,
    pub nanocores: u64,
    pub bytes: u64,
}

#[derive(Clone, Debug, Default)]
pub struct VolumeLoad {
    pub name: String,
    /// `pvcRef`, in the pod's namespace.
    pub claim: Option<String>,
    pub used: u64,
    pub capacity: u64,
    /// 0 for a block volume, which reports nothing but its capacity.
    pub inodes: u64,
}

/// One node with its kubelet.
pub struct Kubelet {
    pods: Pods,
    _server: Server,
}

type Pods = Arc<Mutex<BTreeMap<String, Running>>>;

struct Running {
    load: PodLoad,
    since: Instant,
}

impl Kubelet {
    /// Registers the node and answers for it on `last`, an address of the control plane's own.
    pub async fn start(plane: &ControlPlane, node: &str, last: u8) -> Self {
        let address = plane.address(last, PORT);
        let pods = Pods::default();
        let router = Router::new()
            .route("/stats/summary", get(summary))
            .route("/metrics/resource", get(resource_metrics))
            .with_state(pods.clone());
        let server = Server::start(address, &plane.certificate(node, last), router).await;
        let ready = json!({"type": "Ready", "status": "True", "reason": "KubeletReady",
            "lastHeartbeatTime": "2026-01-01T00:00:00Z", "lastTransitionTime": "2026-01-01T00:00:00Z"});
        plane
            .api
            .create(&json!({
                "apiVersion": "v1", "kind": "Node", "metadata": {"name": node},
                "status": {
                    "addresses": [{"type": "InternalIP", "address": address.ip()}],
                    "daemonEndpoints": {"kubeletEndpoint": {"Port": PORT}},
                    "conditions": [ready],
                },
            }))
            .await;
        Self { pods, _server: server }
    }

    /// From now on the pod uses this much.
    pub fn set(&self, load: PodLoad) {
        let key = format!("{}/{}", load.namespace, load.name);
        self.pods.lock().unwrap().insert(key, Running { load, since: Instant::now() });
    }
}

async fn summary(State(pods): State<Pods>) -> Json<Value> {
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let pods = pods.lock().unwrap();
    let pods: Vec<Value> = pods.values().map(|pod| pod_summary(&pod.load, &now)).collect();
    Json(json!({"node": {"nodeName": "stub"}, "pods": pods}))
}

fn pod_summary(load: &PodLoad, now: &str) -> Value {
    let reference = json!({"name": load.name, "namespace": load.namespace, "uid": load.uid});
    let volumes: Vec<Value> = load.volumes.iter().map(|volume| volume_summary(volume, load, now)).collect();
    json!({"podRef": reference, "startTime": "2026-01-01T00:00:00Z", "containers": [], "volume": volumes})
}

fn volume_summary(volume: &VolumeLoad, load: &PodLoad, now: &str) -> Value {
    let block = volume.inodes == 0;
    let mut summary = json!({
        "time": now, "name": volume.name,
        "capacityBytes": volume.capacity, "usedBytes": volume.used,
        "availableBytes": if block { 0 } else { volume.capacity - volume.used },
        "inodes": volume.inodes, "inodesFree": volume.inodes / 2, "inodesUsed": volume.inodes / 2,
    });
    if let Some(claim) = &volume.claim {
        summary["pvcRef"] = json!({"name": claim, "namespace": load.namespace});
    }
    summary
}

/// Prometheus text, as metrics-server reads it: each sample with its time in milliseconds.
async fn resource_metrics(State(pods): State<Pods>) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let at = now.as_millis();
    let mut text = String::new();
    let node_cpu = now.as_secs_f64();
    let _ = writeln!(text, "node_cpu_usage_seconds_total {node_cpu} {at}");
    let _ = writeln!(text, "node_memory_working_set_bytes 4294967296 {at}");
    for pod in pods.lock().unwrap().values() {
        for container in &pod.load.containers {
            container_metrics(&mut text, pod, container, at);
        }
    }
    text
}

fn container_metrics(text: &mut String, pod: &Running, container: &ContainerLoad, at: u128) {
    let labels = format!(
        r#"container="{}",namespace="{}",pod="{}""#,
        container.name, pod.load.namespace, pod.load.name
    );
    // Milliseconds, because that is how fine the sample's time is.
    let used = pod.since.elapsed().as_millis() * u128::from(container.nanocores) / 1000;
    let (seconds, rest) = ((SINCE_BOOT + used) / 1_000_000_000, (SINCE_BOOT + used) % 1_000_000_000);
    let _ = writeln!(text, "container_cpu_usage_seconds_total{{{labels}}} {seconds}.{rest:09} {at}");
    let _ = writeln!(text, "container_memory_working_set_bytes{{{labels}}} {} {at}", container.bytes);
    let _ = writeln!(text, "container_start_time_seconds{{{labels}}} {} {at}", at / 1000 - 3600);
}
