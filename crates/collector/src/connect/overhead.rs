//! Limits what a server may send beside the data of its answers. hyper reads the sizes of chunks, the blanks behind them
//! and trailers without a limit, so that a server which sends nothing else would keep a thread busy until the deadline of
//! the request.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use http::Response;
use http_body::{Body, Frame, SizeHint};
use hyper::body::{Bytes, Incoming};

/// Bytes that are accepted beside data: far more than what is read ahead of it.
const MOST: usize = 1 << 20;

/// The error for a server that sends more than is accepted beside the data of its answers.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the server sent more than {MOST} bytes that are no data of its answer")]
pub struct TooMuchOverhead;

/// Bytes that a connection has received since a request, less those of data. It is part of what hyper-util knows of the
/// connection, and of each of its answers.
#[derive(Clone, Debug, Default)]
pub struct Overhead(Arc<AtomicUsize>);

impl Overhead {
    /// Notes that a request is sent.
    pub fn begin(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Notes bytes of the connection. Fails with [`TooMuchOverhead`] if too many of them are no data.
    pub fn received(&self, bytes: usize) -> io::Result<()> {
        let before = self.0.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes > MOST { Err(io::Error::other(TooMuchOverhead)) } else { Ok(()) }
    }

    /// Notes data. It counts a quarter more, so that chunks of 25 bytes, or of 120 in TLS records of their own, may come for
    /// ever, and shorter ones for the first megabyte of what is around them.
    fn data(&self, bytes: usize) {
        let less = |of: usize| Some(of.saturating_sub(bytes + bytes / 4));
        // It never fails, since the new value is always there.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }
}

/// The body of an answer, whose data is noted.
#[derive(Debug)]
pub struct AnswerBody {
    body: Incoming,
    /// `None` for a connection that counts nothing.
    overhead: Option<Overhead>,
}

impl AnswerBody {
    /// Returns the answer with its body.
    pub fn of(answer: Response<Incoming>) -> Response<Self> {
        let overhead = answer.extensions().get().cloned();
        answer.map(|body| Self { body, overhead })
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
        if let (Some(data), Some(overhead)) = (data, &self.overhead) {
            overhead.data(data.len());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_makes_room_for_what_is_around_it() {
        let overhead = Overhead::default();
        // Ten times the limit, in chunks of 100 bytes.
        for _ in 0..MOST / 10 {
            overhead.received("64\r\n".len() + 100 + "\r\n".len()).unwrap();
            overhead.data(100);
        }
        overhead.received(MOST).unwrap();
        assert!(overhead.received(1).is_err());
        overhead.begin();
        assert!(overhead.received(MOST).is_ok(), "a request starts at zero");
    }

    #[test]
    fn chunks_of_five_bytes_are_more_around_data_than_data() {
        let overhead = Overhead::default();
        let mut chunks = 0;
        while overhead.received("5\r\naaaaa\r\n".len()).is_ok() {
            overhead.data(5);
            chunks += 1;
        }
        assert!(chunks < MOST / 3, "{chunks}");
    }
}
