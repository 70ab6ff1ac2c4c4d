//! A certificate authority for one run, the server certificate that it signs, and one that nobody trusts.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls_pki_types::PrivateKeyDer;
use tokio_rustls::{TlsAcceptor, rustls};

use super::error::SimError;

/// The certificates that a socket can present to TLS clients.
#[derive(Clone)]
pub struct Identity {
    pub acceptor: TlsAcceptor,
    /// Presents a certificate for the same addresses, signed by an authority that nobody trusts.
    pub untrusted: TlsAcceptor,
}

impl Identity {
    /// Creates certificates for these addresses. Also returns the authority's certificate in PEM, for
    /// clients to trust.
    pub fn of(hosts: &[String]) -> Result<(Self, String), SimError> {
        let (trusted, authority) = acceptor(hosts)?;
        let (untrusted, _) = acceptor(hosts)?;
        Ok((Self { acceptor: trusted, untrusted }, authority))
    }
}

fn acceptor(hosts: &[String]) -> Result<(TlsAcceptor, String), SimError> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;

    let key = KeyPair::generate()?;
    let names = ["127.0.0.1", "localhost"].map(str::to_owned).into_iter().chain(hosts.iter().cloned());
    let certificate = CertificateParams::new(names.collect::<Vec<_>>())?.signed_by(&key, &authority)?;

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?;
    Ok((TlsAcceptor::from(Arc::new(config)), authority.pem()))
}
