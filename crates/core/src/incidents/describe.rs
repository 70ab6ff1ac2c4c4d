//! Describes an incident for people: what, why, since when, and how to fix it.

mod unknown;

use std::cmp::Reverse;

use hashbrown::HashMap;

use super::{
    Group, Incident, IncidentSubject, NAMED, VmName,
    cause::{Cause, storage_class},
    cpu_used,
};
use crate::{
    Visible,
    attention::kind,
    fix,
    outlook::Outlooks,
    problems::{ProblemKind, problems},
};
use i18n::{MARK, Message, msg};
use model::{
    Millis,
    attention::AttentionKind,
    figure::Unit,
    format,
    insight::{Filling, Resource},
    reason::Reason,
    source::SourceHealth,
    vm::Vm,
};

/// What an incident says.
struct Description {
    subject: IncidentSubject,
    title: Message,
    why: Message,
    fix: Message,
    since: Option<Millis>,
}

/// The VMs of an incident, and what is known about each.
struct Members<'a> {
    vms: Vec<&'a Vm>,
    outlooks: &'a Outlooks<'a>,
    /// The VM that uses the most CPU of each node on which VMs wait for it.
    busiest: &'a HashMap<&'a str, &'a Vm>,
    sources: &'a [SourceHealth],
}

pub(super) fn describe<'a>(
    group: &Group<'a>,
    visible: &'a Visible,
    outlooks: &'a Outlooks<'a>,
    busiest: &'a HashMap<&'a str, &'a Vm>,
) -> Incident {
    let vms = group.members.iter().filter_map(|at| visible.vms().get(*at).map(|vm| &**vm)).collect();
    let members = Members { vms, outlooks, busiest, sources: visible.sources() };
    let Description { subject, title, why, fix, since } = match group.cause {
        Cause::Node(name) => members.node(name),
        Cause::Paused(_) => members.paused(),
        Cause::Failed(_) => members.failed(),
        Cause::NotStarting(_) => members.not_starting(),
        Cause::FillingUp(_) => members.filling_up(),
        Cause::MoreFillingUp => {
            members.more(msg!(incident.more_filling_up, n = members.count()), msg!(health.advice_disk))
        }
        Cause::Undersized(_) => members.undersized(),
        Cause::MoreUndersized => {
            members.more(msg!(incident.more_undersized, n = members.count()), msg!(incident.look_sizes))
        }
        Cause::Contended(node) => members.contended(node),
        Cause::SlowDisk(class) => members.slow_disk(class),
        Cause::Migration(_) => members.migration(),
        Cause::State => members.state(),
        Cause::Missing(source, reason) => members.missing(group.cause, source, reason),
        Cause::Stale(source) => members.stale(group.cause, source),
    };
    Incident {
        kind: group.cause.kind(),
        level: group.level,
        cause: group.cause.code(visible.vms()),
        subject,
        title,
        why,
        fix,
        since,
        days: group.days,
        vms: members.count(),
        named: members.vms.iter().take(NAMED).map(|vm| name(vm)).collect(),
    }
}

impl<'a> Members<'a> {
    fn count(&self) -> u32 {
        u32::try_from(self.vms.len()).unwrap_or(u32::MAX)
    }

    /// Returns the subject and the title: `one` makes the title of a VM and its namespace, `many` that of several VMs.
    fn title(
        &self,
        one: impl Fn(&str, &str) -> Message,
        many: impl Fn(u32) -> Message,
    ) -> (IncidentSubject, Message) {
        match self.vms[..] {
            [vm] => (IncidentSubject::Vm(name(vm)), one(MARK, &vm.summary.namespace)),
            _ => (IncidentSubject::Several, many(self.count())),
        }
    }

    /// Returns the earliest time of all VMs; `None` if one of them does not say.
    fn since(&self, since: impl Fn(&Vm) -> Option<Millis>) -> Option<Millis> {
        let times: Option<Vec<Millis>> = self.vms.iter().map(|vm| since(vm)).collect();
        times?.into_iter().min()
    }

    /// Returns the problems of a kind, of all VMs.
    fn problems(&self, wanted: AttentionKind) -> impl Iterator<Item = (&'a Vm, ProblemKind<'a>)> {
        let of = |vm: &'a Vm| problems(vm, &self.outlooks.of_vm(vm)).map(move |found| (vm, found));
        self.vms.iter().flat_map(move |vm| of(vm)).filter(move |(_, found)| kind(found) == wanted)
    }

    /// Returns the most serious problem of a kind; of equal ones, the first.
    fn worst(&self, wanted: AttentionKind) -> Option<ProblemKind<'a>> {
        self.problems(wanted).map(|(_, found)| found).min_by_key(|found| Reverse(found.level()))
    }

    fn node(&self, node: &str) -> Description {
        let lost = self.vms.first().and_then(|vm| self.outlooks.of_vm(vm).lost);
        let is_silent = lost.is_none_or(|node| node.ready.is_none());
        Description {
            subject: IncidentSubject::Node(node.to_owned()),
            title: msg!(incident.node, node = MARK, n = self.count()),
            why: if is_silent { msg!(incident.node_silent) } else { msg!(incident.node_not_ready) },
            fix: fix::kubelet(Reason::Unreachable, node),
            since: lost.and_then(|node| node.ready_since),
        }
    }

    fn paused(&self) -> Description {
        let (subject, title) = self.title(
            |vm, namespace| msg!(incident.paused, vm = vm, namespace = namespace),
            |n| msg!(incident.many_paused, n = n),
        );
        let why = says(self.vms.first().and_then(|vm| vm.summary.fault.as_deref()));
        let since = self.since(|vm| condition_since(vm, "Paused", "True"));
        Description { subject, title, why, fix: self.fix(), since }
    }

    fn failed(&self) -> Description {
        let (subject, title) = self.title(
            |vm, namespace| msg!(incident.failed, vm = vm, namespace = namespace),
            |n| msg!(incident.many_failed, n = n),
        );
        Description { subject, title, why: says(self.failure()), fix: self.fix(), since: None }
    }

    fn not_starting(&self) -> Description {
        let (subject, title) = self.title(
            |vm, namespace| msg!(incident.not_starting, vm = vm, namespace = namespace),
            |n| msg!(incident.many_not_starting, n = n),
        );
        let since = self.since(|vm| condition_since(vm, "PodScheduled", "False"));
        Description { subject, title, why: says(self.failure()), fix: self.fix(), since }
    }

    fn failure(&self) -> Option<&'a Message> {
        self.vms.first()?.failure.as_ref().map(|failure| &failure.detail)
    }

    /// Returns how to fix the first VM that does not run; the others are alike.
    fn fix(&self) -> Message {
        let failure = self.vms.first().and_then(|vm| vm.failure.as_ref());
        failure.map(|failure| failure.fix.clone()).unwrap_or_default()
    }

    fn filling_up(&self) -> Description {
        let filling = self.vms.first().and_then(|vm| self.outlooks.of_vm(vm).filling);
        let full = self.problems(AttentionKind::FillingUp).filter_map(|(vm, found)| full(vm, &found));
        let full = full.min_by_key(|full| Reverse(full.percent));
        let (subject, title) = self.title(
            |vm, namespace| match (filling, &full) {
                (Some(filling), _) => self.full_in(filling, vm, namespace),
                (None, Some(FullDisk { place, percent, .. })) => {
                    let percent = format::grouped(*percent);
                    msg!(incident.full, vm = vm, namespace = namespace, place = *place, percent = percent)
                }
                (None, None) => Message::default(),
            },
            |n| msg!(incident.more_filling_up, n = n),
        );
        let place = full.as_ref().filter(|_| filling.is_some()).map(|FullDisk { place, percent, .. }| {
            msg!(health.full_filesystem, what = *place, percent = format::grouped(*percent))
        });
        let used = match (filling, &full) {
            (Some(filling), _) => Some(growth(filling)),
            (None, Some(FullDisk { amounts: Some((used, of)), .. })) => {
                Some(msg!(incident.used, used = bytes(*used), all = bytes(*of)))
            }
            (None, _) => None,
        };
        let why = sentences(place.into_iter().chain(used).collect());
        Description { subject, title, why, fix: msg!(health.advice_disk), since: None }
    }

    fn full_in(&self, filling: &Filling, vm: &str, namespace: &str) -> Message {
        let span = match filling.days {
            0 => msg!(incident.today),
            days => msg!(incident.days, n = days),
        };
        if let Some(volume) = &filling.volume {
            return msg!(
                incident.volume_full_in,
                vm = vm,
                namespace = namespace,
                volume = &**volume,
                span = span
            );
        }
        match self.vms.first().map_or(0, |vm| vm.volumes.len()) {
            0 | 1 => msg!(incident.full_in, vm = vm, namespace = namespace, span = span),
            _ => msg!(incident.all_full_in, vm = vm, namespace = namespace, span = span),
        }
    }

    fn undersized(&self) -> Description {
        let (mut cpu, mut memory) = (false, false);
        for (_, found) in self.problems(AttentionKind::Undersized) {
            let is_cpu = matches!(
                found,
                ProblemKind::AtLimit { .. }
                    | ProblemKind::Cpu { .. }
                    | ProblemKind::Undersized { resource: Resource::Cpu, .. }
            );
            *if is_cpu { &mut cpu } else { &mut memory } = true;
        }
        let (subject, title) = self.title(
            |vm, namespace| match (cpu, memory) {
                (true, true) => msg!(incident.needs_both, vm = vm, namespace = namespace),
                (true, false) => msg!(incident.needs_cpu, vm = vm, namespace = namespace),
                (false, _) => msg!(incident.needs_memory, vm = vm, namespace = namespace),
            },
            |n| msg!(incident.more_undersized, n = n),
        );
        let worst = self.worst(AttentionKind::Undersized);
        let (why, fix) = worst.map(|found| (found.text(), found.advice())).unwrap_or_default();
        Description { subject, title, why, fix, since: None }
    }

    /// Describes VMs that are alike, but of which others are more urgent.
    fn more(&self, title: Message, fix: Message) -> Description {
        let named = self.vms.iter().take(LISTED).map(|vm| vm.summary.name.as_str());
        let names = named.collect::<Vec<_>>().join(", ");
        let why = match self.count().saturating_sub(LISTED as u32) {
            0 => msg!(incident.names, names = names),
            others => msg!(incident.names_more, names = names, n = others),
        };
        Description { subject: IncidentSubject::Several, title, why, fix, since: None }
    }

    fn contended(&self, node: &str) -> Description {
        let found = || self.problems(AttentionKind::Contended).map(|(_, found)| found);
        let (subject, title) = match node {
            "" => (IncidentSubject::Several, msg!(incident.contended, n = self.count())),
            _ => (
                IncidentSubject::Node(node.to_owned()),
                msg!(incident.contended_on, node = MARK, n = self.count()),
            ),
        };
        let waits = found().filter_map(|found| match found {
            ProblemKind::Contention { thousandths, .. }
            | ProblemKind::UnexplainedContention { thousandths, .. } => Some(thousandths),
            _ => None,
        });
        let (low, high) = waits.fold((u32::MAX, 0), |(low, high), of| (low.min(of), high.max(of)));
        let [low, high] = [low, high].map(|thousandths| format::percent(thousandths.into()));
        let why = match low == high {
            true => msg!(incident.waits, percent = high),
            false => msg!(incident.waits_between, low = low, high = high),
        };
        let fix = self.worst(AttentionKind::Contended).map(|found| found.advice()).unwrap_or_default();
        // A VM that waits alone does not wait for itself.
        let is_alone = |vm: &Vm| matches!(self.vms[..], [only] if std::ptr::eq(only, vm));
        let busiest = self.busiest.get(node).filter(|vm| !is_alone(vm)).map(|vm| {
            let cpu = format::allocation(Unit::Nanocores, cpu_used(vm));
            let VmName { namespace, name } = name(vm);
            msg!(incident.busiest, vm = name, namespace = namespace, cpu = cpu)
        });
        let why = sentences([why].into_iter().chain(busiest).collect());
        Description { subject, title, why, fix, since: None }
    }

    fn slow_disk(&self, class: &str) -> Description {
        let (subject, title) = self.title(
            |vm, namespace| msg!(incident.slow_disk, vm = vm, namespace = namespace),
            |n| msg!(incident.many_slow_disks, n = n),
        );
        let of_class =
            self.problems(AttentionKind::SlowDisk).filter(|(vm, found)| storage_class(vm, found) == class);
        let slowest = of_class.filter_map(|(_, found)| match found {
            ProblemKind::SlowDrive { nanos, .. } => Some(nanos),
            _ => None,
        });
        let latency = format::millis(slowest.max().unwrap_or_default());
        let why = match class {
            "" => msg!(incident.latency, latency = latency),
            class => msg!(incident.latency_of, latency = latency, class = class),
        };
        Description { subject, title, why, fix: msg!(health.advice_drive), since: None }
    }

    fn migration(&self) -> Description {
        let (subject, title) = self.title(
            |vm, namespace| msg!(incident.migration, vm = vm, namespace = namespace),
            |n| msg!(incident.many_migrations, n = n),
        );
        let sent = |found: &ProblemKind| match found {
            ProblemKind::StuckMigration(migrating) => migrating.sent / migrating.memory.max(1),
            _ => 0,
        };
        let worst = self.problems(AttentionKind::Migration).map(|(_, found)| found);
        let why = worst.max_by_key(sent).map(|found| found.text()).unwrap_or_default();
        let since = self.since(|vm| {
            let migration = vm.migrations.iter().find(|migration| !migration.has_ended())?;
            migration.started.or(Some(migration.created))
        });
        Description { subject, title, why, fix: msg!(health.advice_migration), since }
    }

    fn state(&self) -> Description {
        let (subject, title) = self.title(
            |vm, namespace| msg!(incident.state, vm = vm, namespace = namespace),
            |n| msg!(incident.many_states, n = n),
        );
        Description { subject, title, why: msg!(incident.no_state), fix: Message::default(), since: None }
    }
}

/// Names that a text lists. The others are counted.
const LISTED: usize = 2;

fn name(vm: &Vm) -> VmName {
    VmName { namespace: vm.summary.namespace.clone(), name: vm.summary.name.clone() }
}

/// Returns when a condition of a VM's instance took this status.
fn condition_since(vm: &Vm, kind: &str, status: &str) -> Option<Millis> {
    let mut conditions = vm.instance.as_ref()?.conditions.iter();
    conditions.find(|of| (&*of.kind, &*of.status) == (kind, status))?.since
}

/// What KubeVirt says, if it says something.
fn says(message: Option<&Message>) -> Message {
    match message.filter(|message| !message.is_empty()) {
        Some(message) => msg!(incident.says, message = message.clone()),
        None => msg!(incident.says_nothing),
    }
}

/// A file system or a volume that is full.
struct FullDisk<'a> {
    place: &'a str,
    percent: u64,
    /// What is used, of how much.
    amounts: Option<(u64, u64)>,
}

fn full<'a>(vm: &'a Vm, found: &ProblemKind<'a>) -> Option<FullDisk<'a>> {
    match *found {
        ProblemKind::FullFilesystem { mount_point: place, percent } => {
            let of = vm.guest.filesystems.iter().find(|of| of.mount_point == place);
            let amounts = of.and_then(|of| of.used.zip(of.total));
            Some(FullDisk { place, percent, amounts })
        }
        ProblemKind::FullVolume { name: place, percent } => {
            let samples = vm.volumes.iter().filter_map(|of| Some((&of.name, of.usage.sample()?)));
            let mut samples = samples.filter(|(name, sample)| *name == place && sample.percent() == percent);
            let amounts = samples.next().map(|(_, sample)| (sample.used, sample.of));
            Some(FullDisk { place, percent, amounts })
        }
        _ => None,
    }
}

fn growth(filling: &Filling) -> Message {
    let [used, all, growth] = [filling.used, filling.of, filling.per_day].map(bytes);
    msg!(incident.grows, used = used, all = all, growth = growth)
}

fn bytes(bytes: u64) -> String {
    let format::Amount { digits, unit } = format::total_bytes(bytes);
    format!("{digits} {unit}")
}

/// Joins sentences.
fn sentences(mut all: Vec<Message>) -> Message {
    match (all.pop(), all.pop()) {
        (Some(second), Some(first)) => msg!(incident.both, first = first, second = second),
        (only, _) => only.unwrap_or_default(),
    }
}
