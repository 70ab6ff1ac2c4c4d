//! The bytes that a channel counts for, from the pool of all channels. They count for one peer, which
//! may have half of the pool: see `channels`. `channel` and `hub` use it.

use std::sync::Arc;

use crate::server::http::{
    peer::Peer,
    semaphore::{PeerPermit, PeerSemaphore, PermitError},
};

/// Bytes of one permit of the pool.
const UNIT: usize = 1 << 10;

/// The permits for the bytes of one channel.
pub struct Room {
    pool: Arc<PeerSemaphore>,
    peer: Option<Peer>,
    permit: PeerPermit,
    units: usize,
}

/// Returns a pool of this many bytes.
pub fn pool(bytes: usize) -> Arc<PeerSemaphore> {
    PeerSemaphore::new("event views, in KiB", bytes / UNIT)
}

impl Room {
    /// Takes this many bytes of the pool. Fails if there is no room for them.
    pub fn new(pool: &Arc<PeerSemaphore>, peer: Option<Peer>, bytes: usize) -> Result<Self, PermitError> {
        let units = bytes.div_ceil(UNIT);
        let permit = pool.try_acquire_many(peer, units)?;
        Ok(Self { pool: pool.clone(), peer, permit, units })
    }

    pub fn bytes(&self) -> usize {
        self.units * UNIT
    }

    /// Counts for another peer from now on. Fails, and changes nothing, if its share has no room.
    pub fn move_to(&mut self, peer: Option<Peer>) -> Result<(), PermitError> {
        self.permit.move_to(peer)?;
        self.peer = peer;
        Ok(())
    }

    /// Changes the bytes that it counts for. Fails, and changes nothing, if there is no room for them.
    pub fn resize(&mut self, bytes: usize) -> Result<(), PermitError> {
        let units = bytes.div_ceil(UNIT);
        match units.checked_sub(self.units) {
            Some(0) => {}
            Some(more) => self.permit.merge(self.pool.try_acquire_many(self.peer, more)?),
            None => self.permit.release(self.units - units),
        }
        self.units = units;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_that_cannot_grow_stays_as_it_is() {
        let pool = pool(10 * UNIT);
        let mut room = Room::new(&pool, None, 3 * UNIT).unwrap();
        assert_eq!(room.resize(11 * UNIT), Err(PermitError::AllTaken));
        assert_eq!((room.bytes(), pool.held()), (3 * UNIT, 3));
        room.resize(10 * UNIT).unwrap();
        room.resize(UNIT + 1).unwrap();
        assert_eq!((room.bytes(), pool.held()), (2 * UNIT, 2));
        drop(room);
        assert_eq!(pool.held(), 0);
    }

    #[test]
    fn a_room_that_has_moved_grows_in_the_share_of_its_new_peer() {
        let pool = pool(10 * UNIT);
        let [one, two] = [5, 6].map(|n| Some(Peer::new([203, 0, 113, n].into())));
        let mut room = Room::new(&pool, one, 3 * UNIT).unwrap();
        let other = Room::new(&pool, two, 3 * UNIT).unwrap();
        assert_eq!(room.move_to(two), Err(PermitError::ShareTaken));
        drop(other);
        room.move_to(two).unwrap();
        let full = Room::new(&pool, one, 5 * UNIT).expect("the share of the first peer is free");
        room.resize(5 * UNIT).unwrap();
        assert_eq!(room.resize(6 * UNIT), Err(PermitError::ShareTaken));
        drop((room, full));
        assert_eq!(pool.held(), 0);
    }
}
