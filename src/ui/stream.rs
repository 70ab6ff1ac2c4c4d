//! The browser's own reader of server-sent events, for as long as it is held. It reconnects to nothing by itself: what
//! becomes of a broken stream is decided in `feed`, which reads the events with codee.
//!
//! The kept readers do not fit: leptos-use's `use_event_source` adds 7.3 kB to a first download that may have 160 (and
//! each opening leaves three closures behind); gloo-net's says nothing while the browser reconnects by itself, without
//! jitter, so that a lost server would not show.

use leptos::server_fn::client::get_server_url;
use leptos::wasm_bindgen::{JsCast, closure::Closure};
use leptos::web_sys::{Event, EventSource, MessageEvent};
use send_wrapper::SendWrapper;

type Handler = Closure<dyn FnMut(Event)>;

/// The source, and what it calls. The browser has one thread; the server, which has many, never holds one.
pub struct Stream(SendWrapper<(EventSource, Handler)>);

impl Stream {
    /// `query` says which view. `heard` is told each message's id and data, and nothing once the stream has ended.
    pub fn open(
        query: &str,
        last: &str,
        on_event: impl Fn(Option<(String, String)>) + 'static,
    ) -> Option<Self> {
        let join = if query.is_empty() { "?" } else { "&" };
        let address = [get_server_url(), "/api/events", query, join, "format=postcard&last=", last].concat();
        let source = EventSource::new(&address).ok()?;
        let listener = Closure::<dyn FnMut(Event)>::new(move |event: Event| {
            // An error carries no data.
            let event = event.unchecked_into::<MessageEvent>();
            on_event(event.data().as_string().map(|data| (event.last_event_id(), data)));
        });
        source.set_onmessage(Some(listener.as_ref().unchecked_ref()));
        source.set_onerror(Some(listener.as_ref().unchecked_ref()));
        Some(Self(SendWrapper::new((source, listener))))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let (source, _) = &*self.0;
        source.set_onmessage(None);
        source.set_onerror(None);
        source.close();
    }
}
