//! A channel is one distinct view: it is cut and written once, for all clients that follow it. `hub` owns
//! the channels, [`Subscription`] ties a follower to one.

mod state;

use std::{sync::Arc, time::Duration};

use axum::body::Bytes;
use parking_lot::{Mutex, MutexGuard};
use tokio::{sync::watch, time::Instant};

use super::{
    ask::{EventQuery, Format, Id, View},
    cut::Cut,
    event::{Event, EventWriter},
    room::Room,
};
use crate::server::http::{
    error::ApiError,
    peer::{Client, Peer},
    reader::Reader,
    semaphore::PermitError,
};
use state::{RING_BYTES, State};
use wukong_core::{Scope, delta::Outcome};

/// Seconds after which a client that was refused should try again.
pub const RETRY_AFTER: u32 = 30;

/// Why followers are woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    News,
    /// There has been no news for a while.
    Alive,
    /// All streams end.
    Over,
    /// The streams of this view end, since there is no room for it.
    NoRoom,
}

/// One distinct view, and what its followers need of it.
pub struct Channel {
    view: View,
    scope: Scope,
    writer: EventWriter,
    inner: Mutex<State>,
    signal: watch::Sender<Signal>,
}

/// One follower's hold on a channel. A channel is kept and updated while it has a subscription.
pub struct Subscription {
    channel: Arc<Channel>,
    client: Option<Client>,
    signals: watch::Receiver<Signal>,
}

impl Subscription {
    /// Subscribes a follower from this client.
    pub fn new(channel: Arc<Channel>, client: Option<Client>) -> Self {
        let mut inner = channel.lock();
        *inner.followers.entry(client).or_default() += 1;
        inner.idle = None;
        drop(inner);
        Self { signals: channel.signal.subscribe(), channel, client }
    }

    pub fn channel(&self) -> &Arc<Channel> {
        &self.channel
    }

    /// Waits for the next signal; `None` if the channel is gone.
    pub async fn next_signal(&mut self) -> Option<Signal> {
        self.signals.changed().await.ok()?;
        Some(*self.signals.borrow_and_update())
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut inner = self.channel.lock();
        let Some(count) = inner.followers.get_mut(&self.client) else { return };
        *count -= 1;
        if *count == 0 {
            inner.followers.remove(&self.client);
        }
        if inner.followers.is_empty() {
            inner.become_idle(Instant::now());
        }
    }
}

impl Channel {
    pub fn new(query: &EventQuery, scope: Scope, room: Room) -> Self {
        let room = Some(room);
        Self {
            view: query.view.clone(),
            scope,
            writer: EventWriter { format: query.format, channel: rand::random() },
            // The silence before the first sign of life begins now: there is nothing to send before the view
            // is cut.
            inner: Mutex::new(State { last_sent: Some(Instant::now()), room, ..State::default() }),
            signal: watch::Sender::new(Signal::News),
        }
    }

    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Returns the number of an event by its id; `None` if the id is of another channel.
    pub fn number_of(&self, id: Id) -> Option<u64> {
        (id.channel == self.writer.channel).then_some(id.number)
    }

    /// Returns the snapshot of the view if the view is followed and older than `seq`; 0 if it was never cut.
    pub fn is_behind(&self, seq: u64) -> Option<u64> {
        let inner = self.lock();
        inner.waits_for(seq).then_some(inner.seen)
    }

    /// Returns the clients of its followers.
    pub fn followers(&self) -> Vec<Option<Client>> {
        self.lock().followers.keys().copied().collect()
    }

    /// Returns the bytes that the channel counts for.
    pub fn bytes(&self) -> usize {
        self.lock().room.as_ref().map_or(0, Room::bytes)
    }

    /// Returns since when the channel has no followers; `None` while it has some.
    pub fn idle_since(&self) -> Option<Instant> {
        self.lock().idle
    }

    /// Returns whether the caller must cut the view for the clients that wait for this snapshot: the view is
    /// older, and no other task is cutting it.
    pub fn begin_cut(&self, seq: u64) -> bool {
        let mut inner = self.lock();
        !inner.has(seq) && !std::mem::replace(&mut inner.cutting, true)
    }

    /// Returns whether the cutting task is done: the view is of this snapshot, or no client waits for it. A
    /// client that comes later starts a new task.
    pub fn end_cut(&self, seq: u64) -> bool {
        let mut inner = self.lock();
        inner.cutting = inner.waits_for(seq);
        !inner.cutting
    }

    /// Ends the cutting without a view. Followers wait for the next round.
    pub fn give_up_cut(&self) {
        self.lock().cutting = false;
    }

    /// Wakes every follower. Those that wait for their first view get it, the others find nothing new.
    pub fn wake(&self) {
        self.send(Signal::News);
    }

    /// Sends a signal, unless the last one ended the stream: a later signal would replace the end before a
    /// follower has seen it.
    fn send(&self, signal: Signal) {
        self.signal.send_if_modified(|last| {
            let goes_on = !matches!(last, Signal::Over | Signal::NoRoom);
            if goes_on {
                *last = signal;
            }
            goes_on
        });
    }

    /// Cuts the view from the newest snapshot, and wakes the followers if it changed. Fails if the view has
    /// outgrown its room.
    pub fn advance(&self, reader: &Reader) -> Result<(), PermitError> {
        let before = {
            let inner = self.lock();
            if inner.has(reader.seq()) || inner.room.is_none() {
                return Ok(());
            }
            inner.cut.clone()
        };
        // The lock is not held, so that followers can read the last event meanwhile.
        let visible = reader.visible(&self.scope);
        let cut = Arc::new(Cut::of(&self.view, self.writer.format, reader, &visible));
        let outcome = match &before {
            Some(before) => before.change(&cut, self.writer.format),
            None => Outcome::Other,
        };
        let bytes = cut.bytes();
        let mut inner = self.lock();
        let has_news = inner.store_cut(self.writer, before.as_ref(), (cut, bytes), visible.seq(), outcome);
        let room = inner.count_bytes();
        drop(inner);
        if has_news {
            self.send(Signal::News);
        }
        room
    }

    /// Counts for the bytes that it holds. Fails if there is no room for them.
    pub fn count_bytes(&self) -> Result<(), PermitError> {
        self.lock().count_bytes()
    }

    /// Counts its bytes for another peer from now on. Fails, and changes nothing, if its share has no room.
    pub fn move_to(&self, peer: Option<Peer>) -> Result<(), PermitError> {
        self.lock().room.as_mut().map_or(Ok(()), |room| room.move_to(peer))
    }

    /// Sends a sign of life if followers were sent nothing for `silence`.
    pub fn reassure(&self, now: Instant, silence: Duration) {
        let mut inner = self.lock();
        if inner.last_sent.is_none_or(|last_sent| now - last_sent >= silence) {
            inner.last_sent = Some(now);
            self.send(Signal::Alive);
        }
    }

    /// Ends the streams of all followers, when the program stops.
    pub fn end(&self) {
        self.send(Signal::Over);
    }

    /// Drops the written whole view, and the changes if they are more than a few small ones, to make room
    /// for other channels. Both can be written again.
    pub fn trim(&self) {
        let mut inner = self.lock();
        inner.kept_state = None;
        if inner.ring.iter().map(|entry| entry.event.len()).sum::<usize>() > RING_BYTES {
            inner.ring.clear();
        }
        // Cannot fail, since it takes less than before.
        let _ = inner.count_bytes();
    }

    /// Ends the channel for lack of room, and drops everything at once, since a follower that does not read
    /// notices late.
    pub fn close(&self) {
        let mut inner = self.lock();
        let inner = &mut *inner;
        (inner.cut, inner.cut_bytes, inner.room, inner.cutting) = (None, 0, None, false);
        inner.forget_events();
        self.send(Signal::NoRoom);
    }

    /// Returns the last event for followers of a closed channel. The browser's `EventSource` tells a page
    /// only that the stream ended; the page then polls, as it does if it is refused.
    pub fn farewell(&self) -> Option<Bytes> {
        match self.writer.format {
            Format::Json => Some(ApiError::NoRoom(RETRY_AFTER).last_event().into()),
            Format::Postcard(_) => None,
        }
    }

    /// Returns the event after this number, and its own: the next change if it is still kept, else the whole
    /// view. `None` if `last` is the newest, or if the view is older than the snapshot `due`.
    pub fn next(&self, last: Option<u64>, due: u64) -> Option<(u64, Arc<Event>)> {
        let mut inner = self.lock();
        if !inner.has(due) || last == Some(inner.number) {
            return None;
        }
        if let Some(entry) = inner.ring.iter().find(|entry| Some(entry.after) == last) {
            return Some((entry.number, entry.event.clone()));
        }
        let state = inner.state(self.writer)?;
        Some((inner.number, state))
    }

    /// Returns a sign of life, which keeps proxies and clients from giving up. API clients get a comment.
    /// `EventSource` does not report comments to pages, so pages get an empty message.
    pub fn sign_of_life(&self) -> Bytes {
        Bytes::from_static(match self.writer.format {
            Format::Json => b":\n\n",
            Format::Postcard(_) => b"data: -\n\n",
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::room, *};

    #[tokio::test]
    async fn a_follower_sees_the_end_even_if_news_follow() {
        let query = EventQuery { view: View::Sources, format: Format::Json, last: None };
        let room = Room::new(&room::pool(1 << 20), None, 1).unwrap();
        let channel = Arc::new(Channel::new(&query, Scope::all(), room));
        let mut subscription = Subscription::new(channel.clone(), None);
        channel.end();
        channel.wake();
        assert_eq!(subscription.next_signal().await, Some(Signal::Over));
    }
}
