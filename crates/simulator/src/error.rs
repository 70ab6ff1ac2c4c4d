//! Errors that prevent the simulated cluster from starting.

use std::net::SocketAddr;

use tokio_rustls::rustls;

#[derive(Debug, thiserror::Error)]
pub enum SimError {
    #[error("the simulated cluster cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("the simulated cluster cannot create its certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    #[error("the simulated cluster cannot use its certificate: {0}")]
    Tls(#[from] rustls::Error),
}
