//! The simulated cluster inside the program: `demo` shows it, `sim` serves it alone.

use std::{env, io, path::PathBuf, time::Duration};

use anyhow::Context;
use collector::config::{CephConfig, CollectConfig, KubeletAccess, KubeletConfig, PrometheusConfig};
use tokio_util::sync::CancellationToken;
use wukong_dashboard::server::{
    config::{Config, SimConfig, SimSize},
    private_file,
};

use super::{announce, serve};

pub async fn demo(mut config: Config, size: SimSize, shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut options = options(size);
    // A demo that is asked more often has something new to say more often.
    options.metrics_interval = options.metrics_interval.min(config.collect.metrics_interval);
    options.volumes_interval = options.volumes_interval.min(config.collect.disk_interval);
    let cluster = simulator::start(options).await?;
    config.kubernetes.embedded = Some(cluster.kubeconfig());
    let secrets = Secrets::create().inspect_err(|error| {
        tracing::warn!(%error, "no private folder for the demo's credentials: it goes without Ceph and direct kubelets");
    });
    ask_beside(&mut config.collect, &cluster, secrets.as_ref().ok())?;
    let result = serve(config, shutdown).await;
    cluster.shutdown().await;
    result
}

/// The Prometheus and the Ceph that stand beside the simulated cluster, and its kubelets that can be asked directly.
fn ask_beside(
    collect: &mut CollectConfig,
    cluster: &simulator::Handle,
    secrets: Option<&Secrets>,
) -> anyhow::Result<()> {
    collect.prometheus.get_or_insert(PrometheusConfig {
        url: cluster.prometheus_url().parse()?,
        bearer_token_file: None,
        basic_auth_file: None,
        ca: None,
        matchers: Vec::new(),
        trusted_namespaces: Vec::new(),
        tenant: None,
        deadline: collect.metrics_deadline,
    });
    match (cluster.kubelets(), secrets) {
        (Some((port, authority)), Some(secrets)) => {
            let ca = Some(secrets.write("kubelet-ca.pem", authority)?);
            collect.kubelet = KubeletConfig { port, ca, ..collect.kubelet.clone() };
        }
        _ => collect.kubelet.access = KubeletAccess::Proxy,
    }
    if let Some(secrets) = secrets {
        collect.ceph.get_or_insert(CephConfig {
            url: cluster.ceph_url().parse()?,
            user_file: secrets.write("user", &cluster.ceph().user)?,
            password_file: secrets.write("password", &cluster.ceph().password)?,
            ca: None,
            // As far apart as the 5 min of a real cluster are from its minute.
            interval: collect.disk_interval * 5,
            budget: Duration::from_secs(30),
            deadline: collect.metrics_deadline,
        });
    }
    Ok(())
}

/// A folder for the demo's credentials, which are read from files. It goes when the demo ends.
struct Secrets(PathBuf);

impl Secrets {
    /// Fails where the folder exists: then it is somebody else's.
    fn create() -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let path = env::temp_dir().join(format!("wukong-demo-{:016x}", rand::random::<u64>()));
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    fn write(&self, name: &str, content: &str) -> io::Result<PathBuf> {
        let path = self.0.join(name);
        private_file::write(&path, content)?;
        Ok(path)
    }
}

impl Drop for Secrets {
    fn drop(&mut self) {
        // What cannot be removed is of no use to anybody: it led to a peer that is gone.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub async fn simulate(config: SimConfig, shutdown: CancellationToken) -> anyhow::Result<()> {
    let SimConfig { size, listen, tls, .. } = config;
    let cluster = simulator::start(simulator::Options { listen, tls, ..options(size) }).await?;
    if let Some(path) = &config.kubeconfig_out {
        private_file::write(path, &cluster.kubeconfig())
            .with_context(|| format!("writing {}", path.display()))?;
    }
    announce(if tls { "https" } else { "http" }, cluster.address());
    shutdown.cancelled().await;
    cluster.shutdown().await;
    Ok(())
}

fn options(SimSize { vms, nodes, seed }: SimSize) -> simulator::Options {
    simulator::Options { vms, nodes, seed, ..simulator::Options::default() }
}
