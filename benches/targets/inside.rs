//! The join and the query of a view, on data collected from a simulated cluster of 10,000 VMs.

use std::{
    iter,
    sync::Arc,
    time::{Duration, Instant},
};

use collector::{
    self, clock,
    config::{CollectConfig, KubernetesConfig},
};
use model::query::Query;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use wukong_core::{
    ClusterState, Limits, Scope, Snapshot, Visible,
    frame::Identity,
    incidents::{MOST, incidents},
    observation::Targets,
    view,
};

use super::{
    scopes,
    table::{Must, Table, median},
};

const TIMES: usize = 15;

pub fn measure(table: &mut Table) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (mut world, snapshot) = runtime.block_on(fill());
    // Nothing else may run during the measurement.
    runtime.shutdown_timeout(Duration::from_secs(5));
    println!("joined: {} VMs, {} sources tried", snapshot.vms.len(), snapshot.sources.len());
    let mut join = || {
        world.forget_rows();
        drop(world.join(clock::now()));
    };
    let join = median(iter::repeat_with(|| millis(&mut join)).take(TIMES).collect());
    table.row("10,000 VMs: join of everything", join, Must::BeAtMost, 50.0, "ms");
    let identity = Identity { cluster: "bench".into(), demo: false, refresh: 15_000 };
    let snapshot = Arc::new(snapshot);
    let visible = Visible::new(&snapshot, &Scope::all());
    for query in ["", "q=a", "sort=memory", "status=Running&sort=cpu", "attention=1", "view=map"] {
        let asked = parse(query);
        let cut = || drop(view::home(&visible, &identity, &asked, clock::now()));
        let took = median((0..TIMES).map(|_| millis(cut)).collect());
        table.row(&format!("10,000 VMs: view of /?{query}"), took, Must::BeAtMost, 5.0, "ms");
    }
    let cut = || drop(incidents(&visible, MOST));
    let took = median((0..TIMES).map(|_| millis(cut)).collect());
    table.row("10,000 VMs: what needs attention", took, Must::BeAtMost, 5.0, "ms");
    scopes::measure(table, &snapshot);
}

fn millis(work: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    work();
    begun.elapsed().as_secs_f64() * 1000.0
}

fn parse(query: &str) -> Query {
    let pairs: Vec<(&str, &str)> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
    let value = |field: &str| pairs.iter().find(|(key, _)| *key == field).map(|(_, v)| (*v).to_owned());
    Query::parse(value).expect("a query that is understood")
}

/// Collects until every source has been tried and every kubelet polled.
async fn fill() -> (ClusterState, Snapshot) {
    let options = simulator::Options { vms: 10_000, nodes: 500, ..simulator::Options::default() };
    let cluster = simulator::start(options).await.expect("a cluster");
    let kubernetes = KubernetesConfig { embedded: Some(cluster.kubeconfig()), ..KubernetesConfig::default() };
    let config = CollectConfig::default();
    let client = collector::connect(&kubernetes, &config).await.expect("a client");
    let (sender, mut observations) = mpsc::channel(256);
    let (targets, asked) = watch::channel(Targets::default());
    let shutdown = CancellationToken::new();
    let collecting = tokio::spawn(collector::run(client, config.clone(), sender, asked, shutdown.clone()));
    let mut world = ClusterState::new(Limits {
        metrics_interval: 15_000,
        disk_interval: 60_000,
        ceph_interval: 0,
        disk_sources: config.asked_disk_sources(),
        virt_handler: config.virt_handler.is_some(),
        most_vms: usize::MAX,
    });
    let snapshot = until_ready(&mut world, &mut observations, &targets).await;
    shutdown.cancel();
    collecting.await.expect("the collectors end");
    cluster.shutdown().await;
    (world, snapshot)
}

async fn until_ready(
    world: &mut ClusterState,
    observations: &mut mpsc::Receiver<collector::QueuedObservation>,
    targets: &watch::Sender<Targets>,
) -> Snapshot {
    let (begun, mut tick) = (Instant::now(), tokio::time::interval(Duration::from_secs(1)));
    loop {
        tokio::select! {
            Some(queued) = observations.recv() => queued.apply(|observation| world.apply(observation)),
            _ = tick.tick() => {
                let snapshot = world.join(clock::now());
                targets.send_replace(snapshot.targets.clone());
                if snapshot.ready && begun.elapsed() > Duration::from_secs(20) {
                    return snapshot;
                }
            }
        }
    }
}
