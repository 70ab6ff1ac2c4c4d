//! A layer under every request that limits silence and size, and records when each watch last received a
//! byte.
//!
//! A connection that dies without a packet looks like a quiet cluster. So this layer sees each byte of each
//! watch, and fails a body that has been silent for too long; the watch is then reopened where it left off.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use kube::client::Body;
use parking_lot::Mutex;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout};
use tower::{BoxError, Layer, Service};

use crate::clock::steady;
use model::Millis;

/// A list that receives nothing for this long has failed. A page of 500 objects takes an API server about a
/// second.
const LIST_SILENCE: Duration = Duration::from_secs(10);
/// The minimum time between two openings of the same watch: one that ends normally is reopened at once, and a
/// broken proxy may end every watch as soon as it has begun.
const REOPEN: Duration = Duration::from_secs(1);

/// The error for a body that received nothing for this long.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("no data for {0:?}")]
pub struct Silent(pub Duration);

/// A watch that ends this soon without a line counts as failed: it may be another kind of answer, or a proxy
/// that ends what it does not know.
const SHORT: Duration = Duration::from_millis(500);

/// The error for a watch that was answered with something else.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the watch ended before its first line")]
pub struct NoWatch;

/// Marks a request whose caller sets its own deadline, and reads no more than it can hold.
#[derive(Clone, Copy, Debug)]
pub struct OwnDeadline;

/// Marks a request whose caller reads no more than it can hold.
#[derive(Clone, Copy, Debug)]
pub struct OwnLimit;

/// Bytes that are read of the answer to any other request: a review, or the server's version. kube reads
/// those whole.
const SMALL_ANSWER: usize = 256 << 10;

/// The error for an answer that is larger than its limit.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the answer exceeds the limit of {0} bytes")]
pub struct TooLong(pub usize);

/// When a watch last received a byte.
#[derive(Debug, Default)]
pub struct LastActivity {
    last: AtomicI64,
    /// Whether the last watch ended before its first line: then opening one is no sign of life until it
    /// receives a line.
    short: AtomicBool,
    opened: Mutex<Option<Instant>>,
}

impl LastActivity {
    /// The time of the last byte by the steady clock; 0 before the first byte.
    pub fn last(&self) -> Millis {
        self.last.load(Ordering::Relaxed)
    }

    fn touch(&self) {
        self.last.store(steady(), Ordering::Relaxed);
    }

    /// The earliest time at which the watch may be opened (again). It is recorded as the time of opening.
    fn open(&self) -> Instant {
        let mut opened = self.opened.lock();
        let at = opened.map_or_else(Instant::now, |last| Instant::now().max(last + REOPEN));
        *opened = Some(at);
        at
    }
}

/// The last activity of all watches, by the path that is watched.
#[derive(Clone, Debug, Default)]
pub struct WatchActivity(Arc<Mutex<HashMap<String, Arc<LastActivity>>>>);

impl WatchActivity {
    /// The last activity of the watch of this path.
    pub fn of(&self, path: &str) -> Arc<LastActivity> {
        let mut by_path = self.0.lock();
        by_path.entry(path.to_owned()).or_default().clone()
    }
}

/// Puts [`Watchdog`] around a client's service.
#[derive(Clone, Debug)]
pub struct WatchdogLayer {
    pub watch_activity: WatchActivity,
    /// The longest silence of a watch, before its headers and between its bytes.
    pub watch_idle: Duration,
}

impl<S> Layer<S> for WatchdogLayer {
    type Service = Watchdog<S>;

    fn layer(&self, inner: S) -> Watchdog<S> {
        Watchdog { inner, layer: self.clone() }
    }
}

/// A service that bounds requests and observes watches; see the module's description.
#[derive(Clone, Debug)]
pub struct Watchdog<S> {
    inner: S,
    layer: WatchdogLayer,
}

impl<S, B> Service<Request<Body>> for Watchdog<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError>,
    S::Future: Send + 'static,
    B: 'static,
{
    type Response = Response<Guarded<B>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let guard = self.layer.guard(&request);
        Box::pin(guard.watch_over(self.inner.call(request)))
    }
}

impl WatchdogLayer {
    fn guard(&self, request: &Request<Body>) -> Guard {
        let query = request.uri().query().unwrap_or_default();
        if query.split('&').any(|pair| pair == "watch=true") {
            let activity = Some(self.watch_activity.of(request.uri().path()));
            return Guard { silence: Some(self.watch_idle), limit: None, activity };
        }
        let silence = Some(LIST_SILENCE.min(self.watch_idle));
        if request.extensions().get::<OwnDeadline>().is_some() {
            Guard { silence: None, limit: None, activity: None }
        } else if request.extensions().get::<OwnLimit>().is_some() {
            Guard { silence, limit: None, activity: None }
        } else {
            Guard { silence, limit: Some(SMALL_ANSWER), activity: None }
        }
    }
}

/// The limits of one request.
#[derive(Clone, Debug)]
struct Guard {
    silence: Option<Duration>,
    /// How many bytes are read at most.
    limit: Option<usize>,
    activity: Option<Arc<LastActivity>>,
}

impl Guard {
    async fn watch_over<B>(
        self,
        response: impl Future<Output = Result<Response<B>, BoxError>>,
    ) -> Result<Response<Guarded<B>>, BoxError> {
        if let Some(activity) = &self.activity {
            sleep_until(activity.open()).await;
        }
        let response = match self.silence {
            Some(silence) => timeout(silence, response).await.map_err(|_| Silent(silence))??,
            None => response.await?,
        };
        if let Some(activity) = &self.activity {
            self.opened(activity, response.status())?;
        }
        // The body of an error is not a watch, and is read as an error.
        let activity = self.activity.filter(|_| response.status().is_success());
        let (guard, timer) = (Self { activity, ..self }, self.silence.map(sleep));
        let (opened, lines, received) = (Instant::now(), false, 0);
        Ok(response.map(|body| Guarded { body, timer, guard, opened, lines, received }))
    }

    fn opened(&self, activity: &LastActivity, status: StatusCode) -> Result<(), NoWatch> {
        if status.is_success() && !activity.short.load(Ordering::Relaxed) {
            activity.touch();
        }
        if status.is_redirection() { Err(NoWatch) } else { Ok(()) }
    }

    /// Counts received bytes. Fails if they are over the limit.
    fn admit(&self, received: &mut usize, data: &[u8]) -> Result<(), TooLong> {
        *received = received.saturating_add(data.len());
        self.limit.filter(|limit| *received > *limit).map_or(Ok(()), |limit| Err(TooLong(limit)))
    }

    /// Records received bytes, and returns whether they end a line. A line is an event or a bookmark; a watch
    /// cannot continue from less.
    fn received(&self, data: &[u8]) -> bool {
        let line = data.contains(&b'\n');
        if let Some(activity) = self.activity.as_ref().filter(|_| line) {
            activity.short.store(false, Ordering::Relaxed);
            activity.touch();
        }
        line
    }

    /// Fails if the body that ends now, or breaks off, was not a watch.
    fn ended(&self, opened: Instant, broken: bool, lines: bool) -> Result<(), NoWatch> {
        let Some(activity) = &self.activity else { return Ok(()) };
        let short = !lines && (broken || opened.elapsed() < SHORT);
        activity.short.store(short, Ordering::Relaxed);
        if short { Err(NoWatch) } else { Ok(()) }
    }
}

pin_project! {
    /// A body that fails when it has been silent for too long, or is too long.
    pub struct Guarded<B> {
        #[pin]
        body: B,
        #[pin]
        timer: Option<Sleep>,
        guard: Guard,
        opened: Instant,
        // Whether a line was received.
        lines: bool,
        // Received bytes.
        received: usize,
    }
}

impl<B> HttpBody for Guarded<B>
where
    B: HttpBody<Data = Bytes, Error = BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut this = self.project();
        let silence = this.guard.silence.unwrap_or_default();
        if let Poll::Ready(frame) = this.body.poll_frame(cx) {
            if let Some(Ok(frame)) = &frame {
                if let Some(data) = frame.data_ref() {
                    *this.lines |= this.guard.received(data);
                    if let Err(too_long) = this.guard.admit(this.received, data) {
                        return Poll::Ready(Some(Err(too_long.into())));
                    }
                }
                if let Some(timer) = this.timer.as_mut().as_pin_mut() {
                    timer.reset(Instant::now() + silence);
                }
            }
            let ended = match &frame {
                Some(Ok(_)) => Ok(()),
                Some(Err(_)) => this.guard.ended(*this.opened, true, *this.lines),
                None => this.guard.ended(*this.opened, false, *this.lines),
            };
            // The error is reported once: a further poll returns the end.
            *this.lines |= ended.is_err();
            return Poll::Ready(match (frame, ended) {
                // Otherwise a cut connection is the normal end of a watch.
                (None | Some(Err(_)), Err(none)) => Some(Err(none.into())),
                (frame, _) => frame,
            });
        }
        match this.timer.as_mut().as_pin_mut() {
            Some(timer) => ready!(timer.poll(cx)),
            None => return Poll::Pending,
        }
        Poll::Ready(Some(Err(Silent(silence).into())))
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
    use futures::stream;
    use http_body_util::{BodyExt, StreamBody};

    fn guarded<S>(stream: S, silence: Duration) -> Guarded<StreamBody<S>> {
        let guard = Guard { silence: Some(silence), limit: None, activity: Some(Arc::default()) };
        let (opened, lines, received) = (Instant::now(), false, 0);
        Guarded { body: StreamBody::new(stream), timer: Some(sleep(silence)), guard, opened, lines, received }
    }

    fn bytes(text: &'static str) -> Result<Frame<Bytes>, BoxError> {
        Ok(Frame::data(Bytes::from_static(text.as_bytes())))
    }

    const BEAT: Duration = Duration::from_millis(40);

    #[tokio::test]
    async fn a_silent_body_fails_and_each_byte_renews_its_time() {
        let slow = stream::unfold(0, |n| async move {
            if n == 5 {
                std::future::pending::<()>().await;
            }
            sleep(BEAT).await;
            Some((bytes("x\n"), n + 1))
        });
        let started = Instant::now();
        // All bytes together take longer than the longest silence.
        let mut body = Box::pin(guarded(Box::pin(slow), BEAT * 4));
        for _ in 0..5 {
            assert!(body.frame().await.unwrap().is_ok());
        }
        assert!(body.guard.activity.as_ref().unwrap().last() > 0);
        let error = body.frame().await.unwrap().unwrap_err();
        assert!(error.downcast_ref::<Silent>().is_some(), "{error}");
        assert!(started.elapsed() >= BEAT * 9);
    }

    #[tokio::test]
    async fn a_body_that_ends_in_time_is_left_alone() {
        let body = guarded(stream::iter([bytes("a"), bytes("b\n")]), BEAT);
        assert_eq!(body.collect().await.unwrap().to_bytes(), "ab\n");
    }

    #[tokio::test]
    async fn a_watch_that_ends_without_an_event_counts_as_failed() {
        for frames in [vec![], vec![bytes("{\"type\"")]] {
            let body = guarded(stream::iter(frames), BEAT);
            let activity = body.guard.activity.clone().unwrap();
            let error = body.collect().await.unwrap_err();
            assert!(error.downcast_ref::<NoWatch>().is_some(), "{error}");
            let guard = Guard { silence: None, limit: None, activity: Some(activity.clone()) };
            guard.opened(&activity, StatusCode::OK).unwrap();
            assert_eq!(activity.last(), 0, "it opened, as the one before it");
            assert!(guard.received(b"{}\n") && activity.last() > 0);
        }
        let guard = Guard { silence: None, limit: None, activity: Some(Arc::default()) };
        assert!(
            guard.ended(Instant::now() - SHORT, false, false).is_ok(),
            "a quiet one that has had its time"
        );
        assert!(guard.opened(&LastActivity::default(), StatusCode::TEMPORARY_REDIRECT).is_err());
    }

    #[tokio::test]
    async fn what_kube_reads_whole_is_no_longer_than_a_review() {
        let layer =
            WatchdogLayer { watch_activity: WatchActivity::default(), watch_idle: Duration::from_secs(90) };
        let request = |uri: &str| Request::get(uri).body(Body::empty()).unwrap();
        let mut list = request("/api/v1/pods?limit=500");
        list.extensions_mut().insert(OwnLimit);
        let limits = [request("/version"), list, request("/api/v1/pods?watch=true")];
        let limits = limits.each_ref().map(|request| layer.guard(request).limit);
        assert_eq!(limits, [Some(SMALL_ANSWER), None, None]);

        let piece = |_| Ok(Frame::data(Bytes::from_static(&[b' '; 1 << 14])));
        let mut body = guarded(stream::iter((0..1000).map(piece)), BEAT);
        body.guard = Guard { limit: Some(SMALL_ANSWER), activity: None, ..body.guard };
        let error = body.collect().await.unwrap_err();
        assert!(error.downcast_ref::<TooLong>().is_some(), "{error}");
    }

    #[test]
    fn a_watch_is_not_reopened_in_a_hot_loop() {
        let activity = LastActivity::default();
        let first = activity.open();
        assert_eq!([activity.open(), activity.open()], [first + REOPEN, first + 2 * REOPEN]);
    }
}
