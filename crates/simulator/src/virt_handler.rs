//! The virt-handlers of all nodes: each serves the metrics of its node's guests over TLS, with a certificate that
//! KubeVirt's authority has signed. Families and labels are those of KubeVirt 1.6.

mod metrics;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{Request, header},
    response::{IntoResponse, Response},
};
use serde_json::json;
use tokio::net::TcpListener;

use super::{
    cluster::{Caller, Cluster, apply_faults},
    error::SimError,
    faults::Class,
    http::{corrupt::corrupt_body, status},
    listen as bind,
    node::{KUBEVIRT_NAMESPACE, Kubelet, PlainPod},
    resource::Resource,
    serve::ResetSwitch,
    tls::Identity,
};

/// The listeners of all virt-handlers, and their certificate.
pub struct Handlers {
    pub identity: Identity,
    pub listeners: Vec<(TcpListener, Router)>,
}

/// Listens for each virt-handler pod at a port of its own, and adds KubeVirt's objects. Returns `None` if there is
/// no such pod.
pub async fn listen(cluster: &Arc<Cluster>) -> Result<Option<Handlers>, SimError> {
    let pods = cluster.world.virt_handlers();
    if pods.is_empty() {
        return Ok(None);
    }
    let service = format!("virt-handler.{KUBEVIRT_NAMESPACE}");
    let names =
        ["virt-handler", &service, &format!("{service}.svc"), &format!("{service}.svc.cluster.local")];
    let (identity, authority) = Identity::of(&names.map(str::to_owned))?;
    put_kubevirt(cluster, &authority);
    let mut listeners = Vec::with_capacity(pods.len());
    for pod in pods {
        let (listener, address) = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        listeners.push((listener, router(cluster, &pod.node)));
        cluster.world.put_pod(PlainPod { metrics: Some(address), ..pod });
    }
    Ok(Some(Handlers { identity, listeners }))
}

fn put_kubevirt(cluster: &Cluster, authority: &str) {
    let metadata =
        |name: &str| json!({"namespace": KUBEVIRT_NAMESPACE, "name": name, "uid": format!("uid-{name}")});
    let kubevirt = json!({
        "metadata": metadata("kubevirt"),
        "status": {"phase": "Deployed", "observedKubeVirtVersion": metrics::VERSION},
    });
    let authorities = json!({"metadata": metadata("kubevirt-ca"), "data": {"ca-bundle": authority}});
    cluster.world.put_object(Resource::Kubevirts, kubevirt);
    cluster.world.put_object(Resource::ConfigMaps, authorities);
}

#[derive(Debug)]
struct ServedNode {
    cluster: Arc<Cluster>,
    node: String,
}

fn router(cluster: &Arc<Cluster>, node: &str) -> Router {
    let served = ServedNode { cluster: cluster.clone(), node: node.to_owned() };
    Router::new().fallback(answer).with_state(Arc::new(served))
}

async fn answer(State(served): State<Arc<ServedNode>>, request: Request<Body>) -> Response {
    let is_metrics = request.uri().path() == "/metrics";
    let reset = request.extensions().get::<ResetSwitch>().cloned();
    let class = Class::VirtHandler(served.node.clone());
    let faults = match apply_faults(&served.cluster, &class, Caller::of(&request)).await {
        Ok(faults) => faults,
        Err(answer) => {
            return answer
                .response(|code, retry_after| status::injected(code, retry_after, "get", "metrics"));
        }
    };
    drop(request);
    let world = &served.cluster.world;
    let kubelet = world.node(&served.node).map_or(Kubelet::Answers, |node| node.kubelet);
    let response = match kubelet {
        _ if !is_metrics => status::no_such_path(),
        Kubelet::Answers => {
            let text = metrics::write(&served.node, &world.guests_on(&served.node), world.clock.now());
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
        }
        Kubelet::Hangs => std::future::pending().await,
        // No pod runs on a node that is down; resetting the connection comes closest.
        Kubelet::Refuses => {
            reset.iter().for_each(ResetSwitch::trigger);
            status::text("")
        }
    };
    corrupt_body(response, &faults).await
}
