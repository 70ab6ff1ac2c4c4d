//! Trust in a peer whose certificate or CA is in a file.
//!
//! A certificate in the file itself identifies its peer, whatever its names and extensions: Ceph's dashboard
//! generates one without names (`create_self_signed_cert` of its manager), and `openssl req -x509` generates
//! one that is also a CA; neither is valid for a host name. Its dates are still checked, and the peer must
//! hold its key. Only certificates of an explicit file are pinned, never the system's authorities. For a
//! cluster, the certificate must also be valid for the host name, as in kubectl ([`Names`]).

use std::sync::Arc;

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{CryptoProvider, ring},
    server::ParsedCertificate,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject};

/// The TLS configuration that trusts the certificates of a file; `None` if the file holds none.
pub fn config(pem: &[u8]) -> Option<ClientConfig> {
    let certificates: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().ok()?;
    let verifier = PinningVerifier::new(certificates, Names::Ignored)?;
    let builder = ClientConfig::builder_with_provider(verifier.provider.clone());
    let versions = builder.with_safe_default_protocol_versions().ok()?;
    let config = versions.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    Some(config.with_no_client_auth())
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
    certificates: Vec<CertificateDer<'static>>,
    names: Names,
    provider: Arc<CryptoProvider>,
    authorities: Arc<WebPkiServerVerifier>,
}

impl PinningVerifier {
    /// `None` if no certificate can be read. One that cannot be read verifies nothing and does not affect the
    /// others, as in Go (`CertPool.AppendCertsFromPEM` of crypto/x509).
    pub fn new(certificates: Vec<CertificateDer<'static>>, names: Names) -> Option<Self> {
        let provider = Arc::new(ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates.iter().cloned());
        let authorities = WebPkiServerVerifier::builder_with_provider(roots.into(), provider.clone());
        Some(Self { certificates, names, provider, authorities: authorities.build().ok()? })
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
        if self.certificates.iter().any(|pinned| pinned == end_entity) {
            self.verify_dates(end_entity, now)?;
            if self.names == Names::Verified {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            }
            return Ok(ServerCertVerified::assertion());
        }
        self.authorities.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}
