//! TCP connections of the HTTP client: to a server, or to the proxy on the way to it.

use std::time::Duration;

use hyper_util::client::legacy::connect::HttpConnector;

/// For TCP, TLS and the proxy together. Short, so that a cluster that comes back is reached again within 10
/// s.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection whose other end is gone, as behind a NAT that forgot it, fails after three probes.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// Connects by TCP, to what the host of the URL resolves to.
pub fn tcp(timeout: Duration) -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_connect_timeout(Some(timeout));
    connector.set_nodelay(true);
    connector.set_keepalive(Some(KEEPALIVE));
    connector.set_keepalive_interval(Some(KEEPALIVE));
    connector.set_keepalive_retries(Some(3));
    connector
}
