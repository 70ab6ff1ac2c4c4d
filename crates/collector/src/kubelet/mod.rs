//! Polls each node's `/stats/summary`, directly from its kubelet or through the API server's node proxy, for
//! volumes.
//!
//! A node that hangs takes one slot until its deadline and is then a suspect: suspects wait behind the other
//! nodes and never take more than half of the slots. A node that fails is asked once per cycle like any
//! other. While the API server itself is away, nodes that are asked through it are held back, except for one
//! that is asked until it answers.

pub(super) mod answer;
mod ask;

use std::{collections::HashSet, net::IpAddr, time::Duration};

use tokio::{
    sync::watch,
    task::{JoinError, JoinSet},
    time::{Instant, sleep_until},
};

use self::ask::{Direct, PollOutcome, Route};
pub use self::ask::{KubeletClients, Outcome};
use super::{
    poll::Pace,
    turns::{PollQueue, room_for_suspects},
};
use crate::config::{CollectConfig, KubeletAccess};
use crate::observation_sender::{Closed, ObservationSender};
use wukong_core::observation::{NodeTarget, Targets};

/// How long a kubelet that could not be asked directly is asked only through the API server.
const DIRECT_AGAIN: Duration = Duration::from_secs(600);
/// After this many kubelets in a row that could not be asked directly, none is: otherwise a firewall or a
/// missing permission would cost each node an attempt of its own.
const DIRECT_HOPELESS: u32 = 3;
/// The minimum time between two reads of the kubelets' CA file.
const RENEW_EVERY: Duration = Duration::from_secs(2);

/// Asks each new target at once, then each at its interval, until nobody receives.
pub async fn poll(
    askers: KubeletClients,
    config: &CollectConfig,
    mut targets: watch::Receiver<Targets>,
    outlet: ObservationSender,
) -> Result<(), Closed> {
    let mut round = ScrapeRound::new(askers, config, outlet);
    let mut publishing = true;
    loop {
        let nodes = targets.borrow_and_update().nodes.clone();
        round.aim(&nodes);
        round.renew().await;
        let due = round.start_due();
        tokio::select! {
            changed = targets.changed(), if publishing => publishing = changed.is_ok(),
            Some(done) = round.asked.join_next() => round.finish(done)?,
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            // There is no node to ask, and the sender of targets is gone.
            else => return Err(Closed),
        }
    }
}

/// A node that is polled.
#[derive(Debug)]
struct Node {
    address: Option<IpAddr>,
    direct: DirectAccess,
}

/// Whether a node can be asked directly, as far as that is known.
#[derive(Clone, Copy, Debug)]
enum DirectAccess {
    Untried,
    Works,
    Closed(Closure),
}

/// A direct connection does not work: how it failed, and until when it is not tried again.
#[derive(Clone, Copy, Debug)]
struct Closure {
    until: Instant,
    how: Direct,
}

struct ScrapeRound {
    askers: KubeletClients,
    outlet: ObservationSender,
    slots: usize,
    nodes: PollQueue<String, Node>,
    /// How many requests through the API server are under way.
    by_proxy: usize,
    /// Requests under way. `None` as a result means that nobody receives any more.
    asked: JoinSet<Option<PollOutcome>>,
    /// The pace of requests through the API server; direct requests do not affect it.
    pace: Pace,
    /// How many kubelets in a row could not be asked directly; `closed` applies to those that were not tried
    /// yet.
    failed_direct: u32,
    closed: Option<Closure>,
    renewed: Instant,
}

impl ScrapeRound {
    fn new(askers: KubeletClients, config: &CollectConfig, outlet: ObservationSender) -> Self {
        Self {
            askers,
            outlet,
            slots: config.kubelet_concurrency.max(1),
            nodes: PollQueue::default(),
            by_proxy: 0,
            asked: JoinSet::new(),
            pace: Pace::new(config.disk_interval),
            failed_direct: 0,
            closed: None,
            renewed: Instant::now(),
        }
    }

    /// Reads the CA file again. If it has changed, what is known about direct requests is forgotten.
    async fn renew(&mut self) {
        let Some(direct) = &mut self.askers.direct else { return };
        if self.renewed.elapsed() < RENEW_EVERY {
            return;
        }
        self.renewed = Instant::now();
        if direct.renew().await {
            (self.failed_direct, self.closed) = (0, None);
            self.nodes.values_mut().for_each(|node| node.direct = DirectAccess::Untried);
        }
    }

    /// Takes over the targets: new nodes are due at once, and nodes that no longer hold a VM are forgotten.
    fn aim(&mut self, targets: &[NodeTarget]) {
        let wanted: HashSet<&str> = targets.iter().map(|target| &*target.name).collect();
        self.nodes.keep(|name| wanted.contains(name.as_str()));
        for NodeTarget { name, address } in targets {
            let name = name.to_string();
            if !self.nodes.admit(&name, || Node::new(*address), Instant::now())
                && let Some(node) = self.nodes.get_mut(&name)
            {
                node.moved_to(*address);
            }
        }
    }

    /// Starts all requests that may start now, the longest due first and suspects last, and returns when the
    /// next one may.
    fn start_due(&mut self) -> Option<Instant> {
        loop {
            let now = Instant::now();
            match self.next(now) {
                Some((at, name)) if at <= now => self.start(name, now),
                later => return later.map(|(at, _)| at),
            }
        }
    }

    /// The next node and when it may be asked. `None` while every slot is taken, or if there is no node to
    /// ask.
    fn next(&self, now: Instant) -> Option<(Instant, String)> {
        if self.asked.len() >= self.slots {
            return None;
        }
        let suspects = self.nodes.hanging() < room_for_suspects(self.slots);
        let proxied =
            |name: &String| self.nodes.get(name).is_some_and(|node| self.way(node, now).is_proxied());
        let Some(probe_at) = self.pace.probe_at() else {
            let turn = self.nodes.next(now, suspects, |_| true)?;
            return Some((turn.due, turn.key.clone()));
        };
        // While the API server is away, one request at a time probes it; direct requests continue.
        let direct = self.nodes.next(now, suspects, |name| !proxied(name));
        let direct = direct.map(|turn| (turn.due, turn.key));
        let probe = self.nodes.next(now, suspects, proxied).filter(|_| self.by_proxy == 0);
        let probe = probe.map(|turn| (turn.due.max(probe_at), turn.key));
        let (at, name) = direct.into_iter().chain(probe).min()?;
        Some((at, name.clone()))
    }

    fn way(&self, node: &Node, now: Instant) -> Route {
        match (self.askers.access, node.address) {
            (KubeletAccess::Direct, Some(address)) => Route::Direct(address),
            (KubeletAccess::Direct, None) => Route::Nowhere,
            (KubeletAccess::Auto, Some(address)) if self.askers.direct.is_some() => {
                let closed = self.closure(node).filter(|closed| now < closed.until);
                closed
                    .map_or(Route::Either(address), |Closure { how, .. }| Route::Proxy { direct: Some(how) })
            }
            _ => Route::Proxy { direct: None },
        }
    }

    /// Why this node is not asked directly: a failure of its own, or the failures of many others.
    fn closure(&self, node: &Node) -> Option<Closure> {
        match node.direct {
            DirectAccess::Works => None,
            DirectAccess::Untried => self.closed,
            DirectAccess::Closed(own) => self.closed.filter(|all| all.until > own.until).or(Some(own)),
        }
    }

    fn start(&mut self, name: String, now: Instant) {
        let Some(way) = self.nodes.get(&name).map(|node| self.way(node, now)) else { return };
        self.nodes.begin(&name);
        self.by_proxy += usize::from(way.is_proxied());
        self.asked.spawn(self.askers.clone().ask(name, way, self.outlet.clone()));
    }

    fn finish(&mut self, done: Result<Option<PollOutcome>, JoinError>) -> Result<(), Closed> {
        let asked = match done {
            Ok(asked) => asked.ok_or(Closed)?,
            // A panic while asking: the task was lost, and with it the node's name, so all nodes are asked
            // again.
            Err(_) => {
                tracing::error!("asking a kubelet failed inside this program");
                self.asked = JoinSet::new();
                self.nodes.clear();
                self.by_proxy = 0;
                return Ok(());
            }
        };
        let due = self.due_again(&asked);
        let learned = asked.direct.map(|direct| self.learn(direct, Instant::now()));
        if let Some(node) = self.nodes.get_mut(&asked.node) {
            node.direct = learned.unwrap_or(node.direct);
        }
        self.by_proxy -= usize::from(asked.began_by_proxy);
        self.nodes.end(&asked.node, due, asked.outcome == Outcome::Late);
        Ok(())
    }

    /// Learns from the result of a direct request: for this node, and after several failures for all.
    fn learn(&mut self, direct: Direct, now: Instant) -> DirectAccess {
        if direct == Direct::Answered {
            (self.failed_direct, self.closed) = (0, None);
            return DirectAccess::Works;
        }
        let closed = Closure { until: now + DIRECT_AGAIN, how: direct };
        self.failed_direct += 1;
        if self.failed_direct >= DIRECT_HOPELESS {
            self.closed = Some(closed);
        }
        DirectAccess::Closed(closed)
    }

    fn due_again(&mut self, asked: &PollOutcome) -> Instant {
        let again = asked.started + self.pace.interval();
        match asked.outcome {
            // A direct request says nothing about the API server.
            _ if !asked.proxied => return again,
            Outcome::Away => {
                self.pace.hold(Duration::ZERO, Instant::now());
                return Instant::now();
            }
            // A node that hangs looks the same, so this does not prove that the API server is back.
            Outcome::Late => {}
            Outcome::Failed | Outcome::Answered => self.pace.back(),
        }
        if asked.outcome == Outcome::Answered {
            self.pace.succeeded();
        }
        if asked.outcome == Outcome::Failed && self.pace.settling(Instant::now()) {
            return Instant::now() + self.pace.soon();
        }
        again
    }
}

impl Node {
    fn new(address: Option<IpAddr>) -> Self {
        Self { address, direct: DirectAccess::Untried }
    }

    /// Takes over the node's address. What is known of another address does not hold for this one.
    fn moved_to(&mut self, address: Option<IpAddr>) {
        if self.address != address {
            (self.address, self.direct) = (address, DirectAccess::Untried);
        }
    }
}

impl Route {
    fn is_proxied(self) -> bool {
        matches!(self, Self::Proxy { .. })
    }
}
