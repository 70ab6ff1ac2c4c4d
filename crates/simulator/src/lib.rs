//! The simulated cluster. It serves the Kubernetes HTTP API on a loopback socket, and depends on no other
//! crate of the project. `demo` shows it, and the tests use it.
//!
//! It writes its own JSON, so that it is an independent peer of the program. It proves nothing about a real
//! API server.

mod activity;
mod ceph;
mod clock;
mod cluster;
mod connection;
mod direct;
mod error;
mod faults;
mod figures;
mod guest;
mod hardware;
mod http;
mod kubevirt_version;
mod life;
mod load;
mod node;
mod objects;
mod pressure;
mod prometheus;
mod requests;
mod resource;
mod rng;
mod scenario;
mod serve;
mod served_node;
mod store;
mod tenants;
#[cfg(test)]
mod tests;
mod tls;
mod users;
mod virt_handler;
mod world;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use connection::Connections;
use serve::{ServedSocket, bind};
use tls::Identity;

pub use activity::{AbnormalActivity, Activity};
pub use ceph::{Ceph, RbdImage};
pub use clock::{Clock, Millis};
pub use connection::{ConnectionFault, Peer};
pub use error::SimError;
pub use faults::{Class, Fault, FaultId, Faults, Target};
pub use guest::{Guest, Launcher, Migration, Occurrence, OccurrenceKind, Pause, PodPhase, State};
pub use hardware::{Backend, Bus, Disk, DiskMode, Network};
pub use kubevirt_version::KubevirtVersion;
pub use load::{Fill, Load, Profile, VolumeFigures};
pub use node::{Kubelet, Node, NoisyNeighbour, Owner, PlainPod};
pub use requests::Requests;
pub use resource::{
    INSTANCETYPE_GROUP, KUBEVIRT_GROUP, LONGHORN_GROUP, METRICS_GROUP, RBAC_GROUP, Resource,
    SUBRESOURCE_GROUP, WUKONG_GROUP,
};
pub use scenario::Scenario;
pub use users::Viewer;
pub use world::{Pace, SimulatedCluster};

/// The content of the cluster and its behaviour.
#[derive(Clone, Debug)]
pub struct Options {
    pub vms: u32,
    pub nodes: u32,
    pub seed: u64,
    /// Whether the API server, Prometheus and Ceph use TLS. Kubelets and virt-handlers always do.
    pub tls: bool,
    /// Whether the virt-handlers among the pods serve metrics, each at a port of its own.
    pub virt_handlers: bool,
    pub kubevirt: KubevirtVersion,
    /// Port 0 chooses a free one, which [`Handle::address`] returns.
    pub listen: SocketAddr,
    /// The exact content, in place of `vms` and `nodes`.
    pub scenario: Option<Scenario>,
    /// People who can sign in besides those of the scenario.
    pub viewers: Vec<Viewer>,
    /// metrics-server's resolution: the time between two scrapes.
    pub metrics_interval: Duration,
    /// The interval at which kubelets measure volumes.
    pub volumes_interval: Duration,
    pub bookmark_interval: Duration,
    /// Time between two steps of the module `life`; `None` if nothing should happen by itself.
    pub life: Option<Duration>,
    /// The number of past changes that watches can start from.
    pub window: usize,
    pub clock: Clock,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            vms: 40,
            nodes: 4,
            seed: 7,
            tls: false,
            virt_handlers: true,
            kubevirt: KubevirtVersion::default(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            scenario: None,
            viewers: Vec::new(),
            metrics_interval: Duration::from_secs(15),
            volumes_interval: Duration::from_secs(60),
            bookmark_interval: Duration::from_secs(5),
            life: Some(Duration::from_secs(30)),
            window: 10_000,
            clock: Clock::system(),
        }
    }
}

impl Options {
    /// An empty cluster in which nothing happens by itself, for tests. Figures are taken ten times a second.
    pub fn empty() -> Self {
        Self::exactly(Scenario::empty())
    }

    /// The same as [`Options::empty`], with this content.
    pub fn exactly(scenario: Scenario) -> Self {
        Self {
            scenario: Some(scenario),
            metrics_interval: Duration::from_millis(100),
            volumes_interval: Duration::from_millis(100),
            bookmark_interval: Duration::from_millis(500),
            life: None,
            ..Self::default()
        }
    }
}

/// A running cluster. Dropping it stops the cluster; [`Handle::shutdown`] also waits for the end.
#[derive(Debug)]
pub struct Handle {
    address: SocketAddr,
    authority: Option<String>,
    other_apis: OtherApis,
    world: Arc<SimulatedCluster>,
    faults: Arc<Faults>,
    connections: Connections,
    requests: Arc<Requests>,
    stop: CancellationToken,
    server: JoinHandle<()>,
}

/// The APIs other than the API server's.
#[derive(Debug)]
struct OtherApis {
    prometheus: SocketAddr,
    dashboard: SocketAddr,
    ceph: Arc<Ceph>,
    /// The port of the kubelets that can be reached directly, and their authority's certificate in PEM.
    kubelets: Option<(u16, String)>,
}

/// Builds the cluster and serves it until the handle is dropped or shut down. Fails if a socket or
/// certificate cannot be set up.
pub async fn start(options: Options) -> Result<Handle, SimError> {
    let (listener, address) = bind(options.listen).await?;
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let (prometheus_listener, prometheus) = bind(any_port).await?;
    let (ceph_listener, dashboard) = bind(any_port).await?;
    let tls = options.tls.then(|| Identity::of(&[address.ip().to_string()])).transpose()?;
    let (identity, authority) = tls.unzip();

    let (seed, life, serves_handlers) = (options.seed, options.life, options.virt_handlers);
    let (bookmark_interval, kubevirt) = (options.bookmark_interval, options.kubevirt);
    let world = Arc::new(build(options));
    let (faults, requests) = (Arc::new(Faults::default()), Arc::new(Requests::default()));
    let cluster = Arc::new(cluster::Cluster {
        world: world.clone(),
        faults: faults.clone(),
        requests: requests.clone(),
        bookmark_interval,
        kubevirt,
    });
    let (ceph, stop) = (Arc::new(Ceph::new(seed)), CancellationToken::new());
    let ceph_dashboard = Arc::new(ceph::Dashboard { cluster: cluster.clone(), ceph: ceph.clone() });
    let kubelets = direct::listen(&cluster).await?;
    let handlers = if serves_handlers { virt_handler::listen(&cluster).await? } else { None };
    let connections = Connections::default();
    let serve = |peer, listener, identity: &Option<Identity>, router| {
        let connections = connections.of(peer).clone();
        let socket = ServedSocket { listener, identity: identity.clone(), connections };
        serve::serve(socket, router, stop.clone())
    };
    let mut servers = vec![
        serve(Peer::ApiServer, listener, &identity, http::router(cluster.clone())),
        serve(Peer::Prometheus, prometheus_listener, &identity, prometheus::router(cluster)),
        serve(Peer::Ceph, ceph_listener, &identity, ceph::router(ceph_dashboard)),
    ];
    let kubelets = kubelets.map(|kubelets| {
        let identity = Some(kubelets.identity);
        servers.extend(
            kubelets
                .listeners
                .into_iter()
                .map(|(listener, router)| serve(Peer::Kubelets, listener, &identity, router)),
        );
        (kubelets.port, kubelets.authority)
    });
    if let Some(virt_handler::Handlers { identity, listeners }) = handlers {
        let identity = Some(identity);
        servers.extend(
            listeners
                .into_iter()
                .map(|(listener, router)| serve(Peer::VirtHandlers, listener, &identity, router)),
        );
    }
    if let Some(pace) = life {
        let (world, stop) = (world.clone(), stop.clone());
        tokio::spawn(async move { stop.run_until_cancelled(life::run(world, pace, seed)).await });
    }
    let server = tokio::spawn(async move {
        futures::future::join_all(servers).await;
    });
    let other_apis = OtherApis { prometheus, dashboard, ceph, kubelets };
    Ok(Handle { address, authority, other_apis, world, faults, connections, requests, stop, server })
}

impl Handle {
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Base address of the API server: `http://…` or `https://…`.
    pub fn url(&self) -> String {
        self.url_of(self.address)
    }

    fn url_of(&self, address: SocketAddr) -> String {
        let scheme = if self.authority.is_some() { "https" } else { "http" };
        format!("{scheme}://{address}")
    }

    /// A kubeconfig with the context `demo`. It trusts this run's certificate authority if TLS is on.
    pub fn kubeconfig(&self) -> String {
        let trust = self.authority.as_ref().map_or(String::new(), |pem| {
            format!("\n      certificate-authority-data: {}", BASE64_STANDARD.encode(pem))
        });
        format!(
            "apiVersion: v1\nkind: Config\nclusters:\n  - name: demo\n    cluster:\n      server: {}{trust}\nusers:\n  \
             - name: demo\n    user: {{}}\ncontexts:\n  - name: demo\n    context:\n      cluster: demo\n      user: \
             demo\ncurrent-context: demo\n",
            self.url()
        )
    }

    /// Base address of a Prometheus that scrapes the cluster.
    pub fn prometheus_url(&self) -> String {
        self.url_of(self.other_apis.prometheus)
    }

    /// Base address of the ceph-mgr dashboard; its only account is [`Ceph::user`].
    pub fn ceph_url(&self) -> String {
        self.url_of(self.other_apis.dashboard)
    }

    pub fn ceph(&self) -> &Ceph {
        &self.other_apis.ceph
    }

    /// Port and certificate authority (PEM) of the kubelets that can be reached directly, if there are any.
    pub fn kubelets(&self) -> Option<(u16, &str)> {
        self.other_apis.kubelets.as_ref().map(|(port, authority)| (*port, authority.as_str()))
    }

    /// The authority's certificate in PEM; `None` without TLS.
    pub fn authority(&self) -> Option<&str> {
        self.authority.as_deref()
    }

    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Sets the fault of new connections to this peer, and cuts the open ones.
    pub fn set_connection_fault(&self, peer: Peer, fault: Option<ConnectionFault>) {
        self.connections.of(peer).set_fault(fault);
    }

    /// The number of connections that this peer has accepted so far.
    pub fn connections(&self, peer: Peer) -> u64 {
        self.connections.of(peer).accepted()
    }

    pub fn requests(&self) -> &Requests {
        &self.requests
    }

    pub fn world(&self) -> &SimulatedCluster {
        &self.world
    }

    /// Ends every connection and waits until all are closed.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        if let Err(error) = (&mut self.server).await {
            tracing::error!(%error, "the simulated cluster stopped unexpectedly");
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn build(options: Options) -> SimulatedCluster {
    let now = options.clock.now();
    let mut scenario =
        options.scenario.unwrap_or_else(|| Scenario::demo(options.vms, options.nodes, options.seed, now));
    scenario.viewers.extend(options.viewers);
    let pace = Pace { metrics: options.metrics_interval, volumes: options.volumes_interval };
    SimulatedCluster::new(scenario, options.clock, pace, options.window)
}
