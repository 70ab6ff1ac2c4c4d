//! The cluster that is broken, and the pipeline that follows it.

use super::*;

/// A cluster of two VMs on two nodes, and the pipeline that follows it.
pub(super) struct Rig {
    pub(super) sim: simulator::Handle,
    pub(super) snapshots: watch::Receiver<Arc<Snapshot>>,
    shutdown: CancellationToken,
    _folder: tempfile::TempDir,
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// Each VM has a volume for each source that is the only one to know it, whatever else knows of it too.
fn scenario() -> Scenario {
    // Of what ran yesterday Prometheus has thousands of samples.
    let since = Clock::system().now() - 30_000;
    let guest = |name: &str, node: &str| {
        let disk = |of: &str| Disk::new(name, of, "20Gi").holds(DISK, 20 * GI);
        let disks = vec![
            disk("root"),
            disk("scraped").unlisted(),
            disk("inside").mode(DiskMode::Block).serial("S1"),
            disk("lake").mode(DiskMode::Block).on(Backend::Longhorn),
            disk("image").mode(DiskMode::Block).on(Backend::Rbd { fast_diff: true }),
        ];
        Guest::new("prod", name).cpu(2).memory("4Gi").disks(disks).uses("500m", "1Gi").running_on(node, since)
    };
    Scenario::empty()
        .node(Node::new("n1").direct())
        .node(Node::new("n2").direct())
        .guest(guest("web", "n1"))
        .guest(guest("db", "n2"))
}

impl Rig {
    /// For this cell; struck from the start where `broken`.
    pub(super) async fn start(cell: Option<&Cell>, broken: bool) -> Self {
        let victim = cell.map(|cell| cell.victim);
        let tls = cell.is_some_and(|cell| matches!(cell.failure, FailureMode::Connection(_)));
        let options = Options::exactly(scenario());
        // A Prometheus that scrapes ten times a second has megabytes to say of two VMs.
        let options = Options { metrics_interval: INTERVAL, volumes_interval: MEASURED, tls, ..options };
        let sim = simulator::start(options).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let secret = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        if let Some(cell) = cell.filter(|_| broken) {
            cell.failure.strike(cell.victim, &sim);
        }
        let ca = sim.authority().map(|pem| secret("ca.pem", pem));
        let kubelet = match sim.kubelets().filter(|_| victim == Some(Victim::DirectKubelet)) {
            Some((port, pem)) => {
                let ca = Some(secret("kubelets.pem", pem));
                KubeletConfig { access: KubeletAccess::Direct, port, ca, insecure_tls: false }
            }
            None => KubeletConfig { access: KubeletAccess::Proxy, ..KubeletConfig::default() },
        };
        let deadline = |sources: &[Victim]| match cell {
            Some(cell) if cell.failure.is_late() && sources.contains(&cell.victim) => SHORT_DEADLINE,
            _ => LONG_DEADLINE,
        };
        let ceph_deadline = deadline(&[Victim::Ceph]);
        let config = CollectConfig {
            metrics_interval: INTERVAL,
            disk_interval: INTERVAL,
            metrics_deadline: deadline(&[Victim::Metrics]),
            kubelet_deadline: deadline(&[Victim::Kubelet, Victim::DirectKubelet]),
            kubelet,
            guest_deadline: deadline(&[Victim::Guests]),
            answer_limit: ANSWER_LIMIT,
            prometheus: Some(PrometheusConfig {
                url: sim.prometheus_url().parse().unwrap(),
                bearer_token_file: None,
                basic_auth_file: None,
                ca: ca.clone(),
                matchers: vec![],
                trusted_namespaces: vec!["kubevirt".into(), "kube-system".into()],
                tenant: None,
                deadline: deadline(&[Victim::Prometheus]),
            }),
            ceph: Some(CephConfig {
                url: sim.ceph_url().parse().unwrap(),
                user_file: secret("user", &sim.ceph().user),
                password_file: secret("password", &sim.ceph().password),
                ca,
                interval: INTERVAL,
                budget: ceph_deadline * 4,
                deadline: ceph_deadline,
            }),
            ..CollectConfig::default()
        };
        let cluster = from_kubeconfig_text(&sim.kubeconfig(), None, &config).await.unwrap();
        let (sender, snapshots) = watch::channel(Arc::new(Snapshot::default()));
        let shutdown = CancellationToken::new();
        let mut tasks = crate::server::pipeline(cluster, &config, sender, &shutdown);
        tokio::spawn(async move { while tasks.join_next().await.is_some() {} });
        Self { sim, snapshots, shutdown, _folder: folder }
    }

    /// Waits until each VM has shown several measurements of its kubelet, so that the program knows how often
    /// kubelets measure.
    pub(super) async fn learn_kubelet_period(&mut self) -> Result<(), String> {
        const MEASUREMENTS: usize = 4;
        let mut shown: HashMap<String, HashSet<i64>> = HashMap::new();
        self.within(TEST_TIMEOUT, |snapshot| {
            for vm in &snapshot.vms {
                let samples = figures(vm).into_iter().filter_map(|(_, figure)| figure.sample());
                let kubelet = samples.filter(|sample| sample.source.id() == SourceId::Kubelet);
                shown.entry(vm.vm_name.clone()).or_default().extend(kubelet.map(|sample| sample.at));
            }
            let known = shown.len() == 2 && shown.values().all(|times| times.len() >= MEASUREMENTS);
            if known { Ok(()) } else { Err(format!("measurements of kubelets: {shown:?}")) }
        })
        .await
    }

    /// The first snapshot from now on of which this holds; none in time: what the last one lacked.
    pub(super) async fn within(
        &mut self,
        time: Duration,
        mut holds: impl FnMut(&Snapshot) -> Result<(), String>,
    ) -> Result<(), String> {
        let end = Instant::now() + time;
        loop {
            let lacking = match holds(&self.snapshots.borrow_and_update()) {
                Ok(()) => return Ok(()),
                Err(lacking) => lacking,
            };
            match tokio::time::timeout_at(end, self.snapshots.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err("the pipeline ended".to_owned()),
                Err(_) => return Err(format!("not within {time:?}: {lacking}")),
            }
        }
    }
}
