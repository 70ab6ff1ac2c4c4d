//! A page's data: rendered with the page, then asked for again and again while somebody looks at it.

use core::{
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};
use std::sync::Arc;

use leptos::{prelude::*, reactive::spawn_local_scoped_with_cancellation, server::SharedValue};
use serde::{Serialize, de::DeserializeOwned};

use super::{codec::Compact, live::Live};
use crate::{
    model::{
        query::Query,
        view::{Frame, HomeView, SourcesView, VmView},
    },
    server_fns::{self, Failure},
};

/// After this many milliseconds a question counts as unanswered.
const DEADLINE: u32 = 8_000;
/// The longest pause between two tries, in milliseconds: a fault that heals shows within 10 s.
const LONGEST_PAUSE: u32 = 5_000;
/// No page asks more often, whatever the server says.
const SHORTEST_REFRESH: u32 = 1_000;

/// A view that a server function gives.
pub trait View: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// What is asked for.
    type Key: Clone + PartialEq + Send + Sync + 'static;

    fn ask(key: &Self::Key) -> impl Future<Output = Result<Self, Failure>> + Send + 'static;
    fn frame(&self) -> &Frame;
}

impl View for HomeView {
    type Key = Query;

    fn ask(query: &Query) -> impl Future<Output = Result<Self, Failure>> + Send + 'static {
        server_fns::home(
            query.q.clone(),
            query.namespace.clone(),
            query.status.map_or("", |status| status.name()).to_owned(),
            query.node.clone(),
            query.sort.code().to_owned(),
            query.order.code().to_owned(),
            query.page.to_string(),
        )
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
}

impl View for SourcesView {
    type Key = ();

    fn ask((): &()) -> impl Future<Output = Result<Self, Failure>> + Send + 'static {
        server_fns::sources()
    }

    fn frame(&self) -> &Frame {
        &self.frame
    }
}

/// The view as it was first rendered: cut on the server, read out of the page while the browser takes over, and none
/// in the browser later, where it must be fetched.
pub fn first<T: View>(key: &T::Key) -> Option<T> {
    let cut = || if cfg!(feature = "ssr") { at_once(T::ask(key)) } else { None };
    SharedValue::<Option<T>, Compact>::new_with_encoding(cut).into_inner()
}

/// On the server the answer is there without waiting: it is read from memory.
fn at_once<T>(answer: impl Future<Output = Result<T, Failure>>) -> Option<T> {
    match pin!(answer).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer.ok(),
        Poll::Pending => None,
    }
}

/// The last good answer; a failure never takes it away.
pub struct Feed<T: View> {
    pub view: RwSignal<Option<T>>,
    pub pulse: Pulse,
}

impl<T: View> Clone for Feed<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: View> Copy for Feed<T> {}

impl<T: View> Feed<T> {
    /// Follows `key`, which may read signals; with none there is nothing to ask.
    pub fn follow(key: impl Fn() -> Option<T::Key> + Send + Sync + 'static) -> Self {
        let rendered = untrack(&key).and_then(|key| first::<T>(&key));
        let refresh = rendered.as_ref().map(|view| view.frame().refresh);
        let view = RwSignal::new(rendered);
        let ask = move || {
            let answer = T::ask(&key()?);
            let question: Question = Box::pin(async move {
                let answer = answer.await.ok()?;
                let frame = answer.frame().clone();
                view.set(Some(answer));
                Some(frame)
            });
            Some(question)
        };
        Self { view, pulse: Pulse::start(Arc::new(ask), refresh) }
    }

    /// Draws the view, if there is one.
    pub fn draw<U>(self, draw: impl FnOnce(&T) -> U) -> Option<U> {
        self.view.with(|view| view.as_ref().map(draw))
    }
}

/// Puts a view into its place, and gives what it said of the server; none where there was no answer.
type Question = Pin<Box<dyn Future<Output = Option<Frame>> + Send>>;
type Ask = Arc<dyn Fn() -> Option<Question> + Send + Sync>;

/// When the next question is asked, and what became of the last. Of no type: it is the same for every page.
#[derive(Clone, Copy)]
pub struct Pulse {
    /// What is wanted now has been asked for and is not there yet.
    pub waiting: RwSignal<bool>,
    pub failed: RwSignal<bool>,
    live: Live,
    ask: StoredValue<Ask>,
    refresh: StoredValue<u32>,
    /// The pending timer, and the owner of the pending question: dropping that takes the question back.
    timer: StoredValue<Option<TimeoutHandle>>,
    question: StoredValue<Option<Owner>>,
    misses: StoredValue<u32>,
}

impl Pulse {
    /// `refresh` is none where nothing was rendered yet.
    fn start(ask: Ask, refresh: Option<u32>) -> Self {
        let pulse = Self {
            waiting: RwSignal::new(false),
            failed: RwSignal::new(false),
            live: expect_context(),
            ask: StoredValue::new(ask),
            refresh: StoredValue::new(refresh.unwrap_or_default()),
            timer: StoredValue::new(None),
            question: StoredValue::new(None),
            misses: StoredValue::new(0),
        };
        // Effects, and what they start, run in the browser only.
        Effect::new(move |before: Option<()>| pulse.asked_for(before.is_none() && refresh.is_some()));
        Effect::new(move |_| pulse.watch_visibility());
        on_cleanup(move || pulse.stop());
        pulse
    }

    /// Runs whenever something else is asked for. What was `rendered` is there already.
    fn asked_for(self, rendered: bool) {
        // Made in any case: making it reads the signals that bring this back. Only awaiting it asks the server.
        let ask = self.ask.get_value();
        match ask() {
            Some(_) if rendered => self.pause(self.refresh.get_value()),
            Some(question) => {
                self.waiting.set(true);
                self.send(question);
            }
            None => self.stop(),
        }
    }

    /// Nobody looks at a hidden page; one that is seen again is asked for at once.
    fn watch_visibility(self) {
        let shown = window_event_listener_untyped("visibilitychange", move |_| self.ask_again());
        let online = window_event_listener_untyped("online", move |_| self.ask_again());
        on_cleanup(move || {
            shown.remove();
            online.remove();
        });
    }

    fn ask_again(self) {
        if !document().hidden()
            && let Some(ask) = self.ask.try_get_value()
            && let Some(question) = untrack(|| ask())
        {
            self.send(question);
        }
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
        self.question.set_value(Some(owner));
        self.set_timer(DEADLINE, move || self.answered(None));
    }

    fn answered(self, frame: Option<Frame>) {
        let Some(frame) = frame else { return self.missed() };
        self.misses.set_value(0);
        self.refresh.set_value(frame.refresh);
        self.waiting.set(false);
        self.failed.set(false);
        self.live.heard(frame);
        self.pause(self.refresh.get_value());
    }

    fn missed(self) {
        let misses = self.misses.get_value().saturating_add(1);
        self.misses.set_value(misses);
        self.failed.set(true);
        self.live.lost();
        self.pause(back_off(misses, (js_sys::Math::random() * 1024.0) as u32));
    }

    fn pause(self, millis: u32) {
        self.stop();
        let millis = if self.failed.get_untracked() { millis } else { millis.max(SHORTEST_REFRESH) };
        self.set_timer(millis, move || self.ask_again());
    }

    fn set_timer(self, millis: u32, then: impl FnOnce() + 'static) {
        self.timer.set_value(set_timeout_with_handle(then, Duration::from_millis(millis.into())).ok());
    }

    /// Takes back what is pending.
    fn stop(self) {
        if let Some(Some(timer)) = self.timer.try_update_value(Option::take) {
            timer.clear();
        }
        if let Some(Some(question)) = self.question.try_update_value(Option::take) {
            question.cleanup();
        }
    }
}

/// 0.5 s, doubled with each miss up to the longest pause, and between half and all of that, so that the pages of many
/// people do not come back in one wave. `dice` is 0 to 1023.
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

    #[test]
    fn an_answer_from_memory_is_there_at_once() {
        assert_eq!(at_once(async { Ok(7) }), Some(7));
        assert_eq!(at_once(async { Err::<u8, _>(Failure::NoAnswer) }), None);
    }
}
