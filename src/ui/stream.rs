//! Reads server-sent events with the browser's `EventSource`, which is closed on drop. It never reconnects by
//! itself: `feed` decides what to do about a broken stream, and decodes the events with codee.
//!
//! Existing readers do not fit: leptos-use's `use_event_source` adds 7.3 kB to the first download, which is
//! limited to 200 kB (and leaks three closures with each opening); gloo-net's reports nothing while the
//! browser reconnects automatically, without jitter, so a lost server would not be noticed.

use leptos::server_fn::client::get_server_url;
use leptos::wasm_bindgen::{JsCast, closure::Closure};
use leptos::web_sys::{Event, EventSource, MessageEvent};
use send_wrapper::SendWrapper;

type Handler = Closure<dyn FnMut(Event)>;

/// The event source and its handler. The browser has one thread; the server, which has many, never creates
/// one.
pub struct Stream(SendWrapper<(EventSource, Handler)>);

impl Stream {
    /// Opens a stream. `query` names the view, `last` the last event that was received. `on_event` gets the
    /// id and data of each message, and `None` once the stream has ended. Returns `None` if the browser
    /// refuses the address.
    pub fn open(
        query: &str,
        last: &str,
        on_event: impl Fn(Option<(String, String)>) + 'static,
    ) -> Option<Self> {
        let join = if query.is_empty() { "?" } else { "&" };
        let address = [get_server_url(), "/api/events", query, join, "format=postcard&last=", last].concat();
        let source = EventSource::new(&address).ok()?;
        let listener = Closure::<dyn FnMut(Event)>::new(move |event: Event| {
            // An error event carries no data.
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
