//! Hostile texts in the objects of a cluster, through the whole pipeline: the simulated cluster appends a mark to every text
//! of its answers, and the tests read the pages.

use std::{sync::Arc, time::Duration};

use axum::{Router, http::StatusCode};
use simulator::{Fault, Options, Resource, Target};
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{PAGES, absent, page};
use crate::server::{
    config::HttpConfig,
    http::{App, reader::Reader, router, tests::fixture},
    pipeline,
};
use collector::{
    clock,
    config::{CephConfig, CollectConfig, KubeletAccess, KubeletConfig, PrometheusConfig},
    from_kubeconfig_text,
};
use model::{source::SourceState, vm::Vm};
use wukong_core::{Snapshot, frame::Identity};

const INTERVAL: Duration = Duration::from_millis(500);
const DEADLINE: Duration = Duration::from_secs(5);
const SOON: Duration = Duration::from_secs(60);

/// Returns `html::mark` with the path of the field as its name.
const VALUES: &str = "~%~'\"></title></script></style></textarea>--><x-evil x-evil=1>";
/// All objects get the same mark, since they refer to each other by name.
const NAMES: &str = "~name~'\"></title></script></style></textarea>--><x-evil x-evil=1>";

struct Cluster {
    router: Router,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    shutdown: CancellationToken,
    _sim: simulator::Handle,
    _folder: tempfile::TempDir,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl Cluster {
    async fn start(tail: &'static str, names: bool) -> Self {
        let fast = Duration::from_millis(100);
        let options =
            Options { metrics_interval: fast, volumes_interval: fast, life: None, ..Options::default() };
        let sim = simulator::start(options).await.unwrap();
        let lists = Resource::ALL.into_iter().map(Target::List);
        let polls =
            [Target::Metrics, Target::Summaries, Target::Filesystems, Target::Prometheus, Target::Ceph];
        for target in lists.chain(polls) {
            sim.faults().add(target, Fault::Texts { tail, names });
        }
        let folder = tempfile::tempdir().unwrap();
        let secret = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let config = CollectConfig {
            metrics_interval: INTERVAL,
            disk_interval: INTERVAL,
            kubelet: KubeletConfig { access: KubeletAccess::Proxy, ..KubeletConfig::default() },
            prometheus: Some(PrometheusConfig {
                url: sim.prometheus_url().parse().unwrap(),
                bearer_token_file: None,
                basic_auth_file: None,
                ca: None,
                matchers: vec![],
                trusted_namespaces: vec!["kubevirt".into(), "kube-system".into()],
                tenant: None,
                deadline: DEADLINE,
            }),
            ceph: Some(CephConfig {
                url: sim.ceph_url().parse().unwrap(),
                user_file: secret("user", &sim.ceph().user),
                password_file: secret("password", &sim.ceph().password),
                ca: None,
                interval: INTERVAL,
                budget: DEADLINE,
                deadline: DEADLINE,
            }),
            ..CollectConfig::default()
        };
        let cluster = from_kubeconfig_text(&sim.kubeconfig(), None, &config).await.unwrap();
        let (sender, snapshots) = watch::channel(Arc::new(Snapshot::default()));
        let shutdown = CancellationToken::new();
        let mut tasks = pipeline(cluster, &config, sender, &shutdown);
        tokio::spawn(async move { while tasks.join_next().await.is_some() {} });
        let identity = Identity { cluster: "demo".into(), demo: true, refresh: 1000 };
        let reader = Reader::new(snapshots.clone(), identity, clock::now);
        let app = App::new(reader, fixture::site(), &HttpConfig::default());
        Self { router: router(app), snapshots, shutdown, _sim: sim, _folder: folder }
    }

    /// Waits for the first snapshot for which this holds.
    async fn wait(&mut self, what: &str, holds: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        let wanted = timeout(SOON, self.snapshots.wait_for(|snapshot| snapshot.ready && holds(snapshot)));
        let Ok(Ok(snapshot)) = wanted.await else {
            panic!("{what} within {SOON:?}: {:#?}", self.snapshots.borrow().sources)
        };
        snapshot.clone()
    }
}

fn find<'a>(snapshot: &'a Snapshot, name: &str) -> Option<&'a Vm> {
    snapshot.vms.iter().find(|vm| vm.summary.name == name).map(|vm| &**vm)
}

fn is_measured(vm: &Vm) -> bool {
    vm.summary.usage.cpu.sample().is_some() && vm.summary.usage.disk.sample().is_some()
}

fn tried(snapshot: &Snapshot) -> bool {
    snapshot.sources.iter().all(|source| source.state != SourceState::Starting)
}

#[tokio::test(flavor = "multi_thread")]
async fn free_texts_of_objects_and_guests_are_text() {
    let mut cluster = Cluster::start(VALUES, false).await;
    cluster
        .wait("figures of every kind", |snapshot| {
            let whole = |name| find(snapshot, name).is_some_and(is_measured);
            let inside = |name| find(snapshot, name).is_some_and(|vm| !vm.guest.filesystems.is_empty());
            tried(snapshot) && whole("web") && whole("analytics-warehouse") && inside("analytics-warehouse")
        })
        .await;
    for (url, wanted) in [
        (
            "/vms/shop/web",
            &[
                "spec.osImage",
                "spec.networks.type",
                "spec.disks.storageClassName",
                "spec.disks.image",
                "spec.storageClassName",
            ][..],
        ),
        ("/vms/data/analytics-warehouse", &["diskName", "mountPoint", "fileSystemType"]),
        ("/vms/data/legacy-erp", &["status.guestOSInfo.prettyName"]),
        ("/vms/payments/fraud-model-gpu", &["status.conditions.message"]),
        ("/", &["status.interfaces.ipAddress"]),
        ("/?view=table", &["status.interfaces.ipAddress"]),
    ] {
        let page = page(&cluster.router, url, StatusCode::OK).await;
        assert_eq!(
            absent(&page, wanted.iter().copied()),
            Vec::<&str>::new(),
            "{url} shows {:?}",
            page.marks()
        );
    }
    let names: Vec<_> = cluster.snapshots.borrow().vms.iter().map(|vm| vm.summary.clone()).collect();
    for vm in names {
        page(&cluster.router, &format!("/vms/{}/{}", vm.namespace, vm.name), StatusCode::OK).await;
    }
    for url in PAGES {
        let status = if url == "/nope" { StatusCode::NOT_FOUND } else { StatusCode::OK };
        page(&cluster.router, url, status).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_objects_are_text() {
    let mut cluster = Cluster::start(NAMES, true).await;
    let snapshot = cluster
        .wait("CPU of a VM whose pod is known by its names", |snapshot| {
            tried(snapshot) && snapshot.vms.iter().any(|vm| vm.summary.usage.cpu.sample().is_some())
        })
        .await;
    assert!(snapshot.vms.len() > 20, "{} VMs", snapshot.vms.len());
    for url in PAGES {
        let status = if url == "/nope" { StatusCode::NOT_FOUND } else { StatusCode::OK };
        let page = page(&cluster.router, url, status).await;
        let wanted = ["name"].into_iter().filter(|_| !["/nope", "/insights", "/sources"].contains(&url));
        assert_eq!(absent(&page, wanted), Vec::<&str>::new(), "{url}");
    }
}
