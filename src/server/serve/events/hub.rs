//! Every channel, and the one task that moves them on from snapshot to snapshot.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::body::Bytes;
use futures::{Stream, stream};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::spawn_blocking,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use super::{
    ask::{Asked, Format, View},
    channel::{Beat, Channel},
};
use crate::server::{
    serve::{
        error::{ApiError, ApiResult},
        reader::Reader,
    },
    snapshot::{Scope, Snapshot},
};

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

/// Equal views of equal viewers, written alike.
#[derive(PartialEq, Eq, Hash)]
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

pub struct Hub {
    reader: Reader,
    pace: Pace,
    /// Tells this process' events from those of the one before it.
    process: u32,
    channels: Mutex<HashMap<Key, Arc<Channel>>>,
    places: Arc<Semaphore>,
    running: AtomicBool,
}

impl Hub {
    pub fn new(reader: Reader, clients: usize, pace: Pace) -> Arc<Self> {
        Arc::new(Self {
            reader,
            pace,
            process: rand::random(),
            channels: Mutex::default(),
            places: Arc::new(Semaphore::new(clients)),
            running: AtomicBool::new(false),
        })
    }

    /// Follows a view, from the event on that the client last had.
    pub fn follow(self: &Arc<Self>, asked: &Asked, scope: Scope) -> ApiResult<Follower> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| ApiError::Crowded(RETRY_AFTER))?;
        self.start();
        let (channel, beats) = self.channel(asked, scope)?;
        // Those who come while others follow share what is there, and hear of the next snapshot with them.
        channel.advance(&self.reader, &self.reader.snapshot());
        let last = asked.last.filter(|id| id.process == self.process).map(|id| id.seq);
        Ok(Follower { channel, beats, last, greeted: false, _place: place })
    }

    /// Clients that hold a place.
    #[cfg(test)]
    pub fn clients(&self, most: usize) -> usize {
        most - self.places.available_permits()
    }

    /// Distinct views that are held.
    #[cfg(test)]
    pub fn views(&self) -> usize {
        self.lock().len()
    }

    /// Under one lock, so that no channel is dropped, and no end missed, between finding it and following it.
    fn channel(&self, asked: &Asked, scope: Scope) -> ApiResult<(Arc<Channel>, watch::Receiver<Beat>)> {
        let mut channels = self.lock();
        if is_over(&self.reader.follow()) {
            return Err(ApiError::Unavailable("the server is about to stop"));
        }
        let new = || Arc::new(Channel::new(asked, scope, self.process));
        let channel = channels.entry(Key::of(asked, scope)).or_insert_with(new).clone();
        let beats = channel.follow();
        Ok((channel, beats))
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
        let channels: Vec<_> =
            self.lock().values().filter(|channel| channel.has_followers()).cloned().collect();
        let work = move || {
            for channel in channels {
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
        channels.retain(|_, channel| channel.idle_for(now) < self.pace.keep);
        channels.values().for_each(|channel| channel.reassure(now, self.pace.heartbeat));
    }

    fn end(&self) {
        self.lock().drain().for_each(|(_, channel)| channel.end());
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Arc<Channel>>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// No snapshot can come any more.
fn is_over(snapshots: &watch::Receiver<Arc<Snapshot>>) -> bool {
    snapshots.has_changed().is_err()
}

/// One client. It holds a place for as long as it is there, and no event: the channel has those.
pub struct Follower {
    channel: Arc<Channel>,
    beats: watch::Receiver<Beat>,
    last: Option<u64>,
    greeted: bool,
    _place: OwnedSemaphorePermit,
}

/// For clients that reconnect by themselves; sent at once, so that they know that they are heard.
const GREETING: Bytes = Bytes::from_static(b"retry: 3000\n\n");

impl Follower {
    pub fn events(self) -> impl Stream<Item = Bytes> + Send {
        stream::unfold(self, async |mut follower| Some((follower.next().await?, follower)))
    }

    /// Asked only when the client has taken what came before: one that does not read skips what it missed.
    async fn next(&mut self) -> Option<Bytes> {
        if !std::mem::replace(&mut self.greeted, true) {
            return Some(GREETING);
        }
        loop {
            if let Some(event) = self.event() {
                return Some(event);
            }
            self.beats.changed().await.ok()?;
            let beat = *self.beats.borrow_and_update();
            match beat {
                // Told before this client followed, or while it read what came before.
                Beat::News => {}
                Beat::Alive => return Some(self.event().unwrap_or_else(|| self.channel.sign_of_life())),
                Beat::Over => return None,
            }
        }
    }

    fn event(&mut self) -> Option<Bytes> {
        let (seq, event) = self.channel.next(self.last)?;
        self.last = Some(seq);
        Some(event)
    }
}
