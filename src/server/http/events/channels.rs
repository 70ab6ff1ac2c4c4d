//! Finds which channels give way to others: when places or bytes run out, unused channels go first, then those whose
//! peer has left. `hub` calls it, under its lock.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use super::{
    ask::{EventQuery, Format, View},
    channel::Channel,
};
use crate::server::http::{
    limits::{PeerPermit, PeerSemaphore, PermitError},
    peer::Peer,
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
            View::List(query) => query.to_query_string(),
            View::Vm { namespace, name } => [namespace, "/", name].concat(),
            View::Sources => "sources".to_owned(),
        };
        Self { scope, format: query.format, view }
    }
}

/// A channel and its permit. The permit and the bytes count for the peer that asked for the view first.
pub struct Entry {
    pub channel: Arc<Channel>,
    pub network: Option<IpAddr>,
    /// Serial number of the channel.
    pub number: u64,
    _place: PeerPermit,
}

impl Entry {
    pub fn new(channel: Arc<Channel>, network: Option<IpAddr>, number: u64, place: PeerPermit) -> Self {
        Self { channel, network, number, _place: place }
    }

    /// Returns whether other peers follow it too.
    pub fn has_guests(&self) -> bool {
        self.channel.followers().iter().any(|network| *network != self.network)
    }

    /// Returns whether only others follow it: the peer that it counts for has left.
    pub fn is_abandoned(&self) -> bool {
        let followers = self.channel.followers();
        !followers.is_empty() && !followers.contains(&self.network)
    }
}

/// Returns what `acquire` gives. While there is no room, removes the channel that has been without followers
/// for the longest time, and then the oldest channel that only others follow than the peer that it counts for.
/// `None` if there is none: the clients of an abandoned channel come back, and it then counts for them.
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
        let network = peer.map(Peer::network);
        let unused = idlest(channels, network, exhausted);
        let Some(key) = unused.or_else(|| oldest_abandoned(channels, network, exhausted)) else {
            pool.warn_refusal(peer, exhausted);
            return None;
        };
        remove(channels, &key);
    }
}

/// Returns whether the channel can make room for a peer. If the peer has used up its share, only the peer's
/// own channels can.
fn can_give(entry: &Entry, network: Option<IpAddr>, exhausted: PermitError) -> bool {
    exhausted == PermitError::AllTaken || entry.network == network
}

pub fn trim(channels: &Channels, network: Option<IpAddr>, exhausted: PermitError) {
    let giving = channels.values().filter(|entry| can_give(entry, network, exhausted));
    giving.for_each(|entry| entry.channel.trim());
}

/// Returns the channel that has been without followers for the longest time.
pub fn idlest(channels: &Channels, network: Option<IpAddr>, exhausted: PermitError) -> Option<Key> {
    let idle = channels.iter().filter(|(_, entry)| can_give(entry, network, exhausted));
    let idle = idle.filter_map(|(key, entry)| Some((entry.channel.idle_since()?, key)));
    idle.min_by_key(|(since, _)| *since).map(|(_, key)| key.clone())
}

/// Returns the oldest channel whose peer has left while others follow it. Such a channel takes a place of a
/// peer that does not use it: a client that joins every view of others could otherwise take theirs for ever.
pub fn oldest_abandoned(channels: &Channels, network: Option<IpAddr>, exhausted: PermitError) -> Option<Key> {
    let abandoned = channels.iter().filter(|(_, entry)| can_give(entry, network, exhausted));
    let abandoned = abandoned.filter(|(_, entry)| entry.is_abandoned());
    abandoned.min_by_key(|(_, entry)| entry.number).map(|(key, _)| key.clone())
}

pub fn newest_of_the_greediest(
    channels: &Channels,
    network: Option<IpAddr>,
    exhausted: PermitError,
) -> Option<Key> {
    let greediest = match exhausted {
        PermitError::ShareTaken => network,
        PermitError::AllTaken => {
            let mut bytes: HashMap<Option<IpAddr>, usize> = HashMap::new();
            for entry in channels.values() {
                *bytes.entry(entry.network).or_default() += entry.channel.bytes();
            }
            bytes.into_iter().max_by_key(|(_, bytes)| *bytes)?.0
        }
    };
    let theirs = channels.iter().filter(|(_, entry)| entry.network == greediest);
    theirs.max_by_key(|(_, entry)| (!entry.has_guests(), entry.number)).map(|(key, _)| key.clone())
}

pub fn remove(channels: &mut Channels, key: &Key) {
    if let Some(entry) = channels.remove(key) {
        entry.channel.close();
    }
}
