//! Connections: accepted, encrypted where asked for, answered, and reset where a fault says so.

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
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Once blown, the next write resets the connection.
#[derive(Clone, Debug, Default)]
pub struct Fuse(Arc<AtomicBool>);

impl Fuse {
    pub fn blow(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Accepts until `stop`, then drops every connection: watches would never end by themselves.
pub async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, router: Router, stop: CancellationToken) {
    let tracker = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = connection(stream, peer, tls.clone(), router.clone());
                let stop = stop.clone();
                tracker.spawn(async move { stop.run_until_cancelled(connection).await });
            }
            // Out of file descriptors, or a client that left: neither ends the cluster.
            Err(error) => {
                tracing::warn!(%error, "simulated cluster: cannot accept");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
    tracker.close();
    tracker.wait().await;
}

async fn connection(stream: TcpStream, peer: SocketAddr, tls: Option<TlsAcceptor>, router: Router) {
    // Watch events are small, and should not wait for each other.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "simulated cluster: no TCP_NODELAY");
    }
    let fuse = Fuse::default();
    let line = Line { stream, fuse: fuse.clone() };
    let router = router.layer(Extension(fuse));
    let result = match tls {
        None => answer(line, router).await,
        Some(acceptor) => match acceptor.accept(line).await {
            Ok(line) => answer(line, router).await,
            Err(error) => Err(error.to_string()),
        },
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

/// A connection with a fuse.
struct Line {
    stream: TcpStream,
    fuse: Fuse,
}

impl Line {
    /// Without lingering, the kernel sends RST when the stream is dropped.
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
