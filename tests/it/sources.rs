//! The collector against the simulated cluster: observations of the objects and answers that lead to a disk's figure.

use std::time::Duration;

use collector::{QueuedObservation, config::CollectConfig, from_kubeconfig_text, run};
use model::reason::Reason;
use simulator::{Backend, Disk, DiskMode, Guest, Handle, Options, Scenario};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use wukong_core::observation::{Backend as Behind, Change, InstanceFacts, Key, Observation, Targets};

/// A collector at work on a simulated cluster.
struct Collector {
    observations: mpsc::Receiver<QueuedObservation>,
    targets: watch::Sender<Targets>,
    shutdown: CancellationToken,
    _cluster: Handle,
}

impl Collector {
    async fn of_guests(guests: Vec<Guest>) -> Self {
        let scenario = guests.into_iter().fold(Scenario::empty(), Scenario::guest);
        let cluster = simulator::start(Options::exactly(scenario)).await.unwrap();
        let config = CollectConfig { disk_interval: Duration::from_secs(1), ..CollectConfig::default() };
        let peer = from_kubeconfig_text(&cluster.kubeconfig(), None, &config).await.unwrap();
        let (sender, observations) = mpsc::channel(64);
        let (targets, targets_receiver) = watch::channel(Targets::default());
        let shutdown = CancellationToken::new();
        tokio::spawn(run(peer, config, sender, targets_receiver, shutdown.clone()));
        Self { observations, targets, shutdown, _cluster: cluster }
    }

    async fn next<T>(&mut self, mut pick: impl FnMut(Observation) -> Option<T>) -> T {
        let found = async {
            loop {
                let queued = self.observations.recv().await.expect("the collector ended");
                if let Some(found) = pick(queued.into_observation()) {
                    return found;
                }
            }
        };
        timeout(Duration::from_secs(20), found).await.expect("nothing of the kind was observed")
    }

    async fn instances(&mut self) -> Vec<InstanceFacts> {
        self.next(|observation| match observation {
            Observation::Instances(Change::Replaced { items, .. }) => Some(items),
            _ => None,
        })
        .await
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

#[tokio::test]
async fn claims_lead_to_images_and_longhorn_volumes() {
    let on = |name: &str, backend| Disk::new("db", name, "10Gi").mode(DiskMode::Block).on(backend);
    let disks = vec![
        on("rbd", Backend::Rbd { fast_diff: true }),
        on("horn", Backend::Longhorn).holds(1 << 30, 10 << 30),
        on("dir", Backend::HostPath),
    ];
    let mut collector =
        Collector::of_guests(vec![Guest::new("prod", "db").disks(disks).running_on("n1", 0)]).await;
    let (mut volumes, mut longhorn) = (None, None);
    while volumes.is_none() || longhorn.is_none() {
        match collector.next(Some).await {
            Observation::PersistentVolumes(Change::Replaced { items, .. }) => volumes = Some(items),
            Observation::LonghornVolumes(Change::Replaced { items, .. }) => longhorn = Some(items),
            _ => {}
        }
    }
    let (volumes, longhorn) = (volumes.unwrap(), longhorn.unwrap());
    let of =
        |claim: &str| volumes.iter().find(|volume| *volume.claim.name == *claim).unwrap().backend.clone();
    assert_eq!(of("db-dir"), None, "a directory leads nowhere");
    let Some(Behind::Rbd(image)) = of("db-rbd") else { panic!("{:?}", of("db-rbd")) };
    assert_eq!((&*image.pool, &*image.namespace), ("vms", ""));
    assert!(image.name.starts_with("csi-vol-"));
    assert_eq!(of("db-horn"), Some(Behind::Longhorn(longhorn[0].name.as_str().into())));
    assert_eq!(longhorn[0].size, Some(10 << 30));
    assert!(longhorn[0].actual_size.unwrap() >= 1 << 30);
}

#[tokio::test]
async fn an_instance_says_what_its_guest_has_and_the_agent_what_it_holds() {
    let disks = vec![Disk::new("db", "root", "10Gi").serial("S-ROOT").holds(3 << 30, 10 << 30)];
    let typed = Guest::new("prod", "db").cpu(4).memory("8Gi").without_wukong().instancetype("u1.large");
    let guests = vec![
        typed.disks(disks).running_on("n1", 0),
        Guest::new("prod", "huge").standalone().hugepages("1Gi").without_agent().running_on("n1", 0),
    ];
    let mut collector = Collector::of_guests(guests).await;
    let instances = collector.instances().await;
    let of = |name: &str| instances.iter().find(|instance| instance.name == name).unwrap();
    let (db, huge) = (of("db"), of("huge"));
    assert_eq!((db.vcpus, &*db.memory, &*db.disks[0].serial), (Some(4), "8Gi", "S-ROOT"));
    assert_eq!([db.agent_connected, huge.agent_connected], [true, false]);
    assert_eq!([db.hugepages, huge.hugepages], [false, true]);
    assert_eq!([db.owner_vm.is_empty(), huge.owner_vm.is_empty()], [false, true]);

    let guests = ["db", "huge", "gone"].map(|name| Key::new("prod", name));
    collector.targets.send_replace(Targets { guests: guests.into(), ..Targets::default() });
    let mut results = Vec::new();
    while results.len() < 3 {
        let answer = collector.next(|observation| match observation {
            Observation::Filesystems { instance, result, .. } => Some((instance, result)),
            _ => None,
        });
        results.push(answer.await);
    }
    results.sort_by(|(a, _), (b, _)| a.cmp(b));
    let filesystems = results[0].1.as_ref().unwrap();
    let used = filesystems.iter().map(|filesystem| filesystem.used.unwrap()).sum::<u64>();
    assert_eq!(used, 3 << 30);
    assert!(filesystems.iter().all(|filesystem| filesystem.serials == ["S-ROOT"]));
    assert_eq!(results[1].1.as_ref().unwrap_err().reason, Reason::NotRunning, "gone");
    assert_eq!(results[2].1.as_ref().unwrap_err().reason, Reason::AgentOff, "huge");
}
