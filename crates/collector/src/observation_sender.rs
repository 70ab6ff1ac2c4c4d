//! The channel through which all sources send their observations to the publisher.
//!
//! The channel is bounded by the number of observations. Those that may be large hold room in a [`QueueRoom`] too, from
//! before they are decoded until they are applied: otherwise a few hundred nodes could fill the memory while the
//! publisher is busy.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use model::source::SourceId;
use wukong_core::observation::Observation;

/// Bytes of one permit of a room.
const UNIT: usize = 1 << 10;

/// The error if nobody receives observations any more.
#[derive(Clone, Copy, Debug)]
pub struct Closed;

/// The sending end of the channel.
#[derive(Clone, Debug)]
pub struct ObservationSender(pub mpsc::Sender<QueuedObservation>);

/// An observation on its way to the publisher.
#[derive(Debug)]
pub struct QueuedObservation {
    pub observation: Observation,
    room: Option<ObservationRoom>,
}

/// The bytes that the large observations of one kind of peer take together. Clones share them.
#[derive(Clone, Debug)]
pub struct QueueRoom(Arc<Semaphore>);

/// The right of one observation to take bytes. Dropping it gives them back.
#[derive(Debug)]
pub struct ObservationRoom(Option<OwnedSemaphorePermit>);

impl From<Observation> for QueuedObservation {
    /// An observation of few bytes.
    fn from(observation: Observation) -> Self {
        Self { observation, room: None }
    }
}

impl QueuedObservation {
    /// Passes the observation to `apply`, and gives its room back afterwards.
    pub fn apply(self, apply: impl FnOnce(Observation)) {
        let Self { observation, room } = self;
        apply(observation);
        drop(room);
    }

    /// Returns the observation, and gives its room back.
    pub fn into_observation(self) -> Observation {
        self.observation
    }
}

impl QueueRoom {
    /// Room for this many bytes.
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes / UNIT)))
    }

    /// Waits until an observation may take this many bytes. Observations get room in the order in which they ask.
    pub async fn take(&self, bytes: usize) -> ObservationRoom {
        let permits = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        // The semaphore is never closed.
        ObservationRoom(self.0.clone().acquire_many_owned(permits).await.ok())
    }
}

impl ObservationRoom {
    /// Gives back what is not needed for this many bytes.
    pub fn shrink_to(&mut self, bytes: usize) {
        if let Some(permits) = &mut self.0 {
            drop(permits.split(permits.num_permits().saturating_sub(bytes.div_ceil(UNIT))));
        }
    }
}

impl ObservationSender {
    /// Sends an observation. Waits while the channel is full; fails if nobody receives any more.
    pub async fn send(&self, observation: Observation) -> Result<(), Closed> {
        self.send_with(observation, None).await
    }

    /// Sends an observation that keeps its room until it was applied.
    pub async fn send_with(
        &self,
        observation: Observation,
        room: Option<ObservationRoom>,
    ) -> Result<(), Closed> {
        self.0.send(QueuedObservation { observation, room }).await.map_err(|_| Closed)
    }

    /// Sends how long a source took to answer.
    pub async fn send_latency(&self, source: SourceId, started: tokio::time::Instant) -> Result<(), Closed> {
        let millis = u32::try_from(started.elapsed().as_millis()).unwrap_or(u32::MAX);
        self.send(Observation::Took { source, millis }).await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt;
    use tokio::time::timeout;

    use super::*;

    fn observation() -> Observation {
        Observation::Took { source: SourceId::Kubelet, millis: 1 }
    }

    #[tokio::test(start_paused = true)]
    async fn an_observation_keeps_its_room_until_it_was_applied() {
        let room = QueueRoom::new(4 * UNIT);
        let (sender, mut observations) = mpsc::channel(8);
        let sender = ObservationSender(sender);
        let first = room.take(3 * UNIT).await;
        sender.send_with(observation(), Some(first)).await.unwrap();
        assert!(
            timeout(Duration::from_secs(1), room.take(2 * UNIT)).await.is_err(),
            "it waits in the channel"
        );
        let queued = observations.recv().await.unwrap();
        queued.apply(|_| assert!(room.take(2 * UNIT).now_or_never().is_none(), "it is being applied"));
        room.take(4 * UNIT).now_or_never().expect("all is free again");
    }

    #[tokio::test]
    async fn room_that_is_not_needed_is_free_at_once() {
        let room = QueueRoom::new(4 * UNIT);
        let mut first = room.take(4 * UNIT).await;
        first.shrink_to(UNIT + 1);
        let _second = room.take(2 * UNIT).now_or_never().expect("what the first does not need");
        assert!(room.take(1).now_or_never().is_none());
        first.shrink_to(100 * UNIT);
        first.shrink_to(0);
        assert!(room.take(2 * UNIT).now_or_never().is_some());
    }
}
