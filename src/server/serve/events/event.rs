//! An event as its bytes, and how long the bytes of one are kept for the clients that have yet to take the rest of it.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::body::Bytes;

/// Bytes that a client is handed at once. A connection holds as many as it has not written.
pub const PIECE: usize = 16 << 10;

/// One event, written once for all who follow its channel.
pub struct Event {
    bytes: Bytes,
    buffered: AtomicBool,
}

impl Event {
    pub fn new(bytes: String) -> Arc<Self> {
        Arc::new(Self { bytes: bytes.into(), buffered: AtomicBool::new(false) })
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// A copy, so that a connection which holds a piece does not hold the event.
    fn piece(&self, from: usize) -> Bytes {
        Bytes::copy_from_slice(&self.bytes[from..self.len().min(from + PIECE)])
    }
}

/// The events that clients are in the middle of. Without it, a thousand clients that each take another second's view at
/// a crawl would hold a thousand views. The oldest goes when there are too many bytes: whoever is still in the middle of
/// that one is disconnected, and can come back for the newest.
pub struct EventBuffer {
    limit: usize,
    events: Mutex<Buffered>,
}

#[derive(Default)]
struct Buffered {
    oldest_first: VecDeque<Arc<Event>>,
    bytes: usize,
}

impl EventBuffer {
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, events: Mutex::default() })
    }

    /// The first piece of an event, and the rest if there is one. An event of one piece is not kept.
    pub fn begin(&self, event: &Arc<Event>) -> (Bytes, Option<Pieces>) {
        if event.len() <= PIECE {
            return (event.bytes.clone(), None);
        }
        if !event.buffered.swap(true, Ordering::Relaxed) {
            self.keep(event.clone());
        }
        (event.piece(0), Some(Pieces { event: Arc::downgrade(event), at: PIECE }))
    }

    fn keep(&self, event: Arc<Event>) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.bytes += event.len();
        events.oldest_first.push_back(event);
        // The newest is kept even if it is larger than the limit: else nobody could ever have it.
        while events.bytes > self.limit && events.oldest_first.len() > 1 {
            let Some(oldest) = events.oldest_first.pop_front() else { break };
            events.bytes -= oldest.len();
        }
    }

    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.events.lock().unwrap().bytes
    }
}

/// What a client has yet to take of an event.
pub struct Pieces {
    event: Weak<Event>,
    at: usize,
}

/// The rest of the event is gone.
#[derive(Debug)]
pub struct EventGone;

impl Pieces {
    /// The next piece, and the rest if there is one.
    pub fn next(self) -> Result<(Bytes, Option<Self>), EventGone> {
        let event = self.event.upgrade().ok_or(EventGone)?;
        let at = self.at + PIECE;
        Ok((event.piece(self.at), (at < event.len()).then_some(Self { at, ..self })))
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
            let (piece, mut rest) = buffer.begin(&event);
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
        let (_, rest) = buffer.begin(&event(2 * PIECE));
        let (_, rest) = rest.unwrap().next().unwrap();
        assert!(rest.is_none());
    }

    #[test]
    fn beyond_the_limit_the_oldest_event_goes_and_its_readers_with_it() {
        let buffer = EventBuffer::new(4 * PIECE);
        let slow: Vec<_> = (0..5).map(|_| buffer.begin(&event(2 * PIECE)).1.unwrap()).collect();
        assert_eq!(buffer.bytes(), 4 * PIECE);
        let gone: Vec<_> = slow.into_iter().map(|pieces| pieces.next().is_err()).collect();
        assert_eq!(gone, [true, true, true, false, false]);
    }

    #[test]
    fn an_event_that_several_clients_take_counts_once_and_one_larger_than_the_limit_is_sent() {
        let buffer = EventBuffer::new(4 * PIECE);
        let large = event(6 * PIECE);
        let clients = [buffer.begin(&large), buffer.begin(&large)];
        assert_eq!(buffer.bytes(), 6 * PIECE);
        drop(large);
        for (_, rest) in clients {
            assert!(rest.unwrap().next().is_ok());
        }
    }
}
