//! A page's data: rendered with the page, then kept up to date while somebody looks at it. Updates come from
//! the stream of changes if it works, and otherwise by polling the server function.

mod connection;
mod views;

use std::sync::Arc;

use futures::FutureExt;
use leptos::{prelude::*, server::SharedValue};

use crate::{server_fns::Failure, ui::live::Live};
use connection::{Actions, FeedConnection, Request};
use views::Embedded;
pub use views::View;

/// Returns the view as first rendered. The server cuts it, the browser reads it from the page during
/// hydration; later there is none in the browser, and it must be fetched. (A `Resource` would need `Suspense`,
/// and so the asynchronous hydration that [`ready`](super::ready) avoids.)
pub fn first<T: View>(key: &T::Key) -> Option<T> {
    // The server reads the answer from memory: it never has to wait for it.
    let cut = || if cfg!(feature = "ssr") { T::fetch(key).now_or_never()?.ok() } else { None };
    SharedValue::<Option<T>, Embedded>::new_with_encoding(cut).into_inner()
}

/// A view that is kept up to date. It holds the last good answer; a failure never removes it.
pub struct Feed<T: View> {
    pub view: RwSignal<Option<T>>,
    pub connection: FeedConnection,
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
        let live = expect_context::<Live>();
        let request = move || {
            let key = key()?;
            let answer = T::fetch(&key);
            let fetch = async move {
                let answer = answer.await.inspect_err(|failure| take_failure(failure, live)).ok()?;
                let frame = answer.frame().clone();
                view.set(Some(answer));
                Some(frame)
            };
            Some(Request { fetch: Box::pin(fetch), stream: T::stream_query(&key) })
        };
        let apply_event = move |event: &str| {
            let mut current = view.try_write()?;
            T::apply_event(&mut current, event)?;
            current.as_ref().map(|view| view.frame().clone())
        };
        let actions = Actions { request: Arc::new(request), apply_event: Arc::new(apply_event) };
        Self { view, connection: FeedConnection::start(actions, refresh) }
    }

    /// Draws the view, if there is one, and again at every change.
    pub fn draw<U>(self, draw: impl FnOnce(&T) -> U) -> Option<U> {
        self.view.with(|view| view.as_ref().map(draw))
    }

    /// Returns a part of the view, which notifies only when it differs, for pages that are too large to be
    /// redrawn with every change.
    pub fn part<P>(self, part: impl Fn(&T) -> P + Send + Sync + 'static) -> Memo<Option<P>>
    where
        P: Clone + PartialEq + Send + Sync + 'static,
    {
        Memo::new(move |_| self.draw(&part))
    }

    /// Draws the view, if there is one, and again when a part of it differs.
    pub fn draw_part<P, U>(self, part: Memo<Option<P>>, draw: impl FnOnce(&T) -> U) -> Option<U>
    where
        P: Send + Sync + 'static,
    {
        // Read, since a memo that is only tracked is never computed, and then never notifies.
        drop(part.read());
        self.view.with_untracked(|view| view.as_ref().map(draw))
    }
}

/// Acts on an answer that is not a view. (A stream that ends is followed by a request, so the end of a session is
/// noticed here, too.)
fn take_failure(failure: &Failure, live: Live) {
    if *failure == Failure::SessionEnded {
        live.end();
    }
    failure.reload_if_other_build();
}
