//! Readers that are slow, quick enough, or silent.

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
    assert!(end >= CREDIT && end <= CREDIT + CREDIT / CHECKS, "{end:?}");
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
async fn a_reader_at_the_minimum_rate_is_not_disconnected() {
    for (bytes, millis) in [(1000, 1000), (1000, 990), (100, 90), (1000, 200)] {
        let (mut writer, far) = pair();
        let reading = reader(far, bytes, Duration::from_millis(millis));
        assert_eq!(failure(&mut writer, 2_000_000).await, None, "{bytes} bytes a {millis} ms");
        reading.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn fast_reads_earn_no_more_than_the_credit() {
    let (mut writer, far) = pair();
    let quick = reader(far, 1000, Duration::ZERO);
    writer.write_all(&vec![0; 10_000_000]).await.unwrap();
    quick.abort();
    drop(quick.await);
    let (near, _far) = duplex(1000);
    writer.stream = near;
    let end = failure(&mut writer, 10_000).await.expect("an end");
    assert!(end >= CREDIT && end <= CREDIT + CREDIT / CHECKS, "{end:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_data_is_not_slow() {
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
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
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
