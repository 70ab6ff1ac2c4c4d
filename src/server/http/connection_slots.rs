//! The slots of the connections that clients hold open (`connection`), and of their event streams (`events::hub`). When a client asks
//! for a slot and there is none, the client that has the most gives one up: otherwise two clients could take all slots.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::{
    peer::{Client, Peer},
    semaphore::{PeerPermit, PeerSemaphore, PermitError},
};

/// All slots of one kind. Clones share them.
#[derive(Clone)]
pub struct ConnectionSlots {
    permits: Arc<PeerSemaphore>,
    occupied: Arc<Mutex<OccupiedSlots>>,
}

#[derive(Default)]
struct OccupiedSlots {
    next: u64,
    /// In the order in which they were taken.
    by_number: BTreeMap<u64, OccupiedSlot>,
    counts: HashMap<Client, usize>,
}

/// A slot that is taken.
struct OccupiedSlot {
    client: Option<Client>,
    permit: PeerPermit,
    used: Arc<AtomicBool>,
    revoked: CancellationToken,
}

/// A slot, which is free again when this is dropped.
pub struct ConnectionSlot {
    number: u64,
    occupied: Arc<Mutex<OccupiedSlots>>,
    /// Set once the client has used the slot: a connection has sent the whole head of a request.
    pub used: Arc<AtomicBool>,
    /// Cancelled when the slot goes to another client. What has the slot must end then.
    pub revoked: CancellationToken,
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        // The permit is released after the lock.
        let removed = self.occupied.lock().remove(self.number);
        drop(removed);
    }
}

impl ConnectionSlots {
    /// Returns this many slots. `name` is what has them, for the log.
    pub fn new(name: &'static str, most: usize) -> Self {
        Self { permits: PeerSemaphore::new(name, most), occupied: Arc::default() }
    }

    /// Returns a slot. If none is free, the one that has to give way to this peer is revoked. Fails if there is no such slot.
    pub fn acquire(&self, peer: Option<Peer>) -> Result<ConnectionSlot, PermitError> {
        let permit = self.permits.try_acquire(peer).or_else(|exhausted| self.make_room(peer, exhausted));
        let permit = permit.inspect_err(|exhausted| self.permits.warn_refusal(peer, *exhausted))?;
        let (used, revoked) = (Arc::<AtomicBool>::default(), CancellationToken::new());
        let client = peer.map(Peer::client);
        let slot = OccupiedSlot { client, permit, used: used.clone(), revoked: revoked.clone() };
        let number = self.occupied.lock().add(slot);
        Ok(ConnectionSlot { number, occupied: self.occupied.clone(), used, revoked })
    }

    fn make_room(&self, peer: Option<Peer>, exhausted: PermitError) -> Result<PeerPermit, PermitError> {
        let (permit, loser) = self.occupied.lock().make_room(peer, exhausted).ok_or(exhausted)?;
        self.permits.warn_displaced(peer, loser, exhausted);
        Ok(permit)
    }

    /// Returns how many slots are taken.
    #[cfg(test)]
    pub fn occupied(&self) -> usize {
        self.permits.held()
    }
}

impl OccupiedSlots {
    fn add(&mut self, slot: OccupiedSlot) -> u64 {
        if let Some(client) = slot.client {
            *self.counts.entry(client).or_default() += 1;
        }
        self.next += 1;
        self.by_number.insert(self.next, slot);
        self.next
    }

    fn remove(&mut self, number: u64) -> Option<OccupiedSlot> {
        let removed = self.by_number.remove(&number)?;
        if let Some(client) = removed.client
            && let Some(count) = self.counts.get_mut(&client)
        {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&client);
            }
        }
        Some(removed)
    }

    /// Takes a slot away and returns its permit, which counts for `peer` from now on, and who has lost it.
    fn make_room(
        &mut self,
        peer: Option<Peer>,
        exhausted: PermitError,
    ) -> Option<(PeerPermit, Option<Client>)> {
        let own = peer.map(Peer::client);
        let number = match exhausted {
            // Its new slot goes before its own that it has not used.
            PermitError::ShareTaken => self.oldest_silent(own?),
            PermitError::AllTaken => {
                let of_own = own.and_then(|own| self.counts.get(&own)).copied().unwrap_or_default();
                let (client, most) = self.counts.iter().max_by_key(|(_, count)| **count)?;
                // With less of a difference the two would take each other's slots in turn.
                if *most <= of_own + 1 {
                    return None;
                }
                self.oldest_silent(*client).or_else(|| self.newest(*client))
            }
        };
        let OccupiedSlot { mut permit, client, revoked, .. } = self.remove(number?)?;
        revoked.cancel();
        permit.move_to(peer).ok()?;
        Some((permit, client))
    }

    /// Returns the client's oldest slot that it has not used.
    fn oldest_silent(&self, client: Client) -> Option<u64> {
        self.slots_of(client).find(|(_, slot)| !slot.used.load(Ordering::Relaxed)).map(|(number, _)| *number)
    }

    fn newest(&self, client: Client) -> Option<u64> {
        self.slots_of(client).next_back().map(|(number, _)| *number)
    }

    /// Returns the client's slots, oldest first.
    fn slots_of(&self, client: Client) -> impl DoubleEndedIterator<Item = (&u64, &OccupiedSlot)> {
        self.by_number.iter().filter(move |(_, slot)| slot.client == Some(client))
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinHandle;

    use super::*;

    struct Client {
        task: JoinHandle<()>,
        used: Arc<AtomicBool>,
    }

    fn connect(slots: &ConnectionSlots, address: &str) -> Option<Client> {
        let slot = slots.acquire(Some(Peer::new(address.parse().unwrap()))).ok()?;
        let used = slot.used.clone();
        let task = tokio::spawn(async move { slot.revoked.cancelled().await });
        Some(Client { task, used })
    }

    async fn ended(clients: &[Client]) -> usize {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        clients.iter().filter(|client| client.task.is_finished()).count()
    }

    #[tokio::test]
    async fn two_clients_that_take_everything_give_way_to_a_third() {
        let slots = ConnectionSlots::new("test", 20);
        let flood: Vec<_> =
            (0..20).filter_map(|n| connect(&slots, ["203.0.113.5", "203.0.113.6"][n % 2])).collect();
        assert_eq!(flood.len(), 20);
        flood[0].used.store(true, Ordering::Relaxed);
        let honest: Vec<_> = (0..6).filter_map(|_| connect(&slots, "198.51.100.7")).collect();
        assert_eq!((honest.len(), ended(&honest).await, ended(&flood).await), (6, 0, 6));
        assert!(!flood[0].task.is_finished() && flood[2].task.is_finished(), "silent ones go, oldest first");
        let more = (0..6).filter_map(|_| connect(&slots, "198.51.100.7")).count();
        assert!(more <= 1, "equal shares are kept: {more}");
    }

    #[tokio::test]
    async fn a_client_that_is_served_keeps_its_connections_from_its_equals() {
        let slots = ConnectionSlots::new("test", 4);
        let one = [(); 2].map(|()| connect(&slots, "203.0.113.5").unwrap());
        let two = [(); 2].map(|()| connect(&slots, "203.0.113.6").unwrap());
        assert!(connect(&slots, "203.0.113.6").is_some(), "in place of its own silent one");
        assert_eq!((ended(&one).await, ended(&two).await), (0, 1));
        one.iter().chain(&two).for_each(|client| client.used.store(true, Ordering::Relaxed));
        let third = connect(&slots, "198.51.100.7").expect("the one with the most gives way");
        assert!(connect(&slots, "198.51.100.7").is_none());
        assert_eq!(ended(&[third]).await, 0);
    }

    #[tokio::test]
    async fn a_slot_is_free_after_its_connection_ends() {
        let slots = ConnectionSlots::new("test", 6);
        let clients: Vec<_> =
            (0..9).filter_map(|n| connect(&slots, &format!("203.0.113.{}", n % 3))).collect();
        clients.iter().for_each(|client| client.task.abort());
        assert_eq!(ended(&clients).await, clients.len());
        let occupied = slots.occupied.lock();
        assert_eq!((occupied.by_number.len(), occupied.counts.len(), slots.permits.held()), (0, 0, 0));
    }
}
