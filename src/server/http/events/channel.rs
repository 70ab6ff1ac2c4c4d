//! One distinct view: cut and written once, whoever and however many follow it.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use axum::body::Bytes;
use tokio::{sync::watch, time::Instant};

use super::{
    ask::{Asked, Format, Id, View},
    cut::Cut,
    event::Event,
    room::Room,
};
use crate::server::http::{error::ApiError, limits::PermitError, reader::Reader};
use wukong_core::{Scope, Snapshot, delta::Outcome};

/// When to come back, for a client that found no place, in seconds.
pub const RETRY_AFTER: u32 = 30;
/// Changes that a client may be behind, and that a returning one can be given. One that is further back gets the whole
/// view: that is all a slow client ever costs.
const RING: usize = 8;
/// Bytes of changes that are kept: about those of a whole view, which is sent instead of more.
const RING_BYTES: usize = 64 << 10;

/// What followers are woken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beat {
    News,
    /// There have been none for a while.
    Alive,
    /// The end of all streams.
    Over,
    /// The end of this view's: there is no room for it.
    NoRoom,
}

pub struct Channel {
    view: View,
    format: Format,
    scope: Scope,
    process: u32,
    inner: Mutex<Inner>,
    beat: watch::Sender<Beat>,
}

/// One follower's hold on a channel: as long as there is one the channel is kept, and moved on.
pub struct Subscription {
    channel: Arc<Channel>,
    network: Option<IpAddr>,
    beats: watch::Receiver<Beat>,
}

impl Subscription {
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

    /// The next beat; none once the channel is gone.
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
    /// The newest view; none before anybody followed.
    cut: Option<Arc<Cut>>,
    cut_bytes: usize,
    /// The bytes that all of it counts for; none once the channel is closed, and holds nothing any more.
    room: Option<Room>,
    /// The snapshot that it was cut from, and the last that changed something: the newest event's.
    seen: u64,
    seq: u64,
    /// The newest view as an event, once somebody needed it: as long as there is room for it, else while somebody reads it.
    state: Weak<Event>,
    kept_state: Option<Arc<Event>>,
    /// The last changes, each with the event that it follows.
    ring: VecDeque<Entry>,
    /// How many follow from each network, and since when there have been none.
    followers: HashMap<Option<IpAddr>, usize>,
    idle: Option<Instant>,
    /// When they last heard of this channel.
    spoke: Option<Instant>,
    /// A task cuts the view for the clients that came since the last round.
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
            // Silence begins now: there is nothing to say before the view is cut.
            inner: Mutex::new(Inner { spoke: Some(Instant::now()), room, ..Inner::default() }),
            beat: watch::Sender::new(Beat::News),
        }
    }

    /// The snapshot that the view is of, if somebody follows it and it is older than this one; 0 where it is of none yet.
    pub fn is_behind(&self, seq: u64) -> Option<u64> {
        let inner = self.lock();
        inner.waits_for(seq).then_some(inner.seen)
    }

    /// From where it is followed.
    pub fn followers(&self) -> Vec<Option<IpAddr>> {
        self.lock().followers.keys().copied().collect()
    }

    /// The bytes that it counts for.
    pub fn bytes(&self) -> usize {
        self.lock().room.as_ref().map_or(0, Room::bytes)
    }

    /// Since when nobody has followed; none while somebody does.
    pub fn idle_since(&self) -> Option<Instant> {
        self.lock().idle
    }

    /// Whether the caller is to cut the view for the clients that wait for this snapshot: the view is older, and no other
    /// task cuts it.
    pub fn begin_cut(&self, seq: u64) -> bool {
        let mut inner = self.lock();
        !inner.has(seq) && !std::mem::replace(&mut inner.cutting, true)
    }

    /// Whether the cutting is done: the view is of this snapshot, or no client waits for it. A client that comes later
    /// begins it again.
    pub fn end_cut(&self, seq: u64) -> bool {
        let mut inner = self.lock();
        inner.cutting = inner.waits_for(seq);
        !inner.cutting
    }

    /// Ends the cutting without a view: followers wait for the next round.
    pub fn give_up_cut(&self) {
        self.lock().cutting = false;
    }

    /// Wakes every follower. Some may wait for their first view, which is no news to the others.
    pub fn wake(&self) {
        self.send(Beat::News);
    }

    /// Nothing follows the end: a beat that is sent after it would take its place before a follower has seen it.
    fn send(&self, beat: Beat) {
        self.beat.send_if_modified(|last| {
            let goes_on = !matches!(last, Beat::Over | Beat::NoRoom);
            if goes_on {
                *last = beat;
            }
            goes_on
        });
    }

    /// Cuts the view out of the snapshot; followers hear of it if it differs. An error where it has outgrown its room.
    pub fn advance(&self, reader: &Reader, snapshot: &Snapshot) -> Result<(), PermitError> {
        let before = {
            let inner = self.lock();
            if inner.has(snapshot.seq) || inner.room.is_none() {
                return Ok(());
            }
            inner.cut.clone()
        };
        // Not under the lock: followers read the last event meanwhile.
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

    /// Counts for what it holds.
    pub fn fit(&self) -> Result<(), PermitError> {
        self.lock().fit()
    }

    /// A sign of life for those who have heard nothing for this long.
    pub fn reassure(&self, now: Instant, silence: Duration) {
        let mut inner = self.lock();
        if inner.spoke.is_none_or(|spoke| now - spoke >= silence) {
            inner.spoke = Some(now);
            self.send(Beat::Alive);
        }
    }

    pub fn end(&self) {
        self.send(Beat::Over);
    }

    /// Lets go of what can be written again, and is more than the last small changes: others need the room.
    pub fn trim(&self) {
        let mut inner = self.lock();
        inner.kept_state = None;
        if inner.ring.iter().map(|entry| entry.event.len()).sum::<usize>() > RING_BYTES {
            inner.ring.clear();
        }
        // It takes less than before.
        let _ = inner.fit();
    }

    /// Ends it for want of room, and lets go of everything at once: a follower that does not read hears of it late.
    pub fn close(&self) {
        let mut inner = self.lock();
        let inner = &mut *inner;
        (inner.cut, inner.cut_bytes, inner.room, inner.cutting) = (None, 0, None, false);
        inner.forget_events();
        self.send(Beat::NoRoom);
    }

    /// What followers are told when it was closed. The browser's own reader tells pages no more than that the stream ended:
    /// they ask again and again instead, as where they find no place.
    pub fn farewell(&self) -> Option<Bytes> {
        match self.format {
            Format::Json => Some(ApiError::NoRoom(RETRY_AFTER).last_event().into()),
            Format::Postcard(_) => None,
        }
    }

    /// The event that follows the one of `seq`, and the id that it has: the next change if it is still there, else the
    /// whole view. None if `seq` is the newest, and until the view is of the snapshot `due` at least.
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

    /// A comment keeps proxies and clients from giving up. The browser's own reader hears no comments: pages get a
    /// message with nothing in it.
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
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Whether the view is of this snapshot or a later one.
    fn has(&self, seq: u64) -> bool {
        self.cut.is_some() && self.seen >= seq
    }

    fn waits_for(&self, seq: u64) -> bool {
        !self.followers.is_empty() && self.room.is_some() && !self.has(seq)
    }

    /// Nobody follows any more: the view is left at a snapshot that is soon gone. Where there is no room for all of it, whoever
    /// comes back gets a whole view.
    fn leave(&mut self, now: Instant) {
        self.idle = Some(now);
        self.cut_bytes = self.cut.as_ref().map_or(0, |cut| cut.bytes_alone());
        if self.fit().is_err() {
            (self.cut, self.cut_bytes) = (None, 0);
            self.forget_events();
        }
    }

    /// Counts for what is held. Where there is no room for events they go: who waits for one gets a whole view, which is
    /// written when it is read.
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

    /// Takes in a newer view that was compared with `before`. Whoever was faster wins.
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
            // The time of the view is new all the same, and goes along with the next whole one.
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
        // The newest is for those who are there.
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
