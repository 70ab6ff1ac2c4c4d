//! An HTTPS server in the process of the tests: a kubelet, or an aggregated API.

use std::{net::SocketAddr, sync::Arc};

use axum::{Extension, Router};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::pem::PemObject,
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;

use super::pki::Pair;

/// Who is at the other end of a connection; each request carries it.
#[derive(Clone, Copy)]
pub struct Peer {
    /// Whether the client showed a certificate of the server's client CA.
    pub certified: bool,
}

/// A server that runs until it is dropped; then every connection ends.
pub struct Server {
    task: JoinHandle<()>,
}

impl Server {
    pub async fn start(address: SocketAddr, pair: &Pair, router: Router) -> Self {
        let verifier = WebPkiClientVerifier::no_client_auth();
        Self::serve(address, acceptor(pair, verifier), router).await
    }

    /// The same; clients may show a certificate of `authority`, as the API server does to a kubelet.
    pub async fn with_clients(address: SocketAddr, pair: &Pair, authority: &[u8], router: Router) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(authority.to_vec())).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let verifier = verifier.allow_unauthenticated().build().unwrap();
        Self::serve(address, acceptor(pair, verifier), router).await
    }

    async fn serve(address: SocketAddr, acceptor: TlsAcceptor, router: Router) -> Self {
        let listener = TcpListener::bind(address).await.unwrap_or_else(|e| panic!("{address}: {e}"));
        Self { task: tokio::spawn(accept(listener, acceptor, router)) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, router: Router) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(connection(stream, acceptor.clone(), router.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, router: Router) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let peer = Peer { certified: stream.get_ref().1.peer_certificates().is_some() };
    let service = TowerToHyperService::new(router.layer(Extension(peer)));
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

fn acceptor(pair: &Pair, verifier: Arc<dyn ClientCertVerifier>) -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}
