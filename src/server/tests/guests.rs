//! What guests do, from sources other than virt-handler.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

use collector::{
    config::{CollectConfig, KubeletAccess, KubeletConfig, PrometheusConfig},
    from_kubeconfig_text,
};
use model::{
    activity::{Activity, GuestActivity},
    figure::Source,
    pressure::PressureSample,
};
use simulator::{Clock, Guest, Node, NoisyNeighbour, Options, Scenario};
use wukong_core::Snapshot;

const INTERVAL: Duration = Duration::from_millis(800);
/// A kubelet's figure needs two measurements that are ten seconds apart.
const TEST_TIMEOUT: Duration = Duration::from_secs(90);

/// What the guest does each second.
fn does() -> simulator::Activity {
    simulator::Activity {
        receive: 2_000_000,
        transmit: 1_000_000,
        read: 400_000,
        write: 800_000,
        reads: 100,
        writes: 200,
        latency: 2_000,
        ..simulator::Activity::default()
    }
}

/// Runs the pipeline against a cluster without virt-handlers, until this holds of its one VM.
async fn eventually<T>(by_prometheus: bool, holds: impl Fn(&Snapshot) -> Option<T>) -> T {
    let since = Clock::system().now() - 60_000;
    let neighbour = NoisyNeighbour { since, wait: 500, by: ("prod".into(), "loud".into()) };
    let disk = simulator::Disk::new("root", "web-root", "20Gi");
    let guest = Guest::new("prod", "web").cpu(2).memory("4Gi").disks(vec![disk]);
    let guest = guest.does(does()).running_on("n1", since);
    let scenario = Scenario::empty().node(Node::new("n1").with_noisy_neighbour(neighbour)).guest(guest);
    let options = Options {
        metrics_interval: INTERVAL,
        volumes_interval: INTERVAL,
        virt_handlers: false,
        ..Options::exactly(scenario)
    };
    let sim = simulator::start(options).await.unwrap();
    let prometheus = PrometheusConfig {
        url: sim.prometheus_url().parse().unwrap(),
        bearer_token_file: None,
        basic_auth_file: None,
        ca: None,
        matchers: vec![],
        trusted_namespaces: vec!["kubevirt".into()],
        tenant: None,
        deadline: Duration::from_secs(10),
    };
    let config = CollectConfig {
        metrics_interval: INTERVAL,
        disk_interval: INTERVAL,
        kubelet: KubeletConfig { access: KubeletAccess::Proxy, ..KubeletConfig::default() },
        prometheus: by_prometheus.then_some(prometheus),
        ..CollectConfig::default()
    };
    let cluster = from_kubeconfig_text(&sim.kubeconfig(), None, &config).await.unwrap();
    let (sender, mut snapshots) = watch::channel(Arc::new(Snapshot::default()));
    let shutdown = CancellationToken::new();
    let _stop = shutdown.clone().drop_guard();
    let mut tasks = crate::server::pipeline(cluster, &config, sender, &shutdown);
    tokio::spawn(async move { while tasks.join_next().await.is_some() {} });
    let found = async {
        loop {
            let found = holds(&snapshots.borrow_and_update());
            match found {
                Some(found) => return found,
                None => snapshots.changed().await.unwrap(),
            }
        }
    };
    timeout(TEST_TIMEOUT, found).await.expect("the figure is not known in time")
}

/// The activity of the VM from this source, once its network is known.
fn activity(snapshot: &Snapshot, source: Source) -> Option<GuestActivity> {
    match &snapshot.vms.first()?.activity {
        Activity::Known(known) if known.source == source && known.network.is_ok() => Some((**known).clone()),
        _ => None,
    }
}

fn assert_near(what: &str, got: f64, want: u64, percent: f64) {
    let off = (got / want as f64 - 1.0).abs() * 100.0;
    assert!(off <= percent, "{what}: {got} instead of {want}");
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_gives_what_guests_do_without_virt_handler() {
    let known = eventually(true, |snapshot| activity(snapshot, Source::Prometheus)).await;
    let (network, storage) = (known.network.unwrap(), known.storage.unwrap());
    for (what, got, want) in [
        ("receive", Some(network.receive), does().receive),
        ("transmit", Some(network.transmit), does().transmit),
        ("read", storage.read.bytes, does().read),
        ("write", storage.write.bytes, does().write),
        ("reads", storage.read.operations, does().reads),
        ("writes", storage.write.operations, does().writes),
    ] {
        assert_near(what, got.unwrap().per_second(), want, 1.0);
    }
    assert_near("latency", storage.read.latency.unwrap() as f64, does().latency * 1_000, 1.0);
    assert_near("contention", f64::from(known.contention.unwrap()), 50_000, 1.0);
}

/// The times of a kubelet are whole seconds.
#[tokio::test(flavor = "multi_thread")]
async fn kubelets_give_traffic_and_pressure_without_virt_handler() {
    let known = eventually(false, |snapshot| {
        let pressure = snapshot.vms.first()?.pressure.clone().ok()?;
        Some((activity(snapshot, Source::KubeletProxy)?, pressure))
    });
    let (known, PressureSample { pressure, origin }) = known.await;
    let network = known.network.unwrap();
    assert_near("receive", network.receive.per_second(), does().receive, 12.0);
    assert_near("transmit", network.transmit.per_second(), does().transmit, 12.0);
    assert!(known.storage.is_err() && known.memory.is_err(), "a kubelet does not know them");
    assert_eq!(pressure.cpu.unwrap().some, 75_000, "one of two vCPUs waits half of the time");
    assert_eq!((origin.source, origin.window_ms), (Source::KubeletProxy, 60_000));
}
