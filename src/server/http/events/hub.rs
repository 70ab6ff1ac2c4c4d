//! The hub holds all channels, and runs the one task that updates them with each snapshot. `GET /api/events`
//! calls [`Hub::follow`].

use std::{
    collections::HashMap,
    net::IpAddr,
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::available_parallelism,
    time::Duration,
};

use parking_lot::{Mutex, MutexGuard};
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

/// Times of the work that no snapshot triggers.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Longest silence on a stream.
    pub heartbeat: Duration,
    /// Time between two checks for silent and unused channels.
    pub tick: Duration,
    /// How long a view without followers is kept, for clients that come back.
    pub keep: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { heartbeat: seconds(15), tick: seconds(1), keep: seconds(30) }
    }
}

/// Clients per channel, and the fewest channels. Most people look at the same views: the default list, or a
/// VM with a problem.
const CLIENTS_A_CHANNEL: usize = 10;
const FEWEST_CHANNELS: usize = 16;
/// Most bytes of all channels: of their views, whose size depends on the cluster, and of events while there
/// is room. A view of 50 VMs or a map takes 50 to 70 kB in a cluster of 10,000 VMs in 3,000 namespaces.
pub const CHANNEL_BYTES: usize = 28 << 20;
/// Bytes that a view counts for until it is cut, about those of a list's first page.
const UNCUT_BYTES: usize = 64 << 10;
/// Most bytes of events that clients have read in part: some hundred views of 50 VMs.
pub const BUFFERED_BYTES: usize = 16 << 20;

/// Identifies a channel: equal views of equal scope in the same format share one.
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

/// A channel and its permit. The permit and the bytes count for the peer that asked for the view first.
struct Entry {
    channel: Arc<Channel>,
    network: Option<IpAddr>,
    /// Serial number of the channel.
    number: u64,
    _place: PeerPermit,
}

impl Entry {
    /// Returns whether other peers follow it too.
    fn has_guests(&self) -> bool {
        self.channel.followers().iter().any(|network| *network != self.network)
    }

    /// Returns whether only others follow it: the peer that it counts for has left.
    fn is_abandoned(&self) -> bool {
        let followers = self.channel.followers();
        !followers.is_empty() && !followers.contains(&self.network)
    }
}

/// All channels, their limits, and the task that updates them.
pub struct Hub {
    reader: Reader,
    pace: Pace,
    /// Random number in event ids, which tells the events of this process from those of an earlier one.
    process: u32,
    channels: Mutex<HashMap<Key, Entry>>,
    /// Number of channels made so far.
    numbers: AtomicU64,
    /// Permits for channels, for their bytes, and for clients.
    channel_places: Arc<PeerSemaphore>,
    channel_bytes: Arc<PeerSemaphore>,
    client_places: Arc<PeerSemaphore>,
    buffer: Arc<EventBuffer>,
    /// Permits to cut a view for new clients, for half of the cores, so that other requests are answered
    /// meanwhile.
    cutters: Arc<PeerSemaphore>,
    running: AtomicBool,
}

impl Hub {
    /// Returns a hub for at most `clients` clients.
    pub fn new(reader: Reader, clients: usize, pace: Pace) -> Arc<Self> {
        Self::with_bytes(reader, clients, CHANNEL_BYTES, pace)
    }

    /// Returns a hub with this many bytes for its channels.
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

    /// Follows a view from the event after the one that the client received last. It does not wait: the view
    /// is cut by another task, and the stream begins with it. Fails if there is no permit or no room, or if
    /// the server is stopping.
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

    /// Returns the number of clients.
    #[cfg(test)]
    pub fn clients(&self) -> usize {
        self.client_places.held()
    }

    /// Returns the bytes that all channels count for.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.lock().values().map(|entry| entry.channel.bytes()).sum()
    }

    /// Returns the number of channels.
    #[cfg(test)]
    pub fn views(&self) -> usize {
        self.lock().len()
    }

    /// Returns the number of followed views that are not of the newest snapshot yet.
    #[cfg(test)]
    pub fn uncut(&self) -> usize {
        let seq = self.reader.snapshot().seq;
        self.lock().values().filter(|entry| entry.channel.is_behind(seq).is_some()).count()
    }

    /// Finds or makes the channel and subscribes to it, under one lock, so that the channel is not dropped
    /// and the end is not missed in between.
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

    /// Makes room for a view that has outgrown its room. Large events are dropped first, then views without
    /// followers, then the newest view of the peer that holds the most bytes; views that others follow too
    /// go last. If the view's peer has used up its share, only its own views are dropped. The view itself
    /// may be among them.
    fn relieve(&self, channel: &Channel) {
        let mut channels = self.lock();
        let find = |entry: &&Entry| std::ptr::eq(&*entry.channel, channel);
        let Some(network) = channels.values().find(find).map(|entry| entry.network) else { return };
        let Err(exhausted) = channel.fit() else { return };
        trim(&channels, network, exhausted);
        while let Err(exhausted) = channel.fit() {
            let unused = idlest(&channels, network, exhausted);
            let unused = unused.or_else(|| oldest_abandoned(&channels, network, exhausted));
            let victim = unused.or_else(|| {
                self.channel_bytes.warn_refusal(network.map(Peer::new), exhausted);
                newest_of_the_greediest(&channels, network, exhausted)
            });
            match victim {
                Some(key) => remove(&mut channels, &key),
                None => return,
            }
        }
    }

    /// Starts a cut for a client that came since the last round. Returns the snapshot that the view must be
    /// of.
    fn catch_up(self: &Arc<Self>, channel: &Arc<Channel>, peer: Option<Peer>) -> u64 {
        let due = self.reader.snapshot().seq;
        if channel.begin_cut(due) {
            tokio::spawn(self.clone().cut(channel.clone(), peer));
        }
        due
    }

    /// Cuts the view once for all clients that wait for it, on a blocking thread. Does nothing if they have
    /// left by then.
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

    /// Starts the task with the first client: without clients the hub does nothing.
    fn start(self: &Arc<Self>) {
        if !self.running.swap(true, Ordering::Relaxed) {
            tokio::spawn(self.clone().run());
        }
    }

    /// Updates the channels until no snapshot can come any more. Then the program ends, and all streams end.
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

    /// Updates a view to the newest snapshot. Returns how long that took.
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
        self.channels.lock()
    }
}

/// Returns what `acquire` gives. While there is no room, removes the channel that has been without followers
/// for the longest time, and then the oldest channel that only others follow than the peer that it counts for.
/// `None` if there is none: the clients of an abandoned channel come back, and it then counts for them.
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

fn trim(channels: &HashMap<Key, Entry>, network: Option<IpAddr>, exhausted: PermitError) {
    let giving = channels.values().filter(|entry| can_give(entry, network, exhausted));
    giving.for_each(|entry| entry.channel.trim());
}

/// Returns the channel that has been without followers for the longest time.
fn idlest(channels: &HashMap<Key, Entry>, network: Option<IpAddr>, exhausted: PermitError) -> Option<Key> {
    let idle = channels.iter().filter(|(_, entry)| can_give(entry, network, exhausted));
    let idle = idle.filter_map(|(key, entry)| Some((entry.channel.idle_since()?, key)));
    idle.min_by_key(|(since, _)| *since).map(|(_, key)| key.clone())
}

/// Returns the oldest channel whose peer has left while others follow it. Such a channel takes a place of a
/// peer that does not use it: a client that joins every view of others could otherwise take theirs for ever.
fn oldest_abandoned(
    channels: &HashMap<Key, Entry>,
    network: Option<IpAddr>,
    exhausted: PermitError,
) -> Option<Key> {
    let abandoned = channels.iter().filter(|(_, entry)| can_give(entry, network, exhausted));
    let abandoned = abandoned.filter(|(_, entry)| entry.is_abandoned());
    abandoned.min_by_key(|(_, entry)| entry.number).map(|(key, _)| key.clone())
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

/// Returns whether no snapshot can come any more.
fn is_over(snapshots: &watch::Receiver<Arc<Snapshot>>) -> bool {
    snapshots.has_changed().is_err()
}
