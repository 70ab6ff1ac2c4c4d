//! A page's data: rendered with the page, then asked for again and again while somebody looks at it.

use core::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

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

/// A view that a server function gives.
pub trait View: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// What is asked for.
    type Key: Clone + PartialEq + Send + Sync + 'static;
    /// Whether the old view may stand while another is fetched.
    const KEPT: bool;

    fn ask(key: &Self::Key) -> impl Future<Output = Result<Self, Failure>> + Send + 'static;
    fn frame(&self) -> &Frame;
}

impl View for HomeView {
    type Key = Query;
    const KEPT: bool = true;

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
    const KEPT: bool = false;

    fn ask((namespace, name): &Self::Key) -> impl Future<Output = Result<Self, Failure>> + Send + 'static {
        server_fns::vm(namespace.clone(), name.clone())
    }

    fn frame(&self) -> &Frame {
        &self.frame
    }
}

impl View for SourcesView {
    type Key = ();
    const KEPT: bool = true;

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
    /// What is being asked for, and none that was asked for earlier is it.
    pub waiting: RwSignal<bool>,
    pub failed: RwSignal<bool>,
    live: Live,
    key: Signal<Option<T::Key>>,
    /// The pending timer, and the owner of the pending question: dropping that takes the question back.
    timer: StoredValue<Option<TimeoutHandle>>,
    question: StoredValue<Option<Owner>>,
    misses: StoredValue<u32>,
}

impl<T: View> Clone for Feed<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: View> Copy for Feed<T> {}

impl<T: View> Feed<T> {
    /// Follows `key`; with none there is nothing to ask.
    pub fn follow(key: Signal<Option<T::Key>>) -> Self {
        let view = key.get_untracked().and_then(|key| first::<T>(&key));
        let feed = Self {
            view: RwSignal::new(view),
            waiting: RwSignal::new(false),
            failed: RwSignal::new(false),
            live: expect_context(),
            key,
            timer: StoredValue::new(None),
            question: StoredValue::new(None),
            misses: StoredValue::new(0),
        };
        // Effects and what they start run in the browser only.
        Effect::new(move |before: Option<()>| feed.key_changed(before.is_none()));
        Effect::new(move |_| feed.watch_visibility());
        on_cleanup(move || feed.stop());
        feed
    }

    /// A part of the view, which wakes its readers only when that part changed.
    pub fn part<U>(self, part: impl Fn(&T) -> U + Send + Sync + 'static) -> Memo<Option<U>>
    where
        U: PartialEq + Send + Sync + 'static,
    {
        Memo::new(move |_| self.view.with(|view| view.as_ref().map(&part)))
    }

    fn key_changed(self, first: bool) {
        let Some(key) = self.key.get() else { return self.stop() };
        let rendered = first && self.view.with_untracked(Option::is_some);
        if rendered {
            return self.pause(self.refresh());
        }
        if !T::KEPT {
            self.view.set(None);
        }
        self.waiting.set(true);
        self.ask(key);
    }

    /// Nobody looks at a hidden page; one that is seen again is asked for at once.
    fn watch_visibility(self) {
        let look = move || {
            if !document().hidden() {
                self.ask_again();
            }
        };
        let shown = window_event_listener_untyped("visibilitychange", move |_| look());
        let online = window_event_listener_untyped("online", move |_| look());
        on_cleanup(move || {
            shown.remove();
            online.remove();
        });
    }

    fn ask_again(self) {
        if let Some(Some(key)) = self.key.try_get_untracked()
            && !document().hidden()
        {
            self.ask(key);
        }
    }

    fn ask(self, key: T::Key) {
        self.stop();
        let owner = Owner::new();
        owner.with(|| {
            spawn_local_scoped_with_cancellation(async move {
                let answer = T::ask(&key).await;
                self.answered(answer);
            });
        });
        self.question.set_value(Some(owner));
        self.set_timer(DEADLINE, move || self.answered(Err(Failure::NoAnswer)));
    }

    fn answered(self, answer: Result<T, Failure>) {
        match answer {
            Ok(view) => {
                self.misses.set_value(0);
                self.live.heard(view.frame().clone());
                self.view.set(Some(view));
                self.waiting.set(false);
                self.failed.set(false);
                self.pause(self.refresh());
            }
            Err(_) => {
                let misses = self.misses.get_value().saturating_add(1);
                self.misses.set_value(misses);
                self.live.lost();
                self.failed.set(true);
                self.pause(back_off(misses, (js_sys::Math::random() * 1024.0) as u32));
            }
        }
    }

    fn refresh(self) -> u32 {
        self.view.with_untracked(|view| {
            view.as_ref().map_or(LONGEST_PAUSE, |view| view.frame().refresh.max(1_000))
        })
    }

    fn pause(self, millis: u32) {
        self.stop();
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
