//! Counts refusals, so that the audit log has some lines about each client, and how many were left out: nobody can
//! fill the log, and nobody can guess in silence.

use std::{collections::HashMap, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::audit;
use crate::server::http::peer::{Client, Peer};

/// Lines about one client in a minute.
const LINES: u32 = 10;
const MINUTE: Duration = Duration::from_secs(60);
/// Most clients that are counted. All others count as one.
const MOST_CLIENTS: usize = 4_096;

/// The refusals of the last minute.
#[derive(Default)]
pub struct Refusals(Mutex<HashMap<Option<Client>, Count>>);

struct Count {
    since: Instant,
    peer: Option<Peer>,
    lines: u32,
    left_out: u64,
}

impl Refusals {
    /// Writes that somebody was refused, or counts it if there are enough lines about them.
    pub fn note(&self, why: audit::Refusal, peer: Option<Peer>) {
        if self.count(peer) {
            audit::refused(why, peer, 0);
        }
    }

    /// Writes how many refusals were left out, and forgets what is older than a minute.
    pub fn tidy(&self) {
        for (peer, left_out) in self.take_left_out() {
            audit::refused(audit::Refusal::LeftOut, peer, left_out);
        }
    }

    /// Returns whether to write a line about this one.
    fn count(&self, peer: Option<Peer>) -> bool {
        let mut counts = self.0.lock();
        let client = peer.map(Peer::client);
        let is_counted = counts.contains_key(&client) || counts.len() < MOST_CLIENTS;
        let (client, peer) = if is_counted { (client, peer) } else { (None, None) };
        let new = || Count { since: Instant::now(), peer, lines: 0, left_out: 0 };
        let count = counts.entry(client).or_insert_with(new);
        let is_line = count.lines < LINES;
        count.lines += u32::from(is_line);
        count.left_out += u64::from(!is_line);
        is_line
    }

    /// Returns how many lines were left out about whom in minutes that are over.
    fn take_left_out(&self) -> Vec<(Option<Peer>, u64)> {
        let over = |count: &Count| count.since.elapsed() >= MINUTE;
        let mut counts = self.0.lock();
        let ended = counts.values().filter(|count| over(count) && count.left_out > 0);
        let ended = ended.map(|count| (count.peer, count.left_out)).collect();
        counts.retain(|_, count| !over(count));
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(last: u8) -> Option<Peer> {
        Some(Peer::new([203, 0, 113, last].into()))
    }

    #[tokio::test(start_paused = true)]
    async fn each_client_gets_ten_lines_a_minute_and_the_rest_is_counted() {
        let refusals = Refusals::default();
        let lines = (0..25).filter(|_| refusals.count(peer(1))).count();
        assert_eq!((lines, refusals.count(peer(2))), (10, true));
        assert!(refusals.take_left_out().is_empty(), "the minute is not over");
        tokio::time::advance(MINUTE).await;
        assert_eq!(refusals.take_left_out(), [(peer(1), 15)]);
        assert!(refusals.count(peer(1)) && refusals.take_left_out().is_empty());
    }

    #[test]
    fn clients_beyond_the_limit_count_as_one() {
        let refusals = Refusals::default();
        for at in 0..MOST_CLIENTS as u32 {
            assert!(refusals.count(Some(Peer::new(std::net::Ipv4Addr::from(at).into()))));
        }
        let lines = (1..50).filter(|last| refusals.count(peer(*last))).count();
        assert_eq!((lines as u32, refusals.0.lock().len()), (LINES, MOST_CLIENTS + 1));
    }
}
