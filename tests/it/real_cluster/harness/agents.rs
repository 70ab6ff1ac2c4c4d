//! A stub of KubeVirt's aggregated API for guest agents: `virtualmachineinstances/filesystemlist`, with answers that a test
//! sets.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    extract::{Path, State},
    response::{IntoResponse, Response},
    routing::get,
};
use http::StatusCode;
use serde_json::{Value, json};

use super::{control_plane::ControlPlane, tls::Server};

const GROUP: &str = "subresources.kubevirt.io";
const ROOT: &str = "/apis/subresources.kubevirt.io/v1";
/// The last part of its address in every control plane.
const LAST: u8 = 3;
const PORT: u16 = 8443;

/// A file system as a guest agent reports it.
#[derive(Clone, Debug)]
pub struct GuestFilesystem {
    pub mount_point: &'static str,
    pub used: u64,
    pub total: u64,
    /// Serial of its disk.
    pub serial: &'static str,
}

#[derive(Clone, Default)]
struct Guests(Arc<Mutex<AgentState>>);

#[derive(Default)]
struct AgentState {
    connected: BTreeMap<String, Vec<GuestFilesystem>>,
    requests: Vec<String>,
    /// Whether no request is answered.
    hang: bool,
}

/// Serves until it is dropped.
pub struct Agents {
    guests: Guests,
    _server: Server,
}

impl Agents {
    /// Registers and serves `subresources.kubevirt.io`.
    pub async fn start(plane: &ControlPlane) -> Self {
        let guests = Guests::default();
        let list = format!("{ROOT}/namespaces/{{namespace}}/virtualmachineinstances/{{name}}/filesystemlist");
        let router = Router::new()
            .route(ROOT, get(resources))
            .route(&list, get(filesystems))
            .with_state(guests.clone());
        let address = plane.address(LAST, PORT);
        let server = Server::start(address, &plane.certificate("virt-api", LAST), router).await;
        plane.register_api(GROUP, "v1", "virt-api", address).await;
        Self { guests, _server: server }
    }

    /// Sets the answer of the instance's agent. An instance without an answer has no agent: 409.
    pub fn set(&self, namespace: &str, name: &str, filesystems: Vec<GuestFilesystem>) {
        let key = format!("{namespace}/{name}");
        self.guests.0.lock().unwrap().connected.insert(key, filesystems);
    }

    /// Stops answering from now on, or answers again.
    pub fn hang(&self, hang: bool) {
        self.guests.0.lock().unwrap().hang = hang;
    }

    /// `namespace/name` of each request so far.
    pub fn requests(&self) -> Vec<String> {
        self.guests.0.lock().unwrap().requests.clone()
    }
}

async fn resources() -> Json<Value> {
    let list = json!({"name": "virtualmachineinstances/filesystemlist", "singularName": "", "namespaced": true,
        "kind": "VirtualMachineInstanceFileSystemList", "verbs": ["get"]});
    Json(json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "subresources.kubevirt.io/v1",
        "resources": [list]}))
}

async fn filesystems(
    State(guests): State<Guests>,
    Path((namespace, name)): Path<(String, String)>,
) -> Response {
    let hangs = guests.0.lock().unwrap().hang;
    if hangs {
        std::future::pending::<()>().await;
    }
    let mut state = guests.0.lock().unwrap();
    let key = format!("{namespace}/{name}");
    state.requests.push(key.clone());
    match state.connected.get(&key) {
        Some(filesystems) => Json(list(filesystems)).into_response(),
        None => (StatusCode::CONFLICT, Json(no_agent(&name))).into_response(),
    }
}

fn list(filesystems: &[GuestFilesystem]) -> Value {
    let item = |(n, filesystem): (usize, &GuestFilesystem)| {
        json!({"diskName": format!("vd{}1", (b'a' + n as u8) as char), "mountPoint": filesystem.mount_point,
            "fileSystemType": "ext4", "usedBytes": filesystem.used, "totalBytes": filesystem.total,
            "disk": [{"serial": filesystem.serial, "busType": "virtio"}]})
    };
    let items: Vec<Value> = filesystems.iter().enumerate().map(item).collect();
    json!({"kind": "VirtualMachineInstanceFileSystemList", "apiVersion": "subresources.kubevirt.io/v1",
        "metadata": {}, "items": items})
}

/// Returns KubeVirt's error message.
fn no_agent(name: &str) -> Value {
    let message = format!(
        "Operation cannot be fulfilled on virtualmachineinstance.kubevirt.io \"{name}\": \
         VMI does not have guest agent connected"
    );
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
        "reason": "Conflict", "code": 409})
}
