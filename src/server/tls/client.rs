//! Who the client of a connection is, by the certificate that it has shown.

use rustls::{ServerConnection, client::verify_server_name, server::ParsedCertificate};
use rustls_pki_types::ServerName;

/// Returns whether the client has shown a certificate for this name. The handshake has verified that one of the
/// authorities in `--proxy-client-ca` issued it for clients, and that the client has its key.
pub fn is_client(connection: &ServerConnection, name: &ServerName<'_>) -> bool {
    let shown = connection.peer_certificates().and_then(<[_]>::first);
    let certificate = shown.and_then(|shown| ParsedCertificate::try_from(shown).ok());
    certificate.is_some_and(|certificate| verify_server_name(&certificate, name).is_ok())
}
