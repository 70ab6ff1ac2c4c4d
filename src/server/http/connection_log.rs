//! Says in the log why a connection is refused before any handler sees a request, where the client's answer says too
//! little. Anybody can cause such a line, so each kind is written once a minute.

use std::{net::SocketAddr, num::NonZero};

use axum::BoxError;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use rustls::Error as TlsError;

use super::connection_limits::LONGEST_HEAD;

/// Lines of one kind in a minute.
const LINES: NonZero<u32> = NonZero::<u32>::MIN;

/// The lines of the last minute.
pub struct ConnectionLog {
    certificates: DefaultDirectRateLimiter,
    names: DefaultDirectRateLimiter,
    heads: DefaultDirectRateLimiter,
}

impl Default for ConnectionLog {
    fn default() -> Self {
        let [certificates, names, heads] = [(); 3].map(|()| RateLimiter::direct(Quota::per_minute(LINES)));
        Self { certificates, names, heads }
    }
}

impl ConnectionLog {
    /// Notes why a connection ended early.
    pub fn ended(&self, error: &BoxError, address: SocketAddr) {
        let certificate = client_certificate_error(error);
        if let Some(error) = certificate.filter(|_| self.certificates.check().is_ok()) {
            tracing::warn!(
                %error, %address,
                "a client certificate was refused: it must be of an authority in --proxy-client-ca, be valid now, \
                 and be for clients (clientAuth)"
            );
        } else if is_long_head(error) && self.heads.check().is_ok() {
            tracing::warn!(
                %address,
                "the head of a request is longer than {LONGEST_HEAD} bytes: let the proxy in front send fewer headers \
                 and cookies"
            );
        } else {
            tracing::debug!(%error, %address, "connection ended early");
        }
    }

    /// Notes a client certificate that proves somebody else than the authenticating proxy.
    pub fn other_name(&self, address: SocketAddr) {
        if self.names.check().is_ok() {
            tracing::warn!(%address, "a client certificate does not have the name of --proxy-client-name");
        }
    }
}

/// Returns why the certificate of a client was refused, if that ended the connection. Only clients show a server
/// certificates.
fn client_certificate_error(error: &BoxError) -> Option<&rustls::CertificateError> {
    let error = error.downcast_ref::<std::io::Error>()?.get_ref()?.downcast_ref()?;
    match error {
        TlsError::InvalidCertificate(error) => Some(error),
        _ => None,
    }
}

fn is_long_head(error: &BoxError) -> bool {
    error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse_too_large)
}
