//! What is asked, where, how often and within which limits.

use std::{path::PathBuf, time::Duration};

use model::source::SourceId;

mod no_proxy;
mod proxy;

pub use proxy::{Protocol, Proxy, ProxyRules, is_loopback, parse_address};

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
    /// Directly where that is allowed and answers, else through the API server: for each node by itself. A kubeconfig's
    /// token goes through the API server alone.
    #[default]
    Auto,
    Proxy,
    Direct,
}

/// How kubelets are asked directly.
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
