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
const LOOKS: u32 = 8;
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
    wait: Option<Wait>,
    /// Ends when it is checked again whether the client has received its answers.
    read_again: Option<Pin<Box<Sleep>>>,
}

/// The time during which a write waits for the client.
struct Wait {
    /// The credit is counted up to this time.
    since: Instant,
    look: Pin<Box<Sleep>>,
}

impl<S: Backlog> MinRateWriter<S> {
    /// Wraps a stream, whose reader begins with the whole `credit`.
    pub fn new(stream: S, credit: Duration) -> Self {
        Self { stream, credit, most: credit, written: 0, credited: 0, wait: None, read_again: None }
    }

    fn judge<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            if let Some(wait) = self.wait.take() {
                self.count(wait.since, Instant::now());
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
            let next = now + self.credit.min(self.most / LOOKS);
            let wait =
                self.wait.get_or_insert_with(|| Wait { since: now, look: Box::pin(sleep_until(next)) });
            ready!(wait.look.as_mut().poll(cx));
            let since = std::mem::replace(&mut wait.since, now);
            self.count(since, now);
            if self.credit.is_zero() {
                return Poll::Ready(());
            }
            let next = now + self.credit.min(self.most / LOOKS);
            if let Some(wait) = &mut self.wait {
                wait.look.as_mut().reset(next);
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
        self.judge(cx, written)
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
        self.judge(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.judge(cx, shut)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        task::JoinHandle,
        time::{sleep, timeout},
    };

    use super::*;

    impl Backlog for DuplexStream {
        fn backlog(&self) -> u64 {
            0
        }

        fn discard(&self) {}
    }

    const CREDIT: Duration = Duration::from_secs(30);
    const HOUR: Duration = Duration::from_secs(3600);

    fn pair() -> (MinRateWriter<DuplexStream>, DuplexStream) {
        let (near, far) = duplex(1000);
        (MinRateWriter::new(near, CREDIT), far)
    }

    /// Reads this many bytes and pauses, until the other side ends.
    fn reader(mut far: DuplexStream, bytes: usize, pause: Duration) -> JoinHandle<()> {
        tokio::spawn(async move {
            let mut buffer = vec![0; bytes];
            while far.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                sleep(pause).await;
            }
        })
    }

    /// Returns when writing this many bytes failed; `None` if it did not fail within an hour.
    async fn failure(writer: &mut MinRateWriter<DuplexStream>, bytes: usize) -> Option<Duration> {
        let begun = Instant::now();
        match timeout(HOUR, writer.write_all(&vec![0; bytes])).await {
            Ok(Err(error)) => {
                assert_eq!(error.kind(), io::ErrorKind::TimedOut);
                Some(begun.elapsed())
            }
            Ok(Ok(())) | Err(_) => None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_nothing_ends_when_its_credit_is_used_up() {
        let (mut writer, _far) = pair();
        let end = failure(&mut writer, 10_000).await.expect("an end");
        assert!(end >= CREDIT && end <= CREDIT + CREDIT / LOOKS, "{end:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_a_byte_now_and_then_ends_too() {
        for (bytes, pause) in [(1, 1), (10, 25), (500, 1), (900, 1), (20_000, 29)] {
            let (mut writer, far) = pair();
            let reading = reader(far, bytes, Duration::from_secs(pause));
            let end = failure(&mut writer, 10_000_000).await.expect("an end");
            assert!(end <= CREDIT * 11, "{bytes} bytes a {pause} s: {end:?}");
            reading.abort();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_is_just_quick_enough_is_let_be() {
        for (bytes, millis) in [(1000, 1000), (1000, 990), (100, 90), (1000, 200)] {
            let (mut writer, far) = pair();
            let reading = reader(far, bytes, Duration::from_millis(millis));
            assert_eq!(failure(&mut writer, 2_000_000).await, None, "{bytes} bytes a {millis} ms");
            reading.abort();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_taken_quickly_before_saves_nobody_for_longer() {
        let (mut writer, far) = pair();
        let quick = reader(far, 1000, Duration::ZERO);
        writer.write_all(&vec![0; 10_000_000]).await.unwrap();
        quick.abort();
        drop(quick.await);
        let (near, _far) = duplex(1000);
        writer.stream = near;
        let end = failure(&mut writer, 10_000).await.expect("an end");
        assert!(end >= CREDIT && end <= CREDIT + CREDIT / LOOKS, "{end:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_no_slowness() {
        let (mut writer, far) = pair();
        let reading = reader(far, 1000, Duration::ZERO);
        for _ in 0..10 {
            sleep(HOUR).await;
            writer.write_all(b"data: -\n\n").await.unwrap();
            writer.flush().await.unwrap();
        }
        reading.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_after_a_pause_is_forgiven() {
        let (mut writer, far) = pair();
        // A laptop sleeps for 25 s, then reads 25 kB at once, and so on.
        let reading = tokio::spawn(async move {
            let mut far = far;
            let mut buffer = vec![0; 1000];
            loop {
                sleep(Duration::from_secs(25)).await;
                for _ in 0..25 {
                    if far.read_exact(&mut buffer).await.is_err() {
                        return;
                    }
                }
            }
        });
        assert_eq!(failure(&mut writer, 500_000).await, None);
        reading.abort();
    }

    /// Accepts everything at once, as the kernel does, and reports as received what `arrived` says.
    struct Kernel {
        room: usize,
        arrived: u64,
        written: u64,
    }

    impl Backlog for Kernel {
        fn backlog(&self) -> u64 {
            self.written - self.arrived
        }

        fn discard(&self) {}
    }

    impl AsyncWrite for Kernel {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let taken = bytes.len().min(self.room);
            self.room -= taken;
            self.written += taken as u64;
            if taken == 0 { Poll::Pending } else { Poll::Ready(Ok(taken)) }
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncRead for Kernel {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            buffer.put_slice(&vec![b'G'; buffer.remaining()]);
            Poll::Ready(Ok(()))
        }
    }

    /// Requests that a client sends without reading cost it no more than a few answers.
    #[tokio::test(start_paused = true)]
    async fn the_next_request_is_read_when_the_answers_so_far_were_received() {
        let kernel = Kernel { room: 4_000_000, arrived: 0, written: 0 };
        let mut stream = MinRateWriter::new(kernel, CREDIT);
        let mut requests = vec![0; 64 << 10];
        assert_eq!(stream.read(&mut requests).await.unwrap(), LONGEST_READ, "a few requests at once");
        let answer = vec![0; 1 + LONGEST_UNREAD as usize];
        stream.write_all(&answer).await.unwrap();
        assert!(timeout(HOUR, stream.read(&mut requests)).await.is_err(), "the answer was not received");
        stream.stream.arrived = stream.stream.written;
        timeout(READ_AGAIN * 2, stream.read(&mut requests)).await.expect("it was received").unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_that_the_client_has_acknowledged_count_and_those_in_the_kernel_do_not() {
        for (arriving_a_minute, lives) in [(0, false), (30_000, false), (66_000, true)] {
            let kernel = Kernel { room: 4_000_000, arrived: 0, written: 0 };
            let mut writer = MinRateWriter::new(kernel, CREDIT);
            let begun = Instant::now();
            let mut ended = false;
            while !ended && begun.elapsed() < Duration::from_secs(600) {
                let write = timeout(Duration::from_secs(6), writer.write_all(&vec![0; 5_000_000])).await;
                ended = matches!(write, Ok(Err(_)));
                writer.stream.arrived += arriving_a_minute / 10;
            }
            assert_eq!(!ended, lives, "{arriving_a_minute} bytes a minute, {:?}", begun.elapsed());
        }
    }
}
