//! Connections to a server: direct, or through a proxy, and with the client certificate of the moment.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
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
use pin_project_lite::pin_project;
use tokio::time::timeout;
use tower::{BoxError, Service, ServiceExt, service_fn, util::BoxCloneSyncService};

use super::{
    CredentialError, ProxyError,
    tls::{TlsError, https},
    user::Identity,
};
use crate::config::{Protocol, Proxy};

/// TCP, TLS and a proxy together. Short, since a cluster that comes back should be met again within 10 s.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A kubelet is near: one that is not met within this is behind a firewall, and asked through the API server.
const KUBELET_TIMEOUT: Duration = Duration::from_secs(1);

/// Sends requests that name the whole address.
pub type Http = BoxCloneSyncService<Request<Body>, Response<Incoming>, BoxError>;

/// The connections to one server, or to all kubelets.
pub struct Connections {
    config: Config,
    /// None: direct, whatever the environment says.
    proxy: Option<Proxy>,
    tcp_timeout: Duration,
    keep_idle: bool,
    current: Mutex<Option<(Option<Arc<Identity>>, Http)>>,
}

impl Connections {
    /// To an API server.
    pub fn new(config: Config, proxy: Option<Proxy>) -> Self {
        Self { config, proxy, tcp_timeout: CONNECT_TIMEOUT, keep_idle: true, current: Mutex::default() }
    }

    /// To kubelets: never through a proxy. Each is asked once a minute, and to keep its connection until then would cost
    /// more than it spares.
    pub fn to_kubelets(config: Config) -> Self {
        Self { keep_idle: false, tcp_timeout: KUBELET_TIMEOUT, ..Self::new(config, None) }
    }

    /// Whether they can be made at all, as far as that shows without a server.
    pub fn try_make(&self) -> Result<(), TlsError> {
        self.make(None).map(drop)
    }

    /// Those that show this certificate. Others end as soon as what is under way on them has ended: client-go closes them
    /// as well when a certificate changes.
    pub fn with_identity(&self, identity: &Option<Arc<Identity>>) -> Result<Http, BoxError> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        match &*current {
            Some((shown, http)) if shown == identity => Ok(http.clone()),
            _ => {
                let made = self.make(identity.as_deref());
                let http = made.map_err(|error| match identity {
                    // Everything else was tried when the program started.
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

/// Connects to a proxy, and through it to where a request goes: by CONNECT or SOCKS, or, as HTTP without TLS is proxied, by
/// sending the request to the proxy itself.
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
            let stream = if forwards { stream } else { lead_on(&proxy, stream, target).await? };
            Ok(Hop { stream, forwards })
        })
    }))
}

/// What a proxy's own certificate is verified by: the cluster's authorities, as for kubectl, and the system's, by which the
/// proxies of most networks are certified. It is not shown the client's certificate.
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
async fn lead_on<T>(proxy: &Proxy, stream: T, target: Uri) -> Result<T, ProxyError>
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

/// hyper-util's error types have no public names: what they say tells them apart.
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

/// For requests that a proxy forwards itself.
fn with_login(http: Http, login: HeaderValue) -> Http {
    BoxCloneSyncService::new(http.map_request(move |mut request: Request<Body>| {
        request.headers_mut().insert(header::PROXY_AUTHORIZATION, login.clone());
        request
    }))
}

pin_project! {
    /// A connection by way of a proxy.
    struct Hop<T> {
        #[pin]
        stream: T,
        // Requests name the whole address: the proxy forwards them one by one.
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
