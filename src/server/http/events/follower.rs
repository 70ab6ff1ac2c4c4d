//! One client of a channel: what it was last sent, and what it gets next. `hub` makes followers, and their
//! stream is the body of the answer.

use std::{io, net::IpAddr, sync::Arc};

use axum::body::Bytes;
use futures::{Stream, stream};

use super::{
    channel::{Signal, Subscription},
    event::{EventBuffer, EventGone, Pieces},
};
use crate::server::http::limits::PeerPermit;

/// One client. It holds a client permit as long as it exists. It holds no event: the channel and the buffer
/// do.
pub struct Follower {
    subscription: Subscription,
    buffer: Arc<EventBuffer>,
    network: Option<IpAddr>,
    last: Option<u64>,
    /// The snapshot that was the newest when the client came. It gets no older one.
    due: u64,
    greeted: bool,
    /// The rest of the event that it is reading.
    rest: Option<Pieces>,
    /// Whether it was sent why the stream ends.
    dismissed: bool,
    _place: PeerPermit,
}

/// Reconnection time for clients that reconnect by themselves. It is sent at once, so that they know that
/// the request arrived.
const GREETING: Bytes = Bytes::from_static(b"retry: 3000\n\n");

impl Follower {
    pub fn new(
        subscription: Subscription,
        (buffer, network): (Arc<EventBuffer>, Option<IpAddr>),
        last: Option<u64>,
        due: u64,
        place: PeerPermit,
    ) -> Self {
        Self {
            subscription,
            buffer,
            network,
            last,
            due,
            greeted: false,
            rest: None,
            dismissed: false,
            _place: place,
        }
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
            let piece = rest.next().map_err(|EventGone| io::Error::other("too slow for this event"))?;
            return Ok(Some(self.remember(piece)));
        }
        if self.dismissed {
            return Ok(None);
        }
        loop {
            if let Some(event) = self.event() {
                return Ok(Some(event));
            }
            match self.subscription.next_signal().await {
                // Sent before this client followed, or while it read the previous event.
                Some(Signal::News) => {}
                Some(Signal::Alive) => return Ok(Some(self.event_or_sign_of_life())),
                Some(Signal::NoRoom) => {
                    self.dismissed = true;
                    return Ok(self.subscription.channel().farewell());
                }
                Some(Signal::Over) | None => return Ok(None),
            }
        }
    }

    /// Returns the first piece of the next event.
    fn event(&mut self) -> Option<Bytes> {
        let (seq, event) = self.subscription.channel().next(self.last, self.due)?;
        self.last = Some(seq);
        let begun = self.buffer.begin(&event, self.network);
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
