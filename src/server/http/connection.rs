//! Accepts HTTP/1.1 connections and ends them, with a limit on everything that a client can make the program
//! hold. `Server::run` calls [`listen`].

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{BoxError, Extension, Router};
use hyper::{Request, body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
    service::TowerToHyperService,
};
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::{Layer, ServiceExt};

#[cfg(target_os = "linux")]
use super::connection_limits::LONGEST_UNSENT;
use super::{
    connection_limits::{LONGEST_HEAD, LONGEST_QUEUE, MOST_HEADERS, RECEIVE_BUFFER, SEND_BUFFER},
    connection_log::ConnectionLog,
    connection_slots::{ConnectionSlot, ConnectionSlots},
    handshake::{self, Handshake},
    min_rate::MinRateWriter,
    peer::TrustedProxies,
    reserve::Reserve,
};
use crate::server::tls::{ServerTls, is_client};

/// Longest waits for clients.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For the handshake of TLS. It comes before the time for a head.
    pub handshake: Duration,
    /// For the whole head of a request, including the idle time before it. Ends slow senders and idle
    /// connections.
    pub head: Duration,
    /// For a client that reads nothing of its answer, or reads it more slowly than 1 kB/s for longer. Ends
    /// connections that only look alive.
    pub stall: Duration,
    /// For unfinished answers when the program stops.
    pub drain: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        // Browsers reuse a connection for the next poll, 15 s later. The manifests give the program 15 s to
        // stop, and promise that it drains within 10 s.
        let seconds = Duration::from_secs;
        Self { handshake: seconds(5), head: seconds(30), stall: seconds(30), drain: seconds(9) }
    }
}

/// Settings of connections: how many, from whom, and for how long.
#[derive(Clone, Debug)]
pub struct ConnectionConfig {
    /// Most connections at the same time, without those that are reserved for probes. One peer may have half
    /// of them, and if all are taken the one that has the most gives one up.
    pub most: usize,
    pub timeouts: Timeouts,
    pub proxies: TrustedProxies,
    /// `None` serves plain HTTP.
    pub tls: Option<Arc<ServerTls>>,
    /// The name in the client certificate of the authenticating proxy, if it has one.
    pub proxy_name: Option<ServerName<'static>>,
}

/// Most connections at the same time: 2,000 people who follow events, and half as many other clients. Their
/// request heads take at most 48 MiB, and so do the events that wait to be sent.
pub const MOST_CONNECTIONS: usize = 3072;

impl Default for ConnectionConfig {
    fn default() -> Self {
        let (timeouts, proxies) = (Timeouts::default(), TrustedProxies::default());
        Self { most: MOST_CONNECTIONS, timeouts, proxies, tls: None, proxy_name: None }
    }
}

/// The connection that a request came on.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    pub address: SocketAddr,
    /// All ordinary connections were taken. This one is reserved for probes, and answers nothing else.
    pub probes_only: bool,
    /// The client has proved by its certificate that it is the authenticating proxy.
    pub is_auth_proxy: bool,
}

/// Ends the connection that a request came on when it is cancelled. An extension of requests, but of those on
/// connections that are reserved for probes.
#[derive(Clone, Debug)]
pub struct ConnectionEnd(pub CancellationToken);

/// Longest wait for the handshake, and then for the head of a request, on a connection that is reserved for
/// probes, which send both as soon as they are connected.
const PROBE_HEAD: Duration = Duration::from_secs(2);
/// Pause after `accept` failed for lack of file descriptors, long enough that some may be freed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown`, then waits for unfinished answers, at most for `Timeouts::drain`.
pub async fn listen(
    listener: TcpListener,
    router: Router,
    config: ConnectionConfig,
    shutdown: CancellationToken,
) {
    limit_buffers(&listener);
    let drain = config.timeouts.drain;
    let mut server = Server::new(router, config, shutdown.clone());
    while let Some((stream, address)) = accept(&listener, &shutdown).await {
        server.serve(stream, address);
    }
    drop(listener);
    if timeout(drain, server.connections.shutdown()).await.is_err() {
        tracing::warn!("some clients did not read their answers before the shutdown deadline");
    }
}

struct Server {
    router: Router,
    config: ConnectionConfig,
    ordinary: http1::Builder,
    for_probes: http1::Builder,
    slots: ConnectionSlots,
    reserve: Reserve,
    log: Arc<ConnectionLog>,
    connections: GracefulShutdown,
    shutdown: CancellationToken,
}

impl Server {
    fn new(router: Router, config: ConnectionConfig, shutdown: CancellationToken) -> Self {
        Self {
            ordinary: ordinary(config.timeouts),
            for_probes: for_probes(),
            slots: ConnectionSlots::new("connections", config.most),
            reserve: Reserve::default(),
            log: Arc::default(),
            connections: GracefulShutdown::new(),
            router,
            config,
            shutdown,
        }
    }

    /// Serves one connection and never waits. A connection beyond the limit goes to the reserve, where it
    /// soon ends.
    fn serve(&mut self, stream: TcpStream, address: SocketAddr) {
        let peer = self.config.proxies.peer_of_connection(address);
        match self.slots.acquire(peer) {
            Ok(slot) => drop(self.spawn(&self.ordinary, stream, address, Some(slot))),
            Err(_) => {
                let connection = self.spawn(&self.for_probes, stream, address, None);
                self.reserve.admit(peer, connection.abort_handle());
            }
        }
    }

    fn spawn(
        &self,
        http: &http1::Builder,
        stream: TcpStream,
        address: SocketAddr,
        slot: Option<ConnectionSlot>,
    ) -> JoinHandle<()> {
        let origin = Origin { address, probes_only: slot.is_none(), is_auth_proxy: false };
        let Timeouts { handshake, stall, .. } = self.config.timeouts;
        let connection = Connection {
            http: http.clone(),
            router: self.router.clone(),
            origin,
            used: slot.as_ref().map(|slot| slot.used.clone()).unwrap_or_default(),
            end: slot.as_ref().map(|slot| ConnectionEnd(slot.revoked.clone())),
            stall,
            // The one in use at this moment.
            tls: self.config.tls.as_ref().map(|tls| tls.acceptor()),
            proxy_name: self.config.proxy_name.clone(),
            log: self.log.clone(),
            handshake: if origin.probes_only { PROBE_HEAD } else { handshake },
            watcher: self.connections.watcher(),
            shutdown: self.shutdown.clone(),
        };
        // A slow handshake holds its own peer's slot, as a slow request does.
        let revoked = slot.as_ref().map(|slot| slot.revoked.clone()).unwrap_or_default();
        let log = self.log.clone();
        tokio::spawn(async move {
            let served = revoked.run_until_cancelled(connection.serve(stream)).await;
            if let Some(Err(error)) = served {
                log.ended(&error, address);
            }
            drop(slot);
        })
    }
}

/// One connection, before its first byte.
struct Connection {
    http: http1::Builder,
    router: Router,
    origin: Origin,
    /// Set with the first request.
    used: Arc<AtomicBool>,
    end: Option<ConnectionEnd>,
    stall: Duration,
    tls: Option<TlsAcceptor>,
    proxy_name: Option<ServerName<'static>>,
    log: Arc<ConnectionLog>,
    /// Longest time of the handshake.
    handshake: Duration,
    watcher: Watcher,
    shutdown: CancellationToken,
}

impl Connection {
    async fn serve(self, stream: TcpStream) -> Result<(), BoxError> {
        let Some(tls) = &self.tls else {
            let stream = MinRateWriter::new(stream, self.stall);
            return Ok(self.answer(stream).await?);
        };
        let handshake = timeout(self.handshake, handshake::begin(tls, stream, self.stall));
        // A client in the middle of its handshake has asked for nothing yet.
        let Some(begun) = self.shutdown.run_until_cancelled(handshake).await else { return Ok(()) };
        match begun?? {
            Handshake::Tls(stream) => {
                let name = self.proxy_name.as_ref();
                let session = stream.get_ref().1;
                let is_auth_proxy = name.is_some_and(|name| is_client(session, name));
                if !is_auth_proxy && session.peer_certificates().is_some() {
                    self.log.other_name(self.origin.address);
                }
                let origin = Origin { is_auth_proxy, ..self.origin };
                Ok(Self { origin, ..self }.answer(*stream).await?)
            }
            Handshake::PlainHttp(stream) => {
                let router = Router::new().fallback(handshake::refuse_plain_http);
                Ok(Self { http: for_probes(), router, ..self }.answer(stream).await?)
            }
        }
    }

    /// Answers the requests of the connection to its end.
    async fn answer<S>(self, stream: S) -> hyper::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (used, end) = (self.used, self.end);
        let service =
            Extension(self.origin).layer(self.router).map_request(move |mut request: Request<Incoming>| {
                used.store(true, Ordering::Relaxed);
                if let Some(end) = &end {
                    request.extensions_mut().insert(end.clone());
                }
                request
            });
        let service = TowerToHyperService::new(service);
        self.watcher.watch(self.http.serve_connection(TokioIo::new(stream), service)).await
    }
}

fn ordinary(timeouts: Timeouts) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(timeouts.head)
        .max_headers(MOST_HEADERS)
        .max_header_size(LONGEST_HEAD)
        .max_buf_size(LONGEST_QUEUE);
    http
}

/// Returns the settings of connections for probes. They serve one request each: hyper sends `Connection:
/// close` with the answer.
fn for_probes() -> http1::Builder {
    let mut http = ordinary(Timeouts { head: PROBE_HEAD, ..Timeouts::default() });
    http.keep_alive(false);
    http
}

/// Limits the kernel's buffers. Connections inherit the limits from their listener.
fn limit_buffers(listener: &TcpListener) {
    let socket = socket2::SockRef::from(listener);
    let limits = [
        socket.set_send_buffer_size(SEND_BUFFER),
        socket.set_recv_buffer_size(RECEIVE_BUFFER),
        #[cfg(target_os = "linux")]
        socket.set_tcp_notsent_lowat(LONGEST_UNSENT),
    ];
    for error in limits.into_iter().filter_map(Result::err) {
        tracing::debug!(%error, "cannot limit the socket buffers");
    }
}

/// Returns the next connection, or `None` after `shutdown`.
async fn accept(listener: &TcpListener, shutdown: &CancellationToken) -> Option<(TcpStream, SocketAddr)> {
    let accept = async {
        loop {
            match listener.accept().await {
                Ok(accepted) => return accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    let (stream, address) = shutdown.run_until_cancelled(accept).await?;
    // Answers are written whole, so waiting for more data (Nagle) only delays them.
    let _ = stream.set_nodelay(true);
    Some((stream, address))
}
