//! The objects of these clusters, made of a few numbers: every text carries the mark of its object.
//!
//! Objects are written field by field, so that a new field does not compile until it is marked here. A test in `world`
//! checks that each field is.

mod activity;
mod details;

use std::sync::Arc;

use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};

use i18n::msg;
use model::{
    Millis,
    events::VmEvents,
    figure::{Basis, Figure, Missing, Sample, Source, Unit},
    groups::{Node, NodePressure, NodeUse},
    insight::{Filling, Finding, Insight, Sizing, Verdict, Window},
    message::Message,
    rates::{OperationRates, Rate, TrafficRates},
    reason::Reason,
    source::{Latency, ReviewCounts, SourceHealth, SourceId, SourceState},
    vm::{Disk, Guest, GuestFilesystem, Kind, Network, Reading, Status, Usage, Vm, VmSummary, Volume},
};

/// The time of every answer.
pub const NOW: Millis = 1_900_000_000_000;
pub const KINDS: [Kind; 3] = [Kind::Wukong, Kind::VirtualMachine, Kind::VirtualMachineInstance];
pub const NAMESPACES: usize = 7;
pub const NODES: usize = 4;
/// Names that VMs of several namespaces have.
pub const SHARED: usize = 2;

/// What a VM is made of: equal rows make equal VMs.
#[derive(Clone, Debug)]
pub struct Row {
    pub id: usize,
    pub kind: Kind,
    pub namespace: usize,
    /// The name that it shares with VMs of other namespaces.
    pub shared: Option<usize>,
    /// Another salt makes a VM that differs in everything but its place.
    pub salt: usize,
    /// Another step changes the VM's numbers and texts.
    pub step: usize,
    /// Another salt makes other Events of it.
    pub events_salt: usize,
}

/// Returns the mark of what `owner` names. No other text contains one.
pub fn mark(owner: &str) -> String {
    format!("zq{owner}qz")
}

pub fn namespace(id: usize) -> String {
    mark(&format!("n{id}"))
}

pub fn node_name(id: usize) -> String {
    mark(&format!("k{id}"))
}

/// Returns the name of a row's VM.
pub fn name(row: &Row) -> String {
    match row.shared {
        Some(name) => mark(&format!("t{name}")),
        None => format!("{}-web", mark(&owner(row))),
    }
}

fn owner(row: &Row) -> String {
    format!("v{}s{}", row.id, row.salt)
}

/// Returns the Events about a row's VM, with a mark of their own: who sees the VM need not see them.
pub fn events(row: &Row) -> VmEvents {
    let owner = format!("e{}s{}", row.id, row.events_salt);
    let mut make = Maker::new(&owner, 700_000 + row.id * 10 + row.events_salt, 0);
    details::events(&mut make)
}

/// Numbers and texts of one object.
struct Maker {
    mark: String,
    shape: StdRng,
    numbers: StdRng,
    step: usize,
}

impl Maker {
    fn new(owner: &str, seed: usize, step: usize) -> Self {
        let seed = seed as u64 * 1_000;
        Self {
            mark: mark(owner),
            shape: StdRng::seed_from_u64(seed),
            numbers: StdRng::seed_from_u64(seed + 1 + step as u64),
            step,
        }
    }

    fn text(&self, what: &str) -> String {
        format!("{}-{what}{}", self.mark, self.step)
    }

    /// A sentence with the mark as its argument, or a text that is the mark.
    fn message(&mut self, what: &str) -> Message {
        let text = self.text(what);
        if self.shape.random_bool(0.5) { text.into() } else { msg!(collect.late, peer = text, seconds = "5") }
    }

    /// About a terabyte, or a thousand cores.
    fn amount(&mut self) -> u64 {
        self.numbers.random_range(1 << 40..1 << 43)
    }

    fn count(&mut self) -> u32 {
        self.numbers.random_range(1_000_000_000..u32::MAX)
    }

    /// A count that pages add up over all sources.
    fn few(&mut self) -> u32 {
        self.numbers.random_range(100_000_000..250_000_000)
    }

    /// Within the last hour.
    fn time(&mut self) -> Millis {
        NOW - self.numbers.random_range(1..3_000_000)
    }

    fn one_in(&mut self, number: u32) -> bool {
        self.shape.random_ratio(1, number)
    }

    fn sample(&mut self, unit: Unit, percent: u64) -> Sample {
        let of = self.amount();
        let source = match unit {
            Unit::Nanocores => Source::PodMetrics,
            Unit::Bytes => Source::KubeletProxy,
        };
        Sample {
            unit,
            used: of / 100 * percent + u64::from(self.count()) % 1_000_000,
            of,
            at: self.time(),
            window_ms: self.count(),
            source,
            basis: Basis::Own,
            stale: self.one_in(8),
        }
    }

    fn missing(&mut self, unit: Unit) -> Missing {
        let reason =
            [Reason::NotReported, Reason::Unreachable, Reason::Forbidden][self.shape.random_range(0..3)];
        Missing {
            reason,
            detail: self.message("detail"),
            fix: self.message("fix"),
            last: Some(self.sample(unit, 40)),
        }
    }

    fn figure(&mut self, unit: Unit) -> Figure {
        if self.one_in(6) {
            return Figure::Missing(self.missing(unit));
        }
        let percent = [5, 30, 55, 85, 97][self.shape.random_range(0..5)];
        Figure::Known(self.sample(unit, percent))
    }

    /// A whole number per second.
    fn rate(&mut self) -> Rate {
        Rate(self.amount() * 1000)
    }

    fn traffic(&mut self) -> TrafficRates {
        let [bytes, packets, errors, drops] = std::array::from_fn(|_| Some(self.rate()));
        TrafficRates { bytes, packets, errors, drops }
    }

    /// With a latency of whole seconds.
    fn operations(&mut self) -> OperationRates {
        let [bytes, operations] = std::array::from_fn(|_| Some(self.rate()));
        OperationRates { bytes, operations, latency: Some(u64::from(self.few()) * 1_000_000_000) }
    }

    fn volume(&mut self, at: usize) -> Volume {
        let source = SourceId::Kubelet;
        Volume {
            name: self.text(&format!("volume-{at}")),
            claim: self.text(&format!("claim-{at}")),
            size: Some(self.amount()),
            block: self.one_in(4),
            storage_class: self.text("class"),
            backing: 0,
            source,
            usage: self.figure(Unit::Bytes),
            readings: vec![
                Reading { source: SourceId::GuestAgent, figure: self.figure(Unit::Bytes) },
                Reading { source: SourceId::Longhorn, figure: Figure::Missing(self.missing(Unit::Bytes)) },
            ],
        }
    }
}

pub fn vm(row: &Row) -> Vm {
    let mut make = Maker::new(&owner(row), row.id * 10 + row.salt + 1, row.step);
    let make = &mut make;
    let statuses = [Status::Running, Status::Running, Status::Running];
    let status = *statuses.iter().chain(&Status::ALL).collect::<Vec<_>>().choose(&mut make.shape).unwrap();
    let is_known = make.shape.random_bool(0.9);
    let volumes: u32 = make.shape.random_range(0..3);
    let usage = Usage {
        cpu: make.figure(Unit::Nanocores),
        memory: make.figure(Unit::Bytes),
        disk: make.figure(Unit::Bytes),
        disk_known: make.count(),
        disk_volumes: 0,
        guest_memory: make.one_in(4).then(|| make.amount()),
        fullest_disk: None,
    };
    let all_known = make.shape.random_bool(0.7);
    let disk_volumes = if all_known { usage.disk_known } else { make.count() };
    let usage = Usage { disk_volumes, ..usage };
    let node = make.shape.random_range(0..=NODES);
    let in_filesystem = make.amount();
    // No VM migrates to the node that it is on.
    let target = Some(make.shape.random_range(0..3 * NODES)).filter(|target| *target != node);
    let vm = Vm {
        uid: make.text("uid"),
        summary: VmSummary {
            kind: row.kind,
            namespace: namespace(row.namespace),
            name: name(row),
            status: *status,
            kubevirt_status: make.text("printed"),
            fault: make.one_in(6).then(|| Box::new(make.message("fault"))),
            node: if node < NODES { node_name(node) } else { String::new() },
            lost: false,
            migrating_to: target.filter(|target| *target < NODES).map(node_name).unwrap_or_default(),
            ip_address: make.text("address"),
            cpu: is_known.then(|| make.amount()),
            memory: is_known.then(|| make.amount()),
            disk: make.amount(),
            usage,
        },
        memory_text: make.text("memory"),
        os_image: make.text("image"),
        created: NOW - make.numbers.random_range(1_000_000_000..100_000_000_000),
        vm_name: make.text("instance"),
        pod: make.text("pod"),
        failure: make.one_in(2).then(|| Box::new(make.missing(Unit::Bytes))),
        allocation_gap: (!is_known).then(|| Box::new(make.missing(Unit::Bytes))),
        conflict: make.one_in(4).then(|| Box::new(make.message("conflict"))),
        networks: vec![Network {
            name: make.text("network"),
            mode: make.text("mode"),
            interface: make.text("interface"),
            ip_address: make.text("network-address"),
            mac_address: make.text("mac"),
        }],
        disks: vec![Disk {
            name: make.text("disk"),
            size: make.text("size"),
            storage_class_name: make.text("disk-class"),
            boot: make.one_in(2),
            image: make.text("disk-image"),
        }],
        volumes: (0..volumes as usize).map(|at| make.volume(at)).collect(),
        guest: Guest {
            memory: Some(make.sample(Unit::Bytes, 60)),
            filesystems: [GuestFilesystem {
                disk: make.text("guest-disk"),
                mount_point: make.text("mount"),
                kind: make.text("file-system"),
                used: Some(in_filesystem),
                total: Some(in_filesystem + make.amount()),
                claim: make.text("guest-claim"),
            }]
            .into(),
            filesystems_left_out: make.count(),
            at: Some(make.time()),
        },
        activity: activity::activity(make),
        pressure: model::pressure::unknown(),
        instance: make.one_in(2).then(|| Arc::new(details::instance(make))),
        migrations: vec![Arc::new(details::migration(make))],
        attention: Default::default(),
    };
    let mut vm = activity::with_origins(vm, make);
    vm.summary.usage.fullest_disk = make.one_in(2).then(|| make.amount());
    vm
}

pub fn node(id: usize, salt: usize) -> Node {
    let mut make = Maker::new(&format!("k{id}"), 50_000 + id * 10 + salt, 0);
    Node {
        name: node_name(id),
        cpu: Some(make.amount()),
        memory: Some(make.amount()),
        ready: [Some(true), Some(false), None][make.shape.random_range(0..3)],
        ready_since: Some(NOW - make.numbers.random_range(1_000_000_000..100_000_000_000)),
        unschedulable: make.one_in(2),
        takes_vms: make.one_in(2),
        schedulable: true,
        address: Some([10, 250, salt as u8, id as u8].into()),
        pressure: NodePressure {
            memory: [Some(true), Some(false), None][make.shape.random_range(0..3)],
            disk: [Some(true), Some(false), None][make.shape.random_range(0..3)],
            pids: None,
        },
        kubelet_version: make.text("kubelet-version"),
        used: Some(Box::new(NodeUse { cpu: make.figure(Unit::Nanocores), memory: make.figure(Unit::Bytes) })),
    }
}

/// State, reason and the time of the last answer are for everybody, so the salt does not change them.
pub fn source(id: SourceId, salt: usize) -> SourceHealth {
    let at = id as usize;
    let mut all = StdRng::seed_from_u64(70_000 + at as u64);
    let mut make = Maker::new(&format!("s{at}x{salt}"), 60_000 + at * 10 + salt, 0);
    let state =
        *[SourceState::Healthy, SourceState::Degraded, SourceState::Forbidden].choose(&mut all).unwrap();
    SourceHealth {
        id,
        state,
        reason: (state != SourceState::Healthy).then_some(Reason::Unreachable),
        error: make.message("error"),
        fix: make.message("fix"),
        warning: make.message("warning"),
        last_success: Some(NOW - all.random_range(1..100_000) * 1_000),
        last_bytes: Some(make.time()),
        latency: Some(Latency { p50: make.count(), p99: make.count() }),
        reviews: Some(ReviewCounts {
            last_minute: make.count(),
            users: make.count(),
            namespaces: make.count(),
            waiting: make.count(),
            late: make.count(),
        }),
        vms: make.few(),
        volumes: make.few(),
        vms_missing: make.few(),
        vms_stale: make.few(),
        node: make.text("node"),
    }
}

/// Returns what the row's history suggests, for half of the running VMs.
pub fn finding(row: &Row) -> Option<Insight> {
    let vm = vm(row);
    let mut make = Maker::new(&owner(row), 80_000 + row.id * 10 + row.salt, row.step);
    if vm.summary.status != Status::Running || make.one_in(3) {
        return None;
    }
    let from = make.time();
    let window = Window { from, to: from + 1_234, known: make.count(), all: make.count() };
    let (of, part) = (make.amount(), make.amount() / 16);
    let sizing = |unit, verdict| Sizing {
        unit,
        p95: part,
        peak: part + 1_357,
        of,
        verdict,
        by_guest: part.is_multiple_of(2),
        window,
    };
    let finding = match make.shape.random_range(0..4) {
        0 => Finding::FillingUp(Filling {
            volume: make.one_in(2).then(|| make.text("filling-volume").into()),
            used: part,
            of,
            per_day: part / 3,
            days: make.count(),
            earliest: make.count(),
            latest: make.count(),
            window,
        }),
        1 => Finding::Undersized(sizing(Unit::Nanocores, Verdict::Undersized)),
        2 => Finding::Oversized(sizing(Unit::Nanocores, Verdict::Oversized { enough: part * 2 })),
        _ => Finding::Oversized(sizing(Unit::Bytes, Verdict::Oversized { enough: part * 2 })),
    };
    Some(Insight { kind: row.kind, namespace: vm.summary.namespace, name: vm.summary.name, finding })
}
