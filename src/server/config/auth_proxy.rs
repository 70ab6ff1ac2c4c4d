//! A proxy in front that authenticates people, and how it proves who asks.

use std::path::PathBuf;

use http::{HeaderName, Uri};

use super::ClaimMappings;

/// Settings of `--sign-in=proxy`.
#[derive(Clone, Debug)]
pub struct AuthProxyConfig {
    pub proof: ProxyProof,
    pub mappings: ClaimMappings,
    /// Where people sign out at the proxy. Without it, they cannot sign out here.
    pub sign_out_url: Option<Uri>,
}

/// What proves that a request comes from the proxy, and for whom.
#[derive(Clone, Debug)]
pub enum ProxyProof {
    Assertion(AssertionConfig),
    Certificate(ClientCertificateConfig),
}

/// A signed token (JWT) in each request.
#[derive(Clone, Debug)]
pub struct AssertionConfig {
    /// The header with the token; in `authorization`, it follows `Bearer`.
    pub header: HeaderName,
    /// As it is written: a slash at its end makes another issuer.
    pub issuer: String,
    pub audience: String,
    /// Where the keys are. `None` asks the issuer, by OpenID Connect Discovery.
    pub jwks_url: Option<Uri>,
    /// PEM file of the CA of the addresses of the keys and the issuer.
    pub ca: Option<PathBuf>,
}

/// A client certificate on the proxy's connections, on which headers name the user.
#[derive(Clone, Debug)]
pub struct ClientCertificateConfig {
    /// PEM file of the CA that issues the proxy's certificate.
    pub ca: PathBuf,
    /// A DNS name or an address in the certificate.
    pub name: String,
    pub user_header: HeaderName,
    pub groups_header: HeaderName,
}

impl AuthProxyConfig {
    /// Returns the client certificate by which the proxy proves itself, if it does so.
    pub fn client_certificate(&self) -> Option<&ClientCertificateConfig> {
        match &self.proof {
            ProxyProof::Certificate(certificate) => Some(certificate),
            ProxyProof::Assertion(_) => None,
        }
    }
}
