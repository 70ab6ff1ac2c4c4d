//! The answers that are sent under permits of a semaphore. One that is read slowly gives way to a request that waits:
//! otherwise a few slow readers would keep all permits for hours. Its connection is ended, since a reader that takes
//! nothing at all would not notice anything else.

use std::{
    cmp::Reverse,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::accounts::{Accounts, Transfer};
use crate::server::http::peer::Client;

/// How long every answer may take that gives way: shorter than a request waits.
const GRACE: Duration = Duration::from_secs(1);
/// The same for the answers of a client that has no more than an equal share.
const LONG_GRACE: Duration = Duration::from_secs(30);
/// Bytes per second that a reader must have read on average after that: 20 MB within five minutes.
const SLOWEST: u64 = 64 << 10;
/// How often it is looked at most whether answers have become so slow that they give way.
pub const CHECK_INTERVAL: Duration = Duration::from_millis(250);

impl Transfer {
    fn is_slow(&self, now: Instant, grace: Duration) -> bool {
        let age = now - self.begun;
        age >= grace && self.read.load(Ordering::Relaxed) < SLOWEST * age.as_secs()
    }

    /// Returns the bytes per second that were read so far.
    fn rate(&self, now: Instant) -> u64 {
        self.read.load(Ordering::Relaxed) / ((now - self.begun).as_secs() + 1)
    }
}

impl Accounts {
    /// Counts an answer of this many permits, until [`Self::end_transfer`] with its number. Returns the counter of the
    /// bytes that its reader has read.
    pub fn begin_transfer(
        &mut self,
        client: Option<Client>,
        count: usize,
        connection: CancellationToken,
    ) -> (u64, Arc<AtomicU64>) {
        let read = Arc::<AtomicU64>::default();
        let (begun, is_ending) = (Instant::now(), false);
        let transfer = Transfer { client, count, begun, read: read.clone(), connection, is_ending };
        self.transfers.next += 1;
        self.transfers.by_number.insert(self.transfers.next, transfer);
        (self.transfers.next, read)
    }

    pub fn end_transfer(&mut self, number: u64) {
        if let Some(transfer) = self.transfers.by_number.remove(&number).filter(|transfer| transfer.is_ending)
            && let Some(account) = self.by_client.get_mut(&transfer.client)
        {
            account.leaving -= transfer.count;
        }
    }

    /// Finds which answers have become so slow that they give way to the requests that wait.
    pub fn end_slow_transfers(&mut self) {
        let now = Instant::now();
        let is_due = self.transfers.looked.is_none_or(|looked| now - looked >= CHECK_INTERVAL);
        if is_due && !self.transfers.by_number.is_empty() {
            self.transfers.looked = Some(now);
            self.hand_out();
        }
    }

    /// Ends slow answers of others until there will be this many permits for the client, or until none is left that has
    /// to give way.
    pub fn make_room(&mut self, client: Option<Client>, count: usize) {
        let mut room = self.free + self.transfers.leaving();
        while room < count
            && let Some(number) = self.first_to_give_way(client, count)
        {
            room += self.end(number);
        }
    }

    /// Returns the slowest answer of the client that has most. A client that has more than an equal share, and more than
    /// the one that waits would have, keeps none that is read slowly. One that has nothing may also have as much: a share
    /// can be a single answer.
    fn first_to_give_way(&self, client: Option<Client>, count: usize) -> Option<u64> {
        let now = Instant::now();
        let (own, equal_share) = (self.held(client), self.permits / self.peers().max(1));
        let others = self.transfers.by_number.iter().filter(|(_, transfer)| transfer.client != client);
        let slow = others.filter_map(|(number, transfer)| {
            let account = self.by_client.get(&transfer.client)?;
            let held = account.held - account.leaving;
            let would_have = own + count;
            let has_more = held > would_have || own == 0 && held == would_have;
            let is_greedy = held > equal_share && has_more;
            let grace = if is_greedy { GRACE } else { LONG_GRACE };
            let gives_way = !transfer.is_ending && held >= own && transfer.is_slow(now, grace);
            gives_way.then_some((Reverse(held), transfer.rate(now), *number))
        });
        slow.min().map(|(.., number)| number)
    }

    /// Ends an answer. Returns how many permits it will release.
    fn end(&mut self, number: u64) -> usize {
        let Some(transfer) = self.transfers.by_number.get_mut(&number) else { return 0 };
        transfer.is_ending = true;
        transfer.connection.cancel();
        let (client, count) = (transfer.client, transfer.count);
        if let Some(account) = self.by_client.get_mut(&client) {
            account.leaving += count;
        }
        if self.transfers.warned.is_due() {
            let peer = client.map(tracing::field::display);
            let limit = self.transfers.name;
            tracing::warn!(
                limit,
                peer,
                "a slow reader gives way to clients that wait, its answer ends early (logged at most once a minute)"
            );
        }
        count
    }
}
