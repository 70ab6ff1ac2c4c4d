//! A page's data: rendered with the page, then kept up to date while somebody looks at it. Updates come from
//! the stream of changes if it works, and otherwise by polling the server function.

use core::{future::Future, time::Duration};
use std::sync::Arc;

use codee::{Decoder, binary::PostcardCodec, string::Base64};
use futures::{FutureExt, future::BoxFuture};
use leptos::{prelude::*, reactive::spawn_local_scoped_with_cancellation, server::SharedValue};
use serde::{Serialize, de::DeserializeOwned};

use super::{live::Live, stream::Stream};
use crate::server_fns::{self, Failure};
use model::{
    delta::Update,
    groups::{GroupsQuery, GroupsView},
    history::Span,
    insight::InsightQuery,
    query::{Query, encode},
    view::{Frame, HistoryView, HomeView, InsightsView, SourcesView, VmView},
};

/// A request counts as failed after this many milliseconds.
const DEADLINE: u32 = 8_000;
/// The longest pause between two attempts, in milliseconds: recovery is visible within 10 s.
const LONGEST_PAUSE: u32 = 5_000;
/// The shortest interval between two requests, in milliseconds, whatever the server says.
const SHORTEST_REFRESH: u32 = 1_000;
/// A stream without a message for this many milliseconds counts as broken: the server sends one every 15 s.
const SILENCE: u32 = 25_000;
/// Some streams fail although the server answers (a proxy buffers events, or no channel is free). After each
/// failure about twice as many requests are sent before the stream is tried again, up to this many.
const MOST_QUESTIONS: u32 = 15;

/// The encoding of views in a page and in the events of its stream.
type Embedded = Base64<PostcardCodec>;

/// A view that a server function returns.
pub trait View: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// What identifies the view, such as a query.
    type Key: Clone + PartialEq + Send + Sync + 'static;

    fn ask(key: &Self::Key) -> impl Future<Output = Result<Self, Failure>> + Send + 'static;
    fn frame(&self) -> &Frame;

    /// The query string of the view's event stream; `None` if it has no stream.
    fn stream(_: &Self::Key) -> Option<String> {
        None
    }

    /// Applies an event of the stream and returns what changed; `None` if the event does not fit the view.
    fn take(_: &mut Option<Self>, _event: &str) -> Option<()> {
        None
    }
}

/// Replaces the whole view, or applies a change to the current one.
fn take<V: View, C: DeserializeOwned>(
    view: &mut Option<V>,
    event: &str,
    apply: impl FnOnce(&mut V, C) -> Option<()>,
) -> Option<()> {
    match Embedded::decode(event).ok()? {
        Update::State(state) => {
            *view = Some(state);
            Some(())
        }
        Update::Change(change) => apply(view.as_mut()?, change),
    }
}

impl View for HomeView {
    type Key = Query;

    fn ask(query: &Query) -> impl Future<Output = Result<Self, Failure>> + Send + 'static {
        server_fns::home(query.to_query_string())
    }

    fn frame(&self) -> &Frame {
        &self.frame
    }

    fn stream(query: &Query) -> Option<String> {
        Some(query.to_query_string())
    }

    fn take(view: &mut Option<Self>, event: &str) -> Option<()> {
        take(view, event, Self::apply)
    }
}

impl View for GroupsView {
    type Key = GroupsQuery;

    fn ask(query: &GroupsQuery) -> impl Future<Output = Result<Self, Failure>> + Send + 'static {
        let address = query.address();
        server_fns::groups(address.split_once('?').map_or("", |(_, query)| query).to_owned())
    }

    fn frame(&self) -> &Frame {
        &self.frame
    }
}

impl View for VmView {
    type Key = (String, String);

    fn ask((namespace, name): &Self::Key) -> impl Future<Output = Result<Self, Failure>> + Send + 'static {
        server_fns::vm(namespace.clone(), name.clone())
    }

    fn frame(&self) -> &Frame {
        &self.frame
    }

    fn stream((namespace, name): &Self::Key) -> Option<String> {
        let mut query = "?vm=".to_owned();
        encode(&mut query, namespace);
        query.push('/');
        encode(&mut query, name);
        Some(query)
    }

    fn take(view: &mut Option<Self>, event: &str) -> Option<()> {
        take(view, event, |view, change| view.apply(change))
    }
}

impl View for HistoryView {
    type Key = ((String, String), Span);

    fn ask(
        ((namespace, name), span): &Self::Key,
    ) -> impl Future<Output = Result<Self, Failure>> + Send + 'static {
        server_fns::history(namespace.clone(), name.clone(), span.code().to_owned())
    }

    fn frame(&self) -> &Frame {
        &self.frame
    }
}

impl View for InsightsView {
    type Key = InsightQuery;

    fn ask(query: &InsightQuery) -> impl Future<Output = Result<Self, Failure>> + Send + 'static {
        server_fns::insights(query.to_query_string())
    }

    fn frame(&self) -> &Frame {
        &self.frame
    }
}

impl View for SourcesView {
    type Key = ();

    fn ask((): &()) -> impl Future<Output = Result<Self, Failure>> + Send + 'static {
        server_fns::sources()
    }

    fn frame(&self) -> &Frame {
        &self.frame
    }

    fn stream((): &()) -> Option<String> {
        Some("?only=sources".to_owned())
    }

    fn take(view: &mut Option<Self>, event: &str) -> Option<()> {
        take(view, event, |view, change| view.apply(change))
    }
}

/// Returns the view as first rendered. The server cuts it, the browser reads it from the page during
/// hydration; later there is none in the browser, and it must be fetched.
pub fn first<T: View>(key: &T::Key) -> Option<T> {
    // The server reads the answer from memory: it never has to wait for it.
    let cut = || if cfg!(feature = "ssr") { T::ask(key).now_or_never()?.ok() } else { None };
    SharedValue::<Option<T>, Embedded>::new_with_encoding(cut).into_inner()
}

/// A view that is kept up to date. It holds the last good answer; a failure never removes it.
pub struct Feed<T: View> {
    pub view: RwSignal<Option<T>>,
    pub pulse: FeedConnection,
}

impl<T: View> Clone for Feed<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: View> Copy for Feed<T> {}

impl<T: View> Feed<T> {
    /// Follows `key`, which may read signals. Nothing is requested while it is `None`.
    pub fn follow(key: impl Fn() -> Option<T::Key> + Send + Sync + 'static) -> Self {
        let rendered = untrack(&key).and_then(|key| first::<T>(&key));
        let refresh = rendered.as_ref().map(|view| view.frame().refresh);
        let view = RwSignal::new(rendered);
        let ask = move || {
            let key = key()?;
            let answer = T::ask(&key);
            let question: Question = Box::pin(async move {
                let answer = answer.await.inspect_err(Failure::heed).ok()?;
                let frame = answer.frame().clone();
                view.set(Some(answer));
                Some(frame)
            });
            Some((question, T::stream(&key)))
        };
        let take = move |event: &str| {
            let mut held = view.try_write_untracked()?;
            let changed = T::take(&mut held, event);
            let frame = held.as_ref().map(|view| view.frame().clone());
            drop(held);
            changed?;
            view.notify();
            frame
        };
        Self {
            view,
            pulse: FeedConnection::start(Work { ask: Arc::new(ask), take: Arc::new(take) }, refresh),
        }
    }

    /// Returns a part of the view, which notifies only when it differs, for pages that are too large to be
    /// redrawn with every change.
    pub fn part<P: Clone + PartialEq + Send + Sync + 'static>(
        self,
        part: impl Fn(&T) -> P + Send + Sync + 'static,
    ) -> Memo<Option<P>> {
        Memo::new(move |_| self.draw(&part))
    }

    /// Draws the view, if there is one, and again at every change.
    pub fn draw<U>(self, draw: impl FnOnce(&T) -> U) -> Option<U> {
        self.view.with(|view| view.as_ref().map(draw))
    }

    /// Draws the view, if there is one, and again when this part of it differs.
    pub fn draw_part<U>(self, part: impl Track, draw: impl FnOnce(&T) -> U) -> Option<U> {
        part.track();
        self.view.with_untracked(|view| view.as_ref().map(draw))
    }
}

/// Fetches the view and stores it. Returns the server's frame, or `None` if there was no answer.
type Question = BoxFuture<'static, Option<Frame>>;

/// The request for the current key, and the address of its stream.
type Wanted = (Question, Option<String>);

/// Applies an event and returns the server's frame from the view after it; `None` if the event does not fit.
type Take = dyn Fn(&str) -> Option<Frame> + Send + Sync;

/// The operations that depend on the type of the view.
#[derive(Clone)]
struct Work {
    ask: Arc<dyn Fn() -> Option<Wanted> + Send + Sync>,
    take: Arc<Take>,
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
    work: StoredValue<Work>,
    /// What is pending, and the result of the last attempts.
    state: StoredValue<State>,
    stream: StoredValue<Option<Stream>>,
}

#[derive(Default)]
struct State {
    refresh: u32,
    /// The pending timer, and the owner of the pending request: dropping the owner cancels the request.
    timer: Option<TimeoutHandle>,
    question: Option<Owner>,
    misses: u32,
    /// The id of the last event, after which the stream continues. Empty after an answer to a request.
    last: String,
    /// How many requests to send before the stream is tried again, and how many that were the last time.
    questions: u32,
    patience: u32,
}

impl FeedConnection {
    /// `refresh` is the server's refresh interval; `None` if nothing has been rendered yet.
    fn start(work: Work, refresh: Option<u32>) -> Self {
        let state = State { refresh: refresh.unwrap_or_default(), ..State::default() };
        let pulse = Self {
            waiting: RwSignal::new(false),
            failed: RwSignal::new(false),
            live: expect_context(),
            work: StoredValue::new(work),
            state: StoredValue::new(state),
            stream: StoredValue::new(None),
        };
        // Effects, and what they start, run in the browser only.
        Effect::new(move |before: Option<()>| pulse.asked_for(before.is_none() && refresh.is_some()));
        Effect::new(move |_| pulse.watch_visibility());
        on_cleanup(move || pulse.stop());
        pulse
    }

    /// Runs whenever the key changes. `rendered` says that the view is already there.
    fn asked_for(self, rendered: bool) {
        self.state.update_value(|state| (state.last, state.questions) = (String::new(), 0));
        // Called in any case: it reads the signals that make the effect run again.
        match self.wanted() {
            Some(wanted) => {
                self.waiting.set(!rendered);
                self.begin(wanted);
            }
            None => self.stop(),
        }
    }

    fn wanted(self) -> Option<Wanted> {
        (self.work.try_get_value()?.ask)()
    }

    /// A hidden page is not followed; one that becomes visible is followed at once.
    fn watch_visibility(self) {
        let shown = window_event_listener_untyped("visibilitychange", move |_| {
            if document().hidden() { self.stop() } else { self.again() }
        });
        let online = window_event_listener_untyped("online", move |_| self.again());
        on_cleanup(move || {
            shown.remove();
            online.remove();
        });
    }

    fn again(self) {
        if let Some(wanted) = untrack(|| self.wanted()) {
            self.begin(wanted);
        }
    }

    fn begin(self, (question, address): Wanted) {
        if document().hidden() {
            return self.stop();
        }
        let ask = self.state.try_update_value(|state| {
            let ask = state.questions > 0;
            state.questions = state.questions.saturating_sub(1);
            ask
        });
        match address {
            Some(address) if ask == Some(false) => self.listen(&address),
            _ => self.send(question),
        }
    }

    fn listen(self, address: &str) {
        self.stop();
        let last = self.state.with_value(|state| state.last.clone());
        self.stream.set_value(Stream::open(address, &last, move |event| self.receive(event)));
        self.set_timer(DEADLINE, move || self.broke_off());
    }

    /// Handles an event; `None` means that the stream has ended.
    fn receive(self, event: Option<(String, String)>) {
        let Some((id, data)) = event else { return self.broke_off() };
        // A message that starts with `-` only shows that the connection is alive.
        if !data.starts_with('-') {
            let Some(frame) = self.work.try_get_value().and_then(|work| (work.take)(&data)) else {
                self.state.update_value(|state| state.last.clear());
                return self.broke_off();
            };
            self.state.update_value(|state| (state.last, state.patience) = (id, 0));
            self.arrived(frame);
        }
        self.set_timer(SILENCE, move || self.broke_off());
    }

    fn broke_off(self) {
        self.stop();
        self.state.update_value(|state| {
            state.patience = (state.patience * 2 + 1).min(MOST_QUESTIONS);
            state.questions = state.patience;
        });
        self.again();
    }

    fn send(self, question: Question) {
        self.stop();
        let owner = Owner::new();
        owner.with(|| {
            spawn_local_scoped_with_cancellation(async move {
                let frame = question.await;
                self.answered(frame);
            });
        });
        self.state.update_value(|state| state.question = Some(owner));
        self.set_timer(DEADLINE, move || self.answered(None));
    }

    fn answered(self, frame: Option<Frame>) {
        let Some(frame) = frame else { return self.missed() };
        self.state.update_value(|state| (state.refresh, state.last) = (frame.refresh, String::new()));
        self.arrived(frame);
        self.pause(self.state.with_value(|state| state.refresh).max(SHORTEST_REFRESH));
    }

    fn arrived(self, frame: Frame) {
        self.state.update_value(|state| state.misses = 0);
        for signal in [self.waiting, self.failed] {
            if signal.get_untracked() {
                signal.set(false);
            }
        }
        self.live.set_frame(frame);
    }

    /// If nothing answers, opening the stream is as good a test as a request.
    fn missed(self) {
        let misses = self.state.try_update_value(|state| {
            state.misses = state.misses.saturating_add(1);
            (state.questions, state.patience) = (0, 0);
            state.misses
        });
        self.failed.set(true);
        self.live.lost();
        self.pause(back_off(misses.unwrap_or_default(), (js_sys::Math::random() * 1024.0) as u32));
    }

    fn pause(self, millis: u32) {
        self.stop();
        self.set_timer(millis, move || self.again());
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
        let pending = self.state.try_update_value(|state| (state.timer.take(), state.question.take()));
        let (timer, question) = pending.unwrap_or_default();
        if let Some(timer) = timer {
            timer.clear();
        }
        if let Some(question) = question {
            question.cleanup();
        }
        self.stream.try_set_value(None);
    }
}

/// The pause after a number of misses, in milliseconds: 500, doubled with each miss up to the longest pause,
/// of which a random share between half and all is taken, so that many pages do not return at the same time.
/// `dice` is 0 to 1023.
fn back_off(misses: u32, dice: u32) -> u32 {
    let full = (500 << misses.saturating_sub(1).min(8)).min(LONGEST_PAUSE);
    full / 2 + full / 2 * dice / 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_are_spread() {
        assert_eq!(back_off(1, 0), 250);
        assert!(back_off(1, 1023) < 500);
        for misses in [5, 30, u32::MAX] {
            assert_eq!(back_off(misses, 0), LONGEST_PAUSE / 2);
            assert!(back_off(misses, 1023) <= LONGEST_PAUSE);
        }
    }
}
