//! Trust in a peer whose certificate, or authority, stands in a file.
//!
//! A certificate that stands in the file itself is its peer's identity, whatever its names and extensions: Ceph's dashboard makes one without any
//! (`create_self_signed_cert` of its manager), and `openssl req -x509` one that is an authority too; neither is good for a name. Its dates are
//! checked all the same, and the peer must hold its key. Only an explicit file pins: authorities of the system never do. For a
//! cluster, the certificate must also be good for the name, as for kubectl ([`Names`]).

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

/// None where the file holds no certificates.
pub fn config(pem: &[u8]) -> Option<ClientConfig> {
    let certificates: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().ok()?;
    let verifier = PinningVerifier::new(certificates, Names::Ignored)?;
    let builder = ClientConfig::builder_with_provider(verifier.provider.clone());
    let versions = builder.with_safe_default_protocol_versions().ok()?;
    let config = versions.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    Some(config.with_no_client_auth())
}

/// Whether a certificate that stands in the file must also be good for the name that its peer is asked by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    Ignored,
    Verified,
}

#[derive(Debug)]
pub struct PinningVerifier {
    certificates: Vec<CertificateDer<'static>>,
    names: Names,
    provider: Arc<CryptoProvider>,
    authorities: Arc<WebPkiServerVerifier>,
}

impl PinningVerifier {
    /// None where none of the certificates can be read. One that cannot be verifies nothing, and costs no other, as in Go
    /// (`CertPool.AppendCertsFromPEM` of crypto/x509).
    pub fn new(certificates: Vec<CertificateDer<'static>>, names: Names) -> Option<Self> {
        let provider = Arc::new(ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates.iter().cloned());
        let authorities = WebPkiServerVerifier::builder_with_provider(roots.into(), provider.clone());
        Some(Self { certificates, names, provider, authorities: authorities.build().ok()? })
    }

    /// webpki checks dates before all else (`check_issuer_independent_properties`): an error of another kind says that they are good.
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

/// A certificate is used before or after it may be, or its dates cannot be read.
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
