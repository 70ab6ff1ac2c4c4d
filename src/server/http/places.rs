//! The places of what clients hold open: connections (`connection`) and event streams (`events::hub`). When a client asks
//! for a place and there is none, the client that has the most gives one up: otherwise two clients could take all places.

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

/// All places of one kind. Clones share them.
#[derive(Clone)]
pub struct Places {
    permits: Arc<PeerSemaphore>,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Default)]
struct Taken {
    next: u64,
    /// In the order in which they were taken.
    by_number: BTreeMap<u64, Taking>,
    counts: HashMap<Client, usize>,
}

/// A place that is taken.
struct Taking {
    client: Option<Client>,
    permit: PeerPermit,
    asked: Arc<AtomicBool>,
    lost: CancellationToken,
}

/// A place, which is free again when this is dropped.
pub struct Place {
    number: u64,
    taken: Arc<Mutex<Taken>>,
    /// Set once the client has used the place: a connection has sent the whole head of a request.
    pub asked: Arc<AtomicBool>,
    /// Cancelled when the place goes to another client. What has the place must end then.
    pub lost: CancellationToken,
}

impl Drop for Place {
    fn drop(&mut self) {
        // The permit is released after the lock.
        let removed = self.taken.lock().remove(self.number);
        drop(removed);
    }
}

impl Places {
    /// Returns this many places. `name` is what has them, for the log.
    pub fn new(name: &'static str, most: usize) -> Self {
        Self { permits: PeerSemaphore::new(name, most), taken: Arc::default() }
    }

    /// Returns a place. If none is free, the one that has to give way to this peer is lost to it. Fails if there is
    /// no such place.
    pub fn take(&self, peer: Option<Peer>) -> Result<Place, PermitError> {
        let permit = self.permits.try_acquire(peer).or_else(|exhausted| self.make_room(peer, exhausted));
        let permit = permit.inspect_err(|exhausted| self.permits.warn_refusal(peer, *exhausted))?;
        let (asked, lost) = (Arc::<AtomicBool>::default(), CancellationToken::new());
        let client = peer.map(Peer::client);
        let taking = Taking { client, permit, asked: asked.clone(), lost: lost.clone() };
        let number = self.taken.lock().add(taking);
        Ok(Place { number, taken: self.taken.clone(), asked, lost })
    }

    fn make_room(&self, peer: Option<Peer>, exhausted: PermitError) -> Result<PeerPermit, PermitError> {
        let (permit, loser) = self.taken.lock().make_room(peer, exhausted).ok_or(exhausted)?;
        self.permits.warn_displaced(peer, loser, exhausted);
        Ok(permit)
    }

    /// Returns how many places are taken.
    #[cfg(test)]
    pub fn taken(&self) -> usize {
        self.permits.held()
    }
}

impl Taken {
    fn add(&mut self, taking: Taking) -> u64 {
        if let Some(client) = taking.client {
            *self.counts.entry(client).or_default() += 1;
        }
        self.next += 1;
        self.by_number.insert(self.next, taking);
        self.next
    }

    fn remove(&mut self, number: u64) -> Option<Taking> {
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

    /// Takes a place away and returns its permit, which counts for `peer` from now on, and who has lost it.
    fn make_room(
        &mut self,
        peer: Option<Peer>,
        exhausted: PermitError,
    ) -> Option<(PeerPermit, Option<Client>)> {
        let own = peer.map(Peer::client);
        let number = match exhausted {
            // Its new place goes before its own that it has not used.
            PermitError::ShareTaken => self.oldest_silent(own?),
            PermitError::AllTaken => {
                let of_own = own.and_then(|own| self.counts.get(&own)).copied().unwrap_or_default();
                let (client, most) = self.counts.iter().max_by_key(|(_, count)| **count)?;
                // With less of a difference the two would take each other's places in turn.
                if *most <= of_own + 1 {
                    return None;
                }
                self.oldest_silent(*client).or_else(|| self.newest(*client))
            }
        };
        let Taking { mut permit, client, lost, .. } = self.remove(number?)?;
        lost.cancel();
        permit.move_to(peer).ok()?;
        Some((permit, client))
    }

    /// Returns the client's oldest place that it has not used.
    fn oldest_silent(&self, client: Client) -> Option<u64> {
        self.of(client).find(|(_, taking)| !taking.asked.load(Ordering::Relaxed)).map(|(number, _)| *number)
    }

    fn newest(&self, client: Client) -> Option<u64> {
        self.of(client).next_back().map(|(number, _)| *number)
    }

    /// Returns the client's places, oldest first.
    fn of(&self, client: Client) -> impl DoubleEndedIterator<Item = (&u64, &Taking)> {
        self.by_number.iter().filter(move |(_, taking)| taking.client == Some(client))
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinHandle;

    use super::*;

    struct Client {
        task: JoinHandle<()>,
        asked: Arc<AtomicBool>,
    }

    fn connect(places: &Places, address: &str) -> Option<Client> {
        let place = places.take(Some(Peer::new(address.parse().unwrap()))).ok()?;
        let asked = place.asked.clone();
        let task = tokio::spawn(async move { place.lost.cancelled().await });
        Some(Client { task, asked })
    }

    async fn ended(clients: &[Client]) -> usize {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        clients.iter().filter(|client| client.task.is_finished()).count()
    }

    #[tokio::test]
    async fn two_clients_that_take_everything_give_way_to_a_third() {
        let places = Places::new("test", 20);
        let flood: Vec<_> =
            (0..20).filter_map(|n| connect(&places, ["203.0.113.5", "203.0.113.6"][n % 2])).collect();
        assert_eq!(flood.len(), 20);
        flood[0].asked.store(true, Ordering::Relaxed);
        let honest: Vec<_> = (0..6).filter_map(|_| connect(&places, "198.51.100.7")).collect();
        assert_eq!((honest.len(), ended(&honest).await, ended(&flood).await), (6, 0, 6));
        assert!(!flood[0].task.is_finished() && flood[2].task.is_finished(), "silent ones go, oldest first");
        let more = (0..6).filter_map(|_| connect(&places, "198.51.100.7")).count();
        assert!(more <= 1, "equal shares are kept: {more}");
    }

    #[tokio::test]
    async fn a_client_that_is_served_keeps_its_connections_from_its_equals() {
        let places = Places::new("test", 4);
        let one = [(); 2].map(|()| connect(&places, "203.0.113.5").unwrap());
        let two = [(); 2].map(|()| connect(&places, "203.0.113.6").unwrap());
        assert!(connect(&places, "203.0.113.6").is_some(), "in place of its own silent one");
        assert_eq!((ended(&one).await, ended(&two).await), (0, 1));
        one.iter().chain(&two).for_each(|client| client.asked.store(true, Ordering::Relaxed));
        let third = connect(&places, "198.51.100.7").expect("the one with the most gives way");
        assert!(connect(&places, "198.51.100.7").is_none());
        assert_eq!(ended(&[third]).await, 0);
    }

    #[tokio::test]
    async fn what_ends_is_free_again() {
        let places = Places::new("test", 6);
        let clients: Vec<_> =
            (0..9).filter_map(|n| connect(&places, &format!("203.0.113.{}", n % 3))).collect();
        clients.iter().for_each(|client| client.task.abort());
        assert_eq!(ended(&clients).await, clients.len());
        let taken = places.taken.lock();
        assert_eq!((taken.by_number.len(), taken.counts.len(), places.permits.held()), (0, 0, 0));
    }
}
