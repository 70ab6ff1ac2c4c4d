//! Opens connections to the API server, to kubelets and to virt-handlers: directly or through a proxy, with the current client
//! certificate.

use std::{sync::Arc, time::Duration};

use kube::Config;
use parking_lot::Mutex;
use tower::BoxError;

use super::{
    CredentialError, TlsError,
    http_client::{Http, HttpConfig},
    proxy::ProxyHop,
    tcp::CONNECT_TIMEOUT,
    tls::Tls,
    user::Identity,
};
use crate::config::Proxy;

/// A kubelet is near: if it does not accept within this time, a firewall is in between, and the API server is
/// asked.
const KUBELET_TIMEOUT: Duration = Duration::from_secs(1);

/// The connections to one server, or to all kubelets. They are replaced when the client certificate changes.
pub struct Connections {
    config: Config,
    /// `None` means direct connections, whatever the environment says.
    proxy: Option<Proxy>,
    tcp_timeout: Duration,
    keep_idle: bool,
    current: Mutex<Option<(Option<Arc<Identity>>, Http)>>,
}

impl Connections {
    /// Connections to an API server.
    pub fn new(config: Config, proxy: Option<Proxy>) -> Self {
        Self { config, proxy, tcp_timeout: CONNECT_TIMEOUT, keep_idle: true, current: Mutex::default() }
    }

    /// Connections to kubelets: never through a proxy. Each kubelet is asked once a minute, and keeping its
    /// connection open until then would cost more than it saves.
    pub fn to_kubelets(config: Config) -> Self {
        Self { keep_idle: false, tcp_timeout: KUBELET_TIMEOUT, ..Self::new(config, None) }
    }

    /// Connections to virt-handlers, which are asked as kubelets are. No other way leads to them, so that a lost
    /// packet may be sent again.
    pub fn to_virt_handlers(config: Config) -> Self {
        Self { keep_idle: false, ..Self::new(config, None) }
    }

    /// Checks whether connections can be made, as far as that is possible without a server.
    pub fn try_make(&self) -> Result<(), TlsError> {
        self.make(None).map(drop)
    }

    /// The connections that present this certificate. Connections with another certificate close when their
    /// current requests end; client-go also closes them when a certificate changes.
    pub fn with_identity(&self, identity: &Option<Arc<Identity>>) -> Result<Http, BoxError> {
        let mut current = self.current.lock();
        match &*current {
            Some((shown, http)) if shown == identity => Ok(http.clone()),
            _ => {
                let made = self.make(identity.as_deref());
                let http = made.map_err(|error| match identity {
                    // Everything but the certificate was checked when the program started.
                    Some(_) => BoxError::from(CredentialError::Certificate),
                    None => error.into(),
                })?;
                *current = Some((identity.clone(), http.clone()));
                Ok(http)
            }
        }
    }

    fn make(&self, identity: Option<&Identity>) -> Result<Http, TlsError> {
        let tls = Tls::to_cluster(&self.config, identity)?;
        let proxy = self.proxy.as_ref().map(|proxy| self.hop(proxy)).transpose()?;
        let (tcp_timeout, keep_idle) = (self.tcp_timeout, self.keep_idle);
        Ok(HttpConfig { tls, proxy, tcp_timeout, keep_idle }.client())
    }

    fn hop(&self, proxy: &Proxy) -> Result<ProxyHop, TlsError> {
        Ok(ProxyHop { proxy: proxy.clone(), tls: Tls::to_cluster(&proxy_config(&self.config), None)? })
    }
}

/// The config that verifies a proxy's own certificate: with the cluster's authorities, as in kubectl, and the
/// system's, which certify the proxies of most networks. The proxy is not shown the client certificate.
fn proxy_config(cluster: &Config) -> Config {
    let mut config = cluster.clone();
    config.tls_server_name = None;
    config.root_cert_file = None;
    if let Some(authorities) = &mut config.root_cert {
        let system = rustls_native_certs::load_native_certs().certs;
        authorities.extend(system.into_iter().map(|certificate| certificate.to_vec()));
    }
    config
}
