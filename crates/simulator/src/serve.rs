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
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    error::SimError,
    tls::Identity,
    wire::{self, Wire},
};

/// What is sent in place of a TLS handshake.
const NO_HANDSHAKE: &[u8] = b"220 smtp.example.org ready\r\n";

/// A socket to serve on.
pub struct ServedSocket {
    pub listener: TcpListener,
    /// `None` serves plain HTTP.
    pub identity: Option<Identity>,
    pub line: wire::Line,
}

/// Once blown, the next write resets the connection.
#[derive(Clone, Debug, Default)]
pub struct ResetSwitch(Arc<AtomicBool>);

impl ResetSwitch {
    pub fn blow(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Accepts connections until `stop`, then drops all of them, since watches would never end by themselves. A
/// change of the wire drops them too.
pub async fn serve(door: ServedSocket, router: Router, stop: CancellationToken) {
    let ServedSocket { mut listener, identity, line } = door;
    let (tracker, mut state) = (TaskTracker::new(), line.follow());
    while !stop.is_cancelled() {
        let (now, open) = (*state.borrow_and_update(), stop.child_token());
        let mut changed = async || {
            tokio::select! {
                changed = state.changed() => if changed.is_err() {
                    // The sender is gone, so the wire can no longer change.
                    stop.cancel();
                },
                () = stop.cancelled() => {}
            }
        };
        let next = match now {
            Wire::Refused => refuse(listener, changed()).await,
            _ => {
                let accept =
                    accept(&listener, &line, HandshakeFault::of(now, &identity), &router, &open, &tracker);
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
    let closed = wire::close(listener)?;
    changed.await;
    wire::open(closed)
}

/// How a connection begins.
#[derive(Clone)]
enum HandshakeFault {
    Plain,
    Tls(Identity),
    Rude,
}

impl HandshakeFault {
    fn of(wire: Wire, identity: &Option<Identity>) -> Self {
        let forged =
            || identity.as_ref().map(Identity::forged).transpose().inspect_err(complain).ok().flatten();
        match wire {
            Wire::Garbled => Self::Rude,
            Wire::Untrusted => forged().map_or(Self::Rude, Self::Tls),
            Wire::Sound | Wire::Refused => identity.clone().map_or(Self::Plain, Self::Tls),
        }
    }
}

fn complain(error: &SimError) {
    tracing::error!(%error, "simulated cluster: no certificate");
}

async fn accept(
    listener: &TcpListener,
    line: &wire::Line,
    manners: HandshakeFault,
    router: &Router,
    open: &CancellationToken,
    tracker: &TaskTracker,
) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                line.meet();
                let connection = connection(stream, peer, manners.clone(), router.clone());
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

async fn connection(stream: TcpStream, peer: SocketAddr, manners: HandshakeFault, router: Router) {
    // Watch events are small and should not wait for each other.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "simulated cluster: no TCP_NODELAY");
    }
    let fuse = ResetSwitch::default();
    let mut line = Line { stream, fuse: fuse.clone() };
    let router = router.layer(Extension(fuse));
    let result = match manners {
        HandshakeFault::Plain => answer(line, router).await,
        HandshakeFault::Tls(identity) => match identity.acceptor.accept(line).await {
            Ok(line) => answer(line, router).await,
            Err(error) => Err(error.to_string()),
        },
        HandshakeFault::Rude => line.stream.write_all(NO_HANDSHAKE).await.map_err(|error| error.to_string()),
    };
    if let Err(error) = result {
        tracing::debug!(%peer, error, "simulated cluster: a connection ended");
    }
}

async fn answer(line: impl AsyncRead + AsyncWrite + Unpin + 'static, router: Router) -> Result<(), String> {
    let service = TowerToHyperService::new(router);
    hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(line), service)
        .await
        .map_err(|error| error.to_string())
}

/// A connection with a reset switch.
struct Line {
    stream: TcpStream,
    fuse: ResetSwitch,
}

impl Line {
    /// Fails if the switch was blown. With a zero linger time the kernel then sends RST when the stream is
    /// dropped.
    fn check(&self) -> io::Result<()> {
        if !self.fuse.0.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.stream.set_zero_linger()?;
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Line {
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
