//! Kubelets that can be reached directly: each at its node's own loopback address, all on one port, over TLS.
//! They accept any credential, as the simulated API server does.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::Router;
use tokio::net::TcpListener;

use super::{
    cluster::Cluster, error::SimError, faults::Class, http::status, served_node::ServedNode, tls::Identity,
};

/// The listeners of all kubelets that can be reached directly, with the port and certificate that they share.
pub struct Kubelets {
    pub port: u16,
    /// The certificate of the authority that signed the kubelets' certificate, in PEM.
    pub authority: String,
    pub identity: Identity,
    pub listeners: Vec<(TcpListener, Router)>,
}

/// Attempts to find a port that is free at every address.
const ATTEMPTS: u32 = 10;

/// Listens for direct requests to kubelets. Returns `None` if no node can be reached directly, or if the
/// system has no loopback addresses to spare.
pub async fn listen(cluster: &Arc<Cluster>) -> Result<Option<Kubelets>, SimError> {
    let nodes = cluster.world.nodes();
    let direct = nodes.iter().filter(|node| node.direct);
    let addressed: Vec<(&str, IpAddr)> =
        direct.filter_map(|node| Some((node.name.as_str(), node.ip().parse().ok()?))).collect();
    let mut bound = bind(&addressed).await;
    for _ in 1..ATTEMPTS {
        if bound.is_ok() {
            break;
        }
        bound = bind(&addressed).await;
    }
    let Some((port, bound)) = bound.unwrap_or_default() else { return Ok(None) };
    let addresses: Vec<String> = bound.iter().map(|(_, listener)| listener.1.to_string()).collect();
    let (identity, authority) = Identity::of(&addresses)?;
    let listeners = bound.into_iter().map(|(name, (listener, _))| (listener, router(cluster, name)));
    Ok(Some(Kubelets { port, authority, identity, listeners: listeners.collect() }))
}

type PortAndListeners<'a> = (u16, Vec<(&'a str, (TcpListener, IpAddr))>);

/// Binds all nodes to the port that the first one gets. Fails if another socket uses it at one of the
/// addresses; skips nodes whose address cannot be bound for another reason.
async fn bind<'a>(nodes: &[(&'a str, IpAddr)]) -> io::Result<Option<PortAndListeners<'a>>> {
    let (mut port, mut bound) = (0, Vec::new());
    for (name, address) in nodes {
        match TcpListener::bind(SocketAddr::from((*address, port))).await {
            Ok(listener) => {
                port = listener.local_addr()?.port();
                bound.push((*name, (listener, *address)));
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
            Err(error) => {
                tracing::debug!(node = name, %error, "simulated cluster: cannot listen for direct kubelet requests");
            }
        }
    }
    Ok((!bound.is_empty()).then_some((port, bound)))
}

/// Serves the summary of a node's kubelet.
fn router(cluster: &Arc<Cluster>, node: &str) -> Router {
    let class = Class::Summary(node.to_owned());
    let served =
        ServedNode { cluster: cluster.clone(), node: node.to_owned(), class, resource: "nodes/proxy" };
    served.router("/stats/summary", |cluster, node| match cluster.world.node(node) {
        Some(node) => status::json(200, cluster.world.summary(&node)),
        None => status::no_such_path(),
    })
}
