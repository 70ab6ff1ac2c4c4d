//! The collector's configuration: what to ask, where, how often and within which limits. `src/server/config`
//! fills it.

use std::{path::PathBuf, time::Duration};

use model::source::SourceId;

mod no_proxy;
mod proxy;

pub use proxy::{Protocol, Proxy, ProxyRules, is_loopback, parse_address};

/// Which cluster to connect to, and with which context.
#[derive(Clone, Debug, Default)]
pub struct KubernetesConfig {
    pub kubeconfig: Option<PathBuf>,
    pub context: Option<String>,
    /// The text of a kubeconfig, which takes precedence over all others: the built-in simulated cluster's.
    pub embedded: Option<String>,
}

/// What to ask of the cluster, how often, and with which limits.
#[derive(Clone, Debug)]
pub struct CollectConfig {
    /// `None` means all namespaces. Otherwise every namespaced request stays within these.
    pub namespaces: Option<Vec<String>>,
    pub metrics_interval: Duration,
    pub disk_interval: Duration,
    /// Deadlines for one PodMetrics list and for one kubelet's summary.
    pub metrics_deadline: Duration,
    pub kubelet_deadline: Duration,
    /// How many kubelets are asked at the same time.
    pub kubelet_concurrency: usize,
    /// Bytes of the largest answer that is read; several peers have lower limits of their own.
    pub answer_limit: usize,
    /// Bytes that all objects of one kind may take; the objects of one namespace may take half of that.
    pub collection_limit: usize,
    /// A watch that receives no byte for this long, bookmarks included, is considered dead and is reopened.
    pub watch_idle: Duration,
    /// Sources of disk figures, by precedence: each volume uses the first source that knows it. Others are
    /// not asked.
    pub disk_sources: Vec<SourceId>,
    pub kubelet: KubeletConfig,
    /// `None`: virt-handlers are not asked.
    pub virt_handler: Option<VirtHandlerConfig>,
    pub prometheus: Option<PrometheusConfig>,
    pub ceph: Option<CephConfig>,
    /// How many guest agents are asked at the same time, and the deadline for each.
    pub guest_concurrency: usize,
    pub guest_deadline: Duration,
    /// The proxies that the environment configures.
    pub proxies: ProxyRules,
}

impl CollectConfig {
    /// The disk sources that are configured, guest and image before backend: the allocation on a backend
    /// counts only if no file system is known.
    pub fn asked_disk_sources(&self) -> Vec<SourceId> {
        let configured = |id: &SourceId| match id {
            SourceId::Prometheus => self.prometheus.is_some(),
            SourceId::Ceph => self.ceph.is_some(),
            _ => true,
        };
        let mut sources: Vec<_> = self.disk_sources.iter().copied().filter(configured).collect();
        sources.sort_by_key(|id| id.is_backend());
        sources
    }
}

/// How kubelets are reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KubeletAccess {
    /// Per node: directly if that is permitted and works, otherwise through the API server. The token of a
    /// kubeconfig is sent only to the API server.
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
    /// PEM file of the CA that signed the kubelets' certificates; `None` means the cluster's CA.
    pub ca: Option<PathBuf>,
    /// Accept any certificate.
    pub insecure_tls: bool,
}

impl Default for KubeletConfig {
    fn default() -> Self {
        Self { access: KubeletAccess::Auto, port: 10250, ca: None, insecure_tls: false }
    }
}

/// How KubeVirt's virt-handlers are reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtHandlerConfig {
    /// The namespace of KubeVirt; `None` means that of the KubeVirt object.
    pub namespace: Option<String>,
    /// PEM file of the CA that signed their certificates; `None` means KubeVirt's ConfigMap `kubevirt-ca`.
    pub ca: Option<PathBuf>,
    /// Accept any certificate.
    pub insecure_tls: bool,
    /// For one answer. virt-handler itself waits up to 10 s for its guests.
    pub deadline: Duration,
    /// How many are asked at the same time.
    pub concurrency: usize,
}

impl Default for VirtHandlerConfig {
    fn default() -> Self {
        let (namespace, ca, insecure_tls) = (None, None, false);
        Self { namespace, ca, insecure_tls, deadline: Duration::from_secs(15), concurrency: 32 }
    }
}

/// A Prometheus-compatible API. Its files are read again for each round, since tokens are rotated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrometheusConfig {
    /// Base URL as in Grafana: `https://prometheus.example.org/prefix`, to which `/api/v1` is appended.
    pub url: http::Uri,
    pub bearer_token_file: Option<PathBuf>,
    /// File with one line `user:password`.
    pub basic_auth_file: Option<PathBuf>,
    pub ca: Option<PathBuf>,
    /// Label matchers added to every query, such as `cluster="a"`.
    pub matchers: Vec<(String, String)>,
    /// Namespaces whose exporters may report on other namespaces: KubeVirt's and the kubelets'.
    pub trusted_namespaces: Vec<String>,
    /// Header name and value that select the tenant, such as `X-Scope-OrgID` for Mimir.
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
    /// The time limits for one round and for each of its requests.
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
            virt_handler: None,
            prometheus: None,
            ceph: None,
            guest_concurrency: 8,
            guest_deadline: Duration::from_secs(5),
            proxies: ProxyRules::default(),
        }
    }
}
