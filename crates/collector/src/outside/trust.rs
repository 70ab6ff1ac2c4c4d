//! What the certificates of sites, and of the proxies to them, are verified with.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::CertificateDer;

use crate::pinned::{self, Names, PinningVerifier};

/// The TLS to a site; `None` if the CA file holds no certificate. Without a CA file, the system's authorities are
/// trusted and the built-in ones, since a container image may have none.
pub fn of_site(ca: Option<&[u8]>) -> Option<ClientConfig> {
    ca.map_or_else(of_public_sites, pinned::config)
}

/// The TLS to the proxy of a site. As for a cluster, it is verified with the CA file and with the system's authorities,
/// which certify the proxies of most networks.
pub fn of_proxy(ca: Option<&[u8]>) -> Option<ClientConfig> {
    let Some(ca) = ca else { return of_public_sites() };
    let mut certificates = pinned::certificates(ca)?;
    certificates.extend(system());
    PinningVerifier::new(certificates, Names::Verified)?.client_config().ok()
}

fn of_public_sites() -> Option<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(system());
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().ok()?;
    Some(builder.with_root_certificates(roots).with_no_client_auth())
}

fn system() -> Vec<CertificateDer<'static>> {
    rustls_native_certs::load_native_certs().certs
}
