//! Runs the simulated cluster inside the program: `demo` serves the dashboard of it, `sim` serves its
//! Kubernetes API alone. `main` calls this module; it exists with the feature `demo` only.

use std::{
    env,
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use anyhow::Context;
use collector::config::{CephConfig, CollectConfig, KubeletAccess, KubeletConfig, PrometheusConfig};
use simulator::KubevirtVersion;
use tokio_util::sync::CancellationToken;
use wukong_dashboard::server::{
    config::{Config, SimConfig, SimSize, SimViewer},
    private_file,
};

use crate::serve::{announce, serve};

/// Starts a simulated cluster of the given size and serves its dashboard until `shutdown`.
pub async fn demo(mut config: Config, size: SimSize, shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut options = options(size);
    // The simulated cluster renews its figures at least as often as they are polled.
    options.metrics_interval = options.metrics_interval.min(config.collect.metrics_interval);
    options.volumes_interval = options.volumes_interval.min(config.collect.disk_interval);
    let cluster = simulator::start(options).await?;
    config.kubernetes.embedded = Some(cluster.kubeconfig());
    let secrets = Secrets::create().inspect_err(|error| {
        tracing::warn!(%error, "cannot create a private directory for the demo's credentials, starting without Ceph and direct kubelets");
    });
    use_simulated_peers(&mut config.collect, &cluster, secrets.as_ref().ok())?;
    let result = serve(config, shutdown).await;
    cluster.shutdown().await;
    result
}

/// Points the configuration at the Prometheus, the Ceph and the kubelets of the simulated cluster. A
/// Prometheus or Ceph that the user configured is kept. Without `secrets`, Ceph is left out and the kubelets
/// are asked through the API server.
fn use_simulated_peers(
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
            // Five times the disk interval, as the default of 5 min is five times 1 min.
            interval: collect.disk_interval * 5,
            budget: Duration::from_secs(30),
            deadline: collect.metrics_deadline,
        });
    }
    Ok(())
}

/// A folder for the demo's credentials, which are configured as files. It is removed when the demo ends.
struct Secrets(PathBuf);

impl Secrets {
    /// Fails if the folder already exists, since it then belongs to somebody else.
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
        // A failure is harmless: the credentials are for a simulated cluster that has ended.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Serves the simulated cluster's API until `shutdown`. Writes a kubeconfig for it if `kubeconfig_out` is
/// set.
pub async fn simulate(config: SimConfig, shutdown: CancellationToken) -> anyhow::Result<()> {
    let SimConfig { size, listen, tls, .. } = config;
    let viewers: Vec<simulator::Viewer> = config.viewers.into_iter().map(viewer).collect();
    let shown = viewers.iter().map(|of| format!("token of {}: {}", of.name, of.token)).collect::<Vec<_>>();
    let options = simulator::Options { listen, tls, viewers, ..options(size) };
    let cluster = simulator::start(options).await?;
    if let Some(path) = &config.kubeconfig_out {
        private_file::write(path, &cluster.kubeconfig())
            .with_context(|| format!("writing {}", path.display()))?;
    }
    announce(if tls { "https" } else { "http" }, cluster.address());
    // Errors are ignored: nobody may be reading.
    shown.iter().for_each(|line| drop(writeln!(io::stdout(), "{line}")));
    shutdown.cancelled().await;
    cluster.shutdown().await;
    Ok(())
}

fn viewer(SimViewer { name, groups, namespaces }: SimViewer) -> simulator::Viewer {
    // Names have characters that no token has (RFC 6750, 2.1).
    let token = name.replace(|c: char| !c.is_ascii_alphanumeric(), "-") + "-token";
    simulator::Viewer { name, groups, token, namespaces }
}

fn options(SimSize { vms, nodes, seed, old_kubevirt }: SimSize) -> simulator::Options {
    let kubevirt = if old_kubevirt { KubevirtVersion::V1_0 } else { KubevirtVersion::default() };
    simulator::Options { vms, nodes, seed, kubevirt, ..simulator::Options::default() }
}
