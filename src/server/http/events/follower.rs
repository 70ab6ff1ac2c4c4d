//! One client of a channel: what it was last sent, and what it gets next. The stream of a follower is
//! the body of the answer.
//!
//! Before every write a follower looks at what its viewer may see. If that has changed, nothing of the channel's
//! view is written any more: the follower moves to the channel of the new scope, and begins with its whole view.

use std::{io, sync::Arc, time::Duration};

use axum::body::Bytes;
use futures::{Stream, stream};
use tokio::time::{Instant, sleep_until};

use super::{
    ask::{EventQuery, Format},
    channel::{RETRY_AFTER, Signal, Subscription},
    event::{EventBuffer, EventGone, Pieces},
    hub::Hub,
};
use crate::server::http::{
    connection_slots::ConnectionSlot,
    error::{ApiError, ApiResult},
    peer::Peer,
    sign_in::{NoViewer, Viewer},
};

/// Time between two looks at whether the session still stands.
const RENEW_EVERY: Duration = Duration::from_secs(5);

/// One client. It has the slot of a client as long as it exists. It holds no event: the channel and the buffer do.
pub struct Follower {
    hub: Arc<Hub>,
    query: EventQuery,
    viewer: Viewer,
    peer: Option<Peer>,
    subscription: Subscription,
    buffer: Arc<EventBuffer>,
    last: Option<u64>,
    /// The snapshot that was the newest when the client came. It gets no older one.
    due: u64,
    renew_at: Instant,
    greeted: bool,
    /// The rest of the event that it is reading.
    rest: Option<Pieces>,
    /// Whether it was sent why the stream ends.
    dismissed: bool,
    slot: ConnectionSlot,
}

/// Reconnection time for clients that reconnect automatically. It is sent at once, so that they know that
/// the request arrived.
const GREETING: Bytes = Bytes::from_static(b"retry: 3000\n\n");
/// The last event of a stream whose session has ended.
const EXPIRED: Bytes = Bytes::from_static(b"event: end\ndata: {\"reason\":\"expired\"}\n\n");

impl Follower {
    /// Follows a view from the event after the one that the client received last. Fails if there is no permit or no
    /// room, or if the server is stopping.
    pub fn new(hub: Arc<Hub>, query: EventQuery, viewer: Viewer, peer: Option<Peer>) -> ApiResult<Self> {
        let slot = hub.admit(peer)?;
        let (subscription, due) = hub.join(&query, viewer.scope_now(), peer)?;
        let buffer = hub.buffer().clone();
        let last = query.last.and_then(|id| subscription.channel().number_of(id));
        Ok(Self {
            hub,
            query,
            viewer,
            peer,
            subscription,
            buffer,
            last,
            due,
            renew_at: Instant::now() + RENEW_EVERY,
            greeted: false,
            rest: None,
            dismissed: false,
            slot,
        })
    }

    /// Returns the stream of events. It fails if it ends in the middle of an event, so that the event does
    /// not look complete.
    pub fn events(self) -> impl Stream<Item = io::Result<Bytes>> + Send {
        stream::try_unfold(self, async |mut follower| {
            Ok(follower.next().await?.map(|piece| (piece, follower)))
        })
    }

    /// Returns the next piece. It is polled only when the client has read the previous piece, so a client
    /// that does not read skips what it missed. Fails for a client that is too slow for the event that it is
    /// reading, which is useless without its end.
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        if !std::mem::replace(&mut self.greeted, true) {
            return Ok(Some(GREETING));
        }
        if let Some(rest) = self.rest.take() {
            if self.has_another_scope() {
                return Err(io::Error::other("what the viewer may see has changed"));
            }
            let piece = rest.next().map_err(|EventGone| io::Error::other("too slow for this event"))?;
            return Ok(Some(self.remember(piece)));
        }
        if self.dismissed {
            return Ok(None);
        }
        loop {
            if self.slot.revoked.is_cancelled() {
                return Ok(self.displaced());
            }
            match self.renew().await {
                Ok(()) => {}
                Err(StreamEnd::Session) => return Ok(self.dismiss(EXPIRED)),
                // The browser follows again, and its proxy proves again who asks.
                Err(StreamEnd::Lapsed) => return Ok(None),
                Err(StreamEnd::Problem(problem)) => return Ok(self.dismiss(problem.last_event().into())),
            }
            if let Some(event) = self.event() {
                return Ok(Some(event));
            }
            let signal = tokio::select! {
                () = self.slot.revoked.cancelled() => continue,
                signal = self.subscription.next_signal() => signal,
                () = self.viewer.changed() => continue,
                () = sleep_until(self.renew_at), if self.viewer.user().is_some() => continue,
            };
            match signal {
                // Sent before this client followed, or while it read the previous event.
                Some(Signal::News) => {}
                Some(Signal::Alive) if !self.has_another_scope() => {
                    return Ok(Some(self.event_or_sign_of_life()));
                }
                Some(Signal::Alive) => {}
                Some(Signal::NoRoom) => {
                    self.dismissed = true;
                    return Ok(self.subscription.channel().farewell());
                }
                Some(Signal::Over) | None => return Ok(None),
            }
        }
    }

    /// Returns whether the viewer may see something else than the channel shows.
    fn has_another_scope(&self) -> bool {
        self.viewer.user().is_some() && self.viewer.scope_now() != *self.subscription.channel().scope()
    }

    /// Looks whether the session still stands, from time to time, and moves to the channel of another scope if the
    /// viewer's has changed.
    async fn renew(&mut self) -> Result<(), StreamEnd> {
        if self.viewer.user().is_some() && self.renew_at <= Instant::now() {
            self.viewer = match self.viewer.renewed().await {
                Ok(viewer) => viewer,
                Err(NoViewer::SignedOut | NoViewer::Ended) => return Err(StreamEnd::Session),
                Err(NoViewer::Lapsed) => return Err(StreamEnd::Lapsed),
                Err(no_viewer) => return Err(StreamEnd::Problem(no_viewer.into())),
            };
            self.renew_at = Instant::now() + RENEW_EVERY;
        }
        if self.has_another_scope() {
            let scope = self.viewer.scope_now();
            let joined = self.hub.join(&self.query, scope, self.peer);
            (self.subscription, self.due) = joined.map_err(StreamEnd::Problem)?;
            self.last = None;
        }
        Ok(())
    }

    /// Ends the stream, whose slot is now that of another peer. API clients are told why. A page sees only the end, as
    /// when its view has no room, and is refused with the same reason when it comes back too soon.
    fn displaced(&mut self) -> Option<Bytes> {
        self.dismissed = true;
        let problem = || ApiError::Crowded(RETRY_AFTER).last_event().into();
        (self.query.format == Format::Json).then(problem)
    }

    fn dismiss(&mut self, farewell: Bytes) -> Option<Bytes> {
        self.dismissed = true;
        Some(farewell)
    }

    /// Returns the first piece of the next event.
    fn event(&mut self) -> Option<Bytes> {
        let (number, event) = self.subscription.channel().next(self.last, self.due)?;
        self.last = Some(number);
        let begun = self.buffer.begin(&event, self.peer.map(Peer::client));
        Some(self.remember(begun))
    }

    fn remember(&mut self, (piece, rest): (Bytes, Option<Pieces>)) -> Bytes {
        self.rest = rest;
        piece
    }

    fn event_or_sign_of_life(&mut self) -> Bytes {
        self.event().unwrap_or_else(|| self.subscription.channel().sign_of_life())
    }
}

/// Why a stream ends that nothing else ends.
enum StreamEnd {
    Session,
    Lapsed,
    Problem(ApiError),
}
