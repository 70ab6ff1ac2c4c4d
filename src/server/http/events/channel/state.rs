//! What a channel holds: the newest view, the last changes, and the room that they count for. `channel` keeps it behind
//! its lock.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Weak},
};

use tokio::time::Instant;

use crate::server::http::{
    events::{
        cut::Cut,
        event::{Event, EventWriter},
        room::Room,
    },
    peer::Client,
    semaphore::PermitError,
};
use wukong_core::delta::Outcome;

/// Most changes that are kept for clients that are behind or come back. A client that is further behind gets
/// the whole view, so a slow client never costs more than that.
const RING: usize = 8;
/// Most bytes of changes that are kept. A whole view has about as many, and is sent instead of more.
pub const RING_BYTES: usize = 64 << 10;

#[derive(Default)]
pub struct State {
    /// The newest view; `None` before the first cut.
    pub cut: Option<Arc<Cut>>,
    pub cut_bytes: usize,
    /// The bytes that the channel counts for. `None` if the channel is closed, and then holds nothing.
    pub room: Option<Room>,
    /// The snapshot of the cut.
    pub seen: u64,
    /// How often the view has changed, which numbers the newest event. It is not the number of the snapshot, which
    /// would tell a viewer how much happens where they may not look.
    pub number: u64,
    /// The newest view as an event, after a follower first needed it. `kept_state` keeps it while there is
    /// room; `state` finds it while a client reads it.
    pub state: Weak<Event>,
    pub kept_state: Option<Arc<Event>>,
    /// The last changes, each with the number of the event that it follows.
    pub ring: VecDeque<Entry>,
    /// Followers by client, and since when there have been none.
    pub followers: HashMap<Option<Client>, usize>,
    pub idle: Option<Instant>,
    /// When followers were last sent anything.
    pub last_sent: Option<Instant>,
    /// Whether a task is cutting the view for clients that came since the last round.
    pub cutting: bool,
}

pub struct Entry {
    pub after: u64,
    pub number: u64,
    pub event: Arc<Event>,
}

impl State {
    /// Returns whether the view is of this snapshot or a later one.
    pub fn has(&self, seq: u64) -> bool {
        self.cut.is_some() && self.seen >= seq
    }

    pub fn waits_for(&self, seq: u64) -> bool {
        !self.followers.is_empty() && self.room.is_some() && !self.has(seq)
    }

    /// Records that the last follower left. The view then holds data of a snapshot that is soon gone, and
    /// counts for it. If there is no room for all of it, it is dropped, and a client that comes back gets a
    /// whole view.
    pub fn become_idle(&mut self, now: Instant) {
        self.idle = Some(now);
        self.cut_bytes = self.cut.as_ref().map_or(0, |cut| cut.bytes_alone());
        if self.count_bytes().is_err() {
            (self.cut, self.cut_bytes) = (None, 0);
            self.forget_events();
        }
    }

    /// Counts for the bytes that are held. If there is no room for the events, they are dropped: clients
    /// that wait for one get the whole view, which is written when it is read.
    pub fn count_bytes(&mut self) -> Result<(), PermitError> {
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

    pub fn forget_events(&mut self) {
        self.kept_state = None;
        self.ring.clear();
    }

    /// Stores a newer view that was compared with `before`, unless another task stored one meanwhile.
    /// Returns whether followers have news.
    pub fn store_cut(
        &mut self,
        writer: EventWriter,
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
            Outcome::Change(data) => self.remember(writer.write(self.number + 1, "change", &data)),
            Outcome::Other => self.ring.clear(),
        }
        (self.number, self.last_sent) = (self.number + 1, Some(Instant::now()));
        true
    }

    fn remember(&mut self, event: Arc<Event>) {
        self.ring.push_back(Entry { after: self.number, number: self.number + 1, event });
        let bytes = |ring: &VecDeque<Entry>| ring.iter().map(|entry| entry.event.len()).sum::<usize>();
        // The newest change always stays, for the current followers.
        while self.ring.len() > RING || self.ring.len() > 1 && bytes(&self.ring) > RING_BYTES {
            self.ring.pop_front();
        }
    }

    pub fn state(&mut self, writer: EventWriter) -> Option<Arc<Event>> {
        if let Some(event) = self.state.upgrade() {
            return Some(event);
        }
        let data = self.cut.as_ref()?.state(writer.format);
        let event = writer.write(self.number, "state", &data);
        self.state = Arc::downgrade(&event);
        let room = self.room.as_mut()?;
        if room.resize(room.bytes() + event.len()).is_ok() {
            self.kept_state = Some(event.clone());
        }
        Some(event)
    }
}
