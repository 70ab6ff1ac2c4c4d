//! TLS below HTTP; and that to API servers, kubelets and their proxies: as strict as client-go's, and no stricter.
//!
//! kube's own TLS refuses what kubectl accepts: a client certificate of X.509 version 1, which rustls does
//! not read and MicroK8s 1.34 creates (canonical/microk8s#5447, rustls/rustls#2364); a server's own
//! certificate among the authorities, where webpki looks for its issuer (kube-rs/kube#1767); and all
//! authorities if one of them cannot be read.

use std::sync::Arc;

use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use kube::{Config, client::ConfigExt};
use rustls::{ClientConfig, sign::SingleCertAndKey};
use rustls_pki_types::{CertificateDer, ServerName};

use super::{TlsError, user::Identity};
use crate::pinned::{Names, PinningVerifier};

/// TLS to servers: what is trusted, and which certificate is presented to a server that asks for one.
pub struct Tls {
    config: ClientConfig,
    /// The name that a server's certificate must have. `None`: the host of the URL.
    server_name: Option<ServerName<'static>>,
}

impl From<ClientConfig> for Tls {
    fn from(config: ClientConfig) -> Self {
        Self { config, server_name: None }
    }
}

impl Tls {
    /// TLS as configured for a cluster.
    pub fn to_cluster(config: &Config, identity: Option<&Identity>) -> Result<Self, TlsError> {
        let mut tls = client_config(config)?;
        if let Some(identity) = identity {
            tls.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(identity.certified_key()?));
        }
        let server_name = config.tls_server_name.clone().map(ServerName::try_from).transpose();
        Ok(Self { config: tls, server_name: server_name.map_err(|_| TlsError::ServerName)? })
    }

    /// Returns a connector that speaks TLS on the connections of this one, if the URL asks for it.
    pub fn https<C>(self, connector: C) -> HttpsConnector<C> {
        let builder = HttpsConnectorBuilder::new().with_tls_config(self.config).https_or_http();
        let builder = match self.server_name {
            Some(name) => builder.with_server_name_resolver(FixedServerNameResolver::new(name)),
            None => builder,
        };
        builder.enable_http1().wrap_connector(connector)
    }
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
    let certificates = authorities.iter().cloned().map(CertificateDer::from).collect();
    let verifier = PinningVerifier::new(certificates, Names::Verified).ok_or(TlsError::Authorities)?;
    Ok(verifier.with_file(config.root_cert_file.clone()).client_config()?)
}
