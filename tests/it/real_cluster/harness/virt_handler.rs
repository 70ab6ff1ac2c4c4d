//! A stub virt-handler: its pod, and `/metrics` over HTTPS at the pod's own address. It prints what a version of KubeVirt
//! prints of its guests, or misbehaves as a test says.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use futures::stream;
use serde_json::{Value, json};

use super::{
    control_plane::ControlPlane,
    guest::{Guest, fill},
    kubevirt::{Kubevirt, NAMESPACE},
    pki::Pair,
    tls::Server,
};

/// The port that every virt-handler has.
const PORT: u16 = 8443;

/// Where a virt-handler's pod is, and whose it is.
#[derive(Clone, Copy, Debug)]
pub struct HandlerPod {
    pub node: &'static str,
    /// Its address is `last` of the control plane's.
    pub last: u8,
    pub namespace: &'static str,
    /// Whether KubeVirt's DaemonSet owns it.
    pub owned: bool,
}

/// How it answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnswerMode {
    #[default]
    Normal,
    /// Nothing, and the connection stays open.
    Hangs,
    /// 50 MB of series of its own guests.
    Huge,
    /// `NaN` for every figure.
    NotANumber,
    /// Each series twice, the second time with another value.
    Twice,
    /// A label of 10 kB in each series, and an interface with a name of 10 kB.
    LongLabels,
}

struct Stub {
    template: &'static str,
    guests: Mutex<Vec<Guest>>,
    answer_mode: Mutex<AnswerMode>,
    requests: Mutex<usize>,
}

/// Serves until it is dropped. Its pod stays until [`VirtHandler::remove`].
pub struct VirtHandler {
    stub: Arc<Stub>,
    path: String,
    _server: Server,
}

impl HandlerPod {
    /// Of KubeVirt's own virt-handler on a node.
    pub fn own(node: &'static str, last: u8) -> Self {
        Self { node, last, namespace: NAMESPACE, owned: true }
    }

    fn manifest(self, kubevirt: &Kubevirt, address: SocketAddr) -> Value {
        let ip = address.ip();
        let port = json!({"name": "metrics", "protocol": "TCP", "containerPort": PORT});
        let container =
            json!({"name": "virt-handler", "image": "quay.io/kubevirt/virt-handler", "ports": [port]});
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": format!("virt-handler-{}", self.last), "namespace": self.namespace,
                "labels": {"kubevirt.io": "virt-handler"}},
            "spec": {"nodeName": self.node, "automountServiceAccountToken": false, "containers": [container],
                "terminationGracePeriodSeconds": 0},
            "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]},
        });
        if self.owned {
            pod["metadata"]["ownerReferences"] = kubevirt.owner();
        }
        pod
    }
}

impl VirtHandler {
    /// Serves with KubeVirt's certificate, then creates the pod.
    pub async fn start(
        plane: &ControlPlane,
        kubevirt: &Kubevirt,
        pod: HandlerPod,
        template: &'static str,
        guests: Vec<Guest>,
    ) -> Self {
        Self::with_certificate(plane, kubevirt, pod, template, guests, &kubevirt.certificate()).await
    }

    pub async fn with_certificate(
        plane: &ControlPlane,
        kubevirt: &Kubevirt,
        pod: HandlerPod,
        template: &'static str,
        guests: Vec<Guest>,
        pair: &Pair,
    ) -> Self {
        let stub = Arc::new(Stub {
            template,
            guests: Mutex::new(guests),
            answer_mode: Mutex::default(),
            requests: Mutex::default(),
        });
        let address = plane.address(pod.last, PORT);
        let router = Router::new().route("/metrics", get(metrics)).with_state(stub.clone());
        let server = Server::start(address, pair, router).await;
        let created = plane.api.create(&pod.manifest(kubevirt, address)).await;
        let name = created["metadata"]["name"].as_str().expect("a name");
        let path = format!("/api/v1/namespaces/{}/pods/{name}", pod.namespace);
        Self { stub, path, _server: server }
    }

    pub fn set_answer_mode(&self, answer_mode: AnswerMode) {
        *self.stub.answer_mode.lock().unwrap() = answer_mode;
    }

    /// Sets the guests that it reports from now on.
    pub fn set(&self, guests: Vec<Guest>) {
        *self.stub.guests.lock().unwrap() = guests;
    }

    pub fn requests(&self) -> usize {
        *self.stub.requests.lock().unwrap()
    }

    /// Ends it and deletes its pod.
    pub async fn remove(self, plane: &ControlPlane) {
        plane.api.delete(&self.path).await;
    }
}

async fn metrics(State(stub): State<Arc<Stub>>) -> Response {
    *stub.requests.lock().unwrap() += 1;
    let answer_mode = *stub.answer_mode.lock().unwrap();
    let text = fill(stub.template, &stub.guests.lock().unwrap());
    match answer_mode {
        AnswerMode::Normal => text.into_response(),
        AnswerMode::Hangs => std::future::pending().await,
        AnswerMode::Huge => huge(&text),
        AnswerMode::NotANumber => changed(&text, |series, _| vec![format!("{series} NaN")]).into_response(),
        AnswerMode::Twice => changed(&text, twice).into_response(),
        AnswerMode::LongLabels => changed(&text, long_labels).into_response(),
    }
}

/// The answer with other samples of its guests.
fn changed(text: &str, change: impl Fn(&str, &str) -> Vec<String>) -> String {
    let mut changed = String::new();
    for line in text.lines() {
        match line.rsplit_once(' ').filter(|_| line.starts_with("kubevirt_vmi_")) {
            Some((series, value)) => {
                changed.extend(change(series, value).into_iter().map(|line| line + "\n"))
            }
            None => changed.extend([line, "\n"]),
        }
    }
    changed
}

fn twice(series: &str, value: &str) -> Vec<String> {
    let other: f64 = value.parse().expect("a number");
    vec![format!("{series} {value}"), format!("{series} {}", other * 3.0)]
}

fn long_labels(series: &str, value: &str) -> Vec<String> {
    let long = "x".repeat(10_000);
    let labelled = |labels: &str| format!("{} {value}", series.replacen('{', &format!("{{{labels},"), 1));
    let mut lines = vec![labelled(&format!(r#"kubernetes_vmi_label_long="{long}""#))];
    if series.contains(r#"interface="default""#) {
        let renamed = series.replace(r#"interface="default""#, &format!(r#"interface="{long}""#));
        lines.push(format!("{renamed} {value}"));
    }
    lines
}

/// The answer, and then one of its series again and again.
fn huge(text: &str) -> Response {
    const BYTES: usize = 50_000_000;
    let is_read = |line: &&str| line.starts_with("kubevirt_vmi_storage_iops_read_total");
    let line = format!("{}\n", text.lines().find(is_read).expect("a guest with a drive"));
    let more = line.repeat(BYTES / line.len() / 100);
    let pieces = std::iter::once(text.to_owned()).chain(std::iter::repeat_n(more, 100));
    Body::from_stream(stream::iter(pieces.map(Ok::<_, std::convert::Infallible>))).into_response()
}
