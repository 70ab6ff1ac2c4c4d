//! Every channel, and the one task that moves them on from snapshot to snapshot.

use std::{
    collections::HashMap,
    net::IpAddr,
    num::NonZero,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::available_parallelism,
    time::Duration,
};

use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use super::{
    ask::{Asked, Format, View},
    channel::{Channel, Subscription},
    event::EventBuffer,
    follower::Follower,
};
use crate::server::serve::{
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

/// After a round over all views the task rests for this many times what the round took: however many views there are,
/// they take a third of one core at most, and their events come further apart instead.
const REST: u32 = 2;
/// When to come back, for a client that found no place, in seconds.
const RETRY_AFTER: u32 = 30;
/// Clients for each channel, and the fewest channels. Most people look at what others look at too: the list as it is, the
/// VM in trouble. A channel holds the view and its last changes, up to 500 kB of 50 VMs in JSON: with the 2,000 clients of
/// the default, 200 channels are 100 MB.
const CLIENTS_A_CHANNEL: usize = 10;
const FEWEST_CHANNELS: usize = 16;
/// Bytes of events that no channel has any more and some client is in the middle of: some hundred views of 50 VMs.
const BUFFERED_BYTES: usize = 24 << 20;

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

/// A channel, and what it counts for: its place belongs to the peer that asked for the view first.
struct Entry {
    channel: Arc<Channel>,
    network: Option<IpAddr>,
    _place: PeerPermit,
}

pub struct Hub {
    reader: Reader,
    pace: Pace,
    /// Tells this process' events from those of the one before it.
    process: u32,
    channels: Mutex<HashMap<Key, Entry>>,
    /// Places of channels, and of clients.
    channel_places: Arc<PeerSemaphore>,
    client_places: Arc<PeerSemaphore>,
    buffer: Arc<EventBuffer>,
    /// Turns to cut a view that somebody waits for: for half of the cores, so that the rest is answered beside it.
    cutters: Arc<PeerSemaphore>,
    running: AtomicBool,
}

impl Hub {
    pub fn new(reader: Reader, clients: usize, pace: Pace) -> Arc<Self> {
        let channels = (clients / CLIENTS_A_CHANNEL).max(FEWEST_CHANNELS);
        Arc::new(Self {
            reader,
            pace,
            process: rand::random(),
            channels: Mutex::default(),
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

    /// Distinct views that are held.
    #[cfg(test)]
    pub fn views(&self) -> usize {
        self.lock().len()
    }

    /// Under one lock, so that no channel is dropped, and no end missed, between finding it and following it.
    fn subscribe(&self, asked: &Asked, scope: Scope, peer: Option<Peer>) -> ApiResult<Subscription> {
        let mut channels = self.lock();
        if is_over(&self.reader.follow()) {
            return Err(ApiError::Unavailable("the server is about to stop"));
        }
        let key = Key::of(asked, scope);
        if let Some(entry) = channels.get(&key) {
            return Ok(Subscription::new(entry.channel.clone()));
        }
        let network = peer.map(Peer::network);
        let place = self.channel_place(&mut channels, peer).ok_or(ApiError::Crowded(RETRY_AFTER))?;
        let channel = Arc::new(Channel::new(asked, scope, self.process));
        let subscription = Subscription::new(channel.clone());
        channels.insert(key, Entry { channel, network, _place: place });
        Ok(subscription)
    }

    /// A place for one more channel. Should there be none, the channel goes that nobody has followed for the longest time;
    /// of a peer that has all that it may have, one of its own. None where all are followed.
    fn channel_place(&self, channels: &mut HashMap<Key, Entry>, peer: Option<Peer>) -> Option<PeerPermit> {
        let network = peer.map(Peer::network);
        loop {
            let exhausted = match self.channel_places.try_acquire(peer) {
                Ok(place) => return Some(place),
                Err(exhausted) => exhausted,
            };
            let may_go = |entry: &Entry| exhausted == PermitError::AllTaken || entry.network == network;
            let idle = channels.iter().filter(|(_, entry)| may_go(entry));
            let idle = idle.filter_map(|(key, entry)| Some((entry.channel.idle_since()?, key)));
            let Some((_, key)) = idle.min_by_key(|(since, _)| *since) else {
                self.channel_places.warn_refusal(peer, exhausted);
                return None;
            };
            let key = key.clone();
            channels.remove(&key);
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
            let work = move || cut.advance(&hub.reader, &hub.reader.snapshot());
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
        let mut rested = Instant::now();
        while !is_over(&snapshots) {
            let resting = rested > Instant::now();
            tokio::select! {
                Ok(()) = snapshots.changed(), if !resting => {
                    let snapshot = snapshots.borrow_and_update().clone();
                    let took = self.clone().round(snapshot).await;
                    rested = Instant::now() + took * REST;
                }
                () = sleep_until(rested), if resting => {}
                _ = tick.tick() => self.look_after(Instant::now()),
            }
        }
        self.end();
    }

    /// Moves every view on that somebody follows; how long that took.
    async fn round(self: Arc<Self>, snapshot: Arc<Snapshot>) -> Duration {
        let begun = std::time::Instant::now();
        let channels: Vec<_> = self.lock().values().map(|entry| entry.channel.clone()).collect();
        let work = move || {
            for channel in channels.iter().filter(|channel| channel.has_followers()) {
                channel.advance(&self.reader, &snapshot);
            }
        };
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

/// No snapshot can come any more.
fn is_over(snapshots: &watch::Receiver<Arc<Snapshot>>) -> bool {
    snapshots.has_changed().is_err()
}
