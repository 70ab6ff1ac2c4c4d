//! An event as bytes, and the buffer that limits how long large events are kept for clients that read them
//! slowly. `channel` writes events, `follower` reads them.

use std::{
    collections::HashMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::body::Bytes;
use parking_lot::Mutex;

use super::ask::{Format, Id};
use crate::server::http::peer::Client;

/// Bytes that a client is given at once. A connection holds as many that are not yet sent.
pub const PIECE: usize = 8 << 10;

/// One event, written once for all followers of its channel.
pub struct Event {
    bytes: Bytes,
    /// Number of clients that have read a part of it.
    readers: AtomicUsize,
}

impl Event {
    pub fn new(text: String) -> Arc<Self> {
        // Shrinks the text, since a String may hold twice its length.
        let bytes = text.into_boxed_str().into_boxed_bytes().into();
        Arc::new(Self { bytes, readers: AtomicUsize::new(0) })
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Returns a copy, so that a connection that holds a piece does not keep the whole event.
    fn piece(&self, from: usize) -> Bytes {
        Bytes::copy_from_slice(&self.bytes[from..self.len().min(from + PIECE)])
    }
}

/// Writes the events of one channel.
#[derive(Clone, Copy)]
pub struct EventWriter {
    pub format: Format,
    /// Random, so that the ids of its events are of no other channel, scope or process. Their reader gets a whole
    /// view.
    pub channel: u32,
}

impl EventWriter {
    pub fn write(self, number: u64, kind: &str, data: &str) -> Arc<Event> {
        let id = Id { channel: self.channel, number };
        Event::new(match self.format {
            Format::Json => format!("id: {id}\nevent: {kind}\ndata: {data}\n\n"),
            Format::Postcard(_) => format!("id: {id}\ndata: {data}\n\n"),
        })
    }
}

/// The events that clients have read in part. Without a limit, a thousand slow clients that each read the
/// view of another second would hold a thousand views. If there are too many bytes, the peer with the most
/// bytes loses its oldest event. Clients in the middle of that event are disconnected, and can reconnect for
/// the newest.
pub struct EventBuffer {
    limit: usize,
    events: Mutex<Vec<BufferEntry>>,
}

struct BufferEntry {
    event: Arc<Event>,
    /// The client of its first reader.
    client: Option<Client>,
}

impl EventBuffer {
    /// Returns a buffer for at most `limit` bytes of events.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, events: Mutex::default() })
    }

    /// Returns the first piece of an event, and the rest if there is one. An event of one piece is not
    /// buffered.
    pub fn begin(&self, event: &Arc<Event>, client: Option<Client>) -> (Bytes, Option<Pieces>) {
        if event.len() <= PIECE {
            return (event.bytes.clone(), None);
        }
        let pieces = Pieces::new(event);
        self.keep(event, client);
        (event.piece(0), Some(pieces))
    }

    fn keep(&self, event: &Arc<Event>, client: Option<Client>) {
        let mut events = self.events.lock();
        if events.iter().any(|other| Arc::ptr_eq(&other.event, event)) {
            return;
        }
        events.retain(|other| other.event.readers.load(Ordering::Relaxed) > 0);
        events.push(BufferEntry { event: event.clone(), client });
        // One event is kept even if it is larger than the limit, else nobody could ever receive it.
        while events.len() > 1 && bytes(&events) > self.limit {
            let largest = largest_share(&events);
            let Some(oldest) = events.iter().position(|other| other.client == largest) else { break };
            events.remove(oldest);
        }
    }

    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        bytes(&self.events.lock())
    }
}

fn bytes(events: &[BufferEntry]) -> usize {
    events.iter().map(|buffered| buffered.event.len()).sum()
}

/// Returns the client whose events have the most bytes.
fn largest_share(events: &[BufferEntry]) -> Option<Client> {
    let mut shares: HashMap<Option<Client>, usize> = HashMap::new();
    for buffered in events {
        *shares.entry(buffered.client).or_default() += buffered.event.len();
    }
    shares.into_iter().max_by_key(|(_, bytes)| *bytes).and_then(|(client, _)| client)
}

/// The part of an event that a client has not read yet.
pub struct Pieces {
    event: Weak<Event>,
    at: usize,
}

/// The event was dropped from the buffer, so its rest cannot be sent.
#[derive(Debug)]
pub struct EventGone;

impl Pieces {
    fn new(event: &Arc<Event>) -> Self {
        event.readers.fetch_add(1, Ordering::Relaxed);
        Self { event: Arc::downgrade(event), at: PIECE }
    }

    /// Returns the next piece, and the rest if there is one. Fails if the event was dropped.
    pub fn next(mut self) -> Result<(Bytes, Option<Self>), EventGone> {
        let event = self.event.upgrade().ok_or(EventGone)?;
        let piece = event.piece(self.at);
        self.at += PIECE;
        Ok((piece, (self.at < event.len()).then_some(self)))
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        if let Some(event) = self.event.upgrade() {
            event.readers.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(bytes: usize) -> Arc<Event> {
        Event::new("x".repeat(bytes))
    }

    #[test]
    fn pieces_are_the_whole_event() {
        let buffer = EventBuffer::new(1 << 20);
        for length in [1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE + 1] {
            let event = event(length);
            let (piece, mut rest) = buffer.begin(&event, None);
            let mut taken = vec![piece.len()];
            while let Some(pieces) = rest {
                let (piece, pieces) = pieces.next().unwrap();
                taken.push(piece.len());
                rest = pieces;
            }
            assert!(taken.iter().all(|piece| (1..=PIECE).contains(piece)), "{taken:?}");
            assert_eq!(taken.iter().sum::<usize>(), length);
        }
    }

    #[test]
    fn a_client_in_the_middle_goes_on_after_the_channel_has_moved_on() {
        let buffer = EventBuffer::new(4 * PIECE);
        let (_, rest) = buffer.begin(&event(2 * PIECE), None);
        let (_, rest) = rest.unwrap().next().unwrap();
        assert!(rest.is_none());
    }

    #[test]
    fn beyond_the_limit_the_oldest_event_and_its_readers_are_dropped() {
        let buffer = EventBuffer::new(4 * PIECE);
        let slow: Vec<_> = (0..5).map(|_| buffer.begin(&event(2 * PIECE), None).1.unwrap()).collect();
        assert_eq!(buffer.bytes(), 4 * PIECE);
        let gone: Vec<_> = slow.into_iter().map(|pieces| pieces.next().is_err()).collect();
        assert_eq!(gone, [true, true, true, false, false]);
    }

    #[test]
    fn an_event_that_several_clients_take_counts_once_and_one_larger_than_the_limit_is_sent() {
        let buffer = EventBuffer::new(4 * PIECE);
        let large = event(6 * PIECE);
        let clients = [buffer.begin(&large, None), buffer.begin(&large, None)];
        assert_eq!(buffer.bytes(), 6 * PIECE);
        drop(large);
        for (_, rest) in clients {
            assert!(rest.unwrap().next().is_ok());
        }
    }

    /// One client may begin to read any number of views, again and again.
    #[test]
    fn only_the_peer_with_the_most_buffered_bytes_is_disconnected() {
        let buffer = EventBuffer::new(6 * PIECE);
        let client = |last| Some(Client::Network([203, 0, 113, last].into()));
        let (victim, attacker) = (client(5), client(6));
        let (_, slow) = buffer.begin(&event(2 * PIECE), victim);
        // These were begun and left, so no client is reading them.
        for _ in 0..100 {
            drop(buffer.begin(&event(2 * PIECE), attacker));
        }
        let held: Vec<_> = (0..100).map(|_| buffer.begin(&event(2 * PIECE), attacker).1.unwrap()).collect();
        assert!(slow.unwrap().next().is_ok());
        assert_eq!(held.into_iter().filter_map(|pieces| pieces.next().ok()).count(), 2);
        assert!(buffer.bytes() <= 6 * PIECE);
    }
}
