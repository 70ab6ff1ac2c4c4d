//! The virt-handlers of all nodes: each serves the metrics of its node's guests over TLS, with a certificate that
//! KubeVirt's authority has signed. Families and labels are those of the version of KubeVirt that the cluster has.

mod families;
mod metrics;
mod migrations;
mod sampled;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use axum::{Router, http::header, response::IntoResponse};
use serde_json::json;
use tokio::net::TcpListener;

use super::{
    cluster::Cluster,
    error::SimError,
    faults::Class,
    node::{KUBEVIRT_NAMESPACE, Node, PlainPod},
    resource::Resource,
    serve::bind,
    served_node::ServedNode,
    tls::Identity,
};

pub use families::{FAMILIES, Family};
pub use sampled::Sampled;

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
        "status": {"phase": "Deployed", "observedKubeVirtVersion": cluster.kubevirt.text()},
    });
    let authorities = json!({"metadata": metadata("kubevirt-ca"), "data": {"ca-bundle": authority}});
    cluster.world.put_object(Resource::Kubevirts, kubevirt);
    cluster.world.put_object(Resource::ConfigMaps, authorities);
}

/// Serves the metrics of a node's virt-handler.
fn router(cluster: &Arc<Cluster>, node: &str) -> Router {
    let class = Class::VirtHandler(node.to_owned());
    let served = ServedNode { cluster: cluster.clone(), node: node.to_owned(), class, resource: "metrics" };
    served.router("/metrics", |cluster, node| {
        let world = &cluster.world;
        let node = world.node(node).unwrap_or_else(|| Arc::new(Node::new(node)));
        let (guests, now) = (world.guests_on(&node.name), world.clock.now());
        let text = metrics::write(cluster.kubevirt, &world.tenants_of(&node), &guests, now);
        ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
    })
}
