//! How a page stays up to date: by an event stream, or by polling while no stream works.

use core::time::Duration;
use std::sync::Arc;

use futures::future::BoxFuture;
use leptos::{prelude::*, reactive::spawn_local_scoped_with_cancellation};

use crate::ui::{live::Live, stream::Stream};
use model::view::Frame;

/// A request counts as failed after this many milliseconds.
const REQUEST_TIMEOUT: u32 = 8_000;
/// The longest pause between two attempts, in milliseconds: recovery is visible within 10 s.
const MAX_BACK_OFF: u32 = 5_000;
/// The shortest interval between two requests, in milliseconds, whatever the server says.
const MIN_REFRESH: u32 = 1_000;
/// A stream without a message for this many milliseconds counts as broken: the server sends one every 15 s.
const STREAM_TIMEOUT: u32 = 25_000;
/// Some streams fail although the server answers (a proxy buffers events, or no channel is free). After each
/// failure about twice as many requests are sent before the stream is tried again, up to this many.
const MAX_POLLS: u32 = 15;

/// The request for the current key.
pub struct Request {
    /// Fetches the view and stores it. Returns the server's frame, or `None` if there was no answer.
    pub fetch: BoxFuture<'static, Option<Frame>>,
    /// The query string of the view's event stream; `None` if it has no stream.
    pub stream: Option<String>,
}

/// Applies an event and returns the server's frame from the view after it; `None` if the event does not fit.
type ApplyEvent = dyn Fn(&str) -> Option<Frame> + Send + Sync;

/// The operations that depend on the type of the view.
#[derive(Clone)]
pub struct Actions {
    /// Returns the request for the current key; `None` if there is nothing to follow.
    pub request: Arc<dyn Fn() -> Option<Request> + Send + Sync>,
    pub apply_event: Arc<ApplyEvent>,
}

/// How the view is followed, and the result of the last attempt. It has no type parameter, so its code is
/// compiled once for all pages.
///
/// A stream is opened first. If it breaks, the server function is called instead. An answer means that the
/// server works, and the stream is tried again after a while; no answer means that the server is lost.
#[derive(Clone, Copy)]
pub struct FeedConnection {
    /// Whether the current key has been requested and has not arrived yet.
    pub waiting: RwSignal<bool>,
    pub failed: RwSignal<bool>,
    live: Live,
    actions: StoredValue<Actions>,
    state: StoredValue<State>,
    stream: StoredValue<Option<Stream>>,
}

/// What is pending, and the result of the last attempts.
#[derive(Default)]
struct State {
    /// The server's refresh interval, in milliseconds.
    refresh: u32,
    timer: Option<TimeoutHandle>,
    /// The owner of the pending request: cleaning it up cancels the request.
    request: Option<Owner>,
    /// Requests without an answer since the last answer.
    failures: u32,
    /// The id of the last event, after which the stream continues. Empty after an answer to a request.
    last_event: String,
    /// How many requests to send before the stream is tried again, and how many that were the last time.
    polls_left: u32,
    polls: u32,
}

impl FeedConnection {
    /// `refresh` is the server's refresh interval; `None` if nothing has been rendered yet.
    pub fn start(actions: Actions, refresh: Option<u32>) -> Self {
        let state = State { refresh: refresh.unwrap_or_default(), ..State::default() };
        let connection = Self {
            waiting: RwSignal::new(false),
            failed: RwSignal::new(false),
            live: expect_context(),
            actions: StoredValue::new(actions),
            state: StoredValue::new(state),
            stream: StoredValue::new(None),
        };
        // Effects, and what they start, run in the browser only.
        Effect::new(move |before: Option<()>| {
            connection.follow_key(before.is_none() && refresh.is_some());
        });
        Effect::new(move |_| connection.watch_visibility());
        on_cleanup(move || connection.stop());
        connection
    }

    /// Runs whenever the key changes. `rendered` says that the view is already there.
    fn follow_key(self, rendered: bool) {
        self.state.update_value(|state| (state.last_event, state.polls_left) = (String::new(), 0));
        // Called in any case: it reads the signals that make the effect run again.
        match self.request() {
            Some(request) => {
                self.waiting.set(!rendered);
                self.connect(request);
            }
            None => self.stop(),
        }
    }

    fn request(self) -> Option<Request> {
        (self.actions.try_get_value()?.request)()
    }

    /// A hidden page is not followed; one that becomes visible is followed at once.
    fn watch_visibility(self) {
        let visibility = window_event_listener_untyped("visibilitychange", move |_| {
            if document().hidden() { self.stop() } else { self.reconnect() }
        });
        let online = window_event_listener_untyped("online", move |_| self.reconnect());
        on_cleanup(move || {
            visibility.remove();
            online.remove();
        });
    }

    fn reconnect(self) {
        if let Some(request) = untrack(|| self.request()) {
            self.connect(request);
        }
    }

    /// Opens the stream, or polls if the view has no stream or the stream failed recently.
    fn connect(self, request: Request) {
        if document().hidden() || self.live.has_ended() {
            return self.stop();
        }
        let poll = self.state.try_update_value(|state| {
            let poll = state.polls_left > 0;
            state.polls_left = state.polls_left.saturating_sub(1);
            poll
        });
        match &request.stream {
            Some(query) if poll == Some(false) => self.open_stream(query),
            _ => self.poll(request),
        }
    }

    fn open_stream(self, query: &str) {
        self.stop();
        let last_event = self.state.with_value(|state| state.last_event.clone());
        let stream = Stream::open(query, &last_event, move |event| self.receive(event));
        self.stream.set_value(stream);
        self.set_timer(REQUEST_TIMEOUT, move || self.stream_failed());
    }

    /// Handles an event; `None` means that the stream has ended.
    fn receive(self, event: Option<(String, String)>) {
        let Some((id, data)) = event else { return self.stream_failed() };
        // A message that starts with `-` only shows that the connection is alive.
        if !data.starts_with('-') {
            let frame = self.actions.try_get_value().and_then(|actions| (actions.apply_event)(&data));
            let Some(frame) = frame else {
                self.state.update_value(|state| state.last_event.clear());
                return self.stream_failed();
            };
            self.state.update_value(|state| (state.last_event, state.polls) = (id, 0));
            self.succeeded(frame);
        }
        self.set_timer(STREAM_TIMEOUT, move || self.stream_failed());
    }

    fn stream_failed(self) {
        self.stop();
        self.state.update_value(|state| {
            state.polls = (state.polls * 2 + 1).min(MAX_POLLS);
            state.polls_left = state.polls;
        });
        self.reconnect();
    }

    fn poll(self, request: Request) {
        self.stop();
        let owner = Owner::new();
        owner.with(|| {
            spawn_local_scoped_with_cancellation(async move {
                let frame = request.fetch.await;
                self.poll_ended(frame);
            });
        });
        self.state.update_value(|state| state.request = Some(owner));
        self.set_timer(REQUEST_TIMEOUT, move || self.poll_ended(None));
    }

    /// Handles the answer to a request; `None` if there was none.
    fn poll_ended(self, frame: Option<Frame>) {
        let Some(frame) = frame else { return self.poll_failed() };
        self.state.update_value(|state| (state.refresh, state.last_event) = (frame.refresh, String::new()));
        self.succeeded(frame);
        self.reconnect_after(self.state.with_value(|state| state.refresh).max(MIN_REFRESH));
    }

    fn succeeded(self, frame: Frame) {
        self.state.update_value(|state| state.failures = 0);
        for signal in [self.waiting, self.failed] {
            if signal.get_untracked() {
                signal.set(false);
            }
        }
        self.live.set_frame(frame);
    }

    /// If nothing answers, opening the stream is as good a test as a request.
    fn poll_failed(self) {
        let failures = self.state.try_update_value(|state| {
            state.failures = state.failures.saturating_add(1);
            (state.polls_left, state.polls) = (0, 0);
            state.failures
        });
        self.failed.set(true);
        self.live.set_lost();
        let random = (js_sys::Math::random() * 1024.0) as u32;
        self.reconnect_after(back_off(failures.unwrap_or_default(), random));
    }

    fn reconnect_after(self, millis: u32) {
        self.stop();
        self.set_timer(millis, move || self.reconnect());
    }

    fn set_timer(self, millis: u32, then: impl FnOnce() + 'static) {
        let timer = set_timeout_with_handle(then, Duration::from_millis(millis.into())).ok();
        let before = self.state.try_update_value(|state| std::mem::replace(&mut state.timer, timer));
        if let Some(Some(timer)) = before {
            timer.clear();
        }
    }

    /// Cancels what is pending.
    fn stop(self) {
        let pending = self.state.try_update_value(|state| (state.timer.take(), state.request.take()));
        let (timer, request) = pending.unwrap_or_default();
        if let Some(timer) = timer {
            timer.clear();
        }
        if let Some(request) = request {
            request.cleanup();
        }
        self.stream.try_set_value(None);
    }
}

/// The pause after a number of failures, in milliseconds: 500, doubled with each failure up to
/// [`MAX_BACK_OFF`], of which a random share between half and all is taken, so that many pages do not return
/// at the same time. `random` is 0 to 1023.
fn back_off(failures: u32, random: u32) -> u32 {
    let full = (500 << failures.saturating_sub(1).min(8)).min(MAX_BACK_OFF);
    full / 2 + full / 2 * random / 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_are_spread() {
        assert_eq!(back_off(1, 0), 250);
        assert!(back_off(1, 1023) < 500);
        for failures in [5, 30, u32::MAX] {
            assert_eq!(back_off(failures, 0), MAX_BACK_OFF / 2);
            assert!(back_off(failures, 1023) <= MAX_BACK_OFF);
        }
    }
}
