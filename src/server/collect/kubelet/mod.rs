//! Each node's `/stats/summary`, straight from its kubelet or through the API server's node proxy: volumes only.
//!
//! A node that hangs holds one slot for its deadline, after which it is suspect: suspects wait behind the others
//! and never take more than half of the slots. A node that fails is asked once a cycle like any other; only while
//! the API server itself is away are those held back that are asked through it, and one node asked until it
//! answers again.

mod answer;
mod ask;

use std::{
    collections::{BTreeMap, HashSet},
    net::IpAddr,
    time::Duration,
};

use tokio::{
    sync::watch,
    task::{JoinError, JoinSet},
    time::{Instant, sleep_until},
};

pub use self::ask::Askers;
use self::ask::{Asked, Direct, Way};
use super::{Closed, Outlet, poll::Pace};
use crate::server::{
    config::{CollectConfig, KubeletAccess},
    snapshot::facts::{NodeTarget, Targets},
};

/// A kubelet that could not be asked straight is not tried so again for this long.
const DIRECT_AGAIN: Duration = Duration::from_secs(600);
/// So many kubelets in a row that could not be asked straight stand for all: a firewall or a missing permission
/// would else cost each node its own attempt.
const DIRECT_HOPELESS: u32 = 3;

/// Asks every target at once, then each at its interval, until nobody listens.
pub async fn poll(
    askers: Askers,
    config: &CollectConfig,
    mut targets: watch::Receiver<Targets>,
    outlet: Outlet,
) -> Result<(), Closed> {
    let mut round = Round::new(askers, config, outlet);
    let mut publishing = true;
    loop {
        let nodes = targets.borrow_and_update().nodes.clone();
        round.aim(&nodes);
        round.start_due();
        let due = round.next_start();
        tokio::select! {
            changed = targets.changed(), if publishing => publishing = changed.is_ok(),
            Some(done) = round.asked.join_next() => round.finish(done)?,
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            // No node to ask, and nobody who could name one any more.
            else => return Err(Closed),
        }
    }
}

/// One node that is asked again and again.
#[derive(Debug)]
struct Node {
    address: Option<IpAddr>,
    due: Instant,
    /// The way it is being asked now.
    asked: Option<Way>,
    /// It did not answer in time when it was last asked.
    suspect: bool,
    straight: Straight,
}

/// Whether a node can be asked straight, as far as that was tried.
#[derive(Clone, Copy, Debug)]
enum Straight {
    Untried,
    Works,
    Closed(Closure),
}

/// Straight does not work: until when it is not tried, and how it went.
#[derive(Clone, Copy, Debug)]
struct Closure {
    until: Instant,
    how: Direct,
}

/// What came of asking one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Answered,
    /// The node gave no figures: itself, or the API server on its behalf.
    Failed,
    Late,
    /// The API server could not be reached.
    Away,
}

struct Round {
    askers: Askers,
    outlet: Outlet,
    slots: usize,
    nodes: BTreeMap<String, Node>,
    /// None: nobody listens any more.
    asked: JoinSet<Option<Asked>>,
    pace: Pace,
    /// Set while the API server is away: when one node is asked whether it is back.
    probe_at: Option<Instant>,
    /// Kubelets in a row that could not be asked straight, and what that means for those not tried yet.
    failed_straight: u32,
    closed: Option<Closure>,
}

impl Round {
    fn new(askers: Askers, config: &CollectConfig, outlet: Outlet) -> Self {
        Self {
            askers,
            outlet,
            slots: config.kubelet_concurrency.max(1),
            nodes: BTreeMap::new(),
            asked: JoinSet::new(),
            pace: Pace::new(config.disk_interval),
            probe_at: None,
            failed_straight: 0,
            closed: None,
        }
    }

    /// New nodes are due at once; those that hold no VM any more are forgotten.
    fn aim(&mut self, targets: &[NodeTarget]) {
        let wanted: HashSet<&str> = targets.iter().map(|target| &*target.name).collect();
        self.nodes.retain(|name, node| node.asked.is_some() || wanted.contains(name.as_str()));
        for NodeTarget { name, address } in targets {
            match self.nodes.get_mut(&**name) {
                Some(node) => node.moved_to(*address),
                None => drop(self.nodes.insert(name.to_string(), Node::new(*address))),
            }
        }
    }

    /// Starts what is due and has a slot, the longest due first, suspects last.
    fn start_due(&mut self) {
        let now = Instant::now();
        while let Some((name, way)) = self.next_due(now) {
            self.start(name, way);
        }
    }

    fn next_due(&self, now: Instant) -> Option<(String, Way)> {
        if self.asked.len() >= self.slots {
            return None;
        }
        let hanging = self.nodes.values().filter(|node| node.asked.is_some() && node.suspect).count();
        let room_for_suspects = hanging < (self.slots / 2).max(1);
        let held = self.holds_back(now);
        let waiting = self.nodes.iter().filter(|(_, node)| node.asked.is_none() && node.due <= now);
        let allowed = waiting
            .filter(|(_, node)| !node.suspect || room_for_suspects)
            .map(|(name, node)| (name, node, self.way(node, now)))
            .filter(|(_, _, way)| !held || !way.is_proxied());
        let next = allowed.min_by_key(|(_, node, _)| (node.suspect, node.due));
        next.map(|(name, _, way)| (name.clone(), way))
    }

    /// Whether nothing may be asked of an API server that is away: not its time yet, or one request is under way.
    fn holds_back(&self, now: Instant) -> bool {
        self.probe_at.is_some_and(|at| now < at || self.asks_by_proxy())
    }

    fn asks_by_proxy(&self) -> bool {
        self.nodes.values().any(|node| node.asked.is_some_and(Way::is_proxied))
    }

    fn way(&self, node: &Node, now: Instant) -> Way {
        match (self.askers.access, node.address) {
            (KubeletAccess::Direct, Some(address)) => Way::Direct(address),
            (KubeletAccess::Direct, None) => Way::Nowhere,
            (KubeletAccess::Auto, Some(address)) if self.askers.direct.is_some() => {
                let closed = self.closure(node).filter(|closed| now < closed.until);
                closed.map_or(Way::Either(address), |Closure { how, .. }| Way::Proxy { straight: Some(how) })
            }
            _ => Way::Proxy { straight: None },
        }
    }

    /// What keeps this node from being asked straight: what was met there, else what many others met.
    fn closure(&self, node: &Node) -> Option<Closure> {
        match node.straight {
            Straight::Works => None,
            Straight::Untried => self.closed,
            Straight::Closed(own) => self.closed.filter(|all| all.until > own.until).or(Some(own)),
        }
    }

    fn start(&mut self, name: String, way: Way) {
        if let Some(node) = self.nodes.get_mut(&name) {
            node.asked = Some(way);
        }
        self.asked.spawn(self.askers.clone().ask(name, way, self.outlet.clone()));
    }

    /// When the earliest node that is waiting for its time, not for a slot, will start.
    fn next_start(&self) -> Option<Instant> {
        if self.asked.len() >= self.slots {
            return None;
        }
        let now = Instant::now();
        let waiting = self.nodes.values().filter(|node| node.asked.is_none());
        waiting.filter_map(|node| self.start_of(node, now)).min()
    }

    fn start_of(&self, node: &Node, now: Instant) -> Option<Instant> {
        match self.probe_at {
            Some(at) if self.way(node, now).is_proxied() => (!self.asks_by_proxy()).then(|| node.due.max(at)),
            _ => Some(node.due).filter(|due| *due > now),
        }
    }

    fn finish(&mut self, done: Result<Option<Asked>, JoinError>) -> Result<(), Closed> {
        let asked = match done {
            Ok(asked) => asked.ok_or(Closed)?,
            // A panic while asking: which node it was is lost with the task, so all are asked anew.
            Err(_) => {
                tracing::error!("asking a kubelet failed inside this program");
                self.nodes.clear();
                return Ok(());
            }
        };
        let due = self.due_again(&asked);
        let learned = asked.direct.map(|direct| self.learn(direct, Instant::now()));
        if let Some(node) = self.nodes.get_mut(&asked.node) {
            node.asked = None;
            node.due = due;
            node.suspect = asked.outcome == Outcome::Late;
            node.straight = learned.unwrap_or(node.straight);
        }
        Ok(())
    }

    /// What a request straight to one kubelet says of that way: of this node, and after several of all.
    fn learn(&mut self, direct: Direct, now: Instant) -> Straight {
        if direct == Direct::Answered {
            (self.failed_straight, self.closed) = (0, None);
            return Straight::Works;
        }
        let closed = Closure { until: now + DIRECT_AGAIN, how: direct };
        self.failed_straight += 1;
        if self.failed_straight >= DIRECT_HOPELESS {
            self.closed = Some(closed);
        }
        Straight::Closed(closed)
    }

    fn due_again(&mut self, asked: &Asked) -> Instant {
        let again = asked.started + self.pace.interval();
        match asked.outcome {
            // A kubelet says nothing of the API server.
            _ if !asked.proxied => return again,
            Outcome::Away => return self.hold(),
            // No proof that the API server is back: a node that hangs looks the same.
            Outcome::Late => {}
            Outcome::Failed | Outcome::Answered => self.probe_at = None,
        }
        if asked.outcome == Outcome::Answered {
            self.pace.succeeded();
        }
        if asked.outcome == Outcome::Failed && self.pace.settling(Instant::now()) {
            return Instant::now() + self.pace.soon();
        }
        again
    }

    /// Holds back what goes through the API server; of many that fail together the first decides for how long.
    fn hold(&mut self) -> Instant {
        let now = Instant::now();
        self.pace.away(now);
        if self.probe_at.is_none_or(|at| at <= now) {
            self.probe_at = Some(now + self.pace.soon());
        }
        now
    }
}

impl Node {
    fn new(address: Option<IpAddr>) -> Self {
        Self { address, due: Instant::now(), asked: None, suspect: false, straight: Straight::Untried }
    }

    /// What was learned of another address does not hold for this one.
    fn moved_to(&mut self, address: Option<IpAddr>) {
        if self.address != address {
            (self.address, self.straight) = (address, Straight::Untried);
        }
    }
}

impl Way {
    fn is_proxied(self) -> bool {
        matches!(self, Self::Proxy { .. })
    }
}
