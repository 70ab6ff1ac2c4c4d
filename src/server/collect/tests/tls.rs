//! A server that speaks TLS, with an authority of its own.

use std::{io, net::SocketAddr, path::PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, rustls, server::TlsStream};

use super::*;

/// A server on all addresses of this machine, whose certificate is for three of them.
pub struct Secure {
    pub server: Server,
    pub port: u16,
    files: TempDir,
}

impl Secure {
    pub fn start(script: impl Fn(&Asked, usize) -> Response + Send + Sync + 'static) -> Self {
        let (acceptor, authority) = acceptor();
        Self::with(acceptor, authority, script)
    }

    fn with(
        acceptor: TlsAcceptor,
        authority: String,
        script: impl Fn(&Asked, usize) -> Response + Send + Sync + 'static,
    ) -> Self {
        let files = tempfile::tempdir().unwrap();
        std::fs::write(files.path().join("ca.pem"), authority).unwrap();
        let listener = std::net::TcpListener::bind("[::]:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = format!("https://127.0.0.1:{port}");
        let server = Server::serve(listener, url, script, |listener| TlsListener { listener, acceptor });
        Self { server, port, files }
    }

    /// One that shows this certificate, with a file beside it of what is trusted.
    pub fn showing(
        certificate: CertificateDer<'static>,
        key: &KeyPair,
        trusted: &str,
        script: impl Fn(&Asked, usize) -> Response + Send + Sync + 'static,
    ) -> Self {
        Self::with(acceptor_of(certificate, key), trusted.to_owned(), script)
    }

    /// The file of its authority.
    pub fn ca(&self) -> PathBuf {
        self.files.path().join("ca.pem")
    }
}

pub fn acceptor() -> (TlsAcceptor, String) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = ["127.0.0.1", "127.0.0.2", "::1"].map(str::to_owned);
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
    (acceptor_of(certificate.der().clone(), &key), authority.pem())
}

/// Shows the certificate as it is, be it good for nothing.
fn acceptor_of(certificate: CertificateDer<'static>, key: &KeyPair) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let key = provider.key_provider.load_private_key(key).unwrap();
    let shown = rustls::sign::CertifiedKey::new(vec![certificate], key);
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(shown)));
    TlsAcceptor::from(Arc::new(config))
}

struct TlsListener {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let (stream, peer) = self.listener.accept().await.unwrap();
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, peer);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}
