//! Polls the virt-handler of each node for what KubeVirt counts of the node's guests: one request for each node and
//! interval.
//!
//! Only KubeVirt's own virt-handlers are believed: pods in the namespace of the KubeVirt object that its
//! DaemonSet controls, whose certificate KubeVirt's authority has signed. Each is believed about the guests of its
//! own node.

pub mod answer;
mod ask;
mod discover;
pub mod names;
mod series;
mod status;
mod trust;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};

use self::{
    ask::{Outcome, VirtHandlerClient},
    discover::Installation,
    status::{Part, SourceReporter},
    trust::Trust,
};
use crate::{
    client::Cluster,
    config::{CollectConfig, VirtHandlerConfig},
    observation_sender::{Closed, ObservationSender},
    targets::{self, Gate, Limits, Next, Target},
};
use wukong_core::observation::Targets;

/// How often the authority is read again. KubeVirt trusts an old one beside a new one for longer.
const RENEW_EVERY: Duration = Duration::from_secs(600);
/// The same after a certificate was not accepted, or if the authority could not be read.
const RENEW_SOON: Duration = Duration::from_secs(30);

/// Polls each node with guests until nobody receives.
pub async fn poll(
    cluster: Cluster,
    config: CollectConfig,
    virt_handler: VirtHandlerConfig,
    targets: watch::Receiver<Targets>,
    sender: ObservationSender,
) -> Result<(), Closed> {
    let (found, installation) = watch::channel(None);
    let reporter = SourceReporter::new(sender.clone());
    let namespace = virt_handler.namespace.clone();
    let poller = Poller { cluster: cluster.clone(), config: config.clone(), virt_handler, reporter, sender };
    let reporter = poller.reporter.clone();
    tokio::select! {
        ended = discover::follow(cluster, config, namespace, reporter, found) => ended,
        ended = poller.poll(installation, targets) => ended,
    }
}

/// What every installation is polled with.
struct Poller {
    cluster: Cluster,
    config: CollectConfig,
    virt_handler: VirtHandlerConfig,
    reporter: SourceReporter,
    sender: ObservationSender,
}

impl Poller {
    /// Polls the installation that was found, and another one if KubeVirt moves.
    async fn poll(
        &self,
        mut found: watch::Receiver<Option<Installation>>,
        targets: watch::Receiver<Targets>,
    ) -> Result<(), Closed> {
        loop {
            let namespace = match found.wait_for(Option::is_some).await {
                Ok(found) => found.as_ref().map(|found| found.namespace.clone()).unwrap_or_default(),
                // The task that finds installations has ended.
                Err(_) => return Err(Closed),
            };
            let mut moves = found.clone();
            let moved =
                moves.wait_for(|found| found.as_ref().is_none_or(|found| found.namespace != namespace));
            tokio::select! {
                ended = self.poll_namespace(&namespace, found.clone(), targets.clone()) => return ended,
                moved = moved => if moved.is_err() { return Err(Closed) },
            }
        }
    }

    async fn poll_namespace(
        &self,
        namespace: &str,
        found: watch::Receiver<Option<Installation>>,
        targets: watch::Receiver<Targets>,
    ) -> Result<(), Closed> {
        let trust = Trust::new(&self.cluster, &self.config, &self.virt_handler, namespace);
        let client = loop {
            match trust.load().await {
                Ok(client) => break client,
                Err(error) => self.reporter.set(Part::Trust, Err(error)).await?,
            }
            sleep(RENEW_SOON).await;
        };
        self.reporter.set(Part::Trust, Ok(())).await?;
        let interval = self.config.disk_interval;
        let (merged, with_addresses) = watch::channel(targets.borrow().clone());
        let handlers = Arc::new(Handlers {
            client: Mutex::new(VirtHandlerClient::new(
                client,
                &self.virt_handler,
                &self.config,
                &self.cluster.budgets,
            )),
            found: found.clone(),
            sender: self.sender.clone(),
            interval,
            is_distrusted: Notify::new(),
        });
        let limits = Limits {
            slots: self.virt_handler.concurrency,
            interval,
            gap: Duration::ZERO,
            // A guest that hangs delays the whole answer by 10 s.
            slow: self.virt_handler.deadline / 2,
        };
        let keys = |targets: &Targets| handlers.keys(targets);
        let node = |key: &NodeKey| Node { handlers: handlers.clone(), key: key.clone(), is_spread: false };
        tokio::select! {
            ended = targets::poll(with_addresses, keys, node, limits) => ended,
            ended = self.renew(&handlers, trust) => ended,
            () = merge(targets, found, &merged) => Err(Closed),
        }
    }

    /// Reads the authority again and again.
    async fn renew(&self, handlers: &Handlers, trust: Trust) -> Result<(), Closed> {
        let mut wait = RENEW_EVERY;
        loop {
            // A certificate that was not accepted may be signed by a new authority.
            if timeout(wait, handlers.is_distrusted.notified()).await.is_ok() {
                sleep(RENEW_SOON).await;
            }
            let loaded = trust.load().await;
            wait = if loaded.is_ok() { RENEW_EVERY } else { RENEW_SOON };
            let state = loaded.map(|client| handlers.client.lock().replace(client));
            self.reporter.set(Part::Trust, state).await?;
        }
    }
}

/// Publishes the targets again whenever they, or the addresses of virt-handlers, have changed. Ends if one of
/// them is not published any more.
async fn merge(
    mut targets: watch::Receiver<Targets>,
    mut found: watch::Receiver<Option<Installation>>,
    merged: &watch::Sender<Targets>,
) {
    loop {
        let changed = tokio::select! {
            changed = targets.changed() => changed,
            changed = found.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
        found.mark_unchanged();
        merged.send_replace(targets.borrow_and_update().clone());
    }
}

/// What all nodes share.
struct Handlers {
    /// Trusts the authority that was read last.
    client: Mutex<VirtHandlerClient>,
    found: watch::Receiver<Option<Installation>>,
    sender: ObservationSender,
    interval: Duration,
    /// Told if a certificate was not accepted.
    is_distrusted: Notify,
}

/// A node, and the address of its virt-handler: if that changes, the node is polled at once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct NodeKey {
    name: Arc<str>,
    address: Option<SocketAddr>,
}

/// A node that is polled.
struct Node {
    handlers: Arc<Handlers>,
    key: NodeKey,
    /// Whether its requests have their place in the interval.
    is_spread: bool,
}

impl Handlers {
    fn keys(&self, targets: &Targets) -> Vec<NodeKey> {
        let found = self.found.borrow();
        let address = |node: &str| found.as_ref()?.addresses.get(node).copied();
        let nodes = targets.nodes.iter().filter(|node| node.has_vms);
        nodes.map(|node| NodeKey { name: (&*node.name).into(), address: address(&node.name) }).collect()
    }
}

impl Target for Node {
    fn gates(&mut self) -> Vec<Arc<Gate>> {
        Vec::new()
    }

    async fn poll(&mut self) -> Result<Next, Closed> {
        let started = Instant::now();
        let NodeKey { name, address } = &self.key;
        let client = self.handlers.client.lock().clone();
        let outcome = client.ask(name, *address, &self.handlers.sender).await?;
        if outcome == Outcome::Distrusted {
            self.handlers.is_distrusted.notify_one();
        }
        Ok(Next { due: started + self.wait(), suspect: outcome == Outcome::Late })
    }
}

impl Node {
    /// The wait until the next request. The first round is at once; the second spreads the nodes over half an
    /// interval, so that not all guests of a cluster are asked in the same second.
    fn wait(&mut self) -> Duration {
        let interval = self.handlers.interval;
        if std::mem::replace(&mut self.is_spread, true) {
            return interval;
        }
        interval / 2 + interval.mul_f64(rand::random::<f64>() / 2.0)
    }
}
