//! A connection below TLS.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use pin_project_lite::pin_project;

use super::{interim::Cutoff, overhead::Overhead};

/// Bytes that are read at once.
const PIECE: usize = 16 << 10;
/// Bytes after which other tasks have a turn, however much there is to read: what hyper skips never reaches a reader who
/// could wait.
const TURN: usize = 64 << 10;

pin_project! {
    /// A connection to a server or to a proxy. It can be cut off.
    pub struct Link<T> {
        #[pin]
        stream: T,
        // Whether requests carry the whole URL, because a proxy forwards each of them.
        forwards: bool,
        cutoff: Cutoff,
        overhead: Overhead,
        // Bytes that were read in this turn.
        turn: usize,
    }
}

impl<T> Link<T> {
    /// A connection that leads to the server, also if it does so through a proxy.
    pub fn to_server(stream: T) -> Self {
        Self { stream, forwards: false, cutoff: Cutoff::default(), overhead: Overhead::default(), turn: 0 }
    }

    /// A connection to a proxy that forwards each request.
    pub fn to_forwarder(stream: T) -> Self {
        Self { forwards: true, ..Self::to_server(stream) }
    }
}

impl<T: Connection> Connection for Link<T> {
    fn connected(&self) -> Connected {
        let connected = self.stream.connected().proxy(self.forwards);
        connected.extra(self.cutoff.clone()).extra(self.overhead.clone())
    }
}

impl<T: Read> Read for Link<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.cutoff.check()?;
        let this = self.project();
        let turn = std::mem::take(this.turn);
        if turn >= TURN {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut bytes = [0; PIECE];
        let most = buffer.remaining().min(PIECE);
        let mut piece = ReadBuf::new(&mut bytes[..most]);
        ready!(this.stream.poll_read(cx, piece.unfilled()))?;
        let read = piece.filled();
        this.overhead.received(read.len())?;
        *this.turn = turn + read.len();
        buffer.put_slice(read);
        Poll::Ready(Ok(()))
    }
}

impl<T: Write> Write for Link<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.overhead.begin();
        self.project().stream.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().stream.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().stream.poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.overhead.begin();
        self.project().stream.poll_write_vectored(cx, bytes)
    }
}
