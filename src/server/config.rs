//! What the program was told, validated: nothing behind this file reads flags or the environment.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// Everything that `serve` needs to run.
#[derive(Clone, Debug)]
pub struct Config {
    pub listen: SocketAddr,
    pub kubernetes: KubernetesConfig,
    pub collect: CollectConfig,
    pub http: HttpConfig,
}

/// Which cluster, and as whom.
#[derive(Clone, Debug, Default)]
pub struct KubernetesConfig {
    pub kubeconfig: Option<PathBuf>,
    pub context: Option<String>,
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
    /// Largest summary or metrics answer that is read, in bytes.
    pub answer_limit: usize,
    /// A watch without a byte for this long, bookmarks included, is taken for dead and reopened.
    pub watch_idle: Duration,
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
            watch_idle: Duration::from_secs(90),
        }
    }
}

/// How the program answers browsers.
#[derive(Clone, Debug, Default)]
pub struct HttpConfig {
    /// Host headers that are answered; empty: every one.
    pub allowed_hosts: Vec<String>,
}
