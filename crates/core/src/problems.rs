//! What is wrong with one VM, with the thresholds of each problem. [`health`] is what its page says first;
//! `attention` shares the rules.

use std::cmp::Reverse;

use i18n::{Message, msg};
use model::{
    activity::{Activity, GuestActivity, Swap},
    figure::{Basis, Layer, Sample},
    format,
    insight::{Resource, Sizing},
    rates::{DriveRates, OperationRates, Rate},
    thresholds::{LEAST_OPERATIONS, RESENT, SLOW, SWAP, USE},
    vm::{GuestFilesystem, Status, Vm, Volume},
    vm_health::{Level, Problem, VmHealth},
};

use super::{outlook::Outlook, unknown_figures::has_unknown_figures};

/// File systems that cannot be written, so they are always full.
const READ_ONLY: [&str; 5] = ["squashfs", "iso9660", "udf", "erofs", "cramfs"];

/// One problem of a running VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind<'a> {
    FullFilesystem {
        mount_point: &'a str,
        percent: u64,
    },
    FullVolume {
        name: &'a str,
        percent: u64,
    },
    GuestMemory {
        percent: u64,
    },
    /// The host's figure, where the guest's is not known.
    HostMemory {
        percent: u64,
    },
    Swapping(Swap),
    /// vCPUs wait, although the VM is not at its own limit.
    Contention {
        thousandths: u32,
        node: &'a str,
    },
    /// vCPUs wait, and it is not known whether the VM is at its own limit.
    UnexplainedContention {
        thousandths: u32,
        node: &'a str,
    },
    /// vCPUs wait for the VM's own limit.
    AtLimit {
        thousandths: u32,
        cpu: u64,
    },
    SlowDrive {
        name: &'a str,
        nanos: u64,
    },
    /// A live migration that does not converge.
    StuckMigration(Migrating<'a>),
    Cpu {
        percent: u64,
    },
    /// A volume, or all disks together, is full in this many whole days.
    FillingUp {
        volume: Option<&'a str>,
        days: u32,
    },
    /// The 95th percentile of a day's use is close to the allocation, or above it. The use at the moment is not.
    Undersized {
        resource: Resource,
        percent: u64,
        by_guest: bool,
    },
}

/// How far a live migration is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migrating<'a> {
    target: &'a str,
    /// Bytes that were sent.
    pub sent: u64,
    /// Bytes of the VM's memory.
    pub memory: u64,
    /// What the guest writes, and what is sent, in bytes per second.
    speeds: Option<(u64, u64)>,
}

/// Returns what is wrong with a VM that runs. Nothing is allocated, because lists ask for each VM.
pub fn problems<'a>(vm: &'a Vm, outlook: &Outlook<'a>) -> impl Iterator<Item = ProblemKind<'a>> + use<'a> {
    let filling = outlook
        .filling
        .map(|filling| ProblemKind::FillingUp { volume: filling.volume.as_deref(), days: filling.days });
    let disks = full_disks(vm).chain(filling);
    let (memory, cpu) = (memory(vm), cpu(vm));
    // What is so at the moment needs no history.
    let undersized = [
        outlook.memory.filter(|_| memory.is_none()).map(undersized),
        outlook.cpu.filter(|_| cpu.is_none()).map(undersized),
    ];
    let guest = activity(vm).into_iter().flat_map(|of| guest(vm, of));
    disks.chain(memory).chain(guest).chain(cpu).chain(undersized.into_iter().flatten())
}

/// Returns whether the vCPUs of a VM wait for a CPU of the host, perhaps because of others.
pub fn waits_for_cpu(vm: &Vm) -> bool {
    problems(vm, &Outlook::default()).any(|found| {
        matches!(found, ProblemKind::Contention { .. } | ProblemKind::UnexplainedContention { .. })
    })
}

/// Returns whether a VM lacks CPU or memory at the moment, so that less of it would do harm.
pub fn is_short_of(vm: &Vm, resource: Resource) -> bool {
    problems(vm, &Outlook::default()).any(|found| match found {
        ProblemKind::Contention { .. }
        | ProblemKind::UnexplainedContention { .. }
        | ProblemKind::AtLimit { .. }
        | ProblemKind::Cpu { .. } => resource == Resource::Cpu,
        ProblemKind::GuestMemory { .. } | ProblemKind::HostMemory { .. } | ProblemKind::Swapping(_) => {
            resource == Resource::Memory
        }
        _ => false,
    })
}

fn undersized<'a>(sizing: &Sizing) -> ProblemKind<'a> {
    let Sizing { by_guest, .. } = *sizing;
    ProblemKind::Undersized { resource: sizing.resource(), percent: sizing.tenths() / 10, by_guest }
}

/// Returns what the VM's page says first.
pub fn health(vm: &Vm, outlook: &Outlook) -> VmHealth {
    let (level, problems) = match (&vm.summary.fault, vm.summary.status) {
        _ if outlook.lost.is_some() => {
            (Level::Critical, vec![problem(msg!(health.lost, node = &*vm.summary.node))])
        }
        (_, Status::Stopped) => (Level::Normal, vec![problem(msg!(health.stopped))]),
        (_, Status::Error) => (Level::Critical, vec![not_running(vm)]),
        (_, Status::Pending | Status::Creating) => (Level::High, vec![not_running(vm)]),
        (_, Status::Unknown) => (Level::High, vec![problem(msg!(health.unclear))]),
        (Some(fault), Status::Running) => {
            (Level::Critical, vec![problem(msg!(health.paused, message = Message::clone(fault)))])
        }
        (None, Status::Running) => running(vm, outlook),
    };
    VmHealth { level, problems }
}

fn running(vm: &Vm, outlook: &Outlook) -> (Level, Vec<Problem>) {
    let mut found: Vec<ProblemKind> = problems(vm, outlook).collect();
    found.sort_by_key(|found| Reverse(found.level()));
    let level = found.first().map_or(Level::Normal, ProblemKind::level);
    if found.is_empty() && has_unknown_figures(&vm.summary) {
        return (Level::High, vec![problem(msg!(health.unknown))]);
    }
    (level, found.iter().map(ProblemKind::problem).collect())
}

fn problem(text: Message) -> Problem {
    Problem { text, advice: Message::default() }
}

fn not_running(vm: &Vm) -> Problem {
    let is_stuck = vm.summary.status == Status::Error;
    let says = vm.failure.as_ref().map(|failure| failure.detail.clone()).filter(|says| !says.is_empty());
    problem(match (says, is_stuck) {
        (Some(says), true) => msg!(health.error_because, message = says),
        (None, true) => msg!(health.error),
        (Some(says), false) => msg!(health.waits_because, message = says),
        (None, false) => msg!(health.waits),
    })
}

/// Returns how full the fullest file system of the guest, or the fullest volume, is in percent.
pub fn fullest_disk(vm: &Vm) -> Option<u64> {
    filesystems(vm).chain(volumes(vm)).map(|(_, percent)| percent).max()
}

fn full_disks(vm: &Vm) -> impl Iterator<Item = ProblemKind<'_>> {
    let is_full = |(_, percent): &(&str, u64)| Level::of_space(*percent) > Level::Normal;
    let filesystems = filesystems(vm)
        .filter(is_full)
        .map(|(mount_point, percent)| ProblemKind::FullFilesystem { mount_point, percent });
    let volumes =
        volumes(vm).filter(is_full).map(|(name, percent)| ProblemKind::FullVolume { name, percent });
    filesystems.chain(volumes)
}

/// Returns the mount point of each file system, and how full it is in percent.
fn filesystems(vm: &Vm) -> impl Iterator<Item = (&str, u64)> {
    vm.guest
        .filesystems
        .iter()
        .filter_map(|filesystem| Some((&*filesystem.mount_point, filesystem_percent(filesystem)?)))
}

/// Returns how full a file system is, unless it is always full.
fn filesystem_percent(filesystem: &GuestFilesystem) -> Option<u64> {
    let GuestFilesystem { used, total, kind, .. } = filesystem;
    let is_read_only = READ_ONLY.iter().any(|read_only| kind.eq_ignore_ascii_case(read_only));
    let (used, total) = (*used).zip(total.filter(|total| *total > 0))?;
    (!is_read_only).then(|| model::figure::ratio(used, total, 100))
}

/// Returns the name of each volume, and how full it is in percent. An image may be as large as its volume, whatever is in
/// it: where the guest's file systems on it are known, they decide.
fn volumes(vm: &Vm) -> impl Iterator<Item = (&str, u64)> {
    let is_seen_by_guest = |volume: &&Volume| {
        let mut on_it = vm.guest.filesystems.iter().filter(|filesystem| filesystem.claim == volume.claim);
        volume.claim.is_empty() || !on_it.any(|filesystem| filesystem_percent(filesystem).is_some())
    };
    vm.volumes.iter().filter(is_seen_by_guest).filter_map(|volume| {
        let sample = volume.usage.sample()?;
        (!is_of_backend(sample)).then(|| (&*volume.name, sample.percent()))
    })
}

/// Whether a sample is what a backend has allocated, which is never given back and says nothing of what is free.
pub fn is_of_backend(sample: &Sample) -> bool {
    sample.basis == Basis::Backend || sample.source.layer() == Layer::Backend
}

fn memory(vm: &Vm) -> Option<ProblemKind<'_>> {
    let usage = &vm.summary.usage;
    if let Some(percent) = usage.guest_memory {
        return (Level::of_space(percent) > Level::Normal).then_some(ProblemKind::GuestMemory { percent });
    }
    high(usage.memory.sample()).map(|percent| ProblemKind::HostMemory { percent })
}

/// A VM at its own limit has the same problem as [`ProblemKind::AtLimit`].
fn cpu(vm: &Vm) -> Option<ProblemKind<'_>> {
    let waits = activity(vm).and_then(contention).is_some();
    high(vm.summary.usage.cpu.sample()).filter(|_| !waits).map(|percent| ProblemKind::Cpu { percent })
}

fn high(sample: Option<&Sample>) -> Option<u64> {
    sample.filter(|sample| !sample.stale).map(Sample::percent).filter(|percent| *percent >= USE)
}

/// The activity, unless it is old.
fn activity(vm: &Vm) -> Option<&GuestActivity> {
    match &vm.activity {
        Activity::Known(known) => Some(&**known).filter(|known| !known.stale),
        Activity::Missing(_) => None,
    }
}

fn guest<'a>(vm: &'a Vm, of: &'a GuestActivity) -> impl Iterator<Item = ProblemKind<'a>> {
    let swapping = of.swap.as_ref().ok().copied();
    let swapping = swapping.filter(|Swap { r#in, out }| r#in.0.saturating_add(out.0) >= SWAP.0);
    let cpu = vm.summary.usage.cpu.sample().filter(|sample| !sample.stale);
    let waiting = contention(of).map(|thousandths| match (cpu, high(cpu)) {
        (_, Some(cpu)) => ProblemKind::AtLimit { thousandths, cpu },
        (Some(_), None) => ProblemKind::Contention { thousandths, node: &vm.summary.node },
        (None, None) => ProblemKind::UnexplainedContention { thousandths, node: &vm.summary.node },
    });
    swapping
        .map(ProblemKind::Swapping)
        .into_iter()
        .chain(waiting)
        .chain(slowest_drive(of))
        .chain(stuck_migration(vm, of))
}

/// Returns the live migration if it has sent the memory so often that it will hardly end by itself.
fn stuck_migration<'a>(vm: &'a Vm, of: &GuestActivity) -> Option<ProblemKind<'a>> {
    let target = Some(&*vm.summary.migrating_to).filter(|target| !target.is_empty())?;
    let progress = of.migration.as_deref()?;
    let (sent, memory) = progress.processed.zip(vm.summary.memory.filter(|memory| *memory > 0))?;
    let speeds = progress.dirty_rate.zip(progress.transfer_rate);
    (sent / memory >= RESENT).then_some(ProblemKind::StuckMigration(Migrating {
        target,
        sent,
        memory,
        speeds,
    }))
}

/// Returns how long vCPUs wait, if that is too long.
fn contention(of: &GuestActivity) -> Option<u32> {
    let thousandths = of.contention.as_ref().ok().copied();
    thousandths.filter(|thousandths| Level::of_contention(*thousandths) > Level::Normal)
}

/// Returns the drive whose operations take longest, if that is too long.
fn slowest_drive(of: &GuestActivity) -> Option<ProblemKind<'_>> {
    let slowest = |drive: &DriveRates| {
        let slow = |OperationRates { operations, latency, .. }: &OperationRates| {
            latency.filter(|nanos| *nanos >= SLOW && operations.is_some_and(|rate| rate >= LEAST_OPERATIONS))
        };
        slow(&drive.read).max(slow(&drive.write))
    };
    let drives = of.rates.iter().flat_map(|rates| rates.drives.iter());
    let found = drives.filter_map(|drive| Some((slowest(drive)?, &*drive.name)));
    found.max().map(|(nanos, name)| ProblemKind::SlowDrive { name, nanos })
}

impl ProblemKind<'_> {
    pub fn level(&self) -> Level {
        match self {
            Self::FullFilesystem { percent, .. }
            | Self::FullVolume { percent, .. }
            | Self::GuestMemory { percent } => Level::of_space(*percent),
            Self::Contention { thousandths, .. } | Self::UnexplainedContention { thousandths, .. } => {
                Level::of_contention(*thousandths)
            }
            Self::FillingUp { days, .. } => Level::of_days(*days),
            // Full use is no fault.
            Self::HostMemory { .. }
            | Self::Swapping(_)
            | Self::AtLimit { .. }
            | Self::SlowDrive { .. }
            | Self::StuckMigration(_)
            | Self::Cpu { .. }
            | Self::Undersized { .. } => Level::High,
        }
    }

    fn problem(&self) -> Problem {
        Problem { text: self.text(), advice: self.advice() }
    }

    /// What is wrong, and why.
    pub fn text(&self) -> Message {
        match *self {
            Self::FullFilesystem { mount_point, percent } => {
                msg!(health.full_filesystem, what = mount_point, percent = digits(percent))
            }
            Self::FullVolume { name, percent } => {
                msg!(health.full_volume, what = name, percent = digits(percent))
            }
            Self::GuestMemory { percent } => msg!(health.guest_memory, percent = digits(percent)),
            Self::HostMemory { percent } => msg!(health.host_memory, percent = digits(percent)),
            Self::Swapping(Swap { r#in, out }) => {
                msg!(health.swapping, swap_in = per_second(r#in), swap_out = per_second(out))
            }
            Self::Contention { thousandths, node } => {
                msg!(health.contention, percent = milli(thousandths), node = node)
            }
            Self::UnexplainedContention { thousandths, node } => {
                msg!(health.unexplained_contention, percent = milli(thousandths), node = node)
            }
            Self::AtLimit { thousandths, cpu } => {
                msg!(health.at_limit, percent = milli(thousandths), cpu = digits(cpu))
            }
            Self::SlowDrive { name, nanos } => {
                msg!(health.slow_drive, drive = name, latency = format::millis(nanos))
            }
            Self::StuckMigration(migrating) => migrating.text(),
            Self::Cpu { percent } => msg!(health.cpu, percent = digits(percent)),
            Self::FillingUp { volume: None, days: 0 } => msg!(health.full_today),
            Self::FillingUp { volume: None, days } => msg!(health.full_in, n = days),
            Self::FillingUp { volume: Some(volume), days: 0 } => {
                msg!(health.volume_full_today, volume = volume)
            }
            Self::FillingUp { volume: Some(volume), days } => {
                msg!(health.volume_full_in, volume = volume, n = days)
            }
            Self::Undersized { resource: Resource::Cpu, percent, .. } => {
                msg!(health.undersized_cpu, percent = digits(percent))
            }
            Self::Undersized { percent, by_guest: true, .. } => {
                msg!(health.undersized_guest_memory, percent = digits(percent))
            }
            Self::Undersized { percent, .. } => {
                msg!(health.undersized_memory, percent = digits(percent))
            }
        }
    }

    /// What helps.
    pub fn advice(&self) -> Message {
        match self {
            Self::FullFilesystem { .. } | Self::FullVolume { .. } | Self::FillingUp { .. } => {
                msg!(health.advice_disk)
            }
            Self::GuestMemory { .. } | Self::Swapping(_) | Self::Undersized { by_guest: true, .. } => {
                msg!(health.advice_memory)
            }
            Self::HostMemory { .. } | Self::Undersized { resource: Resource::Memory, .. } => {
                msg!(health.advice_guest)
            }
            Self::Contention { .. } => msg!(health.advice_contention),
            Self::UnexplainedContention { .. } => msg!(health.advice_unexplained_contention),
            Self::AtLimit { .. } | Self::Cpu { .. } | Self::Undersized { .. } => msg!(health.advice_cpu),
            Self::SlowDrive { .. } => msg!(health.advice_drive),
            Self::StuckMigration(_) => msg!(health.advice_migration),
        }
    }
}

impl Migrating<'_> {
    fn text(&self) -> Message {
        let [sent, memory] = [self.sent, self.memory].map(gi);
        let target = self.target;
        match self.speeds {
            Some((written, moved)) => {
                let [written, moved] =
                    [written, moved].map(|bytes| per_second(Rate(bytes.saturating_mul(1000))));
                msg!(
                    health.migration_speeds,
                    node = target,
                    sent = sent,
                    memory = memory,
                    written = written,
                    moved = moved
                )
            }
            None => msg!(health.migration, node = target, sent = sent, memory = memory),
        }
    }
}

fn gi(bytes: u64) -> String {
    let format::Amount { digits, unit } = format::total_bytes(bytes);
    format!("{digits} {unit}")
}

fn digits(percent: u64) -> String {
    format::grouped(percent)
}

fn milli(thousandths: u32) -> String {
    format::percent(thousandths.into())
}

fn per_second(rate: Rate) -> String {
    let format::Amount { digits, unit } = format::bytes_per_second(rate);
    format!("{digits} {unit}")
}
