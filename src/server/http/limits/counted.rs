//! The body of an answer that holds room of a pool. It counts what its reader has read, by which the pool knows the readers
//! that are too slow (`semaphore`).

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use axum::body::Bytes;
use http_body::{Body, Frame, SizeHint};

/// Bytes that are handed to the connection at once.
const PIECE: usize = 64 << 10;

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

/// A body that counts the bytes that were read. A piece counts once the next one is asked for: the connection holds the
/// last one until it is sent.
pub struct CountedBody<B> {
    body: B,
    read: Arc<AtomicU64>,
    last_piece: u64,
}

impl<B> CountedBody<B> {
    pub fn new(body: B, read: Arc<AtomicU64>) -> Self {
        Self { body, read, last_piece: 0 }
    }
}

impl<B: Body<Data = Bytes, Error = io::Error> + Unpin> Body for CountedBody<B> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let last_piece = std::mem::take(&mut self.last_piece);
        self.read.fetch_add(last_piece, Ordering::Relaxed);
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame {
            self.last_piece = frame.data_ref().map_or(0, Bytes::len) as u64;
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
