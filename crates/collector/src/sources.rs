//! Starts one task per source, and ends them together. The application calls [`run`].

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch as published},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{
    budget::Budget,
    ceph::Ceph,
    client::Cluster,
    config::CollectConfig,
    guest_agent,
    kinds::{self, ObservedKind},
    kubelet::{self, KubeletClients},
    metrics_api::MetricsApi,
    observation_sender::{Closed, ObservationSender, QueueRoom, QueuedObservation},
    poll::{self, BoundedClient, Pace, Source},
    prometheus::Prometheus,
    risk, virt_handler, watch,
};
use i18n::Render;
use model::source::SourceId;
use wukong_core::observation::{Observation, Targets};

/// Follows the cluster until `shutdown`, or until nobody receives observations. `targets` says what to ask:
/// the nodes with Running VMs, the guests, and the images. A return before `shutdown` is a bug: no source
/// runs any more.
pub async fn run(
    cluster: Cluster,
    config: CollectConfig,
    observations: mpsc::Sender<QueuedObservation>,
    targets: published::Receiver<Targets>,
    shutdown: CancellationToken,
) {
    let sender = ObservationSender(observations);
    for (source, detail) in risk::risks(&cluster, &config) {
        tracing::warn!(source = source.code(), "{}", detail.english());
        if sender.send(Observation::Risk { source, detail }).await.is_err() {
            return;
        }
    }
    let mut sources = Sources { tasks: JoinSet::new(), cluster, config, sender };
    for namespace in sources.scopes() {
        sources.watch_all(&namespace);
        sources.poll_metrics(namespace);
    }
    sources.watch_cluster();
    sources.watch_backends();
    sources.poll_guests(targets.clone());
    sources.poll_virt_handlers(targets.clone());
    sources.poll_prometheus(targets.clone());
    sources.poll_disks(targets);
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = sources.first_end() => {}
    }
    sources.tasks.shutdown().await;
}

struct Sources {
    tasks: JoinSet<Result<(), Closed>>,
    cluster: Cluster,
    config: CollectConfig,
    sender: ObservationSender,
}

impl Sources {
    /// The namespaces to stay in; a single `None` for all namespaces.
    fn scopes(&self) -> Vec<Option<String>> {
        match &self.config.namespaces {
            Some(namespaces) => namespaces.iter().cloned().map(Some).collect(),
            None => vec![None],
        }
    }

    fn watch_all(&mut self, namespace: &Option<String>) {
        self.watch::<kinds::Wukongs>(namespace);
        self.watch::<kinds::VirtualMachines>(namespace);
        self.watch::<kinds::Instances>(namespace);
        self.watch::<kinds::Migrations>(namespace);
        self.watch::<kinds::Pods>(namespace);
        self.watch::<kinds::Claims>(namespace);
        self.watch::<kinds::Instancetypes>(namespace);
    }

    /// Watches the kinds at cluster scope, which `--namespace` does not narrow.
    fn watch_cluster(&mut self) {
        self.watch::<kinds::Nodes>(&None);
        self.watch::<kinds::ClusterInstancetypes>(&None);
    }

    /// Watches the objects that connect a claim to its backend, and tell whether it shares a file system.
    /// `--namespace` does not narrow them: PersistentVolumes have no namespace, and Longhorn keeps its
    /// volumes in its own.
    fn watch_backends(&mut self) {
        let disk_sources = self.config.asked_disk_sources();
        if disk_sources.contains(&SourceId::Longhorn) {
            self.watch::<kinds::LonghornVolumes>(&None);
        }
        // What a guest reports does not depend on the provisioner of its volumes.
        if disk_sources.iter().any(|id| *id != SourceId::GuestAgent) {
            self.watch::<kinds::PersistentVolumes>(&None);
        }
    }

    fn watch<K: ObservedKind>(&mut self, namespace: &Option<String>) {
        let (cluster, sender) = (self.cluster.clone(), self.sender.clone());
        self.tasks.spawn(watch::follow::<K, _>(cluster, namespace.clone(), self.config.clone(), sender));
    }

    fn poll_metrics(&mut self, namespace: Option<String>) {
        let client = self.client(self.config.metrics_deadline, &self.cluster.budgets.objects);
        let source = MetricsApi::new(client, namespace, self.config.collection_limit / 4);
        self.follow(source, self.config.metrics_interval);
    }

    fn follow(&mut self, source: impl Source + 'static, interval: Duration) {
        self.tasks.spawn(poll::follow(source, Pace::new(interval), self.sender.clone()));
    }

    fn poll_disks(&mut self, targets: published::Receiver<Targets>) {
        let disk_sources = self.config.asked_disk_sources();
        if disk_sources.contains(&SourceId::Ceph)
            && let Some(config) = self.config.ceph.clone()
        {
            let interval = config.interval;
            let budget = self.cluster.budgets.outside.clone();
            let ceph = Ceph::new(config, self.config.answer_limit, budget, targets.clone());
            self.follow(ceph.through(&self.config.proxies), interval);
        }
        if disk_sources.contains(&SourceId::Kubelet) {
            self.poll_kubelets(targets);
        }
    }

    /// Polls Prometheus even if it is not a disk source, since it also has CPU and memory.
    fn poll_prometheus(&mut self, targets: published::Receiver<Targets>) {
        if let Some(config) = &self.config.prometheus {
            let budget = self.cluster.budgets.outside.clone();
            let source = Prometheus::new(config.clone(), &self.config, budget, targets);
            self.follow(source, self.config.metrics_interval);
        }
    }

    fn poll_kubelets(&mut self, targets: published::Receiver<Targets>) {
        let (config, sender) = (self.config.clone(), self.sender.clone());
        let proxy = self.client(config.kubelet_deadline, &self.cluster.budgets.kubelets);
        let proxy = BoundedClient { limit: proxy.limit.min(proxy.budget.largest()), ..proxy };
        let clients = KubeletClients {
            proxy,
            direct: self.cluster.kubelets.clone(),
            access: config.kubelet.access,
            port: config.kubelet.port,
            namespaces: config.namespaces.as_deref().map(Arc::from),
            room: QueueRoom::new(kubelet::ROOM),
        };
        self.tasks.spawn(async move { kubelet::poll(clients, &config, targets, sender).await });
    }

    fn poll_virt_handlers(&mut self, targets: published::Receiver<Targets>) {
        if let Some(virt_handler) = self.config.virt_handler.clone() {
            let (cluster, config, sender) = (self.cluster.clone(), self.config.clone(), self.sender.clone());
            self.tasks.spawn(virt_handler::poll(cluster, config, virt_handler, targets, sender));
        }
    }

    fn poll_guests(&mut self, targets: published::Receiver<Targets>) {
        if !self.config.asked_disk_sources().contains(&SourceId::GuestAgent) {
            return;
        }
        let client = self.client(self.config.guest_deadline, &self.cluster.budgets.guests);
        let client = BoundedClient { limit: client.limit.min(client.budget.largest()), ..client };
        let (config, sender) = (self.config.clone(), self.sender.clone());
        self.tasks.spawn(async move { guest_agent::poll(client, &config, targets, sender).await });
    }

    fn client(&self, deadline: Duration, budget: &Budget) -> BoundedClient {
        let (client, limit) = (self.cluster.client.clone(), self.config.answer_limit);
        BoundedClient { client, deadline, limit, budget: budget.clone() }
    }

    /// Waits for the first source that ends. A source ends only if nobody receives, or if it panics.
    async fn first_end(&mut self) {
        if let Some(Err(error)) = self.tasks.join_next().await {
            tracing::error!(%error, "source task panicked");
        }
    }
}
