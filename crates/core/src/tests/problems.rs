//! What a VM's page says first: each problem at its threshold, which is the most serious, and what decides.

use std::sync::Arc;

use super::{history::vm_of, *};
use crate::{attention, outlook::Outlook, problems};
use i18n::{Lang, Localize};
use model::{
    activity::{Activity, GuestActivity, MemoryUse, MigrationProgress, Storage, Swap, Traffic},
    figure::{Basis, Figure, Missing, Sample, Unit},
    rates::{DriveRates, GuestRates, OperationRates, Rate},
    vm::{GuestFilesystem, Status, Volume},
    vm_health::{Level, VmHealth},
};

fn figure(unit: Unit, percent: u64) -> Figure {
    let (source, basis) = (Source::PodMetrics, Basis::Own);
    // Millicores are not rounded.
    let (used, of) = (percent * 1_000_000_000, 100_000_000_000);
    Figure::Known(Sample { unit, used, of, at: NOW, window_ms: 0, source, basis, stale: false })
}

/// A running VM of which everything is known and nothing is wrong.
pub(super) fn calm() -> Vm {
    let low = |unit| figure(unit, 20);
    let mut vm = vm_of("web", low(Unit::Nanocores), low(Unit::Bytes), low(Unit::Bytes));
    vm.summary.node = "n1".into();
    vm.activity = Activity::Known(Box::new(GuestActivity {
        source: Source::VirtHandler,
        at: NOW,
        window_ms: 60_000,
        stale: false,
        memory: Ok(MemoryUse { used: 1, total: 4 }),
        swap: Ok(Swap { r#in: Rate(0), out: Rate(0) }),
        major_faults: Ok(Rate(0)),
        network: Ok(Traffic { receive: Rate(0), transmit: Rate(0), uncounted: 0 }),
        network_from: None,
        storage: Ok(Storage { read: OperationRates::default(), write: OperationRates::default() }),
        contention: Ok(0),
        migration: None,
        rates: None,
    }));
    vm
}

pub(super) fn activity(vm: &mut Vm) -> &mut GuestActivity {
    match &mut vm.activity {
        Activity::Known(known) => known,
        Activity::Missing(_) => panic!("it is known"),
    }
}

/// Migrates to `n2`: has sent this much, and knows what is written and sent in a second.
pub(super) fn migrates(vm: &mut Vm, sent: u64, speeds: Option<(u64, u64)>) {
    vm.summary.migrating_to = "n2".into();
    vm.summary.memory = Some(4 << 30);
    let (dirty_rate, transfer_rate) = speeds.unzip();
    let progress = MigrationProgress { processed: Some(sent), remaining: None, dirty_rate, transfer_rate };
    activity(vm).migration = Some(Box::new(progress));
}

fn filesystem(mount_point: &str, kind: &str, percent: u64) -> GuestFilesystem {
    GuestFilesystem {
        mount_point: mount_point.into(),
        kind: kind.into(),
        used: Some(percent),
        total: Some(100),
        claim: "web-data".into(),
        ..GuestFilesystem::default()
    }
}

fn volume(usage: Figure) -> Volume {
    Volume {
        name: "data".into(),
        claim: "web-data".into(),
        size: None,
        block: false,
        storage_class: String::new(),
        backing: 0,
        source: SourceId::Kubelet,
        usage,
        readings: vec![],
    }
}

pub(super) fn drive(name: &str, operations: u64, nanos: Option<u64>) -> DriveRates {
    let read = OperationRates { bytes: None, operations: Some(Rate(operations)), latency: nanos };
    DriveRates { name: name.into(), read, write: OperationRates::default() }
}

pub(super) fn drives(vm: &mut Vm, drives: &[DriveRates]) {
    activity(vm).rates = Some(Arc::new(GuestRates { drives: drives.into(), ..GuestRates::default() }));
}

fn health(vm: &Vm) -> VmHealth {
    problems::health(vm, &Outlook::default())
}

fn needs_attention(vm: &Vm) -> bool {
    !attention::kinds(vm, &Outlook::default()).is_empty()
}

/// Returns the health as people read it.
fn texts(vm: &Vm) -> (Level, Vec<String>) {
    let VmHealth { level, problems } = health(vm).localized(Lang::English);
    (level, problems.iter().map(|problem| problem.text.text()).collect())
}

type Case = (&'static str, fn(&mut Vm), Level, &'static [&'static str]);

const CASES: &[Case] = &[
    ("calm", |_| {}, Level::Normal, &[]),
    ("file system 84 %", |vm| vm.guest.filesystems = [filesystem("/", "xfs", 84)].into(), Level::Normal, &[]),
    (
        "file system 85 %",
        |vm| vm.guest.filesystems = [filesystem("/", "xfs", 85)].into(),
        Level::High,
        &["/ is 85 % full."],
    ),
    (
        "file system 95 %",
        |vm| vm.guest.filesystems = [filesystem("/", "xfs", 10), filesystem("/srv", "xfs", 95)].into(),
        Level::Critical,
        &["/srv is 95 % full."],
    ),
    (
        "a read-only file system is always full",
        |vm| vm.guest.filesystems = [filesystem("/snap/core", "squashfs", 100)].into(),
        Level::Normal,
        &[],
    ),
    (
        "volume 96 %",
        |vm| vm.volumes = vec![volume(figure(Unit::Bytes, 96))],
        Level::Critical,
        &["The volume data is 96 % full."],
    ),
    (
        "an image as large as its volume, half empty inside",
        |vm| {
            vm.volumes = vec![volume(figure(Unit::Bytes, 100))];
            vm.guest.filesystems = [filesystem("/srv", "xfs", 50)].into();
        },
        Level::Normal,
        &[],
    ),
    (
        "what a backend allocated",
        |vm| {
            let mut usage = figure(Unit::Bytes, 100);
            if let Figure::Known(sample) = &mut usage {
                sample.source = Source::Longhorn;
            }
            vm.volumes = vec![volume(usage)];
        },
        Level::Normal,
        &[],
    ),
    (
        "the guest decides, not the host",
        |vm| {
            vm.summary.usage.memory = figure(Unit::Bytes, 106);
            vm.summary.usage.guest_memory = Some(55);
        },
        Level::Normal,
        &[],
    ),
    (
        "the guest decides, although the host counts less",
        |vm| vm.summary.usage.guest_memory = Some(85),
        Level::High,
        &["The guest uses 85 % of its memory."],
    ),
    (
        "guest memory 95 %",
        |vm| vm.summary.usage.guest_memory = Some(95),
        Level::Critical,
        &["The guest uses 95 % of its memory."],
    ),
    (
        "host memory without the guest's",
        |vm| vm.summary.usage.memory = figure(Unit::Bytes, 106),
        Level::High,
        &["The host counts 106 % of the allocated memory, and the guest’s own figure is unknown."],
    ),
    ("host memory 89 %", |vm| vm.summary.usage.memory = figure(Unit::Bytes, 89), Level::Normal, &[]),
    ("contention 4.9 %", |vm| activity(vm).contention = Ok(4_999), Level::Normal, &[]),
    (
        "contention 5 %",
        |vm| activity(vm).contention = Ok(5_000),
        Level::High,
        &["The vCPUs wait 5.0 % of the time for a CPU of n1: other VMs use them."],
    ),
    (
        "contention 20 %",
        |vm| activity(vm).contention = Ok(20_000),
        Level::Critical,
        &["The vCPUs wait 20.0 % of the time for a CPU of n1: other VMs use them."],
    ),
    (
        "contention of a VM at its own limit",
        |vm| {
            activity(vm).contention = Ok(31_000);
            vm.summary.usage.cpu = figure(Unit::Nanocores, 90);
        },
        Level::High,
        &[
            "The vCPUs wait 31.0 % of the time. The VM uses 90 % of its CPU: its own limit is the cause, not a neighbour.",
        ],
    ),
    (
        "contention without a figure of CPU",
        |vm| {
            activity(vm).contention = Ok(31_000);
            vm.summary.usage.cpu = Figure::Missing(Reason::TimedOut.into());
        },
        Level::Critical,
        &[
            "The vCPUs wait 31.0 % of the time for a CPU of n1. The VM’s own use of CPU is unknown: its limit can be the cause, or other VMs.",
        ],
    ),
    (
        "old contention",
        |vm| {
            activity(vm).contention = Ok(31_000);
            activity(vm).stale = true;
        },
        Level::Normal,
        &[],
    ),
    (
        "cpu 90 %, and never critical",
        |vm| vm.summary.usage.cpu = figure(Unit::Nanocores, 100),
        Level::High,
        &["The VM uses 100 % of its CPU."],
    ),
    (
        "swapping",
        |vm| activity(vm).swap = Ok(Swap { r#in: Rate(800 << 20), out: Rate(200 << 20) }),
        Level::High,
        &["The guest swaps (839 kB/s in, 210 kB/s out): it has too little memory."],
    ),
    (
        "swapping a little",
        |vm| activity(vm).swap = Ok(Swap { r#in: Rate(800 << 20), out: Rate((200 << 20) - 1) }),
        Level::Normal,
        &[],
    ),
    (
        "the slowest drive",
        |vm| drives(vm, &[drive("root", 9_000, Some(60_000_000)), drive("data", 5_000, Some(80_000_000))]),
        Level::High,
        &["The drive data is slow: 80.0 ms per operation."],
    ),
    (
        "a drive that hardly does anything",
        |vm| drives(vm, &[drive("root", 4_999, Some(60_000_000)), drive("data", 9_000, Some(49_999_999))]),
        Level::Normal,
        &[],
    ),
    (
        "a migration that does not converge",
        |vm| migrates(vm, 2 * (4 << 30), Some((200_000_000, 100_000_000))),
        Level::High,
        &[
            "The live migration to n2 does not converge: 8 Gi are sent, and the VM has 4 Gi of memory. The guest writes 200 MB/s, and 100 MB/s are sent.",
        ],
    ),
    (
        "a migration of which no speed is known",
        |vm| migrates(vm, 9 * (4 << 30), None),
        Level::High,
        &["The live migration to n2 does not converge: 36 Gi are sent, and the VM has 4 Gi of memory."],
    ),
    ("a migration that may converge", |vm| migrates(vm, 2 * (4 << 30) - 1, None), Level::Normal, &[]),
    (
        "a migration that is over",
        |vm| {
            migrates(vm, 9 * (4 << 30), None);
            vm.summary.migrating_to = String::new();
        },
        Level::Normal,
        &[],
    ),
    (
        "a migration of a VM whose memory is unknown",
        |vm| {
            migrates(vm, 9 * (4 << 30), None);
            vm.summary.memory = None;
        },
        Level::Normal,
        &[],
    ),
    (
        "the most serious first",
        |vm| {
            vm.guest.filesystems = [filesystem("/", "xfs", 86)].into();
            activity(vm).contention = Ok(40_000);
        },
        Level::Critical,
        &["The vCPUs wait 40.0 % of the time for a CPU of n1: other VMs use them.", "/ is 86 % full."],
    ),
    (
        "a missing figure",
        |vm| vm.summary.usage.cpu = Figure::Missing(Reason::TimedOut.into()),
        Level::High,
        &["No problem is known, but some figures are missing or stale."],
    ),
    (
        "stopped",
        |vm| vm.summary.status = Status::Stopped,
        Level::Normal,
        &["The VM is stopped. Nothing is measured."],
    ),
    (
        "error",
        |vm| {
            vm.summary.status = Status::Error;
            let detail = "0/4 nodes are available.".into();
            vm.failure = Some(Box::new(Missing { detail, ..Missing::from(Reason::NotRunning) }));
        },
        Level::Critical,
        &["The VM does not run. KubeVirt says: 0/4 nodes are available."],
    ),
    (
        "error without a reason",
        |vm| vm.summary.status = Status::Error,
        Level::Critical,
        &["The VM does not run, and KubeVirt gives no reason."],
    ),
    ("pending", |vm| vm.summary.status = Status::Pending, Level::High, &["The VM does not run yet."]),
    (
        "unclear",
        |vm| vm.summary.status = Status::Unknown,
        Level::High,
        &["It is unknown whether the VM runs."],
    ),
    (
        "a fault before anything else",
        |vm| {
            vm.summary.fault = Some(Box::new("low-level IO error".into()));
            vm.summary.usage.guest_memory = Some(99);
        },
        Level::Critical,
        &["KubeVirt has paused the guest: low-level IO error."],
    ),
];

#[test]
fn a_vm_says_what_is_wrong_and_why() {
    for (name, change, level, wanted) in CASES {
        let mut vm = calm();
        change(&mut vm);
        let (found, said) = texts(&vm);
        assert_eq!((found, said), (*level, wanted.iter().map(ToString::to_string).collect()), "{name}");
    }
}

#[test]
fn what_is_wrong_and_what_needs_attention_are_the_same() {
    for (name, change, level, _) in CASES {
        let mut vm = calm();
        change(&mut vm);
        assert_eq!(needs_attention(&vm), *level > Level::Normal, "{name}");
    }
}

#[test]
fn each_problem_of_a_running_vm_has_advice() {
    for (name, change, ..) in CASES {
        let mut vm = calm();
        change(&mut vm);
        let is_problem = vm.summary.status == Status::Running
            && vm.summary.fault.is_none()
            && problems::problems(&vm, &Outlook::default()).next().is_some();
        for problem in health(&vm).problems {
            assert_eq!(problem.advice.is_empty(), !is_problem, "{name}");
        }
    }
}

/// The figure of a guest that does not answer any more decides nothing.
#[test]
fn an_old_figure_of_the_guest_does_not_decide() {
    let guest = |at: Millis| {
        let mut state = state();
        state.limits.virt_handler = true;
        state.apply(Observation::HandlersFound { at: NOW });
        add_vm(&mut state, "a", "web", 100, GI);
        let memory = GuestMemory { available: Some(4 * GI), usable: Some(GI), ..GuestMemory::default() };
        let facts = GuestFacts {
            instance: Key::new("a", "web-vm"),
            memory,
            migration: None,
            counters: GuestCounters::default(),
        };
        let facts = GuestsFacts { guests: vec![facts], contention_since: None };
        state.apply(Observation::Guests { node: "n1".into(), at, result: Ok(facts) });
        state
    };
    let percent = |at| super::find(&guest(at).join(NOW), "a", "web").summary.usage.guest_memory;
    assert_eq!((percent(NOW), percent(NOW - 200 * SECOND)), (Some(75), None));
}

#[test]
fn the_fullest_disk_is_that_of_the_guest_where_it_is_known_and_never_a_backend() {
    let full = |volumes: &[u64], filesystems: &[u64]| {
        let mut vm = calm();
        let of = |(at, percent): (usize, &u64)| {
            let (name, usage) = (format!("data-{at}"), figure(Unit::Bytes, *percent));
            Volume { claim: name.clone(), name, ..volume(usage) }
        };
        vm.volumes = volumes.iter().enumerate().map(of).collect();
        let of = |(at, percent): (usize, &u64)| GuestFilesystem {
            claim: format!("data-{at}"),
            ..filesystem("/srv", "xfs", *percent)
        };
        vm.guest.filesystems = filesystems.iter().enumerate().map(of).collect();
        vm
    };
    assert_eq!(problems::fullest_disk(&full(&[], &[])), None);
    assert_eq!(problems::fullest_disk(&full(&[40, 70, 10], &[])), Some(70));
    assert_eq!(
        problems::fullest_disk(&full(&[100, 30], &[50])),
        Some(50),
        "the image is as large as its volume"
    );
    assert_eq!(problems::fullest_disk(&full(&[], &[20, 99])), Some(99));
    let mut backend = full(&[80], &[]);
    if let Figure::Known(sample) = &mut backend.volumes[0].usage {
        sample.basis = Basis::Backend;
    }
    assert_eq!(problems::fullest_disk(&backend), None);
}
