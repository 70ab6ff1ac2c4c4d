//! The places of connections, which `connection` gives out. When a client asks for a place and there is none, the client
//! that has the most connections gives one up: otherwise two clients could take all places.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::task::AbortHandle;

use super::{
    peer::{Client, Peer},
    semaphore::{PeerPermit, PeerSemaphore, PermitError},
};

/// All places of ordinary connections. Clones share them.
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

/// The connection that has a place.
struct Taking {
    client: Option<Client>,
    permit: PeerPermit,
    asked: Arc<AtomicBool>,
    /// `None` until the connection has begun.
    connection: Option<AbortHandle>,
}

/// A place, which is free again when this is dropped.
pub struct Place {
    number: u64,
    taken: Arc<Mutex<Taken>>,
    /// Set once the connection has sent the whole head of a request.
    pub asked: Arc<AtomicBool>,
}

impl Drop for Place {
    fn drop(&mut self) {
        // The permit is released after the lock.
        let removed = self.taken.lock().remove(self.number);
        drop(removed);
    }
}

impl Places {
    pub fn new(most: usize) -> Self {
        Self { permits: PeerSemaphore::new("connections", most), taken: Arc::default() }
    }

    /// Returns a place. If none is free, the connection that has to give way to this peer is ended. Fails if there is
    /// no such connection.
    pub fn take(&self, peer: Option<Peer>) -> Result<Place, PermitError> {
        let permit = self.permits.try_acquire(peer).or_else(|exhausted| {
            let permit = self.taken.lock().make_room(peer, exhausted);
            permit.ok_or(exhausted)
        });
        let permit = permit.inspect_err(|exhausted| self.permits.warn_refusal(peer, *exhausted))?;
        let asked = Arc::<AtomicBool>::default();
        let client = peer.map(Peer::client);
        let taking = Taking { client, permit, asked: asked.clone(), connection: None };
        let number = self.taken.lock().add(taking);
        Ok(Place { number, taken: self.taken.clone(), asked })
    }

    /// Tells which connection has the place with this number.
    pub fn begin(&self, number: u64, connection: AbortHandle) {
        if let Some(taking) = self.taken.lock().by_number.get_mut(&number) {
            taking.connection = Some(connection);
        }
    }
}

impl Place {
    pub fn number(&self) -> u64 {
        self.number
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

    /// Ends a connection and returns its permit, which counts for `peer` from now on.
    fn make_room(&mut self, peer: Option<Peer>, exhausted: PermitError) -> Option<PeerPermit> {
        let own = peer.map(Peer::client);
        let number = match exhausted {
            // Its new request goes before its own connections that have not asked for anything.
            PermitError::ShareTaken => self.oldest_silent(own?),
            PermitError::AllTaken => {
                let of_own = own.and_then(|own| self.counts.get(&own)).copied().unwrap_or_default();
                let (client, most) = self.counts.iter().max_by_key(|(_, count)| **count)?;
                // With less of a difference the two would end each other's connections in turn.
                if *most <= of_own + 1 {
                    return None;
                }
                self.oldest_silent(*client).or_else(|| self.newest(*client))
            }
        };
        let Taking { mut permit, connection, .. } = self.remove(number?)?;
        if let Some(connection) = connection {
            connection.abort();
        }
        let share = match exhausted {
            PermitError::ShareTaken => return Some(permit),
            PermitError::AllTaken => permit.share_for(peer).ok()?,
        };
        permit.move_to(share);
        Some(permit)
    }

    /// Returns the client's oldest connection that has not sent the head of a request.
    fn oldest_silent(&self, client: Client) -> Option<u64> {
        self.of(client).find(|(_, taking)| !taking.asked.load(Ordering::Relaxed)).map(|(number, _)| *number)
    }

    fn newest(&self, client: Client) -> Option<u64> {
        self.of(client).next_back().map(|(number, _)| *number)
    }

    /// Returns the client's connections, oldest first.
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
        let (number, asked) = (place.number(), place.asked.clone());
        let task = tokio::spawn(async move {
            std::future::pending::<()>().await;
            drop(place);
        });
        places.begin(number, task.abort_handle());
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
        let places = Places::new(20);
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
        let places = Places::new(4);
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
        let places = Places::new(6);
        let clients: Vec<_> =
            (0..9).filter_map(|n| connect(&places, &format!("203.0.113.{}", n % 3))).collect();
        clients.iter().for_each(|client| client.task.abort());
        assert_eq!(ended(&clients).await, clients.len());
        let taken = places.taken.lock();
        assert_eq!((taken.by_number.len(), taken.counts.len(), places.permits.held()), (0, 0, 0));
    }
}
