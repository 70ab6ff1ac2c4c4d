//! The fault matrix: every source × every way to fail × before and after its first success. For each: no panic, no
//! invented figure, no other source's figures touched, the right reason, few requests, and fresh figures soon after.
//!
//! What comes before any request (nobody listens, no handshake, a certificate of a stranger) strikes whoever is asked
//! over the same connection: of the API server, nine sources at once.

use std::{collections::HashMap, io::Write as _, sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    model::{
        figure::{Figure, Layer, Sample, Source},
        reason::{Missing, Reason},
        source::{SourceHealth, SourceId, SourceState},
        vm::Vm,
    },
    server::{
        collect::from_kubeconfig_text,
        config::{CephConfig, CollectConfig, KubeletAccess, KubeletConfig, PrometheusConfig},
        snapshot::{MISSING_AFTER, Snapshot},
    },
    sim::{
        self, Backend, Clock, Disk, DiskMode, Fault, Guest, Node, Options, Peer, Resource, Scenario, Target,
        Wire,
    },
};

/// Kubelets and metrics-server give times in whole seconds: with less, what is fresh would look stale.
const INTERVAL: Duration = Duration::from_millis(800);
/// How often volumes are measured: in whole seconds, so that two measurements are one or two of these apart.
const MEASURED: Duration = Duration::from_secs(1);
const DEADLINE: Duration = Duration::from_millis(700);
/// Between two snapshots, and what a busy machine adds.
const SLACK: Duration = Duration::from_secs(4);
/// A watch backs off for 5 s at most; DESIGN §6 allows 10 s.
const WATCH_RECOVERY: Duration = Duration::from_secs(10);
const RETRY_AFTER: u64 = 1;
/// On an idle machine of two cores. On one that is not, what is well looks late: WUKONG_FAULTS_AT_ONCE says fewer, and
/// WUKONG_FAULTS picks the cells whose names hold it, such as `Ceph ×`.
const CELLS_AT_ONCE: usize = 20;

const GI: u64 = 1 << 30;
const CPU: u64 = 500_000_000;
const MEMORY: u64 = GI;
const DISK: u64 = 5 * GI;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    /// All that is asked of it.
    ApiServer,
    Metrics,
    /// Through the API server, and straight.
    Kubelet,
    Straight,
    Prometheus,
    Guests,
    Ceph,
    Watch(Resource),
}

impl Victim {
    const ALL: [Self; 15] = [
        Self::ApiServer,
        Self::Metrics,
        Self::Kubelet,
        Self::Straight,
        Self::Prometheus,
        Self::Guests,
        Self::Ceph,
        Self::Watch(Resource::Wukongs),
        Self::Watch(Resource::VirtualMachines),
        Self::Watch(Resource::Instances),
        Self::Watch(Resource::Pods),
        Self::Watch(Resource::Claims),
        Self::Watch(Resource::PersistentVolumes),
        Self::Watch(Resource::LonghornVolumes),
        Self::Watch(Resource::Nodes),
    ];

    fn target(self) -> Target {
        match self {
            Self::ApiServer => Target::Any,
            Self::Metrics => Target::Metrics,
            Self::Kubelet | Self::Straight => Target::Summaries,
            Self::Prometheus => Target::Prometheus,
            Self::Guests => Target::Filesystems,
            Self::Ceph => Target::Ceph,
            Self::Watch(resource) => Target::Objects(resource),
        }
    }

    /// What it is asked over, where nobody else's figures come that way.
    fn peer(self) -> Option<Peer> {
        match self {
            Self::ApiServer => Some(Peer::ApiServer),
            Self::Straight => Some(Peer::Kubelets),
            Self::Prometheus => Some(Peer::Prometheus),
            Self::Ceph => Some(Peer::Ceph),
            Self::Metrics | Self::Kubelet | Self::Guests | Self::Watch(_) => None,
        }
    }

    /// Those that must say what is wrong.
    fn sources(self, after: bool) -> Vec<SourceId> {
        match self {
            // Before the first list nobody knows a node or a guest to ask.
            Self::ApiServer if after => BEHIND_THE_API_SERVER.to_vec(),
            Self::ApiServer => BEHIND_THE_API_SERVER[..8].to_vec(),
            _ => vec![self.id()],
        }
    }

    fn gave(self, source: SourceId) -> bool {
        match self {
            // A watch that is silent is borne for longer than a test waits.
            Self::ApiServer => source != SourceId::Longhorn && BEHIND_THE_API_SERVER.contains(&source),
            _ => source == self.id(),
        }
    }

    fn id(self) -> SourceId {
        match self {
            Self::ApiServer | Self::Metrics => SourceId::PodMetrics,
            Self::Kubelet | Self::Straight => SourceId::Kubelet,
            Self::Prometheus => SourceId::Prometheus,
            Self::Guests => SourceId::GuestAgent,
            Self::Ceph => SourceId::Ceph,
            Self::Watch(Resource::Wukongs) => SourceId::Wukongs,
            Self::Watch(Resource::VirtualMachines) => SourceId::VirtualMachines,
            Self::Watch(Resource::Instances) => SourceId::Instances,
            Self::Watch(Resource::Pods) => SourceId::Pods,
            Self::Watch(Resource::PersistentVolumes) => SourceId::PersistentVolumes,
            Self::Watch(Resource::LonghornVolumes) => SourceId::Longhorn,
            Self::Watch(Resource::Nodes) => SourceId::Nodes,
            Self::Watch(_) => SourceId::Claims,
        }
    }

    fn is_watch(self) -> bool {
        matches!(self, Self::Watch(_))
    }

    /// Requests of one round.
    fn requests(self) -> u64 {
        match self {
            Self::Prometheus => 6,
            Self::Ceph => 4,
            Self::Kubelet | Self::Straight | Self::Guests => 2,
            Self::ApiServer => 7 + 1 + 2 + 2,
            Self::Metrics | Self::Watch(_) => 1,
        }
    }

    /// A figure is this source's where it gave it, or where it is asked and nobody else gave it.
    fn owns(self, name: &str, figure: &Figure) -> bool {
        match (figure.sample(), self) {
            (Some(sample), _) => self.gave(sample.source.id()),
            (None, Self::Metrics) => matches!(name, "cpu" | "memory"),
            // For the others a Prometheus stands in.
            (None, Self::ApiServer) => name == "inside",
            (None, Self::Kubelet | Self::Straight) => name == "root",
            (None, Self::Prometheus) => name == "scraped",
            (None, Self::Guests) => name == "inside",
            (None, Self::Ceph) => name == "image",
            (None, Self::Watch(_)) => false,
        }
    }

    /// What keeps this source from a volume that nobody else knows.
    fn missing(self, vm: &Vm, name: &str, figure: &Figure) -> Option<Missing> {
        let id = match (self, name) {
            (Self::ApiServer, "inside") => SourceId::GuestAgent,
            _ => self.id(),
        };
        let of_volume = vm.volumes.iter().find(|volume| volume.name == name).and_then(|volume| {
            let first = (volume.source == id).then_some(&volume.usage);
            let other = volume.readings.iter().find(|reading| reading.source == id);
            first.or(other.map(|reading| &reading.figure))
        });
        of_volume.unwrap_or(figure).missing().cloned()
    }
}

const BEHIND_THE_API_SERVER: [SourceId; 10] = [
    SourceId::Wukongs,
    SourceId::VirtualMachines,
    SourceId::Instances,
    SourceId::Pods,
    SourceId::Claims,
    SourceId::PersistentVolumes,
    SourceId::Longhorn,
    SourceId::PodMetrics,
    SourceId::Kubelet,
    SourceId::GuestAgent,
];

/// CPU, memory and each volume, by name.
fn figures(vm: &Vm) -> Vec<(&str, &Figure)> {
    let usage = &vm.summary.usage;
    let volumes = vm.volumes.iter().map(|volume| (volume.name.as_str(), &volume.usage));
    [("cpu", &usage.cpu), ("memory", &usage.memory)].into_iter().chain(volumes).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Slow,
    Hang,
    Reset,
    ResetMidBody,
    Status(u16),
    Empty,
    BadJson,
    WrongTypes,
    /// Of all numbers this one.
    Absurd(&'static str),
    Bulk,
    Redirect,
    Wire(Wire),
}

impl Trouble {
    const ALL: [Self; 21] = [
        Self::Slow,
        Self::Hang,
        Self::Reset,
        Self::ResetMidBody,
        Self::Status(401),
        Self::Status(403),
        Self::Status(404),
        Self::Status(429),
        Self::Status(500),
        Self::Status(503),
        Self::Empty,
        Self::BadJson,
        Self::WrongTypes,
        Self::Absurd("-1"),
        Self::Absurd("9223372036854775808"),
        Self::Absurd("NaN"),
        Self::Bulk,
        Self::Redirect,
        Self::Wire(Wire::Refused),
        Self::Wire(Wire::Garbled),
        Self::Wire(Wire::Untrusted),
    ];

    fn strike(self, victim: Victim, sim: &sim::Handle) {
        match (self, victim.peer()) {
            (Self::Wire(wire), Some(peer)) => sim.set_wire(peer, wire),
            _ => drop(sim.faults().add(victim.target(), self.fault())),
        }
    }

    fn heal(self, victim: Victim, sim: &sim::Handle) {
        sim.faults().clear();
        victim.peer().into_iter().for_each(|peer| sim.set_wire(peer, Wire::Sound));
    }

    fn fault(self) -> Fault {
        match self {
            Self::Wire(_) => unreachable!("it strikes no request"),
            Self::Slow => Fault::Latency(DEADLINE * 3),
            Self::Hang => Fault::Hang,
            Self::Reset => Fault::Reset,
            Self::ResetMidBody => Fault::Truncate(40),
            Self::Status(429) => Fault::Status { code: 429, retry_after: Some(RETRY_AFTER) },
            Self::Status(code) => Fault::status(code),
            Self::Empty => Fault::Empty,
            Self::BadJson => Fault::BadJson,
            Self::WrongTypes => Fault::WrongTypes,
            Self::Absurd(number) => Fault::Numbers(number),
            Self::Bulk => Fault::Swollen(50 << 20),
            Self::Redirect => Fault::Redirect,
        }
    }

    /// An API server stores no object of other types, and is asked for lists in pages; its lists have a deadline of
    /// their own, longer than a test waits.
    fn strikes(self, victim: Victim) -> bool {
        if let (Self::Wire(_), peer) | (_, peer @ Some(Peer::ApiServer)) = (self, victim.peer()) {
            return peer.is_some() && matches!(self, Self::Wire(_));
        }
        let odd = matches!(self, Self::WrongTypes | Self::Absurd(_) | Self::Bulk | Self::Slow | Self::Hang);
        !(victim.is_watch() && odd)
    }

    fn reasons(self, victim: Victim) -> &'static [Reason] {
        match self {
            Self::Slow | Self::Hang => &[Reason::TimedOut],
            Self::Reset | Self::ResetMidBody if victim.is_watch() => {
                &[Reason::Unreachable, Reason::BadAnswer]
            }
            Self::Reset | Self::ResetMidBody => &[Reason::Unreachable],
            Self::Status(401 | 403) => &[Reason::Forbidden],
            Self::Status(404) if matches!(victim, Victim::Kubelet | Victim::Straight) => {
                &[Reason::Unreachable]
            }
            Self::Status(404) if matches!(victim, Victim::Prometheus | Victim::Ceph) => {
                &[Reason::BadAnswer, Reason::ApiAbsent, Reason::Unreachable, Reason::NotReported]
            }
            Self::Status(404) => &[Reason::ApiAbsent],
            Self::Status(_) | Self::Wire(_) => &[Reason::Unreachable],
            Self::WrongTypes | Self::Absurd(_) => &[
                Reason::BadAnswer,
                Reason::NotReported,
                Reason::BlockVolume,
                Reason::TooNew,
                Reason::NotSampled,
                Reason::NoFastDiff,
                Reason::Expired,
            ],
            // A watch that is answered so ends at once; its list, that it cannot be read.
            Self::Empty | Self::BadJson | Self::Bulk | Self::Redirect => &[Reason::BadAnswer],
        }
    }

    /// What the source's error must say, beside its reason.
    fn words(self) -> &'static str {
        match self {
            Self::Wire(Wire::Refused) => "refuses connections",
            Self::Wire(_) => "TLS handshake",
            _ => "",
        }
    }

    /// An answer like any other, but for what is in it: of Ceph too that an image is not there.
    fn is_an_answer(self, victim: Victim) -> bool {
        matches!((self, victim), (Self::WrongTypes | Self::Absurd(_), _) | (Self::Status(404), Victim::Ceph))
    }
}

struct Cell {
    victim: Victim,
    trouble: Trouble,
    /// Whether the source had answered before.
    after: bool,
}

/// A cluster of two VMs on two nodes, and the pipeline that follows it.
struct Rig {
    sim: sim::Handle,
    snapshots: watch::Receiver<Arc<Snapshot>>,
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

/// What a cluster without faults shows, once everything of it is known.
type Truth = HashMap<(String, String), u64>;

async fn truth() -> Truth {
    let mut rig = Rig::start(None, false).await;
    rig.within(Duration::from_secs(20), all_well).await.unwrap();
    let snapshot = rig.snapshots.borrow().clone();
    let of = |vm: &Arc<Vm>| {
        let known = |(name, figure): (&str, &Figure)| {
            ((vm.vm_name.clone(), name.to_owned()), figure.sample().unwrap().used)
        };
        figures(vm).into_iter().map(known).collect::<Vec<_>>()
    };
    let truth: Truth = snapshot.vms.iter().flat_map(of).collect();
    let of_web = |name: &str| truth[&("web-vm".to_owned(), name.to_owned())];
    assert_eq!([of_web("cpu"), of_web("memory"), of_web("root")], [CPU, MEMORY, DISK]);
    let web = snapshot.vms.iter().find(|vm| vm.summary.name == "web").unwrap();
    let sources: Vec<_> = web.volumes.iter().map(|volume| volume.source).collect();
    let want =
        [SourceId::Kubelet, SourceId::Prometheus, SourceId::GuestAgent, SourceId::Longhorn, SourceId::Ceph];
    assert_eq!(sources, want, "a volume of each source");
    truth
}

impl Rig {
    /// For this cell; struck from the start where `broken`.
    async fn start(cell: Option<&Cell>, broken: bool) -> Self {
        let victim = cell.map(|cell| cell.victim);
        let tls = cell.is_some_and(|cell| matches!(cell.trouble, Trouble::Wire(_)));
        let options = Options::exactly(scenario());
        // A Prometheus that scrapes ten times a second has megabytes to say of two VMs.
        let options = Options { metrics_interval: INTERVAL, volumes_interval: MEASURED, tls, ..options };
        let sim = sim::start(options).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let secret = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        if let Some(cell) = cell.filter(|_| broken) {
            cell.trouble.strike(cell.victim, &sim);
        }
        let ca = sim.authority().map(|pem| secret("ca.pem", pem));
        let kubelet = match sim.kubelets().filter(|_| victim == Some(Victim::Straight)) {
            Some((port, pem)) => {
                let ca = Some(secret("kubelets.pem", pem));
                KubeletConfig { access: KubeletAccess::Direct, port, ca, insecure_tls: false }
            }
            None => KubeletConfig { access: KubeletAccess::Proxy, ..KubeletConfig::default() },
        };
        let config = CollectConfig {
            metrics_interval: INTERVAL,
            disk_interval: INTERVAL,
            metrics_deadline: DEADLINE,
            kubelet_deadline: DEADLINE,
            kubelet,
            guest_deadline: DEADLINE,
            prometheus: Some(PrometheusConfig {
                url: sim.prometheus_url().parse().unwrap(),
                bearer_token_file: None,
                basic_auth_file: None,
                ca: ca.clone(),
                matchers: vec![],
                tenant: None,
                deadline: DEADLINE,
            }),
            ceph: Some(CephConfig {
                url: sim.ceph_url().parse().unwrap(),
                user_file: secret("user", &sim.ceph().user),
                password_file: secret("password", &sim.ceph().password),
                ca,
                interval: INTERVAL,
                budget: DEADLINE * 4,
                deadline: DEADLINE,
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

    /// The first snapshot from now on of which this holds; none in time: what the last one lacked.
    async fn within(
        &mut self,
        time: Duration,
        holds: impl Fn(&Snapshot) -> Result<(), String>,
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

fn source(snapshot: &Snapshot, id: SourceId) -> Result<&SourceHealth, String> {
    snapshot.sources.iter().find(|source| source.id == id).ok_or_else(|| format!("no source {id:?}"))
}

/// Both VMs, every figure true and fresh, every source well.
fn all_well(snapshot: &Snapshot) -> Result<(), String> {
    let states = snapshot.sources.iter().map(|source| (source.id, source.state, &source.error));
    let ill: Vec<_> = states
        .filter(|(_, state, _)| !matches!(state, SourceState::Healthy | SourceState::NotConfigured))
        .collect();
    if !ill.is_empty() || snapshot.vms.len() != 2 {
        return Err(format!("{} VMs, {ill:?}", snapshot.vms.len()));
    }
    snapshot
        .vms
        .iter()
        .try_for_each(|vm| figures(vm).into_iter().try_for_each(|(name, figure)| fresh(vm, name, figure)))
}

fn fresh(vm: &Vm, name: &str, figure: &Figure) -> Result<(), String> {
    match figure.sample() {
        Some(sample) if !sample.stale => Ok(()),
        _ => Err(format!("{} {name}: {figure:?}", vm.summary.name)),
    }
}

/// Prometheus' CPU is a counter's growth over a time: as exact as a division of the two.
fn is_same(sample: &Sample, want: u64) -> bool {
    let rate = sample.window_ms > 0 && sample.source == Source::Prometheus;
    sample.used.abs_diff(want) <= if rate { want / 1_000_000 } else { 0 }
}

/// A figure that is shown is the one that the cluster has, whatever else was said.
fn nothing_invented(snapshot: &Snapshot, truth: &Truth) -> Result<(), String> {
    snapshot.vms.iter().try_for_each(|vm| {
        figures(vm).into_iter().try_for_each(|(name, figure)| {
            let last = figure.missing().and_then(|missing| missing.last);
            let want = truth.get(&(vm.vm_name.clone(), name.to_owned()));
            match (figure.sample().copied().or(last), want) {
                (Some(sample), Some(want)) if is_same(&sample, *want) => Ok(()),
                // Where claims cannot be read, the simulated kubelet's word on a raw device stands.
                (Some(sample), _) if sample.source.layer() == Layer::Image && sample.used == DISK => Ok(()),
                (None, _) => Ok(()),
                (Some(_), want) => Err(format!("invented: {name} {figure:?}, not {want:?}")),
            }
        })
    })
}

impl Cell {
    fn name(&self) -> String {
        let when = if self.after { "after" } else { "before" };
        format!("{:?} × {:?} × {when}", self.victim, self.trouble)
    }

    async fn run(&self, truth: &Truth) -> Result<(), String> {
        let mut rig = Rig::start(Some(self), !self.after).await;
        if self.after {
            rig.within(SLACK * 5, all_well).await.map_err(|why| format!("at first {why}"))?;
            if self.victim.gave(SourceId::Kubelet) {
                // So that it is known how often it measures.
                tokio::time::sleep(MEASURED * 3).await;
            }
            self.trouble.strike(self.victim, &rig.sim);
            if self.victim.is_watch() {
                rig.sim.faults().drop_watches(self.victim.target());
            }
        }
        let begun = Instant::now();
        let met = self.victim.peer().map_or(0, |peer| rig.sim.connections(peer));
        rig.sim.requests().reset();
        self.under_way(&mut rig, truth).await?;
        self.few_requests(&rig, met, begun.elapsed())?;
        self.trouble.heal(self.victim, &rig.sim);
        // A refused login is not tried again soon, so that it never locks the account.
        if self.victim == Victim::Ceph && matches!(self.trouble, Trouble::Status(401 | 403)) {
            return Ok(());
        }
        let retry_after =
            Duration::from_secs(if self.trouble == Trouble::Status(429) { RETRY_AFTER } else { 0 });
        let watches = self.victim.is_watch() || self.victim == Victim::ApiServer;
        let recovery = if watches { WATCH_RECOVERY } else { INTERVAL + DEADLINE + SLACK };
        rig.within(recovery + retry_after, all_well).await.map_err(|why| format!("recovery {why}"))?;
        nothing_invented(&rig.snapshots.borrow(), truth)
    }

    /// What must show while the fault lasts.
    async fn under_way(&self, rig: &mut Rig, truth: &Truth) -> Result<(), String> {
        let measured = if self.victim.gave(SourceId::Kubelet) { MEASURED * 2 } else { INTERVAL };
        let expiry = measured * MISSING_AFTER as u32;
        let time = if self.after && !self.victim.is_watch() { expiry } else { Duration::ZERO };
        let reasons = self.trouble.reasons(self.victim);
        rig.within(time + DEADLINE + SLACK * 2, |snapshot| {
            nothing_invented(snapshot, truth)?;
            self.victim
                .sources(self.after)
                .into_iter()
                .try_for_each(|id| self.source_says(source(snapshot, id)?))?;
            let listed = self.after || self.victim != Victim::ApiServer;
            if listed && !self.victim.is_watch() && snapshot.vms.len() != 2 {
                return Err(format!("{} VMs", snapshot.vms.len()));
            }
            if self.victim.is_watch() {
                return Ok(());
            }
            snapshot.vms.iter().try_for_each(|vm| {
                figures(vm).into_iter().try_for_each(|(name, figure)| {
                    if !self.victim.owns(name, figure) {
                        return fresh(vm, name, figure);
                    }
                    match self.victim.missing(vm, name, figure) {
                        Some(missing) if !reasons.contains(&missing.reason) => {
                            Err(format!("{name}: reason {:?}, none of {reasons:?}", missing.reason))
                        }
                        Some(missing)
                            if self.after
                                && !self.trouble.is_an_answer(self.victim)
                                && missing.last.is_none() =>
                        {
                            Err(format!("{name}: no last value: {missing:?}"))
                        }
                        Some(_) => Ok(()),
                        None => Err(format!("{name} still shown: {figure:?}")),
                    }
                })
            })
        })
        .await
    }

    fn source_says(&self, health: &SourceHealth) -> Result<(), String> {
        if self.trouble.is_an_answer(self.victim) {
            return Ok(());
        }
        match health.reason {
            Some(reason)
                if self.trouble.reasons(self.victim).contains(&reason)
                    && !health.error.is_empty()
                    && health.error.to_string().contains(self.trouble.words()) =>
            {
                Ok(())
            }
            _ => Err(format!("{health:?}")),
        }
    }

    /// No source is asked more often because it fails: once an interval, or after a back-off that is half of it at
    /// least. A watch that cannot be opened is tried a few times a second at most.
    fn few_requests(&self, rig: &Rig, met: u64, time: Duration) -> Result<(), String> {
        let rounds = time.div_duration_f64(INTERVAL / 2).ceil() as u64 + 2;
        let most = rounds * self.victim.requests();
        let asked = match (self.trouble, self.victim.peer()) {
            // That nobody listens is not counted by anybody.
            (Trouble::Wire(_), Some(peer)) => rig.sim.connections(peer) - met,
            _ => rig.sim.requests().count(&self.victim.target()),
        };
        if asked > most { Err(format!("asked {asked} times in {time:?}, at most {most}")) } else { Ok(()) }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_source_fails_alone_and_comes_back() {
    let mut cells = Vec::new();
    for victim in Victim::ALL {
        for trouble in Trouble::ALL.into_iter().filter(|trouble| trouble.strikes(victim)) {
            cells.extend([false, true].map(|after| Cell { victim, trouble, after }));
        }
    }
    let only = std::env::var("WUKONG_FAULTS").unwrap_or_default();
    cells.retain(|cell| cell.name().contains(&only));
    let at_once = std::env::var("WUKONG_FAULTS_AT_ONCE").ok().and_then(|text| text.parse().ok());
    let (count, begun) = (cells.len(), Instant::now());
    let truth = Arc::new(truth().await);
    let run = |cell: Cell| {
        let truth = truth.clone();
        async move { cell.run(&truth).await.map_err(|why| format!("{}: {why}", cell.name())).err() }
    };
    let failed: Vec<String> = stream::iter(cells)
        .map(|cell| tokio::spawn(run(cell)))
        .buffer_unordered(at_once.unwrap_or(CELLS_AT_ONCE))
        .filter_map(|done| async { done.unwrap_or_else(|panic| Some(panic.to_string())) })
        .collect()
        .await;
    // Not by a macro: the test runner keeps what a test prints that way to itself while it passes.
    let _ = writeln!(std::io::stderr(), "fault matrix: {count} cells in {:?}", begun.elapsed());
    assert!(failed.is_empty(), "{} of {count} cells:\n{}", failed.len(), failed.join("\n"));
}
