//! A channel is one distinct view: it is cut and written once, for all clients that follow it. `hub` owns
//! the channels, [`Subscription`] ties a follower to one.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{Arc, Weak},
    time::Duration,
};

use axum::body::Bytes;
use parking_lot::{Mutex, MutexGuard};
use tokio::{sync::watch, time::Instant};

use super::{
    ask::{Asked, Format, Id, View},
    cut::Cut,
    event::Event,
    room::Room,
};
use crate::server::http::{error::ApiError, limits::PermitError, reader::Reader};
use wukong_core::{Scope, Snapshot, delta::Outcome};

/// Seconds after which a client that was refused should try again.
pub const RETRY_AFTER: u32 = 30;
/// Most changes that are kept for clients that are behind or come back. A client that is further behind gets
/// the whole view, so a slow client never costs more than that.
const RING: usize = 8;
/// Most bytes of changes that are kept. A whole view has about as many, and is sent instead of more.
const RING_BYTES: usize = 64 << 10;

/// Why followers are woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beat {
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
    format: Format,
    scope: Scope,
    process: u32,
    inner: Mutex<Inner>,
    beat: watch::Sender<Beat>,
}

/// One follower's hold on a channel. A channel is kept and updated while it has a subscription.
pub struct Subscription {
    channel: Arc<Channel>,
    network: Option<IpAddr>,
    beats: watch::Receiver<Beat>,
}

impl Subscription {
    /// Subscribes a follower from this network.
    pub fn new(channel: Arc<Channel>, network: Option<IpAddr>) -> Self {
        let mut inner = channel.lock();
        *inner.followers.entry(network).or_default() += 1;
        inner.idle = None;
        drop(inner);
        Self { beats: channel.beat.subscribe(), channel, network }
    }

    pub fn channel(&self) -> &Arc<Channel> {
        &self.channel
    }

    /// Waits for the next beat; `None` if the channel is gone.
    pub async fn beat(&mut self) -> Option<Beat> {
        self.beats.changed().await.ok()?;
        Some(*self.beats.borrow_and_update())
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut inner = self.channel.lock();
        let Some(count) = inner.followers.get_mut(&self.network) else { return };
        *count -= 1;
        if *count == 0 {
            inner.followers.remove(&self.network);
        }
        if inner.followers.is_empty() {
            inner.leave(Instant::now());
        }
    }
}

#[derive(Default)]
struct Inner {
    /// The newest view; `None` before the first cut.
    cut: Option<Arc<Cut>>,
    cut_bytes: usize,
    /// The bytes that the channel counts for. `None` if the channel is closed, and then holds nothing.
    room: Option<Room>,
    /// `seen` is the snapshot of the cut. `seq` is the last snapshot that changed the view, which numbers
    /// the newest event.
    seen: u64,
    seq: u64,
    /// The newest view as an event, after a follower first needed it. `kept_state` keeps it while there is
    /// room; `state` finds it while a client reads it.
    state: Weak<Event>,
    kept_state: Option<Arc<Event>>,
    /// The last changes, each with the number of the event that it follows.
    ring: VecDeque<Entry>,
    /// Followers by network, and since when there have been none.
    followers: HashMap<Option<IpAddr>, usize>,
    idle: Option<Instant>,
    /// When followers were last sent anything.
    spoke: Option<Instant>,
    /// Whether a task is cutting the view for clients that came since the last round.
    cutting: bool,
}

struct Entry {
    after: u64,
    seq: u64,
    event: Arc<Event>,
}

impl Channel {
    pub fn new(asked: &Asked, scope: Scope, process: u32, room: Room) -> Self {
        let room = Some(room);
        Self {
            view: asked.view.clone(),
            format: asked.format,
            scope,
            process,
            // The silence before the first sign of life begins now: there is nothing to send before the view
            // is cut.
            inner: Mutex::new(Inner { spoke: Some(Instant::now()), room, ..Inner::default() }),
            beat: watch::Sender::new(Beat::News),
        }
    }

    /// Returns the snapshot of the view if the view is followed and older than `seq`; 0 if it was never cut.
    pub fn is_behind(&self, seq: u64) -> Option<u64> {
        let inner = self.lock();
        inner.waits_for(seq).then_some(inner.seen)
    }

    /// Returns the networks of its followers.
    pub fn followers(&self) -> Vec<Option<IpAddr>> {
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
        self.send(Beat::News);
    }

    /// Sends a beat, unless the last one ended the stream: a later beat would replace the end before a
    /// follower has seen it.
    fn send(&self, beat: Beat) {
        self.beat.send_if_modified(|last| {
            let goes_on = !matches!(last, Beat::Over | Beat::NoRoom);
            if goes_on {
                *last = beat;
            }
            goes_on
        });
    }

    /// Cuts the view from the snapshot, and wakes the followers if it changed. Fails if the view has
    /// outgrown its room.
    pub fn advance(&self, reader: &Reader, snapshot: &Snapshot) -> Result<(), PermitError> {
        let before = {
            let inner = self.lock();
            if inner.has(snapshot.seq) || inner.room.is_none() {
                return Ok(());
            }
            inner.cut.clone()
        };
        // The lock is not held, so that followers can read the last event meanwhile.
        let cut = Arc::new(Cut::of(&self.view, self.format, reader, &self.scope, snapshot));
        let outcome = match &before {
            Some(before) => before.change(&cut, self.format),
            None => Outcome::Other,
        };
        let bytes = cut.bytes();
        let mut inner = self.lock();
        let told = inner.take(self, before.as_ref(), (cut, bytes), snapshot.seq, outcome);
        let room = inner.fit();
        drop(inner);
        if told {
            self.send(Beat::News);
        }
        room
    }

    /// Counts for the bytes that it holds. Fails if there is no room for them.
    pub fn fit(&self) -> Result<(), PermitError> {
        self.lock().fit()
    }

    /// Sends a sign of life if followers were sent nothing for `silence`.
    pub fn reassure(&self, now: Instant, silence: Duration) {
        let mut inner = self.lock();
        if inner.spoke.is_none_or(|spoke| now - spoke >= silence) {
            inner.spoke = Some(now);
            self.send(Beat::Alive);
        }
    }

    /// Ends the streams of all followers, when the program stops.
    pub fn end(&self) {
        self.send(Beat::Over);
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
        let _ = inner.fit();
    }

    /// Ends the channel for lack of room, and drops everything at once, since a follower that does not read
    /// notices late.
    pub fn close(&self) {
        let mut inner = self.lock();
        let inner = &mut *inner;
        (inner.cut, inner.cut_bytes, inner.room, inner.cutting) = (None, 0, None, false);
        inner.forget_events();
        self.send(Beat::NoRoom);
    }

    /// Returns the last event for followers of a closed channel. The browser's `EventSource` tells a page
    /// only that the stream ended; the page then polls, as it does if it is refused.
    pub fn farewell(&self) -> Option<Bytes> {
        match self.format {
            Format::Json => Some(ApiError::NoRoom(RETRY_AFTER).last_event().into()),
            Format::Postcard(_) => None,
        }
    }

    /// Returns the event after `seq` and its number: the next change if it is still kept, else the whole
    /// view. `None` if `seq` is the newest, or if the view is older than the snapshot `due`.
    pub fn next(&self, seq: Option<u64>, due: u64) -> Option<(u64, Arc<Event>)> {
        let mut inner = self.lock();
        if !inner.has(due) || seq == Some(inner.seq) {
            return None;
        }
        if let Some(entry) = inner.ring.iter().find(|entry| Some(entry.after) == seq) {
            return Some((entry.seq, entry.event.clone()));
        }
        let state = inner.state(self)?;
        Some((inner.seq, state))
    }

    /// Returns a sign of life, which keeps proxies and clients from giving up. API clients get a comment.
    /// `EventSource` does not report comments to pages, so pages get an empty message.
    pub fn sign_of_life(&self) -> Bytes {
        Bytes::from_static(match self.format {
            Format::Json => b":\n\n",
            Format::Postcard(_) => b"data: -\n\n",
        })
    }

    fn event(&self, seq: u64, kind: &str, data: &str) -> Arc<Event> {
        let id = Id { process: self.process, seq };
        Event::new(match self.format {
            Format::Json => format!("id: {id}\nevent: {kind}\ndata: {data}\n\n"),
            Format::Postcard(_) => format!("id: {id}\ndata: {data}\n\n"),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock()
    }
}

impl Inner {
    /// Returns whether the view is of this snapshot or a later one.
    fn has(&self, seq: u64) -> bool {
        self.cut.is_some() && self.seen >= seq
    }

    fn waits_for(&self, seq: u64) -> bool {
        !self.followers.is_empty() && self.room.is_some() && !self.has(seq)
    }

    /// Records that the last follower left. The view then holds data of a snapshot that is soon gone, and
    /// counts for it. If there is no room for all of it, it is dropped, and a client that comes back gets a
    /// whole view.
    fn leave(&mut self, now: Instant) {
        self.idle = Some(now);
        self.cut_bytes = self.cut.as_ref().map_or(0, |cut| cut.bytes_alone());
        if self.fit().is_err() {
            (self.cut, self.cut_bytes) = (None, 0);
            self.forget_events();
        }
    }

    /// Counts for the bytes that are held. If there is no room for the events, they are dropped: clients
    /// that wait for one get the whole view, which is written when it is read.
    fn fit(&mut self) -> Result<(), PermitError> {
        let events = self.kept_state.iter().chain(self.ring.iter().map(|entry| &entry.event));
        let events: usize = events.map(|event| event.len()).sum();
        let Some(room) = &mut self.room else { return Ok(()) };
        if room.resize(self.cut_bytes + events).is_ok() {
            return Ok(());
        }
        let exhausted = room.resize(self.cut_bytes);
        self.forget_events();
        exhausted
    }

    fn forget_events(&mut self) {
        self.kept_state = None;
        self.ring.clear();
    }

    /// Stores a newer view that was compared with `before`, unless another task stored one meanwhile.
    /// Returns whether followers have news.
    fn take(
        &mut self,
        channel: &Channel,
        before: Option<&Arc<Cut>>,
        (cut, bytes): (Arc<Cut>, usize),
        seq: u64,
        outcome: Outcome<String>,
    ) -> bool {
        let compared = match (&self.cut, before) {
            (None, None) => true,
            (Some(now), Some(before)) => Arc::ptr_eq(now, before),
            _ => false,
        };
        if !compared || self.room.is_none() {
            return false;
        }
        self.cut_bytes = if self.followers.is_empty() { cut.bytes_alone() } else { bytes };
        (self.cut, self.seen) = (Some(cut), seq);
        (self.state, self.kept_state) = (Weak::new(), None);
        match outcome {
            // Only the time of the view is newer; it is sent with the next whole view.
            Outcome::Same => return false,
            Outcome::Change(data) => self.remember(seq, channel.event(seq, "change", &data)),
            Outcome::Other => self.ring.clear(),
        }
        (self.seq, self.spoke) = (seq, Some(Instant::now()));
        true
    }

    fn remember(&mut self, seq: u64, event: Arc<Event>) {
        self.ring.push_back(Entry { after: self.seq, seq, event });
        let bytes = |ring: &VecDeque<Entry>| ring.iter().map(|entry| entry.event.len()).sum::<usize>();
        // The newest change always stays, for the current followers.
        while self.ring.len() > RING || self.ring.len() > 1 && bytes(&self.ring) > RING_BYTES {
            self.ring.pop_front();
        }
    }

    fn state(&mut self, channel: &Channel) -> Option<Arc<Event>> {
        if let Some(event) = self.state.upgrade() {
            return Some(event);
        }
        let data = self.cut.as_ref()?.state(channel.format);
        let event = channel.event(self.seq, "state", &data);
        self.state = Arc::downgrade(&event);
        let room = self.room.as_mut()?;
        if room.resize(room.bytes() + event.len()).is_ok() {
            self.kept_state = Some(event.clone());
        }
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::room, *};

    #[tokio::test]
    async fn the_end_is_seen_whatever_is_sent_after_it() {
        let asked = Asked { view: View::Sources, format: Format::Json, last: None };
        let room = Room::new(&room::pool(1 << 20), None, 1).unwrap();
        let channel = Arc::new(Channel::new(&asked, Scope::default(), 1, room));
        let mut subscription = Subscription::new(channel.clone(), None);
        channel.end();
        channel.wake();
        assert_eq!(subscription.beat().await, Some(Beat::Over));
    }
}
