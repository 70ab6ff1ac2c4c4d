//! The command `check`: reports the connection, the permissions, the state of every source after one round,
//! and for how many VMs figures are known. `main` runs it and writes the report.

mod auth_proxy;
mod permissions;
mod report;
mod session_keys;
mod sign_in;
#[cfg(test)]
mod tests;
mod tls;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

pub use self::report::{Check, Report, Verdict};
use super::config::Config;
use collector::{
    client::{self, Cluster, ConnectError},
    config::CollectConfig,
};
use wukong_core::Snapshot;

/// Time added to the longest deadline of a source, for answers on their way through the join.
const MARGIN: Duration = Duration::from_secs(5);

/// Asks every source once and returns the report. Fails only for a configuration that is not valid: a
/// failure of the cluster is part of the report.
pub async fn run(config: &Config) -> Result<Report, ConnectError> {
    let cluster = client::connect(&config.kubernetes, &config.collect).await?;
    let credentials = cluster.obtain_credentials().await;
    let version = client::version(&cluster.client);
    let version = tokio::time::timeout(config.collect.metrics_deadline, version).await;
    let version = match version {
        Ok(Ok(version)) => Ok(version),
        Ok(Err(error)) => Err(client::words(&error)),
        Err(_) => Err("no answer in time".to_owned()),
    };
    let reachable = version.is_ok();
    let mut report = Report::new(&cluster.summary, credentials, version);
    report.certificate(&config.http).await;
    report.session_keys(&config.http.sign_in).await;
    if let Ok(Some(oidc)) = super::oidc(&config.http.sign_in, &config.collect) {
        report.sign_in(sign_in::check_provider(&oidc).await);
    }
    if let Ok(Some(proxy)) = super::auth_proxy(&config.http.sign_in, &config.collect) {
        report.sign_in(auth_proxy::check_proxy(&proxy).await);
    }
    if reachable {
        let ahead =
            tokio::time::timeout(config.collect.metrics_deadline, client::clock_ahead(&cluster.client));
        report.clock(ahead.await.ok().flatten());
        let modes = &config.http.sign_in.modes;
        report.permissions(permissions::review_permissions(&cluster.client, &config.collect, modes).await);
        let snapshot = first_snapshot(cluster, &config.collect).await;
        report.snapshot(&snapshot);
    }
    Ok(report)
}

/// Returns the first snapshot in which every source was tried, or the newest one when the longest deadline
/// has passed.
async fn first_snapshot(cluster: Cluster, config: &CollectConfig) -> Arc<Snapshot> {
    let (sender, mut snapshots) = watch::channel(Arc::new(Snapshot::default()));
    let shutdown = CancellationToken::new();
    let mut pipeline = super::pipeline(cluster, config, sender, &shutdown);
    let deadlines = [config.metrics_deadline, config.kubelet_deadline, config.guest_deadline];
    let own = config.prometheus.as_ref().map(|prometheus| prometheus.deadline);
    let handler = config.virt_handler.as_ref().map(|virt_handler| virt_handler.deadline);
    let budget = config.ceph.as_ref().map(|ceph| ceph.budget);
    let longest = deadlines.into_iter().chain(own).chain(handler).chain(budget).max().unwrap_or_default();
    let until = Instant::now() + longest + MARGIN;
    // After a timeout the report is made of what has arrived.
    let _ = timeout_at(until, snapshots.wait_for(|snapshot| snapshot.ready)).await;
    let snapshot = snapshots.borrow().clone();
    shutdown.cancel();
    pipeline.shutdown().await;
    snapshot
}
