//! Placeholder until the collectors arrive.

pub mod client;

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use self::client::Cluster;
use super::{config::CollectConfig, snapshot::facts::Observation};

pub async fn run(
    _cluster: Cluster,
    _config: CollectConfig,
    _observations: mpsc::Sender<Observation>,
    _nodes: watch::Receiver<Arc<[String]>>,
    shutdown: CancellationToken,
) {
    shutdown.cancelled().await;
}
