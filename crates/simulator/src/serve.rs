//! Serves connections: accepts them, does TLS if configured, answers requests, and resets if a fault says so.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use axum::{Extension, Router};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    connection::{self, ConnectionFault, PeerConnections},
    error::SimError,
    tls::Identity,
};

/// What is sent in place of a TLS handshake or an answer.
const GARBAGE: &[u8] = b"220 smtp.example.org ready\r\n";

/// A socket to serve on.
pub struct ServedSocket {
    pub listener: TcpListener,
    /// `None` serves plain HTTP.
    pub identity: Option<Identity>,
    pub connections: PeerConnections,
}

/// Listens at an address. Returns the socket and the address that it got.
pub async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), SimError> {
    let unbound = |source| SimError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(unbound)?;
    let bound = listener.local_addr().map_err(unbound)?;
    Ok((listener, bound))
}

/// Once triggered, the next write resets the connection.
#[derive(Clone, Debug, Default)]
pub struct ResetSwitch(Arc<AtomicBool>);

impl ResetSwitch {
    pub fn trigger(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Accepts connections until `stop`, then drops all of them, since watches would never end by themselves. A
/// change of the connection fault drops them too.
pub async fn serve(socket: ServedSocket, router: Router, stop: CancellationToken) {
    let ServedSocket { mut listener, identity, connections } = socket;
    let (tracker, mut fault) = (TaskTracker::new(), connections.subscribe());
    while !stop.is_cancelled() {
        let (now, open) = (*fault.borrow_and_update(), stop.child_token());
        let mut changed = async || {
            tokio::select! {
                changed = fault.changed() => if changed.is_err() {
                    // The sender is gone, so the fault can no longer change.
                    stop.cancel();
                },
                () = stop.cancelled() => {}
            }
        };
        let next = match now {
            Some(ConnectionFault::Refused) => refuse(listener, changed()).await,
            _ => {
                let handshake = Handshake::of(now, identity.as_ref());
                let accept = accept(&listener, &connections, handshake, &router, &open, &tracker);
                tokio::select! { () = accept => {}, () = changed() => {} }
                Ok(listener)
            }
        };
        open.cancel();
        listener = match next {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(%error, "simulated cluster: cannot listen again"),
        };
    }
    tracker.close();
    tracker.wait().await;
}

async fn refuse(listener: TcpListener, changed: impl Future<Output = ()>) -> io::Result<TcpListener> {
    let closed = connection::close(listener)?;
    changed.await;
    connection::open(closed)
}

/// How a connection begins.
#[derive(Clone)]
enum Handshake {
    Plain,
    Tls(TlsAcceptor),
    Garbage,
}

impl Handshake {
    fn of(fault: Option<ConnectionFault>, identity: Option<&Identity>) -> Self {
        match (fault, identity) {
            (Some(ConnectionFault::Garbled), _) => Self::Garbage,
            (_, None) => Self::Plain,
            (Some(ConnectionFault::Untrusted), Some(identity)) => Self::Tls(identity.untrusted.clone()),
            (_, Some(identity)) => Self::Tls(identity.acceptor.clone()),
        }
    }
}

async fn accept(
    listener: &TcpListener,
    connections: &PeerConnections,
    handshake: Handshake,
    router: &Router,
    open: &CancellationToken,
    tracker: &TaskTracker,
) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                connections.count_accepted();
                let connection = serve_connection(stream, peer, handshake.clone(), router.clone());
                let open = open.clone();
                tracker.spawn(async move { open.run_until_cancelled(connection).await });
            }
            // Running out of file descriptors, or a client that left, must not end the cluster.
            Err(error) => {
                tracing::warn!(%error, "simulated cluster: cannot accept");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve_connection(stream: TcpStream, peer: SocketAddr, handshake: Handshake, router: Router) {
    // Watch events are small and should not wait for each other.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "simulated cluster: cannot set TCP_NODELAY");
    }
    let reset = ResetSwitch::default();
    let mut stream = ResettableStream { stream, reset: reset.clone() };
    let router = router.layer(Extension(reset));
    let result = match handshake {
        Handshake::Plain => answer(stream, router).await,
        Handshake::Tls(acceptor) => match acceptor.accept(stream).await {
            Ok(stream) => answer(stream, router).await,
            Err(error) => Err(error.to_string()),
        },
        Handshake::Garbage => stream.write_all(GARBAGE).await.map_err(|error| error.to_string()),
    };
    if let Err(error) = result {
        tracing::debug!(%peer, error, "simulated cluster: a connection ended");
    }
}

async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin + 'static, router: Router) -> Result<(), String> {
    let service = TowerToHyperService::new(router);
    hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await
        .map_err(|error| error.to_string())
}

/// A connection with a reset switch.
struct ResettableStream {
    stream: TcpStream,
    reset: ResetSwitch,
}

impl ResettableStream {
    /// Fails if the switch was triggered. With a zero linger time the kernel then sends RST when the stream is
    /// dropped.
    fn check(&self) -> io::Result<()> {
        if !self.reset.0.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.stream.set_zero_linger()?;
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

impl AsyncRead for ResettableStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for ResettableStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        Poll::Ready(Ok(()))
    }
}
