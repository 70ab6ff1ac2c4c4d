//! Ends a client that reads its answer too slowly, and reads no further request of a client that has not received
//! the answers so far. `connection` wraps every socket in [`MinRateWriter`].
//!
//! tokio-io-timeout ends a client that reads nothing for a while, but never one that reads a byte now and
//! then. The rule here is that of Apache's `MinRate`: a client has some seconds of credit, waiting for it
//! uses the credit up, and what it reads gives some back.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep, sleep_until},
};

/// Bytes that give back a second of credit, so the least that a client must read per second.
const MIN_RATE: u64 = 1000;
/// How often a slow client is checked during its whole credit.
const CHECKS: u32 = 8;
/// Bytes that a client may have left unreceived when its next request is read. Browsers receive an answer before they
/// send the next request.
const LONGEST_UNREAD: u64 = 4 << 10;
/// Bytes of requests that are read at once: otherwise one read would bring a few hundred requests, each with an answer.
const LONGEST_READ: usize = 1 << 10;
/// How often to check whether a client has received its answers.
const READ_AGAIN: Duration = Duration::from_millis(250);

/// A stream that knows how much of it the other side has not received.
pub trait Backlog {
    /// Returns the bytes that were written and not yet received.
    fn backlog(&self) -> u64;

    /// Drops these bytes when the stream is closed.
    fn discard(&self);
}

impl Backlog for TcpStream {
    /// Without this the kernel would keep the bytes for minutes, and keep probing the client.
    fn discard(&self) {
        if let Err(error) = self.set_zero_linger() {
            tracing::debug!(%error, "cannot discard unsent bytes, the kernel keeps sending them");
        }
    }

    /// Returns the bytes that were not acknowledged (`SIOCOUTQ` of tcp(7)). What was written says little
    /// about what was received: the kernel accepts megabytes before it blocks, and unblocks only after a
    /// third of them is gone.
    #[cfg(target_os = "linux")]
    fn backlog(&self) -> u64 {
        use std::os::fd::AsRawFd;
        let mut bytes: libc::c_int = 0;
        // SAFETY: the descriptor is open for as long as `self` is borrowed, and the kernel writes one int.
        let result = unsafe { libc::ioctl(self.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
        if result == 0 { u64::try_from(bytes).unwrap_or(0) } else { 0 }
    }

    #[cfg(not(target_os = "linux"))]
    fn backlog(&self) -> u64 {
        0
    }
}

/// Fails a write with `TimedOut` when the credit is used up. Time counts only while something waits to be
/// written, so an event stream without events is not a slow reader.
pub struct MinRateWriter<S> {
    stream: S,
    /// The credit that is left, and the most that there can be.
    credit: Duration,
    most: Duration,
    /// Bytes so far that the stream accepted, and those that gave credit.
    written: u64,
    credited: u64,
    blocked: Option<BlockedWrite>,
    /// Ends when it is checked again whether the client has received its answers.
    read_again: Option<Pin<Box<Sleep>>>,
}

/// The time during which a write waits for the client.
struct BlockedWrite {
    /// The credit is counted up to this time.
    since: Instant,
    check: Pin<Box<Sleep>>,
}

impl<S: Backlog> MinRateWriter<S> {
    /// Wraps a stream, whose reader begins with the whole `credit`.
    pub fn new(stream: S, credit: Duration) -> Self {
        Self { stream, credit, most: credit, written: 0, credited: 0, blocked: None, read_again: None }
    }

    fn poll_write_result<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            if let Some(blocked) = self.blocked.take() {
                self.count(blocked.since, Instant::now());
            }
            return written;
        }
        ready!(self.poll_credit(cx));
        self.stream.discard();
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Ready when no credit is left.
    fn poll_credit(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let now = Instant::now();
            let next = now + self.credit.min(self.most / CHECKS);
            let blocked = self
                .blocked
                .get_or_insert_with(|| BlockedWrite { since: now, check: Box::pin(sleep_until(next)) });
            ready!(blocked.check.as_mut().poll(cx));
            let since = std::mem::replace(&mut blocked.since, now);
            self.count(since, now);
            if self.credit.is_zero() {
                return Poll::Ready(());
            }
            let next = now + self.credit.min(self.most / CHECKS);
            if let Some(blocked) = &mut self.blocked {
                blocked.check.as_mut().reset(next);
            }
        }
    }

    fn count(&mut self, since: Instant, now: Instant) {
        let taken = self.written.saturating_sub(self.stream.backlog());
        let earned = Duration::from_millis(taken.saturating_sub(self.credited) * 1000 / MIN_RATE);
        self.credited = taken.max(self.credited);
        self.credit = (self.credit + earned).saturating_sub(now - since).min(self.most);
    }
}

impl<S: Backlog> MinRateWriter<S> {
    /// Ready when the client has received nearly all that was written.
    fn poll_received(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.stream.backlog() > LONGEST_UNREAD {
            let again = self.read_again.get_or_insert_with(|| Box::pin(sleep(READ_AGAIN)));
            ready!(again.as_mut().poll(cx));
            self.read_again = None;
        }
        self.read_again = None;
        Poll::Ready(())
    }
}

impl<S: AsyncRead + Backlog + Unpin> AsyncRead for MinRateWriter<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_received(cx));
        let mut part = [0; LONGEST_READ];
        let mut part = ReadBuf::new(&mut part[..LONGEST_READ.min(buffer.remaining())]);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut part))?;
        buffer.put_slice(part.filled());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Backlog + Unpin> MinRateWriter<S> {
    fn judge_write(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = written {
            self.written += bytes as u64;
        }
        self.poll_write_result(cx, written)
    }
}

impl<S: AsyncWrite + Backlog + Unpin> AsyncWrite for MinRateWriter<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.judge_write(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.judge_write(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.poll_write_result(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.poll_write_result(cx, shut)
    }
}

#[cfg(test)]
mod tests;
