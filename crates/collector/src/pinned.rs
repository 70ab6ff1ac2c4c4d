//! Trust in a peer whose certificate or CA is in a file.
//!
//! A certificate in the file itself identifies its peer, whatever its names and extensions: Ceph's dashboard
//! generates one without names (`create_self_signed_cert` of its manager), and `openssl req -x509` generates
//! one that is also a CA; neither is valid for a host name. Its dates are still checked, and the peer must
//! hold its key. Only certificates of an explicit file are pinned, never the system's authorities. For a
//! cluster, the certificate must also be valid for the host name, as in kubectl ([`Names`]).

use std::{
    path::PathBuf,
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::Mutex;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    server::ParsedCertificate,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject};
use tokio::time::sleep;

/// How often the file of a verifier is read again.
const REREAD_EVERY: Duration = Duration::from_secs(60);

/// The TLS configuration that trusts the certificates of a file; `None` if the file holds none.
pub fn config(pem: &[u8]) -> Option<ClientConfig> {
    PinningVerifier::new(certificates(pem)?, Names::Ignored)?.client_config().ok()
}

/// The certificates of a file; `None` if one of them is not in PEM format.
pub fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().ok()
}

/// Whether a certificate that is in the file must also be valid for the host name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    Ignored,
    Verified,
}

/// Verifies servers by the certificates of a file, pinned or as authorities.
#[derive(Debug)]
pub struct PinningVerifier {
    names: Names,
    provider: Arc<CryptoProvider>,
    /// Read again if it is set, since authorities are rotated, for example those of service accounts.
    file: Option<PathBuf>,
    trusted: Mutex<Arc<Trusted>>,
}

#[derive(Debug)]
struct Trusted {
    certificates: Vec<CertificateDer<'static>>,
    authorities: Arc<WebPkiServerVerifier>,
}

impl Trusted {
    /// `None` if no certificate can be read. One that cannot be read verifies nothing and does not affect the
    /// others, as in Go (`CertPool.AppendCertsFromPEM` of crypto/x509).
    fn new(certificates: Vec<CertificateDer<'static>>, provider: &Arc<CryptoProvider>) -> Option<Self> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates.iter().cloned());
        let authorities = WebPkiServerVerifier::builder_with_provider(roots.into(), provider.clone());
        Some(Self { certificates, authorities: authorities.build().ok()? })
    }
}

impl PinningVerifier {
    /// `None` if no certificate can be read.
    pub fn new(certificates: Vec<CertificateDer<'static>>, names: Names) -> Option<Self> {
        let provider = Arc::new(ring::default_provider());
        let trusted = Arc::new(Trusted::new(certificates, &provider)?);
        Some(Self { names, provider, file: None, trusted: Mutex::new(trusted) })
    }

    /// Reads this file again while the verifier is used.
    pub fn with_file(self, file: Option<PathBuf>) -> Self {
        Self { file, ..self }
    }

    /// The TLS configuration that verifies servers with this, and presents no certificate. Needs a Tokio
    /// runtime if the verifier has a file.
    pub fn client_config(self) -> Result<ClientConfig, Error> {
        let builder = ClientConfig::builder_with_provider(self.provider.clone());
        let builder = builder.with_safe_default_protocol_versions()?;
        let builder = builder.dangerous().with_custom_certificate_verifier(self.share());
        Ok(builder.with_no_client_auth())
    }

    /// Starts the task that reads the file again, which ends after the verifier is dropped.
    fn share(self) -> Arc<Self> {
        let verifier = Arc::new(self);
        if let Some(file) = verifier.file.clone() {
            tokio::spawn(reread(Arc::downgrade(&verifier), file));
        }
        verifier
    }

    fn trusted(&self) -> Arc<Trusted> {
        self.trusted.lock().clone()
    }

    /// Checks the dates only. webpki checks them before everything else
    /// (`check_issuer_independent_properties`), so an error of another kind means that they are valid.
    fn verify_dates(&self, certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
        let parsed = ParsedCertificate::try_from(certificate)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        let nobody = RootCertStore::empty();
        match verify_server_cert_signed_by_trust_anchor(&parsed, &nobody, &[], now, algorithms) {
            Err(error) if is_of_dates(&error) => Err(error),
            _ => Ok(()),
        }
    }
}

/// Reads the file again and again while the verifier is in use. A handshake must not wait for a disk, so it
/// does not read the file itself. If the file cannot be used, its previous content stays valid: it may be
/// half written.
async fn reread(verifier: Weak<PinningVerifier>, file: PathBuf) {
    loop {
        sleep(REREAD_EVERY).await;
        let pem = tokio::fs::read(&file).await;
        let Some(verifier) = verifier.upgrade() else { return };
        let certificates = pem.ok().and_then(|pem| certificates(&pem));
        match certificates.and_then(|certificates| Trusted::new(certificates, &verifier.provider)) {
            Some(fresh) => *verifier.trusted.lock() = Arc::new(fresh),
            None => {
                tracing::warn!(path = %file.display(), "cannot reload the CA file, keeping the previous one")
            }
        }
    }
}

/// Whether the error is about the dates of a certificate: it is not yet valid, has expired, or they cannot be
/// read.
pub fn is_of_dates(error: &Error) -> bool {
    matches!(
        error,
        Error::InvalidCertificate(
            CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. }
                | CertificateError::BadEncoding
        )
    )
}

impl ServerCertVerifier for PinningVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let trusted = self.trusted();
        if trusted.certificates.iter().any(|pinned| pinned == end_entity) {
            self.verify_dates(end_entity, now)?;
            if self.names == Names::Verified {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            }
            return Ok(ServerCertVerified::assertion());
        }
        trusted.authorities.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_file_is_read_again_and_keeps_its_content_while_it_cannot_be_used() {
        let pem = || rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap().cert.pem();
        let [old, new] = [pem(), pem()];
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let [old_certificates, new_certificates] =
            [&old, &new].map(|pem| certificates(pem.as_bytes()).unwrap());
        let verifier = PinningVerifier::new(old_certificates.clone(), Names::Verified).unwrap();
        let verifier = verifier.with_file(Some(file.clone())).share();
        let trusts_after = async |wait: Duration, content: &str| {
            fs::write(&file, content).unwrap();
            sleep(wait).await;
            verifier.trusted().certificates.clone()
        };
        assert_eq!(trusts_after(Duration::from_secs(50), &new).await, old_certificates);
        assert_eq!(trusts_after(REREAD_EVERY, "-----BEGIN CERTIFICATE-----").await, old_certificates);
        assert_eq!(trusts_after(REREAD_EVERY, &new).await, new_certificates);
        drop(verifier);
        sleep(REREAD_EVERY).await;
        let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
        assert_eq!(tasks, 0, "nobody uses the verifier any longer");
    }
}
