//! The simulated cluster: it speaks the Kubernetes HTTP API over a loopback socket, and knows nothing of `server`.

use std::{io, net::SocketAddr};

pub struct Options {
    pub vms: u32,
    pub nodes: u32,
    pub seed: u64,
    pub tls: bool,
    pub listen: SocketAddr,
}

pub struct Handle(SocketAddr);

impl Handle {
    pub fn address(&self) -> SocketAddr {
        self.0
    }

    pub fn kubeconfig(&self) -> String {
        "apiVersion: v1\n".into()
    }

    pub async fn shutdown(self) {}
}

pub async fn start(options: Options) -> io::Result<Handle> {
    Ok(Handle(options.listen))
}
