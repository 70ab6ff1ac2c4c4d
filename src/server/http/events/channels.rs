//! Finds which channels give way to others when slots or bytes run out. Unused channels are closed first.
//! Then a channel whose peer has left counts for one of its followers instead, and is closed only if none of
//! them has room in its share. At last, clients with many channels give way to one with none. `hub` calls it, under
//! its lock.

use std::{collections::HashMap, sync::Arc};

use super::{
    ask::{EventQuery, Format, View},
    channel::Channel,
};
use crate::server::http::{
    peer::{Client, Peer},
    semaphore::{PeerPermit, PeerSemaphore, PermitError},
};
use wukong_core::Scope;

/// All channels.
pub type Channels = HashMap<Key, Entry>;

/// Identifies a channel: equal views of equal scope in the same format share one.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key {
    scope: Scope,
    format: Format,
    /// The view's canonical address.
    view: String,
}

impl Key {
    pub fn of(query: &EventQuery, scope: Scope) -> Self {
        let view = match &query.view {
            // The default view is no part of the address.
            View::List(query) => [query.default_view.code(), &query.to_query_string()].concat(),
            View::Vm { namespace, name } => [namespace, "/", name].concat(),
            View::Node { name } => ["node:", name].concat(),
            View::Sources => "sources".to_owned(),
        };
        Self { scope, format: query.format, view }
    }
}

/// A channel and its permit. The permit and the bytes count for one peer: the one that asked for the view
/// first, or a follower that the channel was given to after that one had left.
pub struct Entry {
    pub channel: Arc<Channel>,
    /// The peer that it counts for.
    pub client: Option<Client>,
    /// Serial number of the channel.
    pub number: u64,
    slot: PeerPermit,
}

impl Entry {
    pub fn new(channel: Arc<Channel>, client: Option<Client>, number: u64, slot: PeerPermit) -> Self {
        Self { channel, client, number, slot }
    }

    /// Returns whether other peers follow it too.
    pub fn has_guests(&self) -> bool {
        self.channel.followers().iter().any(|client| *client != self.client)
    }

    /// Returns whether only others follow it: the peer that it counts for has left.
    pub fn is_abandoned(&self) -> bool {
        let followers = self.channel.followers();
        !followers.is_empty() && !followers.contains(&self.client)
    }

    /// Gives the channel to the first follower whose share has room for it. Returns whether there is one.
    fn give_to_a_follower(&mut self) -> bool {
        self.channel.followers().into_iter().any(|client| self.move_to_client(client).is_ok())
    }

    /// Counts for this peer from now on. Fails, and changes nothing, if its share has no room.
    fn move_to_client(&mut self, client: Option<Client>) -> Result<(), PermitError> {
        let peer = client.map(Peer::from);
        self.slot.move_to(peer)?;
        if let Err(exhausted) = self.channel.move_to(peer) {
            // Its room cannot be gone: nobody else takes slots meanwhile.
            self.slot.move_to(self.client.map(Peer::from))?;
            return Err(exhausted);
        }
        self.client = client;
        Ok(())
    }
}

/// Returns what `acquire` gives. While there is no room, lets one channel after the other give way. `None` if
/// there is none that can.
pub fn make_room<T>(
    channels: &mut Channels,
    peer: Option<Peer>,
    pool: &PeerSemaphore,
    acquire: impl Fn() -> Result<T, PermitError>,
) -> Option<T> {
    loop {
        let exhausted = match acquire() {
            Ok(acquired) => return Some(acquired),
            Err(exhausted) => exhausted,
        };
        let client = peer.map(Peer::client);
        let has_given =
            give_way(channels, client, exhausted) || give_way_to_newcomer(channels, client, exhausted);
        if !has_given {
            pool.warn_refusal(peer, exhausted);
            return None;
        }
    }
}

/// Makes room for the first channel of a client: closes the newest channel of the client that has the most, if it has
/// more than one. So many clients with many views each cannot keep others out. Returns whether there was such a
/// channel.
pub fn give_way_to_newcomer(channels: &mut Channels, client: Option<Client>, exhausted: PermitError) -> bool {
    if exhausted == PermitError::ShareTaken || channels.values().any(|entry| entry.client == client) {
        return false;
    }
    let mut counts: HashMap<Option<Client>, usize> = HashMap::new();
    channels.values().for_each(|entry| *counts.entry(entry.client).or_default() += 1);
    let greediest = counts.into_iter().filter(|(_, count)| *count > 1).max_by_key(|(_, count)| *count);
    let newest = greediest.and_then(|(greediest, _)| newest_of(channels, greediest));
    newest.inspect(|key| remove(channels, key)).is_some()
}

/// Closes the channel that has been without followers for the longest time. If there is none, gives the oldest
/// abandoned channel to one of its followers, which frees the share of the peer that has left. It is closed if
/// no follower's share has room: its clients come back, and it then counts for them. Returns whether there was
/// such a channel.
pub fn give_way(channels: &mut Channels, client: Option<Client>, exhausted: PermitError) -> bool {
    if let Some(key) = idlest(channels, client, exhausted) {
        remove(channels, &key);
        return true;
    }
    let Some(key) = oldest_abandoned(channels, client, exhausted) else { return false };
    if !channels.get_mut(&key).is_some_and(Entry::give_to_a_follower) {
        remove(channels, &key);
    }
    true
}

/// Returns whether the channel can make room for a peer. If the peer has used up its share, only the peer's
/// own channels can.
fn can_give(entry: &Entry, client: Option<Client>, exhausted: PermitError) -> bool {
    exhausted == PermitError::AllTaken || entry.client == client
}

pub fn trim(channels: &Channels, client: Option<Client>, exhausted: PermitError) {
    let giving = channels.values().filter(|entry| can_give(entry, client, exhausted));
    giving.for_each(|entry| entry.channel.trim());
}

/// Returns the channel that has been without followers for the longest time.
fn idlest(channels: &Channels, client: Option<Client>, exhausted: PermitError) -> Option<Key> {
    let idle = channels.iter().filter(|(_, entry)| can_give(entry, client, exhausted));
    let idle = idle.filter_map(|(key, entry)| Some((entry.channel.idle_since()?, key)));
    idle.min_by_key(|(since, _)| *since).map(|(_, key)| key.clone())
}

/// Returns the oldest channel whose peer has left while others follow it. Such a channel takes a slot of a
/// peer that does not use it: a client that joins every view of others could otherwise take theirs for ever.
fn oldest_abandoned(channels: &Channels, client: Option<Client>, exhausted: PermitError) -> Option<Key> {
    let abandoned = channels.iter().filter(|(_, entry)| can_give(entry, client, exhausted));
    let abandoned = abandoned.filter(|(_, entry)| entry.is_abandoned());
    abandoned.min_by_key(|(_, entry)| entry.number).map(|(key, _)| key.clone())
}

pub fn newest_of_the_greediest(
    channels: &Channels,
    client: Option<Client>,
    exhausted: PermitError,
) -> Option<Key> {
    let greediest = match exhausted {
        PermitError::ShareTaken => client,
        PermitError::AllTaken => {
            let mut bytes: HashMap<Option<Client>, usize> = HashMap::new();
            for entry in channels.values() {
                *bytes.entry(entry.client).or_default() += entry.channel.bytes();
            }
            bytes.into_iter().max_by_key(|(_, bytes)| *bytes)?.0
        }
    };
    newest_of(channels, greediest)
}

/// Returns the newest channel of a client that nobody else follows, else the newest of all of the client's.
fn newest_of(channels: &Channels, client: Option<Client>) -> Option<Key> {
    let theirs = channels.iter().filter(|(_, entry)| entry.client == client);
    theirs.max_by_key(|(_, entry)| (!entry.has_guests(), entry.number)).map(|(key, _)| key.clone())
}

pub fn remove(channels: &mut Channels, key: &Key) {
    if let Some(entry) = channels.remove(key) {
        entry.channel.close();
    }
}
