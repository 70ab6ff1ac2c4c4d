//! Every channel, and the one task that moves them on from snapshot to snapshot.

use std::{
    collections::HashMap,
    net::IpAddr,
    num::NonZero,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::available_parallelism,
    time::Duration,
};

use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{Instant, MissedTickBehavior, interval},
};

use super::{
    ask::{Asked, Format, View},
    channel::{Channel, RETRY_AFTER, Subscription},
    event::EventBuffer,
    follower::Follower,
    room::{self, Room},
    rounds::Rounds,
};
use crate::server::http::{
    error::{ApiError, ApiResult},
    limits::{PeerPermit, PeerSemaphore, PermitError},
    peer::Peer,
    reader::Reader,
};
use wukong_core::{Scope, Snapshot};

/// When things are done that no snapshot asks for.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Longest silence on a stream.
    pub heartbeat: Duration,
    /// How often silence and emptiness are looked at.
    pub tick: Duration,
    /// How long a view that nobody follows is remembered, for whoever comes back to it.
    pub keep: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { heartbeat: seconds(15), tick: seconds(1), keep: seconds(30) }
    }
}

/// Clients for each channel, and the fewest channels. Most people look at what others look at too: the list as it is, the
/// VM in trouble.
const CLIENTS_A_CHANNEL: usize = 10;
const FEWEST_CHANNELS: usize = 16;
/// Bytes of all channels: of the views that they hold, which the cluster's size decides, and of events while there is room
/// for them. A view of 50 VMs or a map takes 50 to 70 kB of it in a cluster of 10,000 VMs in 3,000 namespaces.
pub const CHANNEL_BYTES: usize = 28 << 20;
/// What a view counts for until it is cut, about a list's first page.
const UNCUT_BYTES: usize = 64 << 10;
/// Bytes of events that some client is in the middle of: some hundred views of 50 VMs.
pub const BUFFERED_BYTES: usize = 16 << 20;

/// Equal views of equal viewers, written alike.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    scope: Scope,
    format: Format,
    /// The view's canonical address.
    view: String,
}

impl Key {
    fn of(asked: &Asked, scope: Scope) -> Self {
        let view = match &asked.view {
            View::List(query) => query.to_query_string(),
            View::Vm { namespace, name } => [namespace, "/", name].concat(),
            View::Sources => "sources".to_owned(),
        };
        Self { scope, format: asked.format, view }
    }
}

/// A channel, and what it counts for: its place, and its bytes, belong to the peer that asked for the view first.
struct Entry {
    channel: Arc<Channel>,
    network: Option<IpAddr>,
    /// Grows from channel to channel.
    number: u64,
    _place: PeerPermit,
}

impl Entry {
    /// Whether somebody else than its peer follows it.
    fn has_guests(&self) -> bool {
        self.channel.followers().iter().any(|network| *network != self.network)
    }
}

pub struct Hub {
    reader: Reader,
    pace: Pace,
    /// Tells this process' events from those of the one before it.
    process: u32,
    channels: Mutex<HashMap<Key, Entry>>,
    /// Channels that there have been.
    numbers: AtomicU64,
    /// Places of channels, their bytes, and places of clients.
    channel_places: Arc<PeerSemaphore>,
    channel_bytes: Arc<PeerSemaphore>,
    client_places: Arc<PeerSemaphore>,
    buffer: Arc<EventBuffer>,
    /// Turns to cut a view that somebody waits for: for half of the cores, so that the rest is answered beside it.
    cutters: Arc<PeerSemaphore>,
    running: AtomicBool,
}

impl Hub {
    pub fn new(reader: Reader, clients: usize, pace: Pace) -> Arc<Self> {
        Self::with_bytes(reader, clients, CHANNEL_BYTES, pace)
    }

    /// The same with this many bytes for its channels.
    pub fn with_bytes(reader: Reader, clients: usize, bytes: usize, pace: Pace) -> Arc<Self> {
        let channels = (clients / CLIENTS_A_CHANNEL).max(FEWEST_CHANNELS);
        Arc::new(Self {
            reader,
            pace,
            process: rand::random(),
            channels: Mutex::default(),
            numbers: AtomicU64::new(0),
            channel_bytes: room::pool(bytes),
            channel_places: PeerSemaphore::new("event channels", channels),
            client_places: PeerSemaphore::new("event clients", clients),
            buffer: EventBuffer::new(BUFFERED_BYTES),
            cutters: PeerSemaphore::new("cuts", available_parallelism().map_or(1, NonZero::get).div_ceil(2)),
            running: AtomicBool::new(false),
        })
    }

    /// Follows a view, from the event on that the client last had. It does not wait: the view is cut elsewhere, and the
    /// stream begins with it.
    pub fn follow(self: &Arc<Self>, asked: &Asked, scope: Scope, peer: Option<Peer>) -> ApiResult<Follower> {
        let place = self.client_places.try_acquire(peer).map_err(|exhausted| {
            self.client_places.warn_refusal(peer, exhausted);
            ApiError::Crowded(RETRY_AFTER)
        })?;
        self.start();
        let subscription = self.subscribe(asked, scope, peer)?;
        let due = self.catch_up(subscription.channel(), peer);
        let last = asked.last.filter(|id| id.process == self.process).map(|id| id.seq);
        let buffer = (self.buffer.clone(), peer.map(Peer::network));
        Ok(Follower::new(subscription, buffer, last, due, place))
    }

    /// Clients that hold a place.
    #[cfg(test)]
    pub fn clients(&self) -> usize {
        self.client_places.held()
    }

    /// Bytes that all channels count for.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.lock().values().map(|entry| entry.channel.bytes()).sum()
    }

    /// Distinct views that are held.
    #[cfg(test)]
    pub fn views(&self) -> usize {
        self.lock().len()
    }

    /// Views that somebody follows and that are not of the newest snapshot yet.
    #[cfg(test)]
    pub fn uncut(&self) -> usize {
        let seq = self.reader.snapshot().seq;
        self.lock().values().filter(|entry| entry.channel.is_behind(seq).is_some()).count()
    }

    /// Under one lock, so that no channel is dropped, and no end missed, between finding it and following it.
    fn subscribe(&self, asked: &Asked, scope: Scope, peer: Option<Peer>) -> ApiResult<Subscription> {
        let mut channels = self.lock();
        if is_over(&self.reader.follow()) {
            return Err(ApiError::Unavailable("the server is about to stop"));
        }
        let key = Key::of(asked, scope);
        let network = peer.map(Peer::network);
        if let Some(entry) = channels.get(&key) {
            return Ok(Subscription::new(entry.channel.clone(), network));
        }
        let (places, bytes) = (&self.channel_places, &self.channel_bytes);
        let place = make_room(&mut channels, peer, places, || places.try_acquire(peer));
        let place = place.ok_or(ApiError::Crowded(RETRY_AFTER))?;
        if let Err(exhausted) = Room::new(bytes, peer, UNCUT_BYTES) {
            trim(&channels, network, exhausted);
        }
        let room = make_room(&mut channels, peer, bytes, || Room::new(bytes, peer, UNCUT_BYTES));
        let room = room.ok_or(ApiError::NoRoom(RETRY_AFTER))?;
        let channel = Arc::new(Channel::new(asked, scope, self.process, room));
        let subscription = Subscription::new(channel.clone(), network);
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        channels.insert(key, Entry { channel, network, number, _place: place });
        Ok(subscription)
    }

    fn advance(&self, channel: &Channel, snapshot: &Snapshot) {
        if channel.advance(&self.reader, snapshot).is_err() {
            self.relieve(channel);
        }
    }

    /// Makes room for a view that has outgrown its own. Large events go first, then views that nobody follows, then the newest of
    /// the peer that has most; of a peer that has all that it may have, its own. What others follow too goes last. Perhaps the
    /// view itself goes.
    fn relieve(&self, channel: &Channel) {
        let mut channels = self.lock();
        let find = |entry: &&Entry| std::ptr::eq(&*entry.channel, channel);
        let Some(network) = channels.values().find(find).map(|entry| entry.network) else { return };
        let Err(exhausted) = channel.fit() else { return };
        trim(&channels, network, exhausted);
        while let Err(exhausted) = channel.fit() {
            let victim = idlest(&channels, network, exhausted).or_else(|| {
                self.channel_bytes.warn_refusal(network.map(Peer::new), exhausted);
                newest_of_the_greediest(&channels, network, exhausted)
            });
            match victim {
                Some(key) => remove(&mut channels, &key),
                None => return,
            }
        }
    }

    /// Has the view cut for somebody who came since the last round. The snapshot that it is to be of.
    fn catch_up(self: &Arc<Self>, channel: &Arc<Channel>, peer: Option<Peer>) -> u64 {
        let due = self.reader.snapshot().seq;
        if channel.begin_cut(due) {
            tokio::spawn(self.clone().cut(channel.clone(), peer));
        }
        due
    }

    /// Once for all who wait for it, on a thread where it holds nobody up, and not at all if they are gone by then.
    async fn cut(self: Arc<Self>, channel: Arc<Channel>, peer: Option<Peer>) {
        let _turn = self.cutters.acquire(peer).await;
        while !channel.end_cut(self.reader.snapshot().seq) {
            let (hub, cut) = (self.clone(), channel.clone());
            let work = move || hub.advance(&cut, &hub.reader.snapshot());
            if spawn_blocking(work).await.is_err() {
                tracing::error!("a view could not be cut: its followers wait for the next snapshot");
                channel.give_up_cut();
                break;
            }
        }
        channel.wake();
    }

    /// The task begins with the first client: a program that nobody follows does nothing.
    fn start(self: &Arc<Self>) {
        if !self.running.swap(true, Ordering::Relaxed) {
            tokio::spawn(self.clone().run());
        }
    }

    /// Until no snapshot can come any more: then the program ends, and so does every stream.
    async fn run(self: Arc<Self>) {
        let mut snapshots = self.reader.follow();
        let mut tick = interval(self.pace.tick);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut rounds = Rounds::default();
        while !is_over(&snapshots) {
            tokio::select! {
                Ok(()) = snapshots.changed() => {
                    let seq = snapshots.borrow_and_update().seq;
                    let channels: Vec<_> = self.lock().values().map(|entry| entry.channel.clone()).collect();
                    rounds.begin(seq, channels, Instant::now());
                }
                (network, channel) = rounds.next() => {
                    let took = self.clone().move_on(channel).await;
                    rounds.end_turn(network, took, Instant::now());
                }
                _ = tick.tick() => self.look_after(Instant::now()),
            }
        }
        self.end();
    }

    /// Moves a view on to the newest snapshot; how long that took.
    async fn move_on(self: Arc<Self>, channel: Arc<Channel>) -> Duration {
        let begun = std::time::Instant::now();
        let work = move || self.advance(&channel, &self.reader.snapshot());
        if spawn_blocking(work).await.is_err() {
            tracing::error!("a view could not be cut: its followers wait for the next snapshot");
        }
        begun.elapsed()
    }

    fn look_after(&self, now: Instant) {
        let mut channels = self.lock();
        channels.retain(|_, entry| entry.channel.idle_since().is_none_or(|idle| now - idle < self.pace.keep));
        channels.values().for_each(|entry| entry.channel.reassure(now, self.pace.heartbeat));
    }

    fn end(&self) {
        self.lock().drain().for_each(|(_, entry)| entry.channel.end());
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What `acquire` gives once it does. For as long as there is no room, the channel goes that nobody has followed for the
/// longest time. None where all are followed.
fn make_room<T>(
    channels: &mut HashMap<Key, Entry>,
    peer: Option<Peer>,
    pool: &PeerSemaphore,
    acquire: impl Fn() -> Result<T, PermitError>,
) -> Option<T> {
    loop {
        let exhausted = match acquire() {
            Ok(acquired) => return Some(acquired),
            Err(exhausted) => exhausted,
        };
        let Some(key) = idlest(channels, peer.map(Peer::network), exhausted) else {
            pool.warn_refusal(peer, exhausted);
            return None;
        };
        remove(channels, &key);
    }
}

/// Whether it can give something for a peer: where that has all that it may have, only its own can.
fn can_give(entry: &Entry, network: Option<IpAddr>, exhausted: PermitError) -> bool {
    exhausted == PermitError::AllTaken || entry.network == network
}

fn trim(channels: &HashMap<Key, Entry>, network: Option<IpAddr>, exhausted: PermitError) {
    let giving = channels.values().filter(|entry| can_give(entry, network, exhausted));
    giving.for_each(|entry| entry.channel.trim());
}

/// The channel that nobody has followed for the longest time.
fn idlest(channels: &HashMap<Key, Entry>, network: Option<IpAddr>, exhausted: PermitError) -> Option<Key> {
    let idle = channels.iter().filter(|(_, entry)| can_give(entry, network, exhausted));
    let idle = idle.filter_map(|(key, entry)| Some((entry.channel.idle_since()?, key)));
    idle.min_by_key(|(since, _)| *since).map(|(_, key)| key.clone())
}

fn newest_of_the_greediest(
    channels: &HashMap<Key, Entry>,
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

fn remove(channels: &mut HashMap<Key, Entry>, key: &Key) {
    if let Some(entry) = channels.remove(key) {
        entry.channel.close();
    }
}

/// No snapshot can come any more.
fn is_over(snapshots: &watch::Receiver<Arc<Snapshot>>) -> bool {
    snapshots.has_changed().is_err()
}
