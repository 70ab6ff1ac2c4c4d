//! Under every request: how long silence is borne, and when each watch last received a byte.
//!
//! kube-runtime hides bookmarks, and a connection that dies without a packet looks like a quiet cluster. So this
//! layer sits below it, sees each byte of each watch, and fails a body that has gone silent; kube-runtime then
//! reopens the watch where it left off.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use kube::client::Body;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout};
use tower::{BoxError, Layer, Service};

use super::now;
use crate::model::Millis;

/// A list that sends nothing for this long has failed. A page of 500 objects takes an API server about a second.
const LIST_SILENCE: Duration = Duration::from_secs(10);
/// The same watch is not opened more often than this: kube-runtime reopens one that ends in good order at once,
/// and a broken proxy may end every watch as soon as it has begun.
const REOPEN: Duration = Duration::from_secs(1);

/// Nothing came for this long.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("no byte for {0:?}")]
pub struct Silent(pub Duration);

/// Marks a request whose caller keeps its own deadline.
#[derive(Clone, Copy, Debug)]
pub struct OwnDeadline;

/// When a watch last received a byte.
#[derive(Debug, Default)]
pub struct Pulse {
    last: AtomicI64,
    opened: Mutex<Option<Instant>>,
}

impl Pulse {
    /// 0 before the first byte.
    pub fn last(&self) -> Millis {
        self.last.load(Ordering::Relaxed)
    }

    fn beat(&self) {
        self.last.store(now(), Ordering::Relaxed);
    }

    /// The earliest moment at which the watch may be opened (again), which counts as having been opened.
    fn open(&self) -> Instant {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let at = opened.map_or_else(Instant::now, |last| Instant::now().max(last + REOPEN));
        *opened = Some(at);
        at
    }
}

/// The pulses of all watches, by the path that is watched.
#[derive(Clone, Debug, Default)]
pub struct Pulses(Arc<Mutex<HashMap<String, Arc<Pulse>>>>);

impl Pulses {
    pub fn of(&self, path: &str) -> Arc<Pulse> {
        let mut pulses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pulses.entry(path.to_owned()).or_default().clone()
    }
}

/// Puts [`Watchdog`] around a client's service.
#[derive(Clone, Debug)]
pub struct WatchdogLayer {
    pub pulses: Pulses,
    /// Longest silence of a watch, before its headers and between its bytes.
    pub watch_idle: Duration,
}

impl<S> Layer<S> for WatchdogLayer {
    type Service = Watchdog<S>;

    fn layer(&self, inner: S) -> Watchdog<S> {
        Watchdog { inner, layer: self.clone() }
    }
}

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
        Box::pin(guard.attend(self.inner.call(request)))
    }
}

impl WatchdogLayer {
    fn guard(&self, request: &Request<Body>) -> Guard {
        let query = request.uri().query().unwrap_or_default();
        if query.split('&').any(|pair| pair == "watch=true") {
            Guard { silence: Some(self.watch_idle), pulse: Some(self.pulses.of(request.uri().path())) }
        } else if request.extensions().get::<OwnDeadline>().is_some() {
            Guard { silence: None, pulse: None }
        } else {
            Guard { silence: Some(LIST_SILENCE.min(self.watch_idle)), pulse: None }
        }
    }
}

/// What one request is held to.
#[derive(Clone, Debug)]
struct Guard {
    silence: Option<Duration>,
    pulse: Option<Arc<Pulse>>,
}

impl Guard {
    async fn attend<B>(
        self,
        response: impl Future<Output = Result<Response<B>, BoxError>>,
    ) -> Result<Response<Guarded<B>>, BoxError> {
        if let Some(pulse) = &self.pulse {
            sleep_until(pulse.open()).await;
        }
        let response = match self.silence {
            Some(silence) => timeout(silence, response).await.map_err(|_| Silent(silence))??,
            None => response.await?,
        };
        if response.status().is_success() {
            self.beat();
        }
        Ok(response.map(|body| Guarded { body, timer: self.silence.map(sleep), guard: self }))
    }

    fn beat(&self) {
        if let Some(pulse) = &self.pulse {
            pulse.beat();
        }
    }
}

pin_project! {
    /// A body that fails when it has been silent for too long.
    pub struct Guarded<B> {
        #[pin]
        body: B,
        #[pin]
        timer: Option<Sleep>,
        guard: Guard,
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
            if matches!(frame, Some(Ok(_))) {
                this.guard.beat();
                if let Some(timer) = this.timer.as_mut().as_pin_mut() {
                    timer.reset(Instant::now() + silence);
                }
            }
            return Poll::Ready(frame);
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
        let guard = Guard { silence: Some(silence), pulse: Some(Arc::default()) };
        Guarded { body: StreamBody::new(stream), timer: Some(sleep(silence)), guard }
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
            Some((bytes("x"), n + 1))
        });
        let started = Instant::now();
        // In all, the bytes take longer than silence is borne.
        let mut body = Box::pin(guarded(Box::pin(slow), BEAT * 4));
        for _ in 0..5 {
            assert!(body.frame().await.unwrap().is_ok());
        }
        assert!(body.guard.pulse.as_ref().unwrap().last() > 0);
        let error = body.frame().await.unwrap().unwrap_err();
        assert!(error.downcast_ref::<Silent>().is_some(), "{error}");
        assert!(started.elapsed() >= BEAT * 9);
    }

    #[tokio::test]
    async fn a_body_that_ends_in_time_is_left_alone() {
        let body = guarded(stream::iter([bytes("a"), bytes("b")]), BEAT);
        assert_eq!(body.collect().await.unwrap().to_bytes(), "ab");
    }

    #[test]
    fn a_watch_is_not_reopened_in_a_hot_loop() {
        let pulse = Pulse::default();
        let first = pulse.open();
        assert_eq!([pulse.open(), pulse.open()], [first + REOPEN, first + 2 * REOPEN]);
    }
}
