//! Accepts connections and ends them: HTTP/1.1, with a limit on everything that a client can make us hold.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tower::Layer;

use super::{
    limits::{PeerPermit, PeerSemaphore},
    min_rate::MinRateWriter,
    peer::TrustedProxies,
    reserve::Reserve,
};

/// How long clients are waited for.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For a request's whole head, the idle time before it included: slow senders and idle connections end here.
    pub head: Duration,
    /// For a client that takes nothing of its answer, or takes it more slowly than 1 kB/s for longer: it ends where a
    /// connection only looks alive.
    pub stall: Duration,
    /// For answers under way once the program is to stop.
    pub drain: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        // Browsers keep a connection for the next poll, 15 s on. Kubernetes kills what has not stopped in 10 s.
        let seconds = Duration::from_secs;
        Self { head: seconds(30), stall: seconds(30), drain: seconds(9) }
    }
}

/// How many connections are taken, from whom, and for how long.
#[derive(Clone, Debug)]
pub struct ConnectionConfig {
    /// Connections at the same time, beside those that are kept for probes. One peer has half of them at most.
    pub most: usize,
    pub patience: Timeouts,
    pub proxies: TrustedProxies,
}

/// Connections at the same time: 2,000 people who follow events, and half as many that ask for something. Their heads are
/// 48 MiB at most, and what waits for those who follow events is as much again.
pub const MOST_CONNECTIONS: usize = 3072;

impl Default for ConnectionConfig {
    fn default() -> Self {
        Self { most: MOST_CONNECTIONS, patience: Timeouts::default(), proxies: TrustedProxies::default() }
    }
}

/// What is known of a request's connection.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    pub address: SocketAddr,
    /// Every ordinary place was taken: this one is kept for probes, and nothing else is answered.
    pub probes_only: bool,
}

/// Bytes and number of a request's headers; larger ones get 431. The address alone may have 8 KiB.
pub const LONGEST_HEAD: usize = 16 << 10;
const MOST_HEADERS: usize = 64;
/// Bytes of an answer in pieces that wait for a client to read: a stream is asked for no more of them. Answers that are
/// whole in memory are shared, and not held back. As many bytes of the requests that follow are read ahead.
pub const LONGEST_QUEUE: usize = 16 << 10;
/// Bytes that the kernel holds of a connection, sent and received. By itself it takes up to 4 MB of an answer (`tcp_wmem`): a
/// few thousand clients who do not read would be gigabytes, which count as this container's. The kernel doubles both, for
/// its own needs.
const SEND_BUFFER: usize = 64 << 10;
const RECEIVE_BUFFER: usize = 16 << 10;
/// Of an answer, beyond what the client has room for.
#[cfg(target_os = "linux")]
const LONGEST_UNSENT: u32 = 32 << 10;
/// For the head of a request on a connection that is kept for probes: these ask as soon as they are connected.
const PROBE_HEAD: Duration = Duration::from_secs(2);
/// After `accept` failed for want of file descriptors: long enough for some to come free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown`, then lets answers under way come to their end.
pub async fn listen(
    listener: TcpListener,
    router: Router,
    config: ConnectionConfig,
    shutdown: CancellationToken,
) {
    limit_buffers(&listener);
    let drain = config.patience.drain;
    let mut server = Server::new(router, config);
    while let Some((stream, address)) = accept(&listener, &shutdown).await {
        server.serve(stream, address);
    }
    drop(listener);
    if timeout(drain, server.connections.shutdown()).await.is_err() {
        tracing::warn!("some clients had not read their answers in time");
    }
}

struct Server {
    router: Router,
    config: ConnectionConfig,
    ordinary: http1::Builder,
    for_probes: http1::Builder,
    places: Arc<PeerSemaphore>,
    reserve: Reserve,
    connections: GracefulShutdown,
}

impl Server {
    fn new(router: Router, config: ConnectionConfig) -> Self {
        Self {
            ordinary: ordinary(config.patience),
            for_probes: for_probes(),
            places: PeerSemaphore::new("connections", config.most),
            reserve: Reserve::default(),
            connections: GracefulShutdown::new(),
            router,
            config,
        }
    }

    /// Never waits: a connection that finds no place goes to the reserve, where it soon ends.
    fn serve(&mut self, stream: TcpStream, address: SocketAddr) {
        let peer = self.config.proxies.peer_of_connection(address);
        match self.places.try_acquire(peer) {
            Ok(place) => {
                self.spawn(&self.ordinary, stream, address, Some(place));
            }
            Err(exhausted) => {
                self.places.warn_refusal(peer, exhausted);
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
        place: Option<PeerPermit>,
    ) -> JoinHandle<()> {
        let origin = Origin { address, probes_only: place.is_none() };
        let service = TowerToHyperService::new(Extension(origin).layer(self.router.clone()));
        let stream = TokioIo::new(MinRateWriter::new(stream, self.config.patience.stall));
        let connection = self.connections.watch(http.serve_connection(stream, service));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, %address, "connection ended early");
            }
            drop(place);
        })
    }
}

fn ordinary(patience: Timeouts) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(patience.head)
        .max_headers(MOST_HEADERS)
        .max_header_size(LONGEST_HEAD)
        .max_buf_size(LONGEST_QUEUE);
    http
}

/// One request each: hyper says `Connection: close` with the answer.
fn for_probes() -> http1::Builder {
    let mut http = ordinary(Timeouts { head: PROBE_HEAD, ..Timeouts::default() });
    http.keep_alive(false);
    http
}

/// Connections inherit it from their listener.
fn limit_buffers(listener: &TcpListener) {
    let socket = socket2::SockRef::from(listener);
    let limits = [
        socket.set_send_buffer_size(SEND_BUFFER),
        socket.set_recv_buffer_size(RECEIVE_BUFFER),
        #[cfg(target_os = "linux")]
        socket.set_tcp_notsent_lowat(LONGEST_UNSENT),
    ];
    for error in limits.into_iter().filter_map(Result::err) {
        tracing::debug!(%error, "the kernel does not limit what it holds of a connection");
    }
}

/// The next connection; none once the program is to stop.
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
    // Answers are written whole: waiting for more to send only delays them.
    let _ = stream.set_nodelay(true);
    Some((stream, address))
}
