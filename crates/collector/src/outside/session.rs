//! Requests to one site, and the reading of their answers.

use bytes::BytesMut;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use kube::client::Body;
use tokio::time::{Instant, timeout};
use tower::ServiceExt;
use url::Url;

use super::SiteLimits;
use crate::{
    budget::Lease,
    connect::{AnswerBody, Http},
    error::Failure,
    k8s::peer_error::PeerError,
    poll::{AnswerBytes, append_bounded, decode_and_hold, decode_apart, retry_after},
};

/// Bytes that are read of an error. VictoriaMetrics repeats a query of up to 5 KiB twice in an error.
const ERROR_BODY: usize = 16 << 10;
/// What the program calls itself.
const USER_AGENT: &str = concat!("wukong-dashboard/", env!("CARGO_PKG_VERSION"));

/// A connection to a site for the length of one round.
#[derive(Clone)]
pub struct Session {
    pub(super) http: Http,
    pub(super) base: Url,
    pub(super) limits: SiteLimits,
}

/// A successful answer.
pub struct Reply {
    pub headers: HeaderMap,
    answer: AnswerBytes,
}

/// The result of a request.
pub enum FetchOutcome {
    Whole(Reply),
    /// The answer is larger than the limit: this is its start.
    Start(AnswerBytes),
}

impl Session {
    /// The URL of a path below the base URL. Each segment is escaped as a whole.
    pub fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// Sends a request without retries. Fails if the answer is larger than the limit.
    pub async fn send(&self, request: Request<Vec<u8>>) -> Result<Reply, Failure> {
        match self.fetch(request, false).await? {
            FetchOutcome::Whole(reply) => Ok(reply),
            FetchOutcome::Start(_) => Err(Failure::TooLarge(self.limits.limit)),
        }
    }

    /// Sends a request without retries. If `start` is set, an answer that is too large is a success with its
    /// start.
    pub async fn fetch(&self, request: Request<Vec<u8>>, start: bool) -> Result<FetchOutcome, Failure> {
        let (started, deadline) = (Instant::now(), self.limits.deadline);
        let fetched = timeout(deadline, self.receive(request, start)).await;
        let fetched = fetched.unwrap_or(Err(Failure::Late(deadline)));
        tracing::debug!(host = self.base.host_str(), took = ?started.elapsed(), ok = fetched.is_ok(), "request finished");
        fetched
    }

    /// Sends a request without retries, and returns the answer whatever its status: for peers whose errors say
    /// what is wrong in a form of their own. Fails if the answer is larger than the limit.
    pub async fn exchange(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Failure> {
        let deadline = self.limits.deadline;
        let exchanged = timeout(deadline, self.receive_any(request)).await;
        exchanged.unwrap_or(Err(Failure::Late(deadline)))
    }

    async fn receive_any(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Failure> {
        let (head, body) = self.response(request).await?.into_parts();
        let (mut bytes, mut lease) = (BytesMut::new(), self.limits.budget.lease());
        read_bounded(body, &mut bytes, self.limits.limit, &mut lease).await?;
        let mut answer = Response::new(bytes.to_vec());
        (*answer.status_mut(), *answer.headers_mut()) = (head.status, head.headers);
        Ok(answer)
    }

    /// Bytes of the largest answer that is read.
    pub fn limit(&self) -> usize {
        self.limits.limit
    }

    async fn receive(&self, request: Request<Vec<u8>>, start: bool) -> Result<FetchOutcome, Failure> {
        let (head, body) = self.response(request).await?.into_parts();
        let (code, headers) = (head.status, head.headers);
        if !code.is_success() {
            let retry_after = retry_after(&headers);
            let says = PeerError::read(&read_start(body).await);
            return Err(Failure::Refused { code, retry_after, says });
        }
        let limit = self.limits.limit;
        if !start && body.size_hint().exact().is_some_and(|length| length > limit as u64) {
            return Err(Failure::TooLarge(limit));
        }
        let (mut bytes, mut lease) = (BytesMut::new(), self.limits.budget.lease());
        let read = read_bounded(body, &mut bytes, limit, &mut lease).await;
        let answer = AnswerBytes { bytes: bytes.freeze(), lease };
        match read {
            Ok(()) => Ok(FetchOutcome::Whole(Reply { headers, answer })),
            Err(Failure::TooLarge(_)) if start => Ok(FetchOutcome::Start(answer)),
            Err(failure) => Err(failure),
        }
    }

    /// Sends a request. What begins an answer is bounded by the client (`connect`).
    async fn response(&self, request: Request<Vec<u8>>) -> Result<Response<AnswerBody>, Failure> {
        let mut request = request.map(Body::from);
        for (name, value) in [(header::USER_AGENT, USER_AGENT), (header::ACCEPT, "*/*")] {
            request.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
        }
        self.http.clone().oneshot(request).await.map_err(Failure::Transport)
    }
}

/// Reads up to `limit` bytes. Fails if there is more; `bytes` then holds the start.
async fn read_bounded(
    mut body: AnswerBody,
    bytes: &mut BytesMut,
    limit: usize,
    lease: &mut Lease,
) -> Result<(), Failure> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Failure::Transport(error.into()))?;
        let Ok(chunk) = frame.into_data() else { continue };
        if let Err(failure) = append_bounded(bytes, &chunk, limit, lease).await {
            // The part that still fits belongs to the start.
            let room = limit.saturating_sub(bytes.len()).min(chunk.len());
            append_bounded(bytes, &chunk[..room], limit, lease).await?;
            return Err(failure);
        }
    }
    Ok(())
}

/// Reads the start of an error's body, as far as it arrives in time: the caller sets the deadline.
async fn read_start(mut body: AnswerBody) -> Vec<u8> {
    let mut start = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(chunk) = frame.into_data() else { continue };
        let room = ERROR_BODY - start.len();
        start.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if start.len() == ERROR_BODY {
            break;
        }
    }
    start
}

impl Reply {
    /// Decodes the answer. Fails with [`Failure::Undecodable`] if `decode` returns `None`.
    pub async fn decode<T: Send + 'static>(
        self,
        decode: impl FnOnce(&[u8]) -> Option<T> + Send + 'static,
    ) -> Result<T, Failure> {
        decode_apart(self.answer, decode).await.ok_or(Failure::Undecodable)
    }

    /// The same, but what was decoded takes the place of the answer until the lease is dropped.
    pub async fn decode_and_hold<T: Send + 'static>(
        self,
        decode: impl FnOnce(&[u8]) -> Option<T> + Send + 'static,
    ) -> Result<(T, Lease), Failure> {
        decode_and_hold(self.answer, decode).await.ok_or(Failure::Undecodable)
    }
}
