//! The body of an answer that holds room of a pool. While others wait for that room, a reader that takes much longer than
//! a slow network explains loses the rest of its answer: otherwise a few of them would hold a pool for hours.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use crate::server::http::semaphore::PeerSemaphore;

/// Bytes that are handed to the connection at once.
const PIECE: usize = 64 << 10;
/// How long a reader may take in any case.
const GRACE: Duration = Duration::from_secs(30);
/// Bytes per second that a reader must have read on average after that: 20 MB within five minutes.
const SLOWEST: u64 = 64 << 10;

/// Bytes that are sent piece by piece.
pub struct Pieces(Bytes);

impl Pieces {
    pub fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let length = PIECE.min(self.0.len());
        Poll::Ready((length > 0).then(|| Ok(Frame::data(self.0.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}

/// A body whose reader must keep pace while others wait for room in the pool.
pub struct PacedBody<B> {
    body: B,
    pool: Arc<PeerSemaphore>,
    begun: Instant,
    read: u64,
}

impl<B> PacedBody<B> {
    pub fn new(body: B, pool: &Arc<PeerSemaphore>) -> Self {
        Self { body, pool: pool.clone(), begun: Instant::now(), read: 0 }
    }
}

/// Whether a reader is too slow that has read this many bytes in this time.
fn is_slow(read: u64, time: Duration) -> bool {
    time > GRACE && read < SLOWEST * time.as_secs()
}

impl<B: Body<Data = Bytes, Error = io::Error> + Unpin> Body for PacedBody<B> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.pool.was_short() && is_slow(self.read, self.begun.elapsed()) {
            return Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())));
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame {
            self.read += frame.data_ref().map_or(0, Bytes::len) as u64;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
