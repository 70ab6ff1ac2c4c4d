//! Kubelets that can be asked straight: each at its node's own loopback address, all at one port, over TLS. They take
//! any credential, as the simulated API server does.

use std::{net::IpAddr, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{Method, Request},
    response::Response,
};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{
    SimError,
    faults::Class,
    http::{Caller, Cluster, meet, spoil, status},
    node::Kubelet,
    serve::Fuse,
    tls,
};

pub struct Kubelets {
    pub port: u16,
    /// PEM of the authority that signed their certificate.
    pub authority: String,
    pub acceptor: TlsAcceptor,
    pub listeners: Vec<(TcpListener, Router)>,
}

/// None where no node is to be asked straight, or the system has no loopback addresses to spare.
pub async fn listen(cluster: &Arc<Cluster>) -> Result<Option<Kubelets>, SimError> {
    let (mut port, mut addresses, mut listeners) = (0, Vec::new(), Vec::new());
    for node in cluster.world.nodes().iter().filter(|node| node.direct) {
        let Ok(address) = node.ip().parse::<IpAddr>() else { continue };
        let bound = TcpListener::bind((address, port)).await.and_then(|listener| {
            port = listener.local_addr()?.port();
            Ok(listener)
        });
        match bound {
            Ok(listener) => {
                addresses.push(node.ip());
                listeners.push((listener, router(cluster, &node.name)));
            }
            Err(error) => {
                tracing::debug!(node = node.name, %error, "simulated cluster: no kubelet to ask straight")
            }
        }
    }
    if listeners.is_empty() {
        return Ok(None);
    }
    let (acceptor, authority) = tls::acceptor(&addresses)?;
    Ok(Some(Kubelets { port, authority, acceptor, listeners }))
}

#[derive(Debug)]
struct Here {
    cluster: Arc<Cluster>,
    node: String,
}

fn router(cluster: &Arc<Cluster>, node: &str) -> Router {
    let here = Here { cluster: cluster.clone(), node: node.to_owned() };
    Router::new().fallback(answer).with_state(Arc::new(here))
}

async fn answer(State(here): State<Arc<Here>>, request: Request<Body>) -> Response {
    let (get, path) = (request.method() == Method::GET, request.uri().path().to_owned());
    let fuse = request.extensions().get::<Fuse>().cloned();
    let class = Class::Summary(here.node.clone());
    let faults = match meet(&here.cluster, &class, Caller::of(&request)).await {
        Ok(faults) => faults,
        Err(struck) => return struck,
    };
    drop(request);
    let world = &here.cluster.world;
    let node = world.node(&here.node).filter(|_| get && path == "/stats/summary");
    let response = match node {
        None => status::no_such_path(),
        Some(node) => match node.kubelet {
            Kubelet::Answers => status::json(200, world.summary(&node)),
            Kubelet::Hangs => std::future::pending().await,
            // Nothing should listen here; the connection is reset instead.
            Kubelet::Refuses => {
                fuse.iter().for_each(Fuse::blow);
                status::text("")
            }
        },
    };
    spoil::spoil(response, &faults).await
}
