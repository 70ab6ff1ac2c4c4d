//! Splits the answer to a watch into lines. Each line is one event and is bounded like an object.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use kube::client::Body;
use tokio::time::{Instant, timeout_at};

use super::{
    budget::Lease,
    error::{Failure, is_cut},
    identity::Identity,
};

/// The deadline for the end of a line that has begun: the API server writes an event at once.
const LINE_DEADLINE: Duration = Duration::from_secs(60);

/// One event of a watch.
#[derive(Debug, PartialEq, Eq)]
pub enum WatchLine {
    Whole(Bytes),
    /// The event is larger than the limit: this is the name of its object.
    TooLarge(Identity),
}

/// The lines of one watch.
pub struct WatchLines {
    body: Body,
    lease: Lease,
    /// Bytes of the largest line that is read.
    largest: usize,
    /// Bytes that were received and not processed.
    data: Bytes,
    /// The line that has begun and not ended.
    begun: Vec<u8>,
    /// The name of the object if the current line is too large: the rest of the line is skipped.
    skipped: Option<Identity>,
    /// When the current line must have ended.
    deadline: Option<Instant>,
}

impl WatchLines {
    pub fn new(body: Body, lease: Lease, largest: usize) -> Self {
        Self { body, lease, largest, data: Bytes::new(), begun: Vec::new(), skipped: None, deadline: None }
    }

    /// The next line; `None` when the watch ends. A line that did not end is lost.
    pub async fn next(&mut self) -> Result<Option<WatchLine>, Failure> {
        if self.begun.is_empty() {
            // The line before was decoded.
            self.lease.release();
        }
        loop {
            if let Some(end) = self.data.iter().position(|byte| *byte == b'\n') {
                let line = self.data.split_to(end + 1).slice(..end);
                return Ok(Some(self.complete(line)));
            }
            let data = std::mem::take(&mut self.data);
            self.keep(&data).await;
            match self.receive().await? {
                Some(data) => self.data = data,
                None => return Ok(None),
            }
        }
    }

    async fn receive(&mut self) -> Result<Option<Bytes>, Failure> {
        let frame = match self.deadline {
            Some(deadline) => timeout_at(deadline, self.body.frame()).await,
            None => Ok(self.body.frame().await),
        };
        match frame {
            Err(_) => Err(Failure::Late(LINE_DEADLINE)),
            Ok(None) => Ok(None),
            Ok(Some(Err(error))) if is_cut(&error) => Ok(None),
            Ok(Some(Err(error))) => Err(Failure::Transport(error.into())),
            Ok(Some(Ok(frame))) => Ok(Some(frame.into_data().unwrap_or_default())),
        }
    }

    async fn keep(&mut self, data: &[u8]) {
        if data.is_empty() || self.skipped.is_some() {
            return;
        }
        self.begun.extend_from_slice(data);
        self.deadline.get_or_insert_with(|| Instant::now() + LINE_DEADLINE);
        if self.begun.len() > self.largest || !self.lease.cover(self.begun.len()).await {
            self.skipped = Some(Identity::parse(&std::mem::take(&mut self.begun)));
            self.lease.release();
        }
    }

    fn complete(&mut self, end: Bytes) -> WatchLine {
        self.deadline = None;
        if let Some(identity) = self.skipped.take() {
            return WatchLine::TooLarge(identity);
        }
        let line = if self.begun.is_empty() {
            end
        } else {
            self.begun.extend_from_slice(&end);
            std::mem::take(&mut self.begun).into()
        };
        if line.len() > self.largest {
            WatchLine::TooLarge(Identity::parse(&line))
        } else {
            WatchLine::Whole(line)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{budget::Budget, tests::body};

    fn event(name: &str, bytes: usize) -> String {
        let (head, tail) = (r#"{"type":"ADDED","object":{"metadata":{"name":""#, r#""}}}"#);
        let fill = "y".repeat(bytes);
        format!(r#"{head}{name}","namespace":"prod","resourceVersion":"7"}},"spec":{{"x":"{fill}{tail}"#)
    }

    async fn read(text: &str, piece: usize, largest: usize) -> Vec<String> {
        let pieces = text.as_bytes().chunks(piece).map(Bytes::copy_from_slice).collect();
        let mut lines = WatchLines::new(body(pieces).await, Budget::new(&[(1, 1 << 20)]).lease(), largest);
        let mut read = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            read.push(match line {
                WatchLine::Whole(line) => String::from_utf8(line.to_vec()).unwrap(),
                WatchLine::TooLarge(of) => format!("! {}/{} {}", of.namespace, of.name, of.version),
            });
        }
        read
    }

    #[tokio::test]
    async fn lines_are_whole_wherever_they_are_cut() {
        for piece in [1, 2, 3, 7, 1000] {
            assert_eq!(read("a\nbc\n\ndefg\nlost", piece, 100).await, ["a", "bc", "", "defg"], "{piece}");
        }
    }

    #[tokio::test]
    async fn a_line_that_is_too_large_is_named_and_the_next_is_read() {
        let (small, large) = (event("small", 10), event("large", 500));
        for piece in [1, 33, 200, 250, 10_000] {
            let text = format!("{small}\n{large}\n{small}\n");
            assert_eq!(read(&text, piece, 300).await, [&*small, "! prod/large 7", &*small], "{piece}");
        }
    }

    #[tokio::test]
    async fn an_endless_line_is_never_held() {
        let pieces = std::iter::once(Bytes::from(event("large", 0).replace(r#""}}}"#, "")))
            .chain(std::iter::repeat_n(Bytes::from(vec![b'y'; 1 << 16]), 640));
        let mut lines =
            WatchLines::new(body(pieces.collect()).await, Budget::new(&[(1, 1 << 20)]).lease(), 4 << 20);
        assert_eq!(lines.next().await.unwrap(), None);
        assert_eq!((lines.begun.capacity(), lines.skipped.unwrap().name.as_str()), (0, "large"));
    }
}
