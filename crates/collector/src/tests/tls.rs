//! A server with TLS and its own authority.

use std::{io, net::SocketAddr, path::PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, DigitallySignedStruct, DistinguishedName, SignatureScheme,
        client::danger::HandshakeSignatureValid,
        server::danger::{ClientCertVerified, ClientCertVerifier},
    },
    server::TlsStream,
};

use super::*;

/// A server on all addresses of this machine. Its certificate is valid for three of them.
pub struct Secure {
    pub server: Server,
    pub port: u16,
    files: TempDir,
}

impl Secure {
    pub fn start(script: impl Fn(&RecordedRequest, usize) -> Response + Send + Sync + 'static) -> Self {
        let (acceptor, authority) = acceptor();
        Self::with(acceptor, authority, script)
    }

    /// Starts a server whose certificate is valid for these names only.
    pub fn named(
        names: &[&str],
        script: impl Fn(&RecordedRequest, usize) -> Response + Send + Sync + 'static,
    ) -> Self {
        let (certificate, key, authority) = certified(names);
        Self::with(acceptor_of(certificate, &key), authority, script)
    }

    fn with(
        acceptor: TlsAcceptor,
        authority: String,
        script: impl Fn(&RecordedRequest, usize) -> Response + Send + Sync + 'static,
    ) -> Self {
        let files = tempfile::tempdir().unwrap();
        std::fs::write(files.path().join("ca.pem"), authority).unwrap();
        let listener = std::net::TcpListener::bind("[::]:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = format!("https://127.0.0.1:{port}");
        let server = Server::serve(listener, url, script, |listener| TlsListener { listener, acceptor });
        Self { server, port, files }
    }

    /// Starts a server with this certificate, and writes a file of what is trusted.
    pub fn showing(
        certificate: CertificateDer<'static>,
        key: &KeyPair,
        trusted: &str,
        script: impl Fn(&RecordedRequest, usize) -> Response + Send + Sync + 'static,
    ) -> Self {
        Self::with(acceptor_of(certificate, key), trusted.to_owned(), script)
    }

    /// Starts a server that requests client certificates, accepts any, and records them.
    pub fn asking(
        shown: &Arc<ShownCertificates>,
        script: impl Fn(&RecordedRequest, usize) -> Response + Send + Sync + 'static,
    ) -> Self {
        let (certificate, key, authority) = certified(&THIS_MACHINE);
        let verifier = shown.clone();
        Self::with(acceptor_with(certificate, &key, Some(verifier)), authority, script)
    }

    /// The path of the file with its authority.
    pub fn ca(&self) -> PathBuf {
        self.files.path().join("ca.pem")
    }
}

pub fn acceptor() -> (TlsAcceptor, String) {
    let (certificate, key, authority) = certified(&THIS_MACHINE);
    (acceptor_of(certificate, &key), authority)
}

const THIS_MACHINE: [&str; 3] = ["127.0.0.1", "127.0.0.2", "::1"];

/// A certificate for these names with its key, and the authority that signed it.
fn certified(names: &[&str]) -> (CertificateDer<'static>, KeyPair, String) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
    (certificate.der().clone(), key, authority.pem())
}

/// Sends the certificate as it is, even if it is not valid.
fn acceptor_of(certificate: CertificateDer<'static>, key: &KeyPair) -> TlsAcceptor {
    acceptor_with(certificate, key, None)
}

fn acceptor_with(
    certificate: CertificateDer<'static>,
    key: &KeyPair,
    clients: Option<Arc<ShownCertificates>>,
) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let key = provider.key_provider.load_private_key(key).unwrap();
    let shown = rustls::sign::CertifiedKey::new(vec![certificate], key);
    let builder =
        rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = match clients {
        Some(clients) => builder.with_client_cert_verifier(clients),
        None => builder.with_no_client_auth(),
    };
    let config = builder.with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(shown)));
    TlsAcceptor::from(Arc::new(config))
}

/// The certificates that clients have sent. Like Go's servers, it accepts any version.
#[derive(Debug, Default)]
pub struct ShownCertificates(pub Mutex<Vec<Vec<u8>>>);

impl ClientCertVerifier for ShownCertificates {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.0.lock().unwrap().push(end_entity.to_vec());
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let provider = rustls::crypto::ring::default_provider();
        provider.signature_verification_algorithms.supported_schemes()
    }
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

pub fn pem(der: &[u8]) -> String {
    use base64::prelude::{BASE64_STANDARD, Engine};
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", BASE64_STANDARD.encode(der))
}

/// The same certificate without its version and extensions. Its signature is no longer valid, but no client gets
/// as far as checking it.
pub fn version_1(der: &[u8]) -> Vec<u8> {
    let (_, certificate, _) = element(der);
    let (_, signed, rest) = element(certificate);
    let mut kept = Vec::new();
    let mut left = signed;
    while !left.is_empty() {
        let (tag, _, after) = element(left);
        // [0] is the version, [3] are the extensions.
        if tag != 0xa0 && tag != 0xa3 {
            kept.extend_from_slice(&left[..left.len() - after.len()]);
        }
        left = after;
    }
    sequence(&[sequence(&kept), rest.to_vec()].concat())
}

/// Tag and content of the first element of DER, and what follows it.
fn element(der: &[u8]) -> (u8, &[u8], &[u8]) {
    let (length, begin) = match der[1] {
        short @ 0..=0x7f => (usize::from(short), 2),
        long => {
            let bytes = usize::from(long & 0x7f);
            (der[2..2 + bytes].iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), 2 + bytes)
        }
    };
    (der[0], &der[begin..begin + length], &der[begin + length..])
}

fn sequence(content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).unwrap().to_be_bytes();
    let head = match content.len() {
        0..=0x7f => vec![0x30, low],
        0x80..=0xff => vec![0x30, 0x81, low],
        _ => vec![0x30, 0x82, high, low],
    };
    [&head, content].concat()
}
