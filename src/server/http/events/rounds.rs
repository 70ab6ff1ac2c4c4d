//! Decides in which order views are cut: the peers take turns, so that a peer with hundreds of views delays
//! another peer by only one of them, and the views that are furthest behind come first. `hub` uses it.
//!
//! Cutting takes at most a third of one core. With more views, their events come less often. After a peer's
//! views of one snapshot are cut, the peer rests for as long as its share of that third requires; no peer
//! rests because of another.

use std::{
    collections::{HashMap, VecDeque},
    future::pending,
    sync::Arc,
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use super::channel::Channel;
use crate::server::http::peer::Client;

/// Cutting takes at most one part in this many of one core.
const CORE_SHARE: u32 = 3;

/// The views that must still be cut for the newest snapshot, and whose turn it is.
#[derive(Default)]
pub struct Rounds {
    seq: u64,
    /// The peer whose last turn is longest ago comes first.
    lanes: VecDeque<Lane>,
    peers: HashMap<Option<Client>, PeerTurns>,
    turns: u64,
}

/// The views of one peer that are behind. A view that several peers follow is in the lane of each.
struct Lane {
    client: Option<Client>,
    channels: VecDeque<Arc<Channel>>,
}

#[derive(Clone, Copy)]
struct PeerTurns {
    /// The number of its last turn.
    turn: u64,
    /// It rests until then, and after that for as long as its turns since then cost.
    rested: Instant,
    cost: Duration,
}

impl PeerTurns {
    fn extend_rest(&mut self, now: Instant) {
        self.rested = self.rested.max(now) + std::mem::take(&mut self.cost);
    }
}

impl Rounds {
    /// Begins the round of a new snapshot. Views that are behind an older snapshot come first in their
    /// lanes.
    pub fn begin(&mut self, seq: u64, channels: impl IntoIterator<Item = Arc<Channel>>, now: Instant) {
        self.seq = seq;
        let mut lanes: HashMap<Option<Client>, Vec<(u64, Arc<Channel>)>> = HashMap::new();
        for channel in channels {
            let Some(seen) = channel.is_behind(seq) else { continue };
            for client in channel.followers() {
                lanes.entry(client).or_default().push((seen, channel.clone()));
            }
        }
        self.peers.values_mut().for_each(|peer| peer.extend_rest(now));
        self.peers.retain(|client, peer| lanes.contains_key(client) || peer.rested > now);
        let lane = |(client, mut channels): (Option<Client>, Vec<(u64, Arc<Channel>)>)| {
            channels.sort_by_key(|(seen, _)| *seen);
            Lane { client, channels: channels.into_iter().map(|(_, channel)| channel).collect() }
        };
        let mut lanes: Vec<Lane> = lanes.into_iter().map(lane).collect();
        lanes.sort_by_key(|lane| self.peers.get(&lane.client).map(|peer| peer.turn));
        self.lanes = lanes.into();
    }

    /// Returns the next view, and the peer whose turn it is. Waits while all peers with views rest, and
    /// forever if no view is behind.
    pub async fn next(&mut self) -> (Option<Client>, Arc<Channel>) {
        loop {
            let now = Instant::now();
            if let Some(turn) = self.pop(now) {
                return turn;
            }
            match self.lanes.iter().filter_map(|lane| self.rested(lane.client)).min() {
                Some(rested) => sleep_until(rested).await,
                None => pending().await,
            }
        }
    }

    fn rested(&self, client: Option<Client>) -> Option<Instant> {
        self.peers.get(&client).map(|peer| peer.rested)
    }

    fn pop(&mut self, now: Instant) -> Option<(Option<Client>, Arc<Channel>)> {
        let seq = self.seq;
        for lane in &mut self.lanes {
            // Views that were cut in another lane, or whose followers left, are skipped.
            while lane.channels.front().is_some_and(|channel| channel.is_behind(seq).is_none()) {
                lane.channels.pop_front();
            }
        }
        self.lanes.retain(|lane| !lane.channels.is_empty());
        let rests = |lane: &Lane| self.rested(lane.client).is_some_and(|rested| rested > now);
        let place = self.lanes.iter().position(|lane| !rests(lane))?;
        let mut lane = self.lanes.remove(place)?;
        let channel = lane.channels.pop_front()?;
        let client = lane.client;
        self.lanes.push_back(lane);
        Some((client, channel))
    }

    /// Ends a turn in which cutting took `took`.
    pub fn end_turn(&mut self, client: Option<Client>, took: Duration, now: Instant) {
        self.turns += 1;
        let busy = u32::try_from(self.lanes.len().max(1)).unwrap_or(u32::MAX);
        let share = (CORE_SHARE * busy).saturating_sub(1);
        let peer =
            self.peers.entry(client).or_insert(PeerTurns { turn: 0, rested: now, cost: Duration::ZERO });
        peer.turn = self.turns;
        peer.cost += took * share;
        if self.lanes.iter().all(|lane| lane.client != client || lane.channels.is_empty()) {
            peer.extend_rest(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::{
        super::{
            ask::{EventQuery, Format, View},
            channel::Subscription,
            room::{self, Room},
        },
        *,
    };
    use wukong_core::Scope;

    const CUT: Duration = Duration::from_millis(10);

    fn view() -> Arc<Channel> {
        let query = EventQuery { view: View::Sources, format: Format::Json, last: None };
        let room = Room::new(&room::pool(1 << 20), None, 1).unwrap();
        Arc::new(Channel::new(&query, Scope::all(), room))
    }

    fn client(last: u8) -> Option<Client> {
        Some(Client::Network([203, 0, 113, last].into()))
    }

    /// Returns this many views of a peer, and their followers.
    fn views(count: usize, last: u8) -> (Vec<Arc<Channel>>, Vec<Subscription>) {
        let channels: Vec<_> = (0..count).map(|_| view()).collect();
        let followers = channels.iter().map(|channel| Subscription::new(channel.clone(), client(last)));
        (channels.clone(), followers.collect())
    }

    /// Returns the peers whose views are cut within this time; each cut takes 10 ms.
    async fn turns(rounds: &mut Rounds, time: Duration) -> Vec<u8> {
        let end = Instant::now() + time;
        let mut turns = Vec::new();
        while Instant::now() < end
            && let Ok((client, _)) = tokio::time::timeout_at(end, rounds.next()).await
        {
            tokio::time::advance(CUT).await;
            rounds.end_turn(client, CUT, Instant::now());
            let Some(Client::Network(IpAddr::V4(address))) = client else { panic!("{client:?}") };
            turns.push(address.octets()[3]);
        }
        turns
    }

    const LONG: Duration = Duration::from_secs(3600);

    #[tokio::test(start_paused = true)]
    async fn peers_take_turns_whatever_each_of_them_follows() {
        let (many, _many) = views(300, 5);
        let (some, _some) = views(2, 6);
        let (one, _one) = views(1, 7);
        let all: Vec<_> = [many, some, one].concat();
        let mut rounds = Rounds::default();
        rounds.begin(1, all.clone(), Instant::now());
        let turns = turns(&mut rounds, LONG).await;
        assert_eq!(turns.len(), 303);
        let place = |peer: u8| turns.iter().rposition(|turn| *turn == peer).unwrap();
        assert!(place(7) <= 2, "one view waits for one of each other peer: {}", place(7));
        // A peer with two views rests only because of itself. Its second view comes after one more of each
        // other peer.
        assert!(place(6) <= 5, "{}", place(6));
    }

    /// Snapshots come faster than 300 views are cut.
    #[tokio::test(start_paused = true)]
    async fn a_new_snapshot_does_not_wait_for_the_round_before_and_all_take_a_third_of_a_core() {
        let (many, _many) = views(300, 5);
        let (one, _one) = views(1, 6);
        let all: Vec<_> = [many, one].concat();
        let mut rounds = Rounds::default();
        let mut cut = 0;
        let mut waited = Vec::new();
        for second in 1..=30 {
            rounds.begin(second, all.clone(), Instant::now());
            let turns = turns(&mut rounds, Duration::from_secs(1)).await;
            waited.push(turns.iter().position(|turn| *turn == 6).expect("within its second"));
            cut += turns.len();
        }
        assert!(waited.iter().all(|waited| *waited <= 1), "{waited:?}");
        let share = cut as f64 * CUT.as_secs_f64() / 30.0;
        assert!((0.25..0.45).contains(&share), "{share} of a core");
    }

    #[tokio::test(start_paused = true)]
    async fn a_view_that_two_follow_is_cut_in_the_turn_that_comes_first() {
        let (many, _many) = views(50, 5);
        let shared = many[49].clone();
        let _guest = Subscription::new(shared.clone(), client(6));
        let mut rounds = Rounds::default();
        rounds.begin(1, many, Instant::now());
        let mut place = 0;
        while !Arc::ptr_eq(&rounds.next().await.1, &shared) {
            place += 1;
        }
        assert!(place <= 1, "{place} views came before it");
    }
}
