//! Connections that are reserved for probes, which `connection` uses when all others are taken. Kubernetes
//! then still learns that the program is alive, and does not restart it.

use std::collections::{HashMap, VecDeque};

use tokio::task::AbortHandle;

use super::peer::Peer;

/// Number of connections that are reserved for probes.
pub const RESERVE: usize = 32;

/// The connections beyond the ordinary ones. If there are too many, each new one ends an old one. A probe
/// sends its request as soon as it is connected, and is answered before other connections replace it.
#[derive(Default)]
pub struct Reserve {
    /// Connections, oldest first.
    connections: VecDeque<(Option<Peer>, AbortHandle)>,
}

impl Reserve {
    /// Adds a connection, and ends another one if there are too many.
    pub fn admit(&mut self, peer: Option<Peer>, connection: AbortHandle) {
        self.connections.retain(|(_, connection)| !connection.is_finished());
        if self.connections.len() >= RESERVE
            && let Some((_, connection)) = self.connections.remove(self.expendable())
        {
            connection.abort();
        }
        self.connections.push_back((peer, connection));
    }

    /// Returns the index of the oldest connection of the peer that has the most, so that a flood ends its
    /// own connections.
    fn expendable(&self) -> usize {
        let mut counts: HashMap<_, usize> = HashMap::new();
        for (peer, _) in &self.connections {
            *counts.entry(peer.map(Peer::client)).or_default() += 1;
        }
        let count = |peer: &Option<Peer>| counts.get(&peer.map(Peer::client)).copied().unwrap_or_default();
        let most = counts.values().copied().max().unwrap_or_default();
        self.connections.iter().position(|(peer, _)| count(peer) == most).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinHandle;

    use super::*;

    fn peer(address: &str) -> Option<Peer> {
        Some(Peer::new(address.parse().unwrap()))
    }

    fn connect(reserve: &mut Reserve, address: &str) -> JoinHandle<()> {
        let connection = tokio::spawn(std::future::pending());
        reserve.admit(peer(address), connection.abort_handle());
        connection
    }

    async fn is_ended(connection: &JoinHandle<()>) -> bool {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        connection.is_finished()
    }

    #[tokio::test]
    async fn a_flood_drives_itself_out_and_no_probe() {
        let mut reserve = Reserve::default();
        let probe = connect(&mut reserve, "203.0.113.9");
        let flood: Vec<_> =
            (0..RESERVE * 3).map(|n| connect(&mut reserve, &format!("198.51.100.{}", n % 2))).collect();
        assert!(!is_ended(&probe).await);
        assert_eq!(reserve.connections.len(), RESERVE);
        let ended = flood.iter().filter(|connection| connection.is_finished()).count();
        assert_eq!(ended, flood.len() - (RESERVE - 1));
        assert!(flood[0].is_finished() && !flood[flood.len() - 1].is_finished(), "the oldest go first");
    }

    #[tokio::test]
    async fn connections_that_ended_by_themselves_make_room() {
        let mut reserve = Reserve::default();
        let first: Vec<_> = (0..RESERVE).map(|_| connect(&mut reserve, "203.0.113.9")).collect();
        first[5].abort();
        assert!(is_ended(&first[5]).await);
        let last = connect(&mut reserve, "203.0.113.9");
        assert!(!is_ended(&last).await && !first[0].is_finished());
    }
}
