//! The channel through which all sources send their observations to the publisher.

use tokio::sync::mpsc;

use model::source::SourceId;
use wukong_core::observation::Observation;

/// The error if nobody receives observations any more.
#[derive(Clone, Copy, Debug)]
pub struct Closed;

/// The sending end of the channel.
#[derive(Clone, Debug)]
pub struct ObservationSender(pub mpsc::Sender<Observation>);

impl ObservationSender {
    /// Sends an observation. Waits while the channel is full; fails if nobody receives any more.
    pub async fn send(&self, observation: Observation) -> Result<(), Closed> {
        self.0.send(observation).await.map_err(|_| Closed)
    }

    /// Sends how long a source took to answer.
    pub async fn send_latency(&self, source: SourceId, started: tokio::time::Instant) -> Result<(), Closed> {
        let millis = u32::try_from(started.elapsed().as_millis()).unwrap_or(u32::MAX);
        self.send(Observation::Took { source, millis }).await
    }
}
