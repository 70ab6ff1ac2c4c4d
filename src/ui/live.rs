//! Whether the page is current: what the server last said, how long ago, and whether the server can be
//! reached.

use core::time::Duration;

use leptos::prelude::*;

use model::{Millis, view::Frame};

/// The connection between the page and the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// A rendered page that nothing updates: no script runs in it (yet).
    Page,
    Live,
    /// The last request got no answer.
    Lost,
    /// The session has ended: nothing is requested any more.
    Ended,
}

/// What the top bar shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    Snapshot,
    Starting,
    Live,
    Stale,
    Reconnecting,
    Ended,
}

/// The state of the connection, one for the whole app, provided as context.
#[derive(Clone, Copy)]
pub struct Live {
    /// The last frame from the server; `None` before the first.
    pub frame: RwSignal<Option<Frame>>,
    pub link: RwSignal<Link>,
    /// The server's clock, as far as the browser can tell; ages are relative to it. On the server, and until
    /// the browser half runs, it is the time at which the page was cut, so that both render the same text.
    pub now: RwSignal<Millis>,
    /// The server's clock minus the browser's, in milliseconds.
    offset: StoredValue<Millis>,
}

impl Live {
    /// Starts with the frame of the first view, if there is one.
    pub fn provide(frame: Option<Frame>) {
        let now = frame.as_ref().map_or(0, |frame| frame.now);
        let live = Self {
            frame: RwSignal::new(frame),
            link: RwSignal::new(Link::Page),
            now: RwSignal::new(now),
            offset: StoredValue::new(0),
        };
        provide_context(live);
        // Effects run in the browser only.
        Effect::new(move |_| live.start());
    }

    /// Takes the frame of an answer from the server.
    pub fn set_frame(self, frame: Frame) {
        self.offset.set_value(frame.now - browser_clock());
        self.now.set(frame.now);
        if self.frame.with_untracked(|old| old.as_ref() != Some(&frame)) {
            self.frame.set(Some(frame));
        }
        self.set_link(Link::Live);
    }

    /// Notes that the server does not answer.
    pub fn set_lost(self) {
        self.set_link(Link::Lost);
    }

    /// Stops all requests of the page, and makes its content inert: the session has ended.
    pub fn end(self) {
        self.set_link(Link::Ended);
        if let Some(main) = document().get_element_by_id("main") {
            let _ = main.set_attribute("inert", "");
        }
    }

    pub fn has_ended(self) -> bool {
        self.link.get_untracked() == Link::Ended
    }

    pub fn freshness(self) -> Freshness {
        let frame = self.frame.read();
        let (last_seen, stale_after) = frame.as_ref().map_or((None, 0), |f| (f.last_seen, f.stale_after));
        freshness(self.link.get(), last_seen, stale_after, self.now.get())
    }

    /// Time since the cluster was last heard from, in milliseconds.
    pub fn age(self) -> Option<Millis> {
        let last_seen = self.frame.with(|frame| frame.as_ref().and_then(|frame| frame.last_seen));
        last_seen.map(|last_seen| self.now.get() - last_seen)
    }

    fn start(self) {
        if let Some(now) = self.frame.with_untracked(|frame| frame.as_ref().map(|frame| frame.now)) {
            self.offset.set_value(now - browser_clock());
        }
        self.set_link(Link::Live);
        set_interval(move || self.now.set(browser_clock() + self.offset.get_value()), Duration::from_secs(1));
    }

    fn set_link(self, link: Link) {
        // Nothing leads out of the end but a new document.
        let before = self.link.get_untracked();
        if before != link && before != Link::Ended {
            self.link.set(link);
        }
    }
}

fn freshness(link: Link, last_seen: Option<Millis>, stale_after: u32, now: Millis) -> Freshness {
    match (link, last_seen) {
        (Link::Page, _) => Freshness::Snapshot,
        (Link::Lost, _) => Freshness::Reconnecting,
        (Link::Ended, _) => Freshness::Ended,
        (Link::Live, None) => Freshness::Starting,
        (Link::Live, Some(last_seen)) if now - last_seen > Millis::from(stale_after) => Freshness::Stale,
        (Link::Live, Some(_)) => Freshness::Live,
    }
}

fn browser_clock() -> Millis {
    js_sys::Date::now() as Millis
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_live_while_cluster_and_server_answer() {
        let at = |link, last_seen, now| freshness(link, last_seen, 45_000, now);
        assert_eq!(at(Link::Live, Some(0), 45_000), Freshness::Live);
        assert_eq!(at(Link::Live, Some(0), 45_001), Freshness::Stale);
        assert_eq!(at(Link::Live, None, 0), Freshness::Starting);
        assert_eq!(at(Link::Lost, Some(0), 1), Freshness::Reconnecting);
        assert_eq!(at(Link::Ended, Some(0), 1), Freshness::Ended);
        assert_eq!(at(Link::Page, Some(0), 1), Freshness::Snapshot, "without scripts a page is a snapshot");
    }
}
