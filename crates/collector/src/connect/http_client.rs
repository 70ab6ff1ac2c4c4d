//! The HTTP client of every peer: HTTP/1.1, directly or through a proxy. It limits what a server may send before the
//! body of its answer; how much is read of a body is limited where it is read.

use std::{io, time::Duration};

use http::{Request, Response, Uri, header, uri::Scheme};
use hyper::rt::{Read, Write};
use hyper_util::{
    client::legacy::{Client, connect::Connection},
    rt::{TokioExecutor, TokioTimer},
};
use kube::client::Body;
use tokio::time::timeout;
use tower::{BoxError, Service, ServiceExt, service_fn, util::BoxCloneSyncService};

use super::{
    interim::limit_interim,
    link::Link,
    overhead::AnswerBody,
    proxy::{ProxyHop, login, through},
    tcp::{CONNECT_TIMEOUT, tcp},
    tls::Tls,
};
use crate::config::{Protocol, Proxy};

/// Bytes of the largest head of an answer, and of what is read of a connection at once; hyper may double it, by the
/// capacity of its buffer. Proxies such as Envoy accept no more than 60 KiB.
const LARGEST_HEAD: usize = 64 << 10;

/// A service that sends requests with a whole URL.
pub type Http = BoxCloneSyncService<Request<Body>, Response<AnswerBody>, BoxError>;

/// How a client connects to its servers.
pub struct HttpConfig {
    pub tls: Tls,
    /// `None` means direct connections, whatever the environment says.
    pub proxy: Option<ProxyHop>,
    /// For TCP alone, if there is no proxy.
    pub tcp_timeout: Duration,
    /// Whether connections are kept for further requests.
    pub keep_idle: bool,
}

impl HttpConfig {
    pub fn client(self) -> Http {
        let Self { tls, proxy, tcp_timeout, keep_idle } = self;
        let Some(hop) = proxy else {
            return pool(tls, tcp(tcp_timeout).map_response(Link::to_server), keep_idle);
        };
        let proxy = hop.proxy.clone();
        with_login(pool(tls, through(hop), keep_idle), &proxy)
    }
}

fn pool<C>(tls: Tls, connector: C, keep_idle: bool) -> Http
where
    C: Service<Uri> + Clone + Send + Sync + 'static,
    C::Response: Connection + Read + Write + Send + Unpin + 'static,
    C::Future: Send + 'static,
    C::Error: Into<BoxError> + Send,
{
    let connector = tls.https(connector);
    let connector = service_fn(move |uri: Uri| {
        let connector = connector.clone();
        Box::pin(async move {
            let connected = timeout(CONNECT_TIMEOUT, connector.oneshot(uri)).await;
            connected.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
        })
    });
    let mut builder = Client::builder(TokioExecutor::new());
    builder.pool_timer(TokioTimer::new()).http1_max_buf_size(LARGEST_HEAD);
    if !keep_idle {
        builder.pool_max_idle_per_host(0);
    }
    let client = builder.build::<_, Body>(connector).map_err(BoxError::from);
    BoxCloneSyncService::new(client.map_request(limit_interim::<Body>).map_response(AnswerBody::of))
}

/// Adds the proxy's login, if it has one, to the requests that the proxy forwards itself.
fn with_login(http: Http, proxy: &Proxy) -> Http {
    let login = (proxy.protocol() != Protocol::Socks).then(|| login(proxy)).flatten();
    let Some(login) = login else { return http };
    BoxCloneSyncService::new(http.map_request(move |mut request: Request<Body>| {
        if request.uri().scheme() == Some(&Scheme::HTTP) {
            request.headers_mut().insert(header::PROXY_AUTHORIZATION, login.clone());
        }
        request
    }))
}
