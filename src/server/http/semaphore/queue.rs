//! The requests that wait for permits of a semaphore, and which of them is next.

use tokio::sync::oneshot;

use super::accounts::{Accounts, Waiting};
use crate::server::http::peer::Client;

impl Accounts {
    /// Adds a request. Returns its number, and what receives its turn, or fails if the request is refused.
    pub fn enqueue(&mut self, client: Option<Client>, count: usize) -> (u64, oneshot::Receiver<()>) {
        let (turn, receiver) = oneshot::channel();
        self.queue.next += 1;
        self.queue.requests += 1;
        self.queue.permits = self.queue.permits.saturating_add(count);
        let request = Waiting { number: self.queue.next, count, turn };
        self.by_client.entry(client).or_default().waiting.push_back(request);
        let number = self.queue.next;
        self.hand_out();
        while self.queue.is_too_long() && self.refuse_greediest() {}
        (number, receiver)
    }

    /// Removes a request. Returns whether it still waited.
    pub fn withdraw(&mut self, client: Option<Client>, number: u64) -> bool {
        let Some(account) = self.by_client.get_mut(&client) else { return false };
        let found = account.waiting.iter().position(|request| request.number == number);
        let Some(request) = found.and_then(|at| account.waiting.remove(at)) else { return false };
        self.queue.remove(&request);
        self.forget(client);
        self.hand_out();
        true
    }

    /// Gives free permits to the requests that wait, as many as there are permits for. If there are none for the next
    /// request, answers that are read slowly give way to it.
    pub fn hand_out(&mut self) {
        while self.queue.requests > 0
            && let Some((client, count)) = self.next_request()
        {
            if count > self.free {
                return self.make_room(client, count);
            }
            let account = self.by_client.get_mut(&client);
            let Some(request) = account.and_then(|account| account.waiting.pop_front()) else { return };
            self.queue.remove(&request);
            self.take_permits(client, count);
            // If the request is gone by now, its drop releases the permits.
            let _ = request.turn.send(());
        }
    }

    /// Returns the request of the client that has least with what it wants, else the one that came first. A client whose
    /// share has no room is passed over.
    fn next_request(&self) -> Option<(Option<Client>, usize)> {
        let first = self.by_client.iter().filter_map(|(client, account)| {
            let request = account.waiting.front()?;
            let fits = self.has_share(*client, request.count);
            fits.then_some((account.held + request.count, request.number, *client, request.count))
        });
        let next = first.min_by_key(|(with_it, number, ..)| (*with_it, *number));
        next.map(|(.., client, count)| (client, count))
    }

    /// Refuses the newest request of the client that has and wants most.
    fn refuse_greediest(&mut self) -> bool {
        let waiting = self.by_client.iter_mut().filter(|(_, account)| !account.waiting.is_empty());
        let greediest = waiting.max_by_key(|(_, account)| {
            let wanted: usize = account.waiting.iter().map(|request| request.count).sum();
            (account.held + wanted, account.waiting.back().map(|request| request.number))
        });
        let Some((client, request)) =
            greediest.and_then(|(client, account)| Some((*client, account.waiting.pop_back()?)))
        else {
            return false;
        };
        self.queue.remove(&request);
        self.forget(client);
        true
    }
}
