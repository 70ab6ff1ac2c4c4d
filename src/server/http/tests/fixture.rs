//! A router over a snapshot that the test publishes, and answers that are read to their end.

use std::{
    borrow::Cow,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread::ThreadId,
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, Method, Request, StatusCode},
};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::sync::watch;
use tower::ServiceExt;

use crate::server::{
    config::HttpConfig,
    http::{App, Assets, events::Pace, limits::WorkLimits, reader::Reader, router, vm_events::EventsReader},
};
use model::{
    Millis,
    activity::{GuestActivity, MemoryUse, Storage, Traffic},
    details::{Condition, GuestSystem},
    figure::{Basis, Figure, Missing, Sample, Source, Unit},
    instance::{InstanceDetails, InstanceDisk, InstanceInterface},
    rates::{DriveRates, GuestRates, InterfaceRates, OperationRates, Rate, TrafficRates},
    reason::Reason,
    totals::Totals,
    vm::{Disk, Kind, Network, Status, Usage, Vm, VmSummary, Volume},
};
use wukong_core::{Snapshot, frame::Identity};

/// The longest that a test waits for something that must happen. Only a failure takes this long.
const TEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Waits until this holds; fails after [`TEST_TIMEOUT`].
pub async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    let deadline = tokio::time::Instant::now() + TEST_TIMEOUT;
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "not within {TEST_TIMEOUT:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub struct Server {
    pub router: Router,
    pub app: App,
    pub snapshots: watch::Sender<Arc<Snapshot>>,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {:?}", self.body))
    }
}

impl Server {
    pub fn new(vms: Vec<Vm>) -> Self {
        Self::with(vms, HttpConfig::default())
    }

    pub fn with(vms: Vec<Vm>, http: HttpConfig) -> Self {
        let (snapshots, receiver) = watch::channel(Arc::new(snapshot(1, vms)));
        let identity = Identity { cluster: "test".into(), demo: false, refresh: 1000 };
        let app = App::new(Reader::new(receiver, identity, || 0), site(), &http);
        Self { router: router(app.clone()), app, snapshots }
    }

    pub fn publish(&self, seq: u64, vms: Vec<Vm>) {
        self.snapshots.send_replace(Arc::new(snapshot(seq, vms)));
    }

    /// Returns the same server with another pace of events.
    pub fn at_pace(self, http: &HttpConfig, pace: Pace) -> Self {
        let app = self.app.at_pace(http, pace);
        Self { router: router(app.clone()), app, snapshots: self.snapshots }
    }

    /// Returns the same server with this many bytes for event views.
    pub fn with_view_bytes(self, http: &HttpConfig, bytes: usize) -> Self {
        let app = self.app.with_view_bytes(http, bytes);
        Self { router: router(app.clone()), app, snapshots: self.snapshots }
    }

    /// Returns the same server with this reader of Events.
    pub fn with_events(self, events: EventsReader) -> Self {
        let reader = self.app.reader.clone().with_events(events);
        let app = self.app.with_reader(reader);
        Self { router: router(app.clone()), app, snapshots: self.snapshots }
    }

    /// Returns the same server with other limits.
    pub fn with_limits(self, limits: WorkLimits) -> Self {
        let app = self.app.with_limits(limits);
        Self { router: router(app.clone()), app, snapshots: self.snapshots }
    }

    pub async fn send(&self, method: Method, url: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(self.router.clone(), request.body(Body::empty()).unwrap()).await
    }

    pub async fn get(&self, url: &str) -> Answer {
        self.send(Method::GET, url, &[]).await
    }
}

pub async fn answer(router: Router, request: Request<Body>) -> Answer {
    let (parts, body) = router.oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: parts.status, headers: parts.headers, body }
}

/// Sorts VMs as a snapshot does.
pub fn snapshot(seq: u64, mut vms: Vec<Vm>) -> Snapshot {
    vms.sort_by(|a, b| (&a.summary.name, &a.summary.namespace).cmp(&(&b.summary.name, &b.summary.namespace)));
    let totals = Totals::of(&vms);
    Snapshot { seq, vms: vms.into_iter().map(Arc::new).collect(), totals, ready: true, ..Snapshot::default() }
}

pub fn site() -> Assets {
    let file = |path: &str, content: &'static str| (path.to_owned(), Cow::Borrowed(content.as_bytes()));
    Assets::new([
        file("manifest.json", r#"{"css": "/pkg/h1/app.css", "chunks": []}"#),
        file("pkg/h1/app.css", "plain css"),
        file("pkg/h1/app.css.br", "brotli css"),
        file("pkg/h1/app.css.gz", "gzip css"),
        file("pkg/h1/app.wasm", "wasm"),
        file("robots.txt", "robots"),
    ])
    .unwrap()
}

pub fn sample(unit: Unit, used: u64, of: u64) -> Sample {
    let source = if unit == Unit::Nanocores { Source::PodMetrics } else { Source::KubeletProxy };
    Sample { unit, used, of, at: 7_000, window_ms: 15_500, source, basis: Basis::Own, stale: false }
}

pub fn known(unit: Unit, used: u64, of: u64) -> Figure {
    Figure::Known(sample(unit, used, of))
}

pub fn missing(reason: Reason) -> Figure {
    Figure::Missing(Missing::from(reason))
}

const GI: u64 = 1 << 30;

/// Returns a running VM with 2 cores and 4 GiB, whose figures are all known.
pub fn vm(namespace: &str, name: &str) -> Vm {
    let usage = Usage {
        cpu: known(Unit::Nanocores, 500_000_000, 2_000_000_000),
        memory: known(Unit::Bytes, GI, 4 * GI),
        disk: known(Unit::Bytes, GI, 10 * GI),
        disk_known: 1,
        disk_volumes: 1,
        guest_memory: None,
        fullest_disk: None,
    };
    let summary = VmSummary {
        kind: Kind::Wukong,
        namespace: namespace.into(),
        name: name.into(),
        status: Status::Running,
        kubevirt_status: "Running".into(),
        fault: None,
        node: "node-1".into(),
        lost: false,
        migrating_to: String::new(),
        ip_address: "10.0.0.5".into(),
        cpu: Some(2_000_000_000),
        memory: Some(4 * GI),
        disk: 10 * GI,
        usage,
    };
    Vm {
        uid: format!("uid-{namespace}-{name}"),
        summary,
        memory_text: "4Gi".into(),
        os_image: "debian-13".into(),
        created: 1_700_000_000_000,
        vm_name: format!("{name}-vm"),
        pod: format!("virt-launcher-{name}-vm-abcde"),
        failure: None,
        allocation_gap: None,
        conflict: None,
        networks: vec![Network {
            name: "default".into(),
            mode: "bridge".into(),
            interface: "eth0".into(),
            ip_address: "10.0.0.5".into(),
            mac_address: "02:00:00:00:00:01".into(),
        }],
        disks: vec![Disk {
            name: "root".into(),
            size: "10Gi".into(),
            storage_class_name: "fast".into(),
            boot: true,
            image: "debian-13".into(),
        }],
        volumes: vec![Volume {
            name: "root".into(),
            claim: format!("{name}-root"),
            size: Some(10 * GI),
            block: false,
            storage_class: "fast".into(),
            backing: 0,
            usage: known(Unit::Bytes, GI, 10 * GI),
            source: model::source::SourceId::Kubelet,
            readings: Vec::new(),
        }],
        guest: Default::default(),
        activity: Default::default(),
        pressure: model::pressure::unknown(),
        instance: None,
        migrations: Vec::new(),
        attention: Default::default(),
    }
}

/// A clock that counts how often it is read and on which thread. While it is shut, reading it blocks.
pub struct Gate {
    passes: AtomicUsize,
    shut: Mutex<bool>,
    opened: Condvar,
    thread: Mutex<Option<ThreadId>>,
}

impl Gate {
    /// Longest block, so that a failing test ends.
    const LONGEST: Duration = Duration::from_secs(10);

    pub const fn new() -> Self {
        Self {
            passes: AtomicUsize::new(0),
            shut: Mutex::new(false),
            opened: Condvar::new(),
            thread: Mutex::new(None),
        }
    }

    pub fn pass(&self) -> Millis {
        self.passes.fetch_add(1, Ordering::SeqCst);
        *self.thread.lock().unwrap() = Some(std::thread::current().id());
        let shut = self.shut.lock().unwrap();
        drop(self.opened.wait_timeout_while(shut, Self::LONGEST, |shut| *shut).unwrap());
        0
    }

    /// Shuts the gate and resets the count: making a router has read the clock for the list of its routes.
    pub fn shut(&self) {
        self.passes.store(0, Ordering::SeqCst);
        *self.shut.lock().unwrap() = true;
    }

    pub fn open(&self) {
        *self.shut.lock().unwrap() = false;
        self.opened.notify_all();
    }

    pub fn passes(&self) -> usize {
        self.passes.load(Ordering::SeqCst)
    }

    pub fn thread(&self) -> Option<ThreadId> {
        *self.thread.lock().unwrap()
    }
}

/// Returns a server of three VMs with this clock.
pub fn server_of(clock: fn() -> Millis) -> Server {
    let (snapshots, receiver) =
        watch::channel(Arc::new(snapshot(1, ["a", "b", "c"].map(|name| vm("shop", name)).to_vec())));
    let identity = Identity { cluster: "test".into(), demo: false, refresh: 1000 };
    let app = App::new(Reader::new(receiver, identity, clock), site(), &HttpConfig::default());
    Server { router: router(app.clone()), app, snapshots }
}

/// What a guest does: of its swap nothing is known, and it writes nothing.
pub fn activity() -> GuestActivity {
    let rate = |per_second: u64| Some(Rate(per_second * 1000));
    let read = OperationRates { bytes: rate(4096), operations: rate(2), latency: Some(1_500_000) };
    let idle = OperationRates { bytes: rate(0), operations: rate(0), latency: None };
    let traffic = |bytes| TrafficRates { bytes: rate(bytes), packets: rate(3), errors: rate(0), drops: None };
    let interface = InterfaceRates { name: "default".into(), receive: traffic(7), transmit: traffic(5) };
    let rates = GuestRates {
        interfaces: [interface].into(),
        drives: [DriveRates { name: "root".into(), read, write: idle }].into(),
        ..GuestRates::default()
    };
    let missing = |reason: Reason| Box::new(Missing::from(reason));
    GuestActivity {
        source: Source::VirtHandler,
        at: 7000,
        window_ms: 60_000,
        stale: true,
        memory: Ok(MemoryUse { used: GI, total: 4 * GI }),
        swap: Err(missing(Reason::NotReported)),
        major_faults: Ok(Rate(500)),
        network: Ok(Traffic { receive: Rate(7000), transmit: Rate(5000), uncounted: 0 }),
        network_from: None,
        storage: Ok(Storage { read, write: idle }),
        contention: Ok(12_500),
        migration: None,
        rates: Some(rates.into()),
    }
}

/// What the instance of that guest says, whose second interface is one of SR-IOV.
pub fn instance() -> InstanceDetails {
    let interface = |name: &str, is_sriov| InstanceInterface {
        name: name.into(),
        guest_name: "eth0".into(),
        mac: "02:00:00:00:00:01".into(),
        addresses: ["10.0.0.5".into()].into(),
        is_sriov,
    };
    let disk = InstanceDisk { name: "root".into(), claim: "web-root".into(), ..InstanceDisk::default() };
    let condition = Condition {
        kind: "Ready".into(),
        status: "False".into(),
        reason: "GuestNotRunning".into(),
        message: "not yet".into(),
        since: Some(5000),
    };
    let system = GuestSystem { name: "Debian".into(), version: "13".into(), kernel: "6.12".into() };
    InstanceDetails {
        disks: [disk].into(),
        interfaces: [interface("default", false), interface("fast", true)].into(),
        system: Some(Box::new(system)),
        hostname: "web".into(),
        started: Some(4000),
        conditions: [condition].into(),
    }
}
