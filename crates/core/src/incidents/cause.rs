//! Why a VM needs attention: what VMs of one incident have in common.

use std::{hash::Hasher, sync::Arc};

use fnv::FnvHasher;

use super::Urgency;
use crate::{
    attention::{has_unknown_disk, is_unknown, kind, was_never_started},
    outlook::Outlook,
    problems::{ProblemKind, problems},
};
use i18n::Render;
use model::{
    attention::{AttentionKind, MAX_CAUSE},
    figure::Figure,
    message::Message,
    reason::Reason,
    source::SourceId,
    vm::{Status, Vm},
    vm_health::Level,
};

/// What VMs of one incident have in common. One VM's place stands for the VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Cause<'a> {
    /// The VM's node is not ready.
    Node(&'a str),
    /// A fault paused the guest. The number is that of KubeVirt's message, as for those below.
    Paused(u64),
    /// It failed.
    Failed(u64),
    FillingUp(usize),
    MoreFillingUp,
    Undersized(usize),
    MoreUndersized,
    /// Its vCPUs wait for a CPU of this node, which may be unknown.
    Contended(&'a str),
    /// Its slowest disk is of this storage class, which may be unknown.
    SlowDisk(&'a str),
    /// It is on this node, which may be unknown.
    Migration(&'a str),
    NotStarting(u64),
    State,
    Missing(SourceId, Reason),
    Stale(SourceId),
}

impl Cause<'_> {
    pub fn kind(&self) -> AttentionKind {
        match self {
            Self::Node(_) | Self::Paused(_) | Self::Failed(_) => AttentionKind::Down,
            Self::FillingUp(_) | Self::MoreFillingUp => AttentionKind::FillingUp,
            Self::Undersized(_) | Self::MoreUndersized => AttentionKind::Undersized,
            Self::Contended(_) => AttentionKind::Contended,
            Self::SlowDisk(_) => AttentionKind::SlowDisk,
            Self::Migration(_) => AttentionKind::Migration,
            Self::NotStarting(_) => AttentionKind::NotStarting,
            Self::State | Self::Missing(..) | Self::Stale(_) => AttentionKind::Unknown,
        }
    }

    /// Returns the place of the VM, if the cause is of one VM.
    pub fn place(&self) -> Option<usize> {
        match self {
            Self::FillingUp(at) | Self::Undersized(at) => Some(*at),
            _ => None,
        }
    }

    /// Returns what identifies it among the causes of its kind, as addresses have it.
    pub fn code(&self, vms: &[Arc<Vm>]) -> String {
        match self {
            Self::Node(name) => coded("node.", name),
            Self::Paused(message) => format!("paused.{message:016x}"),
            Self::Failed(message) => format!("failed.{message:016x}"),
            Self::NotStarting(message) => format!("{message:016x}"),
            Self::FillingUp(at) | Self::Undersized(at) => vms.get(*at).map_or_else(String::new, |vm| {
                let (kind, namespace, name) = vm.summary.key();
                coded(&[&kind.name().to_ascii_lowercase(), "."].concat(), &[namespace, ".", name].concat())
            }),
            Self::MoreFillingUp | Self::MoreUndersized => "more".to_owned(),
            Self::Contended(name) | Self::SlowDisk(name) | Self::Migration(name) => coded("", name),
            Self::State => "state".to_owned(),
            Self::Missing(source, reason) => [source.code(), ".", reason.code()].concat(),
            Self::Stale(source) => [source.code(), ".stale"].concat(),
        }
    }
}

/// Returns the name after a prefix if that can stand in an address as it is, else a number that stands for it. Nothing
/// but names of Kubernetes can; they have no tilde.
fn coded(prefix: &str, name: &str) -> String {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    match is_plain && !name.is_empty() && prefix.len() + name.len() <= MAX_CAUSE {
        true => [prefix, name].concat(),
        false => format!("{prefix}~{:016x}", number(|hasher| hasher.write(name.as_bytes()))),
    }
}

/// Calls `add` with each cause for which a VM needs attention: at least one for each of [`crate::attention::kinds`], and
/// none of another kind.
pub(super) fn causes<'a>(
    at: usize,
    vm: &'a Vm,
    outlook: &Outlook<'a>,
    mut add: impl FnMut(Cause<'a>, Urgency),
) {
    let summary = &vm.summary;
    let mut of = |cause, level| add(cause, Urgency { level, ..Urgency::default() });
    match summary.status {
        _ if outlook.lost.is_some() => of(Cause::Node(&summary.node), Level::Critical),
        Status::Stopped => {}
        Status::Unknown => of(Cause::State, Level::High),
        Status::Pending | Status::Creating => of(Cause::NotStarting(not_running(vm)), Level::High),
        Status::Error if was_never_started(summary) => {
            of(Cause::NotStarting(not_running(vm)), Level::Critical);
        }
        Status::Error => of(Cause::Failed(not_running(vm)), Level::Critical),
        Status::Running => match &summary.fault {
            Some(fault) => of(Cause::Paused(number(|hasher| add_alike(vm, fault, hasher))), Level::Critical),
            None => running(at, vm, outlook, &mut add),
        },
    }
}

fn running<'a>(at: usize, vm: &'a Vm, outlook: &Outlook<'a>, add: &mut impl FnMut(Cause<'a>, Urgency)) {
    let (mut filling, mut undersized) = (None, None);
    for found in problems(vm, outlook) {
        let urgency = Urgency { level: found.level(), percent: percent(&found), days: days(&found) };
        match kind(&found) {
            AttentionKind::FillingUp => worse(&mut filling, urgency),
            AttentionKind::Undersized => worse(&mut undersized, urgency),
            AttentionKind::SlowDisk => add(Cause::SlowDisk(storage_class(vm, &found)), urgency),
            AttentionKind::Migration => add(Cause::Migration(&vm.summary.node), urgency),
            _ => add(Cause::Contended(&vm.summary.node), urgency),
        }
    }
    if let Some(urgency) = filling {
        add(Cause::FillingUp(at), urgency);
    }
    if let Some(urgency) = undersized {
        add(Cause::Undersized(at), urgency);
    }
    unknown(vm, |cause, _| add(cause, Urgency { level: Level::High, ..Urgency::default() }));
}

/// Keeps the worst of each.
fn worse(all: &mut Option<Urgency>, one: Urgency) {
    let before = all.unwrap_or_default();
    let days = [before.days, one.days].into_iter().flatten().min();
    *all =
        Some(Urgency { level: before.level.max(one.level), days, percent: before.percent.max(one.percent) });
}

fn percent(found: &ProblemKind) -> u64 {
    match found {
        ProblemKind::FullFilesystem { percent, .. }
        | ProblemKind::FullVolume { percent, .. }
        | ProblemKind::GuestMemory { percent }
        | ProblemKind::HostMemory { percent }
        | ProblemKind::Cpu { percent }
        | ProblemKind::Undersized { percent, .. } => *percent,
        ProblemKind::AtLimit { cpu, .. } => *cpu,
        _ => 0,
    }
}

fn days(found: &ProblemKind) -> Option<u32> {
    match found {
        ProblemKind::FillingUp { days, .. } => Some(*days),
        _ => None,
    }
}

/// Returns the storage class of a slow drive; empty if no volume has its name.
pub(super) fn storage_class<'a>(vm: &'a Vm, found: &ProblemKind) -> &'a str {
    let ProblemKind::SlowDrive { name: drive, .. } = found else { return "" };
    let volume = vm.volumes.iter().find(|volume| volume.name == *drive);
    volume.map_or("", |volume| &volume.storage_class)
}

/// The figures of a VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measured {
    Cpu,
    Memory,
    Disk,
}

/// Calls `add` with why each figure is unknown.
pub(super) fn unknown<'a>(vm: &Vm, mut add: impl FnMut(Cause<'a>, Measured)) {
    let usage = &vm.summary.usage;
    for (figure, measured) in [(&usage.cpu, Measured::Cpu), (&usage.memory, Measured::Memory)] {
        if is_unknown(figure) {
            add(why(figure, SourceId::PodMetrics), measured);
        }
    }
    if !has_unknown_disk(&vm.summary) {
        return;
    }
    let mut is_explained = false;
    for volume in vm.volumes.iter().filter(|volume| is_unknown(&volume.usage)) {
        add(why(&volume.usage, volume.source), Measured::Disk);
        is_explained = true;
    }
    // Some volumes are not among those that the VM shows.
    match &usage.disk {
        _ if is_explained => {}
        figure if is_unknown(figure) => add(why(figure, SourceId::Kubelet), Measured::Disk),
        _ => add(Cause::Missing(SourceId::Kubelet, Reason::TooLarge), Measured::Disk),
    }
}

/// Returns why a figure is unknown. `source` is named for a missing figure, which has no sample.
fn why<'a>(figure: &Figure, source: SourceId) -> Cause<'a> {
    match figure {
        Figure::Known(sample) => Cause::Stale(sample.source.id()),
        Figure::Missing(missing) => Cause::Missing(source, missing.reason),
    }
}

/// Returns a number of what is written. It stands in addresses, so that it is the same in every version.
fn number(write: impl FnOnce(&mut FnvHasher)) -> u64 {
    let mut hasher = FnvHasher::default();
    write(&mut hasher);
    hasher.finish()
}

/// Returns the number of KubeVirt's status and message about a VM that does not run.
fn not_running(vm: &Vm) -> u64 {
    number(|hasher| {
        hasher.write(vm.summary.kubevirt_status.as_bytes());
        if let Some(failure) = &vm.failure {
            add_alike(vm, &failure.detail, hasher);
        }
    })
}

/// Adds a message, so that messages that differ in the names of the VM alone are equal.
fn add_alike(vm: &Vm, message: &Message, hasher: &mut FnvHasher) {
    let text = match message {
        Message::Raw(text) => text.into(),
        other => std::borrow::Cow::from(other.english()),
    };
    let names = [vm.pod.as_str(), &vm.vm_name, &vm.summary.name, &vm.summary.namespace];
    let mut rest = &*text;
    while let Some(begin) = rest.find(is_of_name) {
        hasher.write(&rest.as_bytes()[..begin]);
        rest = &rest[begin..];
        // A name of the VM may be the beginning of another name, such as that of a claim.
        let named = names.iter().find(|name| {
            let follows = rest.strip_prefix(**name).filter(|_| !name.is_empty());
            follows.is_some_and(|after| !after.starts_with(|c: char| c.is_ascii_alphanumeric()))
        });
        let word = rest.find(|c| !is_of_name(c)).unwrap_or(rest.len());
        let length = match named {
            Some(name) => {
                hasher.write(&[0]);
                name.len()
            }
            None => {
                hasher.write(&rest.as_bytes()[..word]);
                word
            }
        };
        rest = &rest[length..];
    }
    hasher.write(rest.as_bytes());
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_no_address_can_have_is_a_number() {
        assert_eq!(coded("node.", "worker-1.example.com"), "node.worker-1.example.com");
        for name in ["", "a b", "~", "ü", "\u{1}", "<b>", &"x".repeat(MAX_CAUSE)] {
            let code = coded("node.", name);
            assert!(code.starts_with("node.~") && code.len() == 22, "{name}: {code}");
        }
    }
}
