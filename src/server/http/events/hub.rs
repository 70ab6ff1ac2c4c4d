//! The hub holds all channels, and runs the one task that updates them with each snapshot. `GET /api/events`
//! joins one of its channels by a `follower`.

use std::{
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
    task::spawn_blocking,
    time::{Instant, MissedTickBehavior, interval},
};

use super::{
    ask::EventQuery,
    channel::{Channel, RETRY_AFTER, Subscription},
    channels::{self, Channels, Entry, Key},
    event::EventBuffer,
    room::{self, Room},
    rounds::Rounds,
};
use crate::server::http::{
    connection_slots::{ConnectionSlot, ConnectionSlots},
    error::{ApiError, ApiResult},
    peer::Peer,
    reader::Reader,
    semaphore::PeerSemaphore,
};
use wukong_core::Scope;

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

/// Clients per channel, and the fewest channels. People with equal rights share the same views: the default list, or a
/// VM with a problem. Others need a channel each. Their bytes are limited in any case.
const CLIENTS_A_CHANNEL: usize = 2;
const FEWEST_CHANNELS: usize = 16;
/// Most bytes of all channels: of their views, whose size depends on the cluster, and of events while there
/// is room. A view of 50 VMs or a map takes 50 to 70 kB in a cluster of 10,000 VMs in 3,000 namespaces.
pub const CHANNEL_BYTES: usize = 28 << 20;
/// Bytes that a view counts for until it is cut, about those of a list's first page.
const UNCUT_BYTES: usize = 64 << 10;
/// Most bytes of events that clients have read in part: some hundred views of 50 VMs.
pub const BUFFERED_BYTES: usize = 16 << 20;

/// All channels, their limits, and the task that updates them.
pub struct Hub {
    reader: Reader,
    pace: Pace,
    channels: Mutex<Channels>,
    /// Number of channels made so far.
    numbers: AtomicU64,
    /// Permits for channels and for their bytes.
    channel_slots: Arc<PeerSemaphore>,
    channel_bytes: Arc<PeerSemaphore>,
    client_slots: ConnectionSlots,
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
            channels: Mutex::default(),
            numbers: AtomicU64::new(0),
            channel_bytes: room::pool(bytes),
            channel_slots: PeerSemaphore::new("event channels", channels),
            client_slots: ConnectionSlots::new("event clients", clients),
            buffer: EventBuffer::new(BUFFERED_BYTES),
            cutters: PeerSemaphore::new("cuts", available_parallelism().map_or(1, NonZero::get).div_ceil(2)),
            running: AtomicBool::new(false),
        })
    }

    /// Admits one more client. If there are too many, the peer with the most gives up its newest for a peer that has
    /// fewer. Fails if there is none that gives way.
    pub fn admit(self: &Arc<Self>, peer: Option<Peer>) -> ApiResult<ConnectionSlot> {
        let slot = self.client_slots.acquire(peer).map_err(|_| ApiError::Crowded(RETRY_AFTER))?;
        // A stream is in use from its first moment.
        slot.used.store(true, Ordering::Relaxed);
        self.start();
        Ok(slot)
    }

    /// Returns the buffer of the events that clients have read in part.
    pub fn buffer(&self) -> &Arc<EventBuffer> {
        &self.buffer
    }

    /// Subscribes to the channel of the view in this scope. Does not wait: the view is cut by another task. Fails if
    /// there is no permit or no room, or if the server is stopping. Returns the snapshot that the view must be of.
    pub fn join(
        self: &Arc<Self>,
        query: &EventQuery,
        scope: Scope,
        peer: Option<Peer>,
    ) -> ApiResult<(Subscription, u64)> {
        let subscription = self.subscribe(query, scope, peer)?;
        let due = self.catch_up(subscription.channel(), peer);
        Ok((subscription, due))
    }

    /// Returns the number of clients.
    #[cfg(test)]
    pub fn clients(&self) -> usize {
        self.client_slots.occupied()
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
        let seq = self.reader.seq();
        self.lock().values().filter(|entry| entry.channel.is_behind(seq).is_some()).count()
    }

    /// Finds or makes the channel and subscribes to it, under one lock, so that the channel is not dropped
    /// and the end is not missed in between.
    fn subscribe(&self, query: &EventQuery, scope: Scope, peer: Option<Peer>) -> ApiResult<Subscription> {
        let mut channels = self.lock();
        if self.reader.follow().is_over() {
            return Err(ApiError::Unavailable("the server is about to stop"));
        }
        let key = Key::of(query, scope.clone());
        let client = peer.map(Peer::client);
        if let Some(entry) = channels.get(&key) {
            return Ok(Subscription::new(entry.channel.clone(), client));
        }
        let (slots, bytes) = (&self.channel_slots, &self.channel_bytes);
        let slot = channels::make_room(&mut channels, peer, slots, || slots.try_acquire(peer));
        let slot = slot.ok_or(ApiError::Crowded(RETRY_AFTER))?;
        if let Err(exhausted) = Room::new(bytes, peer, UNCUT_BYTES) {
            channels::trim(&channels, client, exhausted);
        }
        let room = channels::make_room(&mut channels, peer, bytes, || Room::new(bytes, peer, UNCUT_BYTES));
        let room = room.ok_or(ApiError::NoRoom(RETRY_AFTER))?;
        let channel = Arc::new(Channel::new(query, scope, room));
        let subscription = Subscription::new(channel.clone(), client);
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        channels.insert(key, Entry::new(channel, client, number, slot));
        Ok(subscription)
    }

    fn advance(&self, channel: &Channel) {
        if channel.advance(&self.reader).is_err() {
            self.relieve(channel);
        }
    }

    /// Makes room for a view that has outgrown its room. Large events are dropped first, then views without
    /// followers; then views whose peer has left count for one of their followers, or are dropped if none has
    /// room. The last to go is the newest view of the peer that holds the most bytes, and views that others
    /// follow too after all others. If the view's peer has used up its share, only its own views give way. The
    /// view itself may be among them.
    fn relieve(&self, channel: &Channel) {
        let mut channels = self.lock();
        loop {
            // It may be gone by now, or count for another peer.
            let find = |entry: &&Entry| std::ptr::eq(&*entry.channel, channel);
            let Some(client) = channels.values().find(find).map(|entry| entry.client) else { return };
            let Err(exhausted) = channel.count_bytes() else { return };
            channels::trim(&channels, client, exhausted);
            let Err(exhausted) = channel.count_bytes() else { return };
            if channels::give_way(&mut channels, client, exhausted) {
                continue;
            }
            match channels::newest_of_the_greediest(&channels, client, exhausted) {
                Some(key) => channels::remove(&mut channels, &key),
                None => return,
            }
        }
    }

    /// Starts a cut for a client that came since the last round. Returns the snapshot that the view must be
    /// of.
    fn catch_up(self: &Arc<Self>, channel: &Arc<Channel>, peer: Option<Peer>) -> u64 {
        let due = self.reader.seq();
        if channel.begin_cut(due) {
            tokio::spawn(self.clone().cut(channel.clone(), peer));
        }
        due
    }

    /// Cuts the view once for all clients that wait for it, on a blocking thread. Does nothing if they have
    /// left by then.
    async fn cut(self: Arc<Self>, channel: Arc<Channel>, peer: Option<Peer>) {
        let _turn = self.cutters.acquire(peer).await;
        while !channel.end_cut(self.reader.seq()) {
            let (hub, cut) = (self.clone(), channel.clone());
            let work = move || hub.advance(&cut);
            if spawn_blocking(work).await.is_err() {
                tracing::error!("computing a view panicked, its followers wait for the next snapshot");
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
        while !snapshots.is_over() {
            tokio::select! {
                Some(seq) = snapshots.next() => {
                    let channels: Vec<_> = self.lock().values().map(|entry| entry.channel.clone()).collect();
                    rounds.begin(seq, channels, Instant::now());
                }
                (client, channel) = rounds.next() => {
                    let took = self.clone().move_on(channel).await;
                    rounds.end_turn(client, took, Instant::now());
                }
                _ = tick.tick() => self.look_after(Instant::now()),
            }
        }
        self.end();
    }

    /// Updates a view to the newest snapshot. Returns how long that took.
    async fn move_on(self: Arc<Self>, channel: Arc<Channel>) -> Duration {
        let begun = std::time::Instant::now();
        let work = move || self.advance(&channel);
        if spawn_blocking(work).await.is_err() {
            tracing::error!("computing a view panicked, its followers wait for the next snapshot");
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

    fn lock(&self) -> MutexGuard<'_, Channels> {
        self.channels.lock()
    }
}
