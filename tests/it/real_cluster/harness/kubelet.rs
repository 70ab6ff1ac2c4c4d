//! A stub kubelet: `/stats/summary`, `/metrics/resource` and `/metrics` over HTTPS, with figures that a test sets. A client
//! without the API server's certificate needs a token, which the stub checks with the API server, as kubelets do.
//!
//! CPU is a counter that advances with time, so that metrics-server and Prometheus compute its rate.

use std::{
    collections::BTreeMap,
    fmt::Write,
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    Extension, Json, Router,
    extract::{self, Request},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};

use super::{
    api::Api,
    control_plane::ControlPlane,
    pki::Pair,
    tls::{Peer, Server},
};

/// The port that every kubelet has.
pub const PORT: u16 = 10250;
/// What every counter starts at: metrics-server takes 0 for "no figure".
const SINCE_BOOT: u128 = 1_000_000_000_000;
const TOKEN_REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
const ACCESS_REVIEWS: &str = "/apis/authorization.k8s.io/v1/subjectaccessreviews";

/// What one pod uses.
#[derive(Clone, Debug, Default)]
pub struct PodLoad {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub containers: Vec<ContainerLoad>,
    pub volumes: Vec<VolumeLoad>,
    /// Figures of the guest that KubeVirt's exporter reports.
    pub guest: Option<GuestLoad>,
}

#[derive(Clone, Debug)]
pub struct ContainerLoad {
    pub name: &'static str,
    pub nanocores: u64,
    pub bytes: u64,
}

#[derive(Clone, Debug)]
pub struct GuestLoad {
    /// The VirtualMachineInstance's.
    pub name: &'static str,
    pub available: u64,
    pub usable: u64,
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
    address: IpAddr,
    stub: Arc<Stub>,
    _server: Server,
}

struct Stub {
    api: Api,
    node: String,
    pods: Mutex<BTreeMap<String, Running>>,
    state: Mutex<KubeletState>,
    /// Seconds that its clock is ahead; negative: behind.
    clock_ahead: AtomicI64,
    /// Requests with a token, and their answers.
    requests: Mutex<Vec<Direct>>,
}

/// How the stub answers requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KubeletState {
    #[default]
    Normal,
    /// Answers every request with 503.
    Broken,
    /// Answers no request.
    Hangs,
}

/// A request that did not come through the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Direct {
    /// User of the token; empty if the token is not valid.
    pub user: String,
    pub path: String,
    pub status: u16,
}

struct Running {
    load: PodLoad,
    /// Milliseconds since the epoch, the clock of the samples' times.
    since: u128,
}

impl Kubelet {
    /// Registers the node and answers for it on `last`, an address of the control plane's own.
    pub async fn start(plane: &ControlPlane, node: &str, last: u8) -> Self {
        Self::with_certificate(plane, node, last, &plane.certificate(node, last)).await
    }

    /// Starts the stub with this certificate.
    pub async fn with_certificate(plane: &ControlPlane, node: &str, last: u8, pair: &Pair) -> Self {
        let address = plane.address(last, PORT);
        let stub = Arc::new(Stub {
            api: plane.api.clone(),
            node: node.to_owned(),
            pods: Mutex::default(),
            state: Mutex::default(),
            clock_ahead: AtomicI64::new(0),
            requests: Mutex::default(),
        });
        let server = Server::with_clients(address, pair, &plane.authority(), router(&stub)).await;
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
        Self { address: address.ip(), stub, _server: server }
    }

    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Sets the usage of the pod from now on.
    pub fn set(&self, load: PodLoad) {
        let key = format!("{}/{}", load.namespace, load.name);
        self.stub.pods.lock().unwrap().insert(key, Running { load, since: milliseconds() });
    }

    /// Answers every request with 503 from now on, or stops doing so.
    pub fn break_down(&self, broken: bool) {
        self.set_state(if broken { KubeletState::Broken } else { KubeletState::Normal });
    }

    /// Sets how many seconds its clock is ahead.
    pub fn set_clock(&self, ahead: i64) {
        self.stub.clock_ahead.store(ahead, Ordering::Relaxed);
    }

    pub fn set_state(&self, state: KubeletState) {
        *self.stub.state.lock().unwrap() = state;
    }

    /// Returns the requests with a token so far.
    pub fn requests(&self) -> Vec<Direct> {
        self.stub.requests.lock().unwrap().clone()
    }
}

fn router(stub: &Arc<Stub>) -> Router {
    Router::new()
        .route("/stats/summary", get(summary))
        .route("/metrics/resource", get(resource_metrics))
        .route("/metrics", get(volume_metrics))
        .route("/virt-handler/metrics", get(guest_metrics))
        .layer(from_fn_with_state(stub.clone(), guard))
        .with_state(stub.clone())
}

async fn guard(
    extract::State(stub): extract::State<Arc<Stub>>,
    Extension(peer): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let state = *stub.state.lock().unwrap();
    match state {
        KubeletState::Normal => {}
        KubeletState::Broken => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
        KubeletState::Hangs => return std::future::pending().await,
    }
    // The API server's client certificate is of system:masters, who may do everything.
    if peer.certified {
        return next.run(request).await;
    }
    let path = request.uri().path().to_owned();
    let (user, verdict) = stub.judge(bearer(request.headers()), &path).await;
    stub.requests.lock().unwrap().push(Direct { user, path, status: verdict.as_u16() });
    if verdict == StatusCode::OK { next.run(request).await } else { verdict.into_response() }
}

impl Stub {
    /// Checks the token and the user's permission: 401 if the token is not valid, 403 if the user may not.
    async fn judge(&self, token: Option<String>, path: &str) -> (String, StatusCode) {
        let Some(token) = token else { return (String::new(), StatusCode::UNAUTHORIZED) };
        let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
            "spec": {"token": token}});
        let review = self.api.try_post(TOKEN_REVIEWS, &review).await.unwrap_or_default();
        if review["status"]["authenticated"] != true {
            return (String::new(), StatusCode::UNAUTHORIZED);
        }
        let user = &review["status"]["user"];
        let status = if self.may(user, path).await { StatusCode::OK } else { StatusCode::FORBIDDEN };
        (user["username"].as_str().unwrap_or_default().to_owned(), status)
    }

    async fn may(&self, user: &Value, path: &str) -> bool {
        let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {
            "user": user["username"], "groups": user["groups"],
            "resourceAttributes": {"verb": "get", "resource": "nodes", "subresource": subresource(path),
                "name": self.node},
        }});
        let review = self.api.try_post(ACCESS_REVIEWS, &review).await.unwrap_or_default();
        review["status"]["allowed"] == true
    }
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    Some(value.strip_prefix("Bearer ")?.to_owned())
}

/// As the kubelet's own authoriser maps its paths.
fn subresource(path: &str) -> &'static str {
    match path.split('/').nth(1) {
        Some("stats") => "stats",
        Some("metrics" | "virt-handler") => "metrics",
        _ => "proxy",
    }
}

async fn summary(extract::State(stub): extract::State<Arc<Stub>>) -> Json<Value> {
    let ahead = jiff::SignedDuration::from_secs(stub.clock_ahead.load(Ordering::Relaxed));
    let now = (jiff::Timestamp::now() + ahead).strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let pods = stub.pods.lock().unwrap();
    let pods: Vec<Value> = pods.values().map(|pod| pod_summary(&pod.load, &now)).collect();
    Json(json!({"node": {"nodeName": "stub"}, "pods": pods}))
}

fn pod_summary(load: &PodLoad, now: &str) -> Value {
    let reference = json!({"name": load.name, "namespace": load.namespace, "uid": load.uid});
    let volumes: Vec<Value> = load.volumes.iter().map(|volume| volume_summary(volume, load, now)).collect();
    json!({"podRef": reference, "startTime": "2026-01-01T00:00:00Z", "containers": [], "volume": volumes})
}

fn volume_summary(volume: &VolumeLoad, load: &PodLoad, now: &str) -> Value {
    let mut summary = json!({
        "time": now, "name": volume.name,
        "capacityBytes": volume.capacity, "usedBytes": volume.used,
        "availableBytes": volume.available(),
        "inodes": volume.inodes, "inodesFree": volume.inodes / 2, "inodesUsed": volume.inodes / 2,
    });
    if let Some(claim) = &volume.claim {
        summary["pvcRef"] = json!({"name": claim, "namespace": load.namespace});
    }
    summary
}

impl VolumeLoad {
    fn available(&self) -> u64 {
        if self.inodes == 0 { 0 } else { self.capacity - self.used }
    }
}

fn milliseconds() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()
}

/// Prometheus text, as metrics-server reads it: each sample with its time in milliseconds.
async fn resource_metrics(extract::State(stub): extract::State<Arc<Stub>>) -> String {
    let mut text = String::new();
    let pods = stub.pods.lock().unwrap();
    let at = milliseconds();
    let node_cpu = format!("{}.{:03}", at / 1000, at % 1000);
    let _ = writeln!(text, "node_cpu_usage_seconds_total {node_cpu} {at}");
    let _ = writeln!(text, "node_memory_working_set_bytes 4294967296 {at}");
    for pod in pods.values() {
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
    let seconds = pod.cpu_seconds(container.nanocores, at);
    let _ = writeln!(text, "container_cpu_usage_seconds_total{{{labels}}} {seconds} {at}");
    let _ = writeln!(text, "container_memory_working_set_bytes{{{labels}}} {} {at}", container.bytes);
    let _ = writeln!(text, "container_start_time_seconds{{{labels}}} {} {at}", at / 1000 - 3600);
}

impl Running {
    /// Returns the counter at a time for a load of `nanocores`, as decimal text. It advances with the time that the
    /// sample has, and not with a clock that is read later: a rate of two samples is exact on a busy machine too.
    fn cpu_seconds(&self, nanocores: u64, at: u128) -> String {
        let used = SINCE_BOOT + at.saturating_sub(self.since) * u128::from(nanocores) / 1000;
        format!("{}.{:09}", used / 1_000_000_000, used % 1_000_000_000)
    }
}

/// The kubelet's own, as far as volumes go: a claim once for each pod that mounts it, without the pod's name.
async fn volume_metrics(extract::State(stub): extract::State<Arc<Stub>>) -> String {
    let mut text = String::new();
    for pod in stub.pods.lock().unwrap().values() {
        for volume in &pod.load.volumes {
            claim_metrics(&mut text, &pod.load.namespace, volume);
        }
    }
    text
}

fn claim_metrics(text: &mut String, namespace: &str, volume: &VolumeLoad) {
    let Some(claim) = &volume.claim else { return };
    let labels = format!(r#"namespace="{namespace}",persistentvolumeclaim="{claim}""#);
    for (name, value) in [
        ("used_bytes", volume.used),
        ("capacity_bytes", volume.capacity),
        ("available_bytes", volume.available()),
        ("inodes", volume.inodes),
        ("inodes_free", volume.inodes / 2),
        ("inodes_used", volume.inodes / 2),
    ] {
        let _ = writeln!(text, "kubelet_volume_stats_{name}{{{labels}}} {value}");
    }
}

/// KubeVirt's virt-handler, which is a server of its own beside the kubelet.
async fn guest_metrics(extract::State(stub): extract::State<Arc<Stub>>) -> String {
    let mut text = String::new();
    for pod in stub.pods.lock().unwrap().values() {
        let Some(guest) = &pod.load.guest else { continue };
        let labels =
            format!(r#"node="{}",namespace="{}",name="{}""#, stub.node, pod.load.namespace, guest.name);
        let containers = &pod.load.containers;
        let cpu =
            pod.cpu_seconds(containers.iter().map(|container| container.nanocores).sum(), milliseconds());
        let resident: u64 = containers.iter().map(|container| container.bytes).sum();
        let _ = writeln!(text, "kubevirt_vmi_cpu_usage_seconds_total{{{labels}}} {cpu}");
        let _ = writeln!(text, "kubevirt_vmi_memory_resident_bytes{{{labels}}} {resident}");
        let _ = writeln!(text, "kubevirt_vmi_memory_available_bytes{{{labels}}} {}", guest.available);
        let _ = writeln!(text, "kubevirt_vmi_memory_usable_bytes{{{labels}}} {}", guest.usable);
    }
    text
}
