//! A connection below TLS.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use pin_project_lite::pin_project;

use super::interim::Cutoff;

pin_project! {
    /// A connection to a server or to a proxy. It can be cut off.
    pub struct Link<T> {
        #[pin]
        stream: T,
        // Whether requests carry the whole URL, because a proxy forwards each of them.
        forwards: bool,
        cutoff: Cutoff,
    }
}

impl<T> Link<T> {
    /// A connection that leads to the server, also if it does so through a proxy.
    pub fn to_server(stream: T) -> Self {
        Self { stream, forwards: false, cutoff: Cutoff::default() }
    }

    /// A connection to a proxy that forwards each request.
    pub fn to_forwarder(stream: T) -> Self {
        Self { forwards: true, ..Self::to_server(stream) }
    }
}

impl<T: Connection> Connection for Link<T> {
    fn connected(&self) -> Connected {
        self.stream.connected().proxy(self.forwards).extra(self.cutoff.clone())
    }
}

impl<T: Read> Read for Link<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.cutoff.check()?;
        self.project().stream.poll_read(cx, buffer)
    }
}

impl<T: Write> Write for Link<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
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
        self.project().stream.poll_write_vectored(cx, bytes)
    }
}
