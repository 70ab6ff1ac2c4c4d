//! Connections through a proxy: by CONNECT or SOCKS; requests without TLS are sent to an HTTP proxy itself, which
//! forwards them.

use std::{io, sync::Arc};

use base64::prelude::{BASE64_STANDARD, Engine};
use http::{HeaderValue, Uri, uri::Scheme};
use hyper::rt::{Read, Write};
use hyper_util::client::legacy::connect::{
    Connection,
    proxy::{SocksV5, Tunnel},
};
use tower::{Service, ServiceExt, service_fn};

use super::{
    ProxyError,
    link::Link,
    tcp::{CONNECT_TIMEOUT, tcp},
    tls::Tls,
};
use crate::config::{Protocol, Proxy};

/// A proxy on the way to a server, and the TLS to the proxy itself.
pub struct ProxyHop {
    pub proxy: Proxy,
    pub tls: Tls,
}

/// Returns a connector that connects to the proxy, and through it to the target.
pub fn through(
    hop: ProxyHop,
) -> impl Service<
    Uri,
    Response: Connection + Read + Write + Send + Unpin + 'static,
    Future: Send + 'static,
    Error = ProxyError,
> + Clone
+ Send
+ Sync
+ 'static {
    let to_proxy = hop.tls.https(tcp(CONNECT_TIMEOUT));
    let proxy = Arc::new(hop.proxy);
    service_fn(move |target: Uri| {
        let (proxy, to_proxy) = (proxy.clone(), to_proxy.clone());
        Box::pin(async move {
            let stream = to_proxy.oneshot(first_hop(&proxy)?).await.map_err(ProxyError::Unreachable)?;
            if proxy.protocol() != Protocol::Socks && target.scheme() == Some(&Scheme::HTTP) {
                return Ok(Link::to_forwarder(stream));
            }
            Ok(Link::to_server(open_tunnel(&proxy, stream, target).await?))
        })
    })
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
    let target = with_port(target)?;
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
    if let Some(login) = login(proxy) {
        tunnel = tunnel.with_auth(login);
    }
    tunnel.call(target).await.map_err(|error| refusal(error, "authorization required"))
}

/// Gives an address without TLS a port: hyper-util's clients of proxies use port 443 for one that has none.
fn with_port(target: Uri) -> Result<Uri, ProxyError> {
    if target.scheme() != Some(&Scheme::HTTP) || target.port().is_some() {
        return Ok(target);
    }
    let authority = format!("{}:80", target.host().unwrap_or_default());
    let made = Uri::builder().scheme("http").authority(authority).path_and_query("/").build();
    made.map_err(|error| ProxyError::Unreachable(error.into()))
}

/// Classifies a refusal by its text, since hyper-util's error types have no public names.
fn refusal(error: impl std::error::Error + Send + Sync + 'static, login: &str) -> ProxyError {
    let words = error.to_string();
    if words.contains(login) || words.contains("user/pass") {
        return ProxyError::Login;
    }
    ProxyError::Refused(error.into())
}

/// The login to an HTTP proxy, as a header.
pub fn login(proxy: &Proxy) -> Option<HeaderValue> {
    let (user, password) = proxy.login()?;
    let login = BASE64_STANDARD.encode(format!("{user}:{password}"));
    let mut value = HeaderValue::try_from(format!("Basic {login}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}
