//! Polled requests to the API server and kubelets, bounded in time and size, and the loop that polls a source.

mod pace;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use http_body_util::BodyExt;
use kube::client::Body;
use tokio::time::{Instant, sleep_until, timeout};

pub use self::pace::{Backoff, Pace};
use super::{
    budget::{Budget, Lease},
    error::Failure,
    items::{Item, ListHead, ReadLimits, read_items},
    transport::OwnDeadline,
};
use crate::observation_sender::{Closed, ObservationSender};
use model::source::SourceId;

/// The longest `Retry-After` that is honoured.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);
/// Bytes that are read of an error's body, so that its connection can be reused.
const ERROR_BODY: usize = 16 << 10;
/// Larger answers are decoded on a blocking thread, since that takes milliseconds and other answers would
/// wait.
const DECODE_INLINE: usize = 256 << 10;

/// Bytes of the pieces in which text is read: what is kept of one is not covered until it was read.
const TEXT_PIECE: usize = 8 << 10;

/// The text format of metrics that every version of Prometheus reads.
const METRICS_TEXT: &str = "text/plain; version=0.0.4";

/// A source that is polled as a whole.
pub trait Source: Send {
    const ID: SourceId;

    /// Runs one round and sends what was observed. The returned failure decides when the next round begins.
    fn round(
        &mut self,
        sender: &ObservationSender,
    ) -> impl Future<Output = Result<Option<Failure>, Closed>> + Send;

    /// Waits for the next round, which the pace wants at `due`.
    fn wait(&mut self, due: Instant) -> impl Future<Output = ()> + Send {
        sleep_until(due)
    }
}

/// Runs a round at once, then one per interval, until nobody receives.
pub async fn follow<S: Source>(
    mut source: S,
    mut pace: Pace,
    sender: ObservationSender,
) -> Result<(), Closed> {
    loop {
        let started = Instant::now();
        let due = match source.round(&sender).await? {
            None => {
                sender.send_latency(S::ID, started).await?;
                started + pace.succeeded()
            }
            Some(failure) => {
                let now = Instant::now();
                now + pace.failed(&failure, now)
            }
        };
        source.wait(due).await;
    }
}

/// A client with the limits of its requests.
#[derive(Clone)]
pub struct BoundedClient {
    pub client: kube::Client,
    pub deadline: Duration,
    /// Bytes of the largest answer that is read.
    pub limit: usize,
    /// Limits what the answers under way may hold.
    pub budget: Budget,
}

/// An answer that was read to its end.
pub struct AnswerBytes {
    pub bytes: Bytes,
    /// Covers the bytes, and what is decoded from them.
    pub lease: Lease,
}

impl BoundedClient {
    /// Sends one request without retries and decodes the answer with `decode`.
    pub async fn ask<T: Send + 'static>(
        &self,
        path: &str,
        decode: impl FnOnce(&[u8]) -> Option<T> + Send + 'static,
    ) -> Result<T, Failure> {
        self.ask_recoded(path, decode, |code, _| code).await
    }

    /// The same for a server whose errors say in their text what their code does not: `recode` returns the
    /// right code for an error, given its code and the start of its body.
    pub async fn ask_recoded<T: Send + 'static>(
        &self,
        path: &str,
        decode: impl FnOnce(&[u8]) -> Option<T> + Send + 'static,
        recode: fn(StatusCode, &[u8]) -> StatusCode,
    ) -> Result<T, Failure> {
        let answer = self.read_recoded(path, recode).await?;
        decode_apart(answer, decode).await.ok_or(Failure::Undecodable)
    }

    /// Sends one request without retries and reads the answer, for a caller that decodes it later.
    pub async fn read(&self, path: &str) -> Result<AnswerBytes, Failure> {
        self.read_recoded(path, |code, _| code).await
    }

    async fn read_recoded(
        &self,
        path: &str,
        recode: fn(StatusCode, &[u8]) -> StatusCode,
    ) -> Result<AnswerBytes, Failure> {
        let get = async {
            let body = self.send(get(path)?, recode).await?;
            read_answer(body, self.limit, self.budget.lease()).await
        };
        self.in_time(path, get).await
    }

    /// Creates one object, as JSON, without retries, and decodes the answer with `decode`.
    pub async fn create<T: Send + 'static>(
        &self,
        path: &str,
        object: Vec<u8>,
        decode: impl FnOnce(&[u8]) -> Option<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let request = Request::post(path)
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/json")
            .extension(OwnDeadline);
        let request = request.body(Body::from(object)).map_err(|_| Failure::BadName)?;
        let create = async {
            let body = self.send(request, |code, _| code).await?;
            read_answer(body, self.limit, self.budget.lease()).await
        };
        let answer = self.in_time(path, create).await?;
        decode_apart(answer, decode).await.ok_or(Failure::Undecodable)
    }

    /// Requests a list without retries. `take` gets each item as it arrives.
    pub async fn ask_items(
        &self,
        path: &str,
        take: impl FnMut(Item<'_>) + Send,
    ) -> Result<ListHead, Failure> {
        let limits = ReadLimits { answer: self.limit, item: self.limit.min(self.budget.largest()) };
        let get = async {
            let body = self.send(get(path)?, |code, _| code).await?;
            read_items(body, limits, self.budget.lease(), take).await
        };
        Ok(self.in_time(path, get).await?.0)
    }

    /// Requests text without retries. `take` gets each piece as it arrives, and says how many bytes it keeps of all
    /// pieces so far, or that they are too many. The lease that is returned covers them.
    pub async fn ask_text(
        &self,
        url: &str,
        mut take: impl FnMut(&[u8]) -> Result<usize, Failure> + Send,
    ) -> Result<Lease, Failure> {
        let mut request = get(url)?;
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static(METRICS_TEXT));
        let get = async {
            let mut lease = self.budget.lease();
            let mut body = self.send(request, |code, _| code).await?;
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| Failure::Transport(error.into()))?;
                for piece in frame.into_data().unwrap_or_default().chunks(TEXT_PIECE) {
                    if !lease.cover(take(piece)?).await {
                        return Err(Failure::TooLarge(self.budget.largest()));
                    }
                }
            }
            Ok(lease)
        };
        self.in_time(url, get).await
    }

    async fn in_time<T>(
        &self,
        path: &str,
        get: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let started = Instant::now();
        let answer = timeout(self.deadline, get).await;
        let answer = answer.unwrap_or(Err(Failure::Late(self.deadline)));
        tracing::debug!(path, took = ?started.elapsed(), ok = answer.is_ok(), "request finished");
        answer
    }

    async fn send(
        &self,
        request: Request<Body>,
        recode: fn(StatusCode, &[u8]) -> StatusCode,
    ) -> Result<Body, Failure> {
        let response = self.client.send(request).await.map_err(|error| Failure::Transport(error.into()))?;
        let code = response.status();
        if matches!(code, StatusCode::OK | StatusCode::CREATED) {
            return Ok(response.into_body());
        }
        let retry_after = retry_after(response.headers());
        // The text of the error is used for nothing else.
        let says = read_error(response.into_body()).await;
        Err(Failure::Status { code: recode(code, &says), retry_after })
    }
}

fn get(path: &str) -> Result<Request<Body>, Failure> {
    let request = Request::get(path).header(header::ACCEPT, "application/json").extension(OwnDeadline);
    request.body(Body::empty()).map_err(|_| Failure::BadName)
}

/// Reads a whole answer of up to `limit` bytes.
async fn read_answer(mut body: Body, limit: usize, mut lease: Lease) -> Result<AnswerBytes, Failure> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|error| Failure::Transport(error.into()))?.into_data() else { continue };
        append_bounded(&mut bytes, &data, limit, &mut lease).await?;
    }
    Ok(AnswerBytes { bytes: bytes.freeze(), lease })
}

/// Appends more of an answer to what was read of it. Fails if that is over the limit.
pub async fn append_bounded(
    bytes: &mut BytesMut,
    data: &[u8],
    limit: usize,
    lease: &mut Lease,
) -> Result<(), Failure> {
    let size = bytes.len() + data.len();
    if size > limit || !lease.cover(size).await {
        return Err(Failure::TooLarge(limit));
    }
    if size > bytes.capacity() {
        bytes.reserve(lease.buffer_for(size).min(limit) - bytes.len());
    }
    bytes.extend_from_slice(data);
    Ok(())
}

/// Reads the body of an error, to its end if that comes within `ERROR_BODY` bytes.
pub async fn read_error(mut body: Body) -> Vec<u8> {
    let mut says = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        let data = frame.into_data().unwrap_or_default();
        if says.len() + data.len() > ERROR_BODY {
            break;
        }
        says.extend_from_slice(&data);
    }
    says
}

/// Runs `decode`, on a blocking thread if the answer is large.
pub async fn decode_apart<T: Send + 'static>(
    answer: AnswerBytes,
    decode: impl FnOnce(&[u8]) -> Option<T> + Send + 'static,
) -> Option<T> {
    decode_and_hold(answer, decode).await.map(|(decoded, _)| decoded)
}

/// The same, but what was decoded takes the place of the answer until the lease is dropped.
pub async fn decode_and_hold<T: Send + 'static>(
    answer: AnswerBytes,
    decode: impl FnOnce(&[u8]) -> Option<T> + Send + 'static,
) -> Option<(T, Lease)> {
    let AnswerBytes { bytes, lease } = answer;
    if bytes.len() <= DECODE_INLINE {
        return Some((decode(&bytes)?, lease));
    }
    let decode = move || Some((decode(&bytes)?, lease));
    tokio::task::spawn_blocking(decode).await.ok().flatten()
}

/// The `Retry-After` header in seconds, limited to `LONGEST_RETRY_AFTER`; `None` if it is absent or a date.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    /// Twice the place would be held if the buffer doubled.
    #[tokio::test]
    async fn a_growing_answer_takes_no_more_than_its_place() {
        let (small, large) = (100 << 10, 1 << 20);
        let mut lease = Budget::new(&[(1, small), (1, large)]).lease();
        let (mut bytes, piece) = (BytesMut::new(), [0; 1000]);
        while append_bounded(&mut bytes, &piece, large, &mut lease).await.is_ok() {
            let place = if bytes.len() <= small { small.next_power_of_two() } else { large };
            assert!(bytes.capacity() <= place, "{} for {}", bytes.capacity(), bytes.len());
        }
        assert_eq!(bytes.len(), large / 1000 * 1000);
    }

    #[tokio::test]
    async fn what_is_decoded_takes_the_place_of_its_answer() {
        let budget = Budget::new(&[(1, 1 << 20)]);
        let mut lease = budget.lease();
        assert!(lease.cover(1 << 20).await);
        let answer = AnswerBytes { bytes: vec![b'x'; 1 << 20].into(), lease };
        let held = decode_and_hold(answer, |answer| Some(answer.len())).await.unwrap();
        let mut next = budget.lease();
        assert_eq!(next.cover(1 << 20).now_or_never(), None, "it is still held");
        drop(held);
        assert!(next.cover(1 << 20).await);
    }

    #[test]
    fn retry_after_is_read_in_seconds_and_held_to_a_minute() {
        for (text, want) in
            [("3", Some(3)), (" 7 ", Some(7)), ("9999", Some(60)), ("soon", None), ("-1", None)]
        {
            let headers = HeaderMap::from_iter([(header::RETRY_AFTER, text.parse().unwrap())]);
            assert_eq!(retry_after(&headers), want.map(Duration::from_secs), "{text}");
        }
    }
}
