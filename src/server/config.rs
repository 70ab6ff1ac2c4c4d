//! What the program was told, validated: nothing behind this file reads flags or the environment.
//!
//! [`flags`] holds the command line as it was typed, [`validate`] turns it into these types or into one report of
//! every mistake in it.

use std::{fmt, net::SocketAddr, path::PathBuf, time::Duration};

use ipnet::IpNet;

use model::source::SourceId;

mod flags;
mod no_proxy;
mod parse;
mod proxy;
mod sources;
mod validate;

pub use proxy::{Protocol, Proxy, ProxyRules, is_loopback, parse_address};
pub use validate::{Mistake, Refusal, read};

/// What to do, and how to log while doing it.
#[derive(Clone, Debug)]
pub struct Invocation {
    pub log: LogConfig,
    pub task: Task,
}

/// One of the program's commands.
#[derive(Clone, Debug)]
pub enum Task {
    /// Serve a real cluster.
    Serve(Config),
    /// Serve the built-in simulated cluster.
    Demo(Config, SimSize),
    /// Run the simulated cluster alone.
    Sim(SimConfig),
    /// Ask every source once, and say what is missing.
    Check(Config, Output),
    /// Ask the dashboard at this address whether it is alive.
    Healthcheck(Listen),
}

/// Where to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    Address(SocketAddr),
    /// Every address of every family that there is, which is what `:8081` means to Go.
    EveryFamily {
        port: u16,
    },
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::EveryFamily { port } => write!(f, ":{port}"),
        }
    }
}

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    Text,
    Json,
}

/// Everything that `serve` needs to run.
#[derive(Clone, Debug)]
pub struct Config {
    pub listen: Listen,
    pub kubernetes: KubernetesConfig,
    pub collect: CollectConfig,
    pub http: HttpConfig,
}

/// Which cluster, and as whom.
#[derive(Clone, Debug, Default)]
pub struct KubernetesConfig {
    pub kubeconfig: Option<PathBuf>,
    pub context: Option<String>,
    /// A kubeconfig's text, which goes before all others: the built-in simulated cluster's.
    pub embedded: Option<String>,
}

/// What is asked of the cluster, how often, and for how long.
#[derive(Clone, Debug)]
pub struct CollectConfig {
    /// None: all namespaces. Else every namespaced request stays inside these.
    pub namespaces: Option<Vec<String>>,
    pub metrics_interval: Duration,
    pub disk_interval: Duration,
    /// Longest wait for one PodMetrics list, and for one kubelet's summary.
    pub metrics_deadline: Duration,
    pub kubelet_deadline: Duration,
    /// Kubelets asked at the same time.
    pub kubelet_concurrency: usize,
    /// Largest answer that is read, in bytes; several peers have lower limits of their own.
    pub answer_limit: usize,
    /// Bytes that the objects of one kind may take; those of one namespace may take half of it.
    pub collection_limit: usize,
    /// A watch without a byte for this long, bookmarks included, is taken for dead and reopened.
    pub watch_idle: Duration,
    /// Where disk figures come from; each volume takes the first that knows it. Those that are not named are not asked.
    pub disk_sources: Vec<SourceId>,
    pub kubelet: KubeletConfig,
    pub prometheus: Option<PrometheusConfig>,
    pub ceph: Option<CephConfig>,
    /// Guest agents asked at the same time, and the longest wait for each.
    pub guest_concurrency: usize,
    pub guest_deadline: Duration,
    /// The proxies of the environment.
    pub proxies: ProxyRules,
}

impl CollectConfig {
    /// The disk sources that can be asked, guest and image before backend: an allocation counts only where no file
    /// system is known.
    pub fn asked_disk_sources(&self) -> Vec<SourceId> {
        let configured = |id: &SourceId| match id {
            SourceId::Prometheus => self.prometheus.is_some(),
            SourceId::Ceph => self.ceph.is_some(),
            _ => true,
        };
        let mut sources: Vec<_> = self.disk_sources.iter().copied().filter(configured).collect();
        sources.sort_by_key(|id| matches!(id, SourceId::Longhorn | SourceId::Ceph));
        sources
    }
}

/// Which way kubelets are asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KubeletAccess {
    /// Straight where that is allowed and answers, else through the API server: for each node by itself. A kubeconfig's
    /// token goes through the API server alone.
    #[default]
    Auto,
    Proxy,
    Direct,
}

/// How kubelets are asked straight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubeletConfig {
    pub access: KubeletAccess,
    pub port: u16,
    /// PEM file of the authority that signed the kubelets' certificates; none: the cluster's.
    pub ca: Option<PathBuf>,
    /// Any certificate will do.
    pub insecure_tls: bool,
}

impl Default for KubeletConfig {
    fn default() -> Self {
        Self { access: KubeletAccess::Auto, port: 10250, ca: None, insecure_tls: false }
    }
}

/// A Prometheus-compatible API. Files are read anew for each round: tokens are rotated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrometheusConfig {
    /// Base address, as Grafana has it: `https://prometheus.example.org/prefix`, `…/api/v1` is put behind it.
    pub url: http::Uri,
    pub bearer_token_file: Option<PathBuf>,
    /// A line `user:password`.
    pub basic_auth_file: Option<PathBuf>,
    pub ca: Option<PathBuf>,
    /// Label matchers that every query gets, such as `cluster="a"`.
    pub matchers: Vec<(String, String)>,
    /// Where exporters run that may speak for other namespaces: KubeVirt's, and the kubelets'.
    pub trusted_namespaces: Vec<String>,
    /// `X-Scope-OrgID` for Mimir, or any other header that names the tenant.
    pub tenant: Option<(String, String)>,
    pub deadline: Duration,
}

/// The REST API of a ceph-mgr's dashboard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CephConfig {
    pub url: http::Uri,
    pub user_file: PathBuf,
    pub password_file: PathBuf,
    pub ca: Option<PathBuf>,
    pub interval: Duration,
    /// Longest time that one round may take, and one of its requests.
    pub budget: Duration,
    pub deadline: Duration,
}

impl Default for CollectConfig {
    fn default() -> Self {
        Self {
            namespaces: None,
            metrics_interval: Duration::from_secs(15),
            disk_interval: Duration::from_secs(60),
            metrics_deadline: Duration::from_secs(10),
            kubelet_deadline: Duration::from_secs(5),
            kubelet_concurrency: 16,
            answer_limit: 32 << 20,
            collection_limit: 64 << 20,
            watch_idle: Duration::from_secs(90),
            disk_sources: SourceId::DISK.to_vec(),
            kubelet: KubeletConfig::default(),
            prometheus: None,
            ceph: None,
            guest_concurrency: 8,
            guest_deadline: Duration::from_secs(5),
            proxies: ProxyRules::default(),
        }
    }
}

/// Which Host headers are answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AllowedHosts {
    /// Of this machine's own names on a loopback listener, every one on any other.
    #[default]
    ByListener,
    /// These, in lower case, each with or without a port; on a loopback listener this machine's own names too.
    Named(Vec<String>),
    Every,
}

/// How the program answers browsers.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    pub allowed_hosts: AllowedHosts,
    /// Proxies that say in X-Forwarded-For whose request it is.
    pub trusted_proxies: Vec<IpNet>,
    /// Clients of the event stream at the same time; more are told to come back.
    pub max_event_clients: usize,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self { allowed_hosts: AllowedHosts::default(), trusted_proxies: Vec::new(), max_event_clients: 2000 }
    }
}

/// The simulated cluster's size; the same seed gives the same cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimSize {
    pub vms: u32,
    pub nodes: u32,
    pub seed: u64,
}

/// The simulated cluster as a program of its own.
#[derive(Clone, Debug)]
pub struct SimConfig {
    pub size: SimSize,
    pub listen: SocketAddr,
    pub tls: bool,
    /// Where to write a kubeconfig that leads to it.
    pub kubeconfig_out: Option<PathBuf>,
}

/// What is written to standard error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    pub format: LogFormat,
    /// Directives of `tracing_subscriber::EnvFilter`, known to parse.
    pub filter: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}
