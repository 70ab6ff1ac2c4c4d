//! Requests to one site, and the reading of their answers.

use bytes::BytesMut;
use http::{HeaderMap, Request};
use reqwest::{Client, RequestBuilder, Response, Url};
use tokio::time::{Instant, timeout};

use super::SiteLimits;
use crate::{
    budget::Lease,
    error::Failure,
    k8s::peer_error::PeerError,
    poll::{AnswerBytes, append_bounded, decode_and_hold, decode_apart, retry_after},
};

/// Bytes that are read of an error. VictoriaMetrics repeats a query of up to 5 KiB twice in an error.
const ERROR_BODY: usize = 16 << 10;

/// A connection to a site for the length of one round.
#[derive(Clone)]
pub struct Session {
    pub(super) client: Client,
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

    /// Begins a GET request.
    pub fn get(&self, url: Url) -> RequestBuilder {
        self.client.get(url)
    }

    /// Begins a POST request.
    pub fn post(&self, url: Url) -> RequestBuilder {
        self.client.post(url)
    }

    /// Sends a request without retries. Fails if the answer is larger than the limit.
    pub async fn send(&self, request: RequestBuilder) -> Result<Reply, Failure> {
        match self.fetch(request, false).await? {
            FetchOutcome::Whole(reply) => Ok(reply),
            FetchOutcome::Start(_) => Err(Failure::TooLarge(self.limits.limit)),
        }
    }

    /// Sends a request without retries. If `start` is set, an answer that is too large is a success with its
    /// start.
    pub async fn fetch(&self, request: RequestBuilder, start: bool) -> Result<FetchOutcome, Failure> {
        let (started, deadline) = (Instant::now(), self.limits.deadline);
        let fetched = timeout(deadline, self.receive(request, start)).await;
        let fetched = fetched.unwrap_or(Err(Failure::Late(deadline)));
        tracing::debug!(host = self.base.host_str(), took = ?started.elapsed(), ok = fetched.is_ok(), "request finished");
        fetched
    }

    /// Sends a request without retries, and returns the answer whatever its status: for peers whose errors say
    /// what is wrong in a form of their own. Fails if the answer is larger than the limit.
    pub async fn exchange(&self, request: Request<Vec<u8>>) -> Result<http::Response<Vec<u8>>, Failure> {
        let deadline = self.limits.deadline;
        let exchanged = timeout(deadline, self.receive_any(request)).await;
        exchanged.unwrap_or(Err(Failure::Late(deadline)))
    }

    async fn receive_any(&self, request: Request<Vec<u8>>) -> Result<http::Response<Vec<u8>>, Failure> {
        let request = request.try_into().map_err(transport)?;
        let response = self.client.execute(request).await.map_err(transport)?;
        let mut answer = http::Response::new(Vec::new());
        *answer.status_mut() = response.status();
        *answer.headers_mut() = response.headers().clone();
        let (mut bytes, mut lease) = (BytesMut::new(), self.limits.budget.lease());
        read_bounded(response, &mut bytes, self.limits.limit, &mut lease).await?;
        *answer.body_mut() = bytes.to_vec();
        Ok(answer)
    }

    /// Bytes of the largest answer that is read.
    pub fn limit(&self) -> usize {
        self.limits.limit
    }

    async fn receive(&self, request: RequestBuilder, start: bool) -> Result<FetchOutcome, Failure> {
        let mut response = request.send().await.map_err(transport)?;
        let code = response.status();
        if !code.is_success() {
            let retry_after = retry_after(response.headers());
            let says = PeerError::read(&read_start(response).await);
            return Err(Failure::Refused { code, retry_after, says });
        }
        let headers = std::mem::take(response.headers_mut());
        let limit = self.limits.limit;
        if !start && response.content_length().is_some_and(|length| length > limit as u64) {
            return Err(Failure::TooLarge(limit));
        }
        let (mut bytes, mut lease) = (BytesMut::new(), self.limits.budget.lease());
        let read = read_bounded(response, &mut bytes, limit, &mut lease).await;
        let answer = AnswerBytes { bytes: bytes.freeze(), lease };
        match read {
            Ok(()) => Ok(FetchOutcome::Whole(Reply { headers, answer })),
            Err(Failure::TooLarge(_)) if start => Ok(FetchOutcome::Start(answer)),
            Err(failure) => Err(failure),
        }
    }
}

/// Reads up to `limit` bytes. Fails if there is more; `bytes` then holds the start.
async fn read_bounded(
    mut response: Response,
    bytes: &mut BytesMut,
    limit: usize,
    lease: &mut Lease,
) -> Result<(), Failure> {
    while let Some(chunk) = response.chunk().await.map_err(transport)? {
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
async fn read_start(mut response: Response) -> Vec<u8> {
    let mut start = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = ERROR_BODY - start.len();
        start.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if start.len() == ERROR_BODY {
            break;
        }
    }
    start
}

/// Converts a transport error without its URL, which only the configuration should show.
fn transport(error: reqwest::Error) -> Failure {
    Failure::Transport(error.without_url().into())
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
