//! TLS to API servers, kubelets and proxies: as strict as client-go's, and no stricter.
//!
//! kube's own TLS refuses what kubectl accepts: a client certificate of X.509 version 1, which rustls does
//! not read and MicroK8s 1.34 creates (canonical/microk8s#5447, rustls/rustls#2364); a server's own
//! certificate among the authorities, where webpki looks for its issuer (kube-rs/kube#1767); and all
//! authorities if one of them cannot be read.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use kube::{Config, client::ConfigExt};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::ring,
    sign::SingleCertAndKey,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject};

use super::{CredentialError, user::Identity};
use crate::pinned::{Names, PinningVerifier};

/// How long the authorities of a file are used before the file is read again.
const REREAD_AFTER: Duration = Duration::from_secs(60);

/// Why a TLS configuration cannot be used, as far as that is known without a server.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("none of the authorities' certificates can be read")]
    Authorities,
    #[error("the tls-server-name is neither a name nor an address: correct it in the kubeconfig")]
    ServerName,
    #[error(transparent)]
    Identity(#[from] CredentialError),
    #[error(transparent)]
    Rustls(#[from] Error),
    #[error(transparent)]
    Kube(#[from] kube::Error),
}

/// Returns a connector that speaks TLS as configured, and presents this certificate to a server that asks for
/// one.
pub fn https<C>(
    config: &Config,
    identity: Option<&Identity>,
    connector: C,
) -> Result<HttpsConnector<C>, TlsError> {
    let mut tls = client_config(config)?;
    if let Some(identity) = identity {
        tls.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(identity.certified_key()?));
    }
    let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
    let builder = match config.tls_server_name.clone() {
        Some(name) => {
            let name = ServerName::try_from(name).map_err(|_| TlsError::ServerName)?;
            builder.with_server_name_resolver(FixedServerNameResolver::new(name))
        }
        None => builder,
    };
    Ok(builder.enable_http1().wrap_connector(connector))
}

/// The TLS configuration. It is kube's own if there are no authorities to verify with: then the system's
/// authorities are used, or every certificate is accepted.
fn client_config(config: &Config) -> Result<ClientConfig, TlsError> {
    let authorities = config.root_cert.as_deref().unwrap_or_default();
    if config.accept_invalid_certs {
        let mut blind = config.clone();
        (blind.root_cert, blind.root_cert_file) = (Some(Vec::new()), None);
        return Ok(blind.rustls_client_config()?);
    }
    if authorities.is_empty() {
        return Ok(config.rustls_client_config()?);
    }
    let verifier = AuthoritiesVerifier::new(authorities, config.root_cert_file.clone())?;
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions()?;
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    Ok(builder.with_no_client_auth())
}

/// Verifies servers with a cluster's authorities. The authorities of a file are read again, since they are
/// rotated, for example those of service accounts.
#[derive(Debug)]
struct AuthoritiesVerifier {
    file: Option<PathBuf>,
    current: Mutex<(Arc<PinningVerifier>, Instant)>,
}

impl AuthoritiesVerifier {
    fn new(authorities: &[Vec<u8>], file: Option<PathBuf>) -> Result<Self, TlsError> {
        let certificates = authorities.iter().cloned().map(CertificateDer::from).collect();
        let verifier = PinningVerifier::new(certificates, Names::Verified).ok_or(TlsError::Authorities)?;
        Ok(Self { file, current: Mutex::new((Arc::new(verifier), Instant::now())) })
    }

    /// The verifier to use now. If the file cannot be used, its previous content stays valid: it may be half
    /// written.
    fn current(&self) -> Arc<PinningVerifier> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let (verifier, read_at) = &mut *current;
        if let Some(file) = self.file.as_deref().filter(|_| read_at.elapsed() >= REREAD_AFTER) {
            match read(file) {
                Some(fresh) => *verifier = Arc::new(fresh),
                None => {
                    tracing::warn!(path = %file.display(), "the authority's file cannot be used, what it held before counts")
                }
            }
            *read_at = Instant::now();
        }
        verifier.clone()
    }
}

fn read(file: &Path) -> Option<PinningVerifier> {
    let pem = fs::read(file).ok()?;
    let certificates: Result<_, _> = CertificateDer::pem_slice_iter(&pem).collect();
    PinningVerifier::new(certificates.ok()?, Names::Verified)
}

impl ServerCertVerifier for AuthoritiesVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.current().verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.current().verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.current().verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.current().supported_verify_schemes()
    }
}
