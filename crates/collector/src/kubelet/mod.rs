//! Polls each node's `/stats/summary`, directly from its kubelet or through the API server's node proxy, for
//! volumes.
//!
//! A node that fails is asked once per interval like any other. While the API server itself is away, nodes
//! that are asked through it are held back, except for one that is asked until it answers.

pub(super) mod answer;
mod ask;

use std::{convert::Infallible, net::IpAddr, sync::Arc, time::Duration};

use parking_lot::{Mutex, MutexGuard};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use self::ask::{Direct, PollOutcome, Route};
pub use self::ask::{KubeletClients, Outcome, ROOM};
use crate::{
    config::{CollectConfig, KubeletAccess},
    observation_sender::{Closed, ObservationSender},
    targets::{self, ApiServer, Gate, Limits, Next, Target},
};
use wukong_core::observation::Targets;

/// How long a kubelet that could not be asked directly is asked only through the API server.
const DIRECT_AGAIN: Duration = Duration::from_secs(600);
/// After this many kubelets in a row that could not be asked directly, none is: otherwise a firewall or a
/// missing permission would cost each node an attempt of its own.
const DIRECT_HOPELESS: u32 = 3;
/// How often the kubelets' CA file is read.
const RENEW_EVERY: Duration = Duration::from_secs(2);

/// Asks each new node at once, then each at its interval, until nobody receives.
pub async fn poll(
    clients: KubeletClients,
    config: &CollectConfig,
    targets: watch::Receiver<Targets>,
    sender: ObservationSender,
) -> Result<(), Closed> {
    let kubelets = Arc::new(Kubelets {
        targets: targets.clone(),
        sender,
        interval: config.disk_interval,
        api_server: ApiServer::new(config.disk_interval),
        state: Mutex::new(State { clients, renewals: 0, failed_direct: 0, closed: None }),
    });
    let limits = Limits {
        slots: config.kubelet_concurrency,
        interval: config.disk_interval,
        gap: Duration::ZERO,
        // A kubelet under load takes a second.
        slow: config.kubelet_deadline / 2,
    };
    let names = |targets: &Targets| targets.nodes.iter().map(|node| node.name.to_string()).collect();
    let node = |name: &String| Node::new(kubelets.clone(), name.clone());
    tokio::select! {
        ended = targets::poll(targets, names, node, limits) => ended,
        never = kubelets.renew() => match never {},
    }
}

/// What all nodes share.
struct Kubelets {
    targets: watch::Receiver<Targets>,
    sender: ObservationSender,
    interval: Duration,
    /// Judged by the requests through the API server alone.
    api_server: ApiServer,
    state: Mutex<State>,
}

/// The clients, and what is known of direct requests to all nodes.
struct State {
    clients: KubeletClients,
    /// How often the CA file has changed. What was known of direct requests before does not hold any more.
    renewals: u64,
    /// How many kubelets in a row could not be asked directly; `closed` applies to those that were not tried
    /// yet.
    failed_direct: u32,
    closed: Option<Closure>,
}

/// A node that is polled.
struct Node {
    kubelets: Arc<Kubelets>,
    name: String,
    address: Option<IpAddr>,
    renewals: u64,
    /// Holds for this address and these renewals.
    direct: DirectAccess,
    route: Route,
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

impl Kubelets {
    /// Reads the CA file again and again. If it has changed, what is known about direct requests is
    /// forgotten.
    async fn renew(&self) -> Infallible {
        let Some(mut direct) = self.state().clients.direct.clone() else {
            return std::future::pending().await;
        };
        loop {
            sleep(RENEW_EVERY).await;
            if direct.renew().await {
                let mut state = self.state();
                state.clients.direct = Some(direct.clone());
                (state.renewals, state.failed_direct, state.closed) = (state.renewals + 1, 0, None);
            }
        }
    }

    fn address(&self, name: &str) -> Option<IpAddr> {
        let targets = self.targets.borrow();
        targets.nodes.iter().find(|node| *node.name == *name)?.address
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl Target for Node {
    fn gates(&mut self) -> Vec<Arc<Gate>> {
        self.choose_route();
        if self.route.is_proxied() { vec![self.kubelets.api_server.gate.clone()] } else { Vec::new() }
    }

    async fn poll(&mut self) -> Result<Next, Closed> {
        let clients = self.kubelets.state().clients.clone();
        let outcome = clients.ask(&self.name, self.route, &self.kubelets.sender).await?;
        if let Some(direct) = outcome.direct {
            self.learn(direct, Instant::now());
        }
        Ok(Next { due: self.due_again(&outcome), suspect: outcome.outcome == Outcome::Late })
    }
}

impl Node {
    fn new(kubelets: Arc<Kubelets>, name: String) -> Self {
        Self {
            kubelets,
            name,
            address: None,
            renewals: 0,
            direct: DirectAccess::Untried,
            route: Route::Nowhere,
        }
    }

    fn choose_route(&mut self) {
        let kubelets = self.kubelets.clone();
        let (address, state) = (kubelets.address(&self.name), kubelets.state());
        if (self.address, self.renewals) != (address, state.renewals) {
            (self.address, self.renewals, self.direct) = (address, state.renewals, DirectAccess::Untried);
        }
        self.route = match (state.clients.access, address) {
            (KubeletAccess::Direct, Some(address)) => Route::Direct(address),
            (KubeletAccess::Direct, None) => Route::Nowhere,
            (KubeletAccess::Auto, Some(address)) if state.clients.direct.is_some() => {
                let closed = self.closure(&state).filter(|closed| Instant::now() < closed.until);
                closed
                    .map_or(Route::Either(address), |Closure { how, .. }| Route::Proxy { direct: Some(how) })
            }
            _ => Route::Proxy { direct: None },
        };
    }

    /// Why this node is not asked directly: a failure of its own, or the failures of many others.
    fn closure(&self, state: &State) -> Option<Closure> {
        match self.direct {
            DirectAccess::Works => None,
            DirectAccess::Untried => state.closed,
            DirectAccess::Closed(own) => state.closed.filter(|all| all.until > own.until).or(Some(own)),
        }
    }

    /// Learns from the result of a direct request: for this node, and after several failures for all.
    fn learn(&mut self, direct: Direct, now: Instant) {
        let mut state = self.kubelets.state();
        if state.renewals != self.renewals {
            return;
        }
        if direct == Direct::Answered {
            (state.failed_direct, state.closed) = (0, None);
            self.direct = DirectAccess::Works;
            return;
        }
        let closed = Closure { until: now + DIRECT_AGAIN, how: direct };
        state.failed_direct += 1;
        if state.failed_direct >= DIRECT_HOPELESS {
            state.closed = Some(closed);
        }
        self.direct = DirectAccess::Closed(closed);
    }

    fn due_again(&self, outcome: &PollOutcome) -> Instant {
        let (api_server, again) = (&self.kubelets.api_server, outcome.started + self.kubelets.interval);
        match outcome.outcome {
            // A direct request says nothing about the API server.
            _ if !outcome.proxied => again,
            Outcome::Away => {
                api_server.is_away(Duration::ZERO);
                Instant::now()
            }
            // A node that hangs looks the same, so this does not prove that the API server is back.
            Outcome::Late => again,
            Outcome::Failed => {
                api_server.answers();
                api_server.settling_wait().map_or(again, |wait| Instant::now() + wait)
            }
            Outcome::Answered => {
                api_server.answers_well();
                again
            }
        }
    }
}

impl Route {
    fn is_proxied(self) -> bool {
        matches!(self, Self::Proxy { .. })
    }
}
