//! Accepts connections and ends them: HTTP/1.1, with a limit on everything that a client can make us hold.

use std::{sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::min_rate::MinRateWriter;

/// How long clients are waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a request's whole head, the idle time before it included: slow senders and idle connections end here.
    pub head: Duration,
    /// For a client that takes nothing of its answer, or takes it more slowly than 1 kB/s for longer: it ends where a
    /// connection only looks alive.
    pub stall: Duration,
    /// For answers under way once the program is to stop.
    pub drain: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        // Browsers keep a connection for the next poll, 15 s on. Kubernetes kills what has not stopped in 10 s.
        let seconds = Duration::from_secs;
        Self { head: seconds(30), stall: seconds(30), drain: seconds(9) }
    }
}

/// Connections at the same time; more wait in the listener's queue.
const MOST_CONNECTIONS: usize = 8192;
/// Bytes and number of a request's headers; larger ones get 431.
const LONGEST_HEAD: usize = 32 << 10;
const MOST_HEADERS: usize = 64;
/// Bytes of an answer in pieces that wait for a client to read: a stream is asked for no more of them. Answers that are
/// whole in memory are shared, and not held back.
const LONGEST_QUEUE: usize = 64 << 10;
/// After `accept` failed for want of file descriptors: long enough for some to come free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown`, then lets answers under way come to their end.
pub async fn listen(listener: TcpListener, router: Router, patience: Patience, shutdown: CancellationToken) {
    let connections = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let server = server(patience);
    while let Some(stream) = accept(&listener, &shutdown).await {
        let Ok(place) = places.clone().acquire_owned().await else { break };
        let service = TowerToHyperService::new(router.clone());
        let stream = TokioIo::new(MinRateWriter::new(stream, patience.stall));
        let connection = connections.watch(server.serve_connection(stream, service));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection ended early");
            }
            drop(place);
        });
    }
    drop(listener);
    if timeout(patience.drain, connections.shutdown()).await.is_err() {
        tracing::warn!("some clients had not read their answers in time");
    }
}

fn server(patience: Patience) -> http1::Builder {
    let mut server = http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(patience.head)
        .max_headers(MOST_HEADERS)
        .max_header_size(LONGEST_HEAD)
        .max_buf_size(LONGEST_QUEUE);
    server
}

/// The next connection; none once the program is to stop.
async fn accept(listener: &TcpListener, shutdown: &CancellationToken) -> Option<TcpStream> {
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => return None,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                // Answers are written whole: waiting for more to send only delays them.
                let _ = stream.set_nodelay(true);
                return Some(stream);
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
