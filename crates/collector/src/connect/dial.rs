//! Opens connections to the API server, to kubelets and to virt-handlers: directly or through a proxy, with the current client
//! certificate.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use base64::prelude::{BASE64_STANDARD, Engine};
use http::{HeaderValue, Request, Response, Uri, header};
use hyper::{
    body::Incoming,
    rt::{Read, ReadBufCursor, Write},
};
use hyper_util::{
    client::legacy::{
        Client as HttpClient,
        connect::{
            Connected, Connection, HttpConnector,
            proxy::{SocksV5, Tunnel},
        },
    },
    rt::TokioExecutor,
};
use kube::{Config, client::Body};
use parking_lot::Mutex;
use pin_project_lite::pin_project;
use tokio::time::timeout;
use tower::{BoxError, Service, ServiceExt, service_fn, util::BoxCloneSyncService};

use super::{
    CredentialError, ProxyError,
    tls::{TlsError, https},
    user::Identity,
};
use crate::config::{Protocol, Proxy};

/// For TCP, TLS and the proxy together. Short, so that a cluster that comes back is reached again within 10
/// s.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A kubelet is near: if it does not accept within this time, a firewall is in between, and the API server is
/// asked.
const KUBELET_TIMEOUT: Duration = Duration::from_secs(1);

/// A service that sends requests with a whole URL.
pub type Http = BoxCloneSyncService<Request<Body>, Response<Incoming>, BoxError>;

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
        let Some(proxy) = &self.proxy else { return self.pool(identity, tcp(self.tcp_timeout)) };
        let plain = self.config.cluster_url.scheme() == Some(&http::uri::Scheme::HTTP);
        let http = self.pool(identity, through(proxy, &self.config)?)?;
        let login = proxy.login().filter(|_| plain && proxy.protocol() != Protocol::Socks);
        Ok(match login.and_then(|login| basic(&login)) {
            Some(login) => with_login(http, login),
            None => http,
        })
    }

    fn pool<C>(&self, identity: Option<&Identity>, connector: C) -> Result<Http, TlsError>
    where
        C: Service<Uri> + Clone + Send + Sync + 'static,
        C::Response: Connection + Read + Write + Send + Unpin + 'static,
        C::Future: Send + 'static,
        C::Error: Into<BoxError> + Send,
    {
        let connector = https(&self.config, identity, connector)?;
        let connector = service_fn(move |uri: Uri| {
            let connector = connector.clone();
            Box::pin(async move {
                let connected = timeout(CONNECT_TIMEOUT, connector.oneshot(uri)).await;
                connected.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
            })
        });
        let mut builder = HttpClient::builder(TokioExecutor::new());
        if !self.keep_idle {
            builder.pool_max_idle_per_host(0);
        }
        Ok(BoxCloneSyncService::new(ServiceExt::map_err(builder.build::<_, Body>(connector), BoxError::from)))
    }
}

fn tcp(timeout: Duration) -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_connect_timeout(Some(timeout));
    connector
}

/// Connects to a proxy and through it to the target: by CONNECT or SOCKS; requests without TLS are sent to an
/// HTTP proxy itself, which forwards them.
fn through(
    proxy: &Proxy,
    cluster: &Config,
) -> Result<
    impl Service<
        Uri,
        Response: Connection + Read + Write + Send + Unpin + 'static,
        Future: Send + 'static,
        Error = ProxyError,
    >
    + Clone
    + Send
    + Sync
    + 'static
    + use<>,
    TlsError,
> {
    let to_proxy = https(&proxy_config(cluster), None, tcp(CONNECT_TIMEOUT))?;
    let proxy = Arc::new(proxy.clone());
    Ok(service_fn(move |target: Uri| {
        let (proxy, to_proxy) = (proxy.clone(), to_proxy.clone());
        Box::pin(async move {
            let stream = to_proxy.oneshot(first_hop(&proxy)?).await.map_err(ProxyError::Unreachable)?;
            let forwards = proxy.protocol() != Protocol::Socks && target.scheme_str() == Some("http");
            let stream = if forwards { stream } else { open_tunnel(&proxy, stream, target).await? };
            Ok(Hop { stream, forwards })
        })
    }))
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

fn first_hop(proxy: &Proxy) -> Result<Uri, ProxyError> {
    let scheme = if proxy.protocol() == Protocol::Https { "https" } else { "http" };
    let uri = format!("{scheme}://{}", proxy.authority()).parse();
    uri.map_err(|error: http::uri::InvalidUri| ProxyError::Unreachable(error.into()))
}

/// Asks the proxy at the other end of `stream` to connect it to the target.
async fn open_tunnel<T>(proxy: &Proxy, stream: T, target: Uri) -> Result<T, ProxyError>
where
    T: Read + Write + Send + Unpin + 'static,
{
    let mut stream = Some(stream);
    let connected = service_fn(move |_: Uri| {
        std::future::ready(stream.take().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected)))
    });
    let address: Uri = first_hop(proxy)?;
    if proxy.protocol() == Protocol::Socks {
        let mut socks = SocksV5::new(address, connected);
        if let Some((user, password)) = proxy.login() {
            socks = socks.with_auth(user, password);
        }
        return socks.call(target).await.map_err(|error| refusal(error, "credentials"));
    }
    let mut tunnel = Tunnel::new(address, connected);
    if let Some(login) = proxy.login().and_then(|login| basic(&login)) {
        tunnel = tunnel.with_auth(login);
    }
    tunnel.call(target).await.map_err(|error| refusal(error, "authorization required"))
}

/// Classifies a refusal by its text, since hyper-util's error types have no public names.
fn refusal(error: impl std::error::Error + Send + Sync + 'static, login: &str) -> ProxyError {
    let words = error.to_string();
    if words.contains(login) || words.contains("user/pass") {
        return ProxyError::Login;
    }
    ProxyError::Refused(error.into())
}

fn basic((user, password): &(String, String)) -> Option<HeaderValue> {
    let mut value =
        HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}"))))
            .ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Adds the proxy's login to requests that the proxy forwards itself.
fn with_login(http: Http, login: HeaderValue) -> Http {
    BoxCloneSyncService::new(http.map_request(move |mut request: Request<Body>| {
        request.headers_mut().insert(header::PROXY_AUTHORIZATION, login.clone());
        request
    }))
}

pin_project! {
    /// A connection through a proxy.
    struct Hop<T> {
        #[pin]
        stream: T,
        // Whether requests carry the whole URL, because the proxy forwards each of them.
        forwards: bool,
    }
}

impl<T: Connection> Connection for Hop<T> {
    fn connected(&self) -> Connected {
        self.stream.connected().proxy(self.forwards)
    }
}

impl<T: Read> Read for Hop<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.project().stream.poll_read(cx, buffer)
    }
}

impl<T: Write> Write for Hop<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.project().stream.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().stream.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().stream.poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.project().stream.poll_write_vectored(cx, bytes)
    }
}
