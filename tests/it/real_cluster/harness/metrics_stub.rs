//! A stub of the metrics API, for tests that would last for minutes with metrics-server's window of 10 s.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use axum::{
    Json, Router,
    extract::{Path, State},
    routing::get,
};
use http::StatusCode;
use serde_json::{Value, json};

use super::{control_plane::ControlPlane, tls::Server};

const ROOT: &str = "/apis/metrics.k8s.io/v1beta1";

/// A pod, and since when its sample is repeated; `None` while each answer has a new sample.
struct RepeatedSample {
    namespace: String,
    pod: String,
    frozen: Option<String>,
}

#[derive(Clone, Default)]
struct Samples(Arc<Mutex<Vec<RepeatedSample>>>, Arc<AtomicBool>);

/// Serves until it is dropped.
pub struct MetricsStub {
    samples: Samples,
    _server: Server,
}

impl MetricsStub {
    /// Registers and serves `metrics.k8s.io` with windows of 1 s.
    pub async fn start(plane: &ControlPlane) -> Self {
        let samples = Samples::default();
        let router = Router::new()
            .route(ROOT, get(resources))
            .route(&format!("{ROOT}/pods"), get(pods))
            .route(&format!("{ROOT}/namespaces/{{namespace}}/pods"), get(pods_of))
            .with_state(samples.clone());
        let address = plane.metrics_address();
        let server = Server::start(address, &plane.certificate("metrics", 2), router).await;
        plane.register_metrics_api(address).await;
        Self { samples, _server: server }
    }

    /// Answers every list with 500 from now on, or stops doing so.
    pub fn break_down(&self, broken: bool) {
        self.samples.1.store(broken, Ordering::Relaxed);
    }

    pub fn add(&self, namespace: &str, pod: String) {
        let sampled = RepeatedSample { namespace: namespace.to_owned(), pod, frozen: None };
        self.samples.0.lock().unwrap().push(sampled);
    }

    /// Repeats the pod's sample from now on, as a metrics API does whose scrapes fail.
    pub fn freeze(&self, pod: &str) {
        for sampled in self.samples.0.lock().unwrap().iter_mut().filter(|sampled| sampled.pod == pod) {
            sampled.frozen = Some(now());
        }
    }
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

async fn resources() -> Json<Value> {
    let pods = json!({"name": "pods", "singularName": "", "namespaced": true, "kind": "PodMetrics",
        "verbs": ["get", "list"]});
    Json(json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "metrics.k8s.io/v1beta1",
        "resources": [pods]}))
}

async fn pods(State(samples): State<Samples>) -> Result<Json<Value>, StatusCode> {
    list(&samples, |_| true)
}

async fn pods_of(
    State(samples): State<Samples>,
    Path(namespace): Path<String>,
) -> Result<Json<Value>, StatusCode> {
    list(&samples, |sampled| sampled.namespace == namespace)
}

fn list(samples: &Samples, wanted: impl Fn(&RepeatedSample) -> bool) -> Result<Json<Value>, StatusCode> {
    if samples.1.load(Ordering::Relaxed) {
        return Err(StatusCode::INTERNAL_SERVER_ERROR);
    }
    let samples = samples.0.lock().unwrap();
    let items: Vec<Value> = samples.iter().filter(|sampled| wanted(sampled)).map(item).collect();
    Ok(Json(
        json!({"kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": {}, "items": items}),
    ))
}

fn item(sampled: &RepeatedSample) -> Value {
    json!({
        "metadata": {"name": sampled.pod, "namespace": sampled.namespace,
            "labels": {"kubevirt.io": "virt-launcher"}},
        "timestamp": sampled.frozen.clone().unwrap_or_else(now), "window": "1s",
        "containers": [{"name": "compute", "usage": {"cpu": "125m", "memory": "256Mi"}}],
    })
}
