//! Merges what needs a person by its cause: one incident for a lost node and all its VMs, one for all VMs whose figures a
//! source does not give. docs/attention.md states the rules.
//!
//! Pure, and of what one viewer may see. First each VM is put into the groups of its causes, then only the groups that
//! are shown are described.

mod cause;
mod describe;

use std::cmp::Reverse;

use hashbrown::HashMap;

use super::{Visible, attention, outlook::Outlooks};
use cause::{Cause, causes};
use i18n::{Lang, Render, around};
use model::{
    Millis,
    attention::{Attention, AttentionKind},
    message::Message,
    query::Query,
    vm::Vm,
    vm_health::Level,
};

/// The most incidents that an answer lists. The others are counted.
pub const MOST: usize = 200;
/// Names that an incident lists of its VMs.
pub const NAMED: usize = 5;
/// How many VMs that fill up, or are undersized, have an incident of their own. The others are one incident together.
const ALONE: usize = 3;

/// What needs a person, the most urgent first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Incidents {
    /// All incidents, also those that are not listed.
    pub total: u32,
    /// VMs that need attention; and for each kind, in the order of [`AttentionKind::ALL`]. A VM may need it for several.
    pub vms: u32,
    pub kinds: [u32; AttentionKind::COUNT],
    pub rows: Vec<Incident>,
}

/// What needs a person, with one cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    pub kind: AttentionKind,
    pub level: Level,
    /// Identifies it among those of its kind, in addresses too.
    pub cause: String,
    pub subject: IncidentSubject,
    /// What happened, with [`MARK`](i18n::MARK) in place of the subject's name.
    title: Message,
    pub why: Message,
    /// How to fix it; empty if nobody knows.
    pub fix: Message,
    /// Since when; `None` if no object says.
    pub since: Option<Millis>,
    /// Whole days until a disk is full, if its history tells.
    pub days: Option<u32>,
    /// How many VMs it concerns, and the names of the first ones.
    pub vms: u32,
    pub named: Vec<VmName>,
}

/// The name of a VM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VmName {
    pub namespace: String,
    pub name: String,
}

/// What the title of an incident names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IncidentSubject {
    Vm(VmName),
    Node(String),
    /// Several VMs, which it counts.
    Several,
}

impl IncidentSubject {
    fn name(&self) -> &str {
        match self {
            Self::Vm(vm) => &vm.name,
            Self::Node(name) => name,
            Self::Several => "",
        }
    }
}

impl Incident {
    /// Returns what happened, in three parts: the text before the subject's name, the name, and the text after it. Pages
    /// make a link of the name.
    pub fn title(&self, lang: Lang) -> [String; 3] {
        let (before, after) = around(&self.title.render(lang));
        [before, self.subject.name().to_owned(), after]
    }

    /// Returns the query of the list that selects exactly its VMs.
    pub fn query(&self) -> Query {
        let attention = Attention { kind: Some(self.kind), cause: self.cause.clone() };
        Query { attention: Some(attention), ..Query::default() }
    }
}

/// VMs with one cause, as places in the list of VMs.
struct Group<'a> {
    cause: Cause<'a>,
    level: Level,
    days: Option<u32>,
    percent: u64,
    members: Vec<usize>,
}

/// Returns what needs a person among the VMs that a viewer may see, at most `most` incidents.
pub fn incidents(visible: &Visible, most: usize) -> Incidents {
    let outlooks = Outlooks::of(visible);
    let (groups, counts) = groups(visible, &outlooks);
    let total = groups.len() as u32;
    let busiest = busiest(visible, &groups);
    let rows = groups.into_iter().take(most);
    let rows = rows.map(|group| describe::describe(&group, visible, &outlooks, &busiest)).collect();
    Incidents { total, vms: counts.vms, kinds: counts.kinds, rows }
}

/// Returns the VM that uses the most CPU of each node on which VMs wait for it.
fn busiest<'a>(visible: &'a Visible, groups: &[Group<'a>]) -> HashMap<&'a str, &'a Vm> {
    let nodes = groups.iter().filter_map(|group| match group.cause {
        Cause::Contended(node) if !node.is_empty() => Some(node),
        _ => None,
    });
    let mut busiest: HashMap<&str, Option<&Vm>> = nodes.map(|node| (node, None)).collect();
    if busiest.is_empty() {
        return HashMap::new();
    }
    for vm in visible.vms() {
        if let Some(known) = busiest.get_mut(vm.summary.node.as_str())
            && cpu_used(vm) > known.map_or(0, cpu_used)
        {
            *known = Some(vm);
        }
    }
    busiest.into_iter().filter_map(|(node, vm)| Some((node, vm?))).collect()
}

/// Nanocores; 0 if they are not known, or stale.
fn cpu_used(vm: &Vm) -> u64 {
    vm.summary.usage.cpu.sample().filter(|sample| !sample.stale).map_or(0, |sample| sample.used)
}

/// Returns the places of the VMs of an incident, in order; none if there is no such incident.
pub fn members(visible: &Visible, kind: AttentionKind, cause: &str) -> Vec<usize> {
    let outlooks = Outlooks::of(visible);
    let (groups, _) = groups(visible, &outlooks);
    let mut of_kind = groups.into_iter().filter(|group| group.cause.kind() == kind);
    let found = of_kind.find(|group| group.cause.code(visible.vms()) == cause);
    let mut members = found.map(|group| group.members).unwrap_or_default();
    members.sort_unstable();
    members
}

#[derive(Default)]
struct Counts {
    vms: u32,
    kinds: [u32; AttentionKind::COUNT],
}

/// Returns the groups of all VMs that need attention, the most urgent first.
fn groups<'a>(visible: &'a Visible, outlooks: &Outlooks<'a>) -> (Vec<Group<'a>>, Counts) {
    let mut merged: HashMap<Cause, (Level, Vec<usize>)> = HashMap::new();
    let mut alone = Vec::new();
    let mut counts = Counts::default();
    for (at, vm) in visible.vms().iter().enumerate() {
        let outlook = outlooks.of_vm(vm);
        // That is known of most VMs without a look at their figures.
        if attention::kinds(vm, &outlook).is_empty() {
            continue;
        }
        let mut kinds = [false; AttentionKind::COUNT];
        causes(at, vm, &outlook, |cause, urgency| {
            kinds[cause.kind() as usize] = true;
            if let Cause::FillingUp(_) | Cause::Undersized(_) = cause {
                return alone.push((cause, urgency));
            }
            let (level, members) = merged.entry(cause).or_default();
            *level = urgency.level.max(*level);
            // A VM lacks several figures for one reason.
            if members.last() != Some(&at) {
                members.push(at);
            }
        });
        counts.vms += u32::from(kinds.contains(&true));
        counts.kinds.iter_mut().zip(kinds).for_each(|(count, is)| *count += u32::from(is));
    }
    let merged = merged.into_iter().map(|(cause, (level, members))| Group {
        cause,
        level,
        days: None,
        percent: 0,
        members,
    });
    let mut groups: Vec<Group> = merged.collect();
    groups.extend(fold(alone));
    // Codes are made only for those that are equal in everything else.
    groups.sort_by(|a, b| a.order().cmp(&b.order()).then_with(|| a.code_order(b, visible)));
    (groups, counts)
}

/// How urgent one cause of one VM is, the most urgent first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Urgency {
    level: Level,
    /// Whole days until a disk is full.
    days: Option<u32>,
    /// How full or used it is.
    percent: u64,
}

impl Urgency {
    fn order(&self) -> (Reverse<Level>, u32, Reverse<u64>) {
        (Reverse(self.level), self.days.unwrap_or(u32::MAX), Reverse(self.percent))
    }
}

/// Leaves the most urgent VMs of each kind alone, and folds the others into one group.
fn fold(all: Vec<(Cause<'_>, Urgency)>) -> Vec<Group<'_>> {
    let mut groups = Vec::new();
    for (kind, rest) in
        [(AttentionKind::FillingUp, Cause::MoreFillingUp), (AttentionKind::Undersized, Cause::MoreUndersized)]
    {
        let mut of_kind: Vec<_> = all.iter().filter(|(cause, _)| cause.kind() == kind).copied().collect();
        of_kind.sort_by_key(|(cause, urgency)| (urgency.order(), cause.place()));
        // A group of one would say less than its VM.
        let alone = if of_kind.len() == ALONE + 1 { ALONE + 1 } else { ALONE.min(of_kind.len()) };
        let (alone, others) = of_kind.split_at(alone);
        groups.extend(alone.iter().map(|(cause, urgency)| Group {
            cause: *cause,
            level: urgency.level,
            days: urgency.days,
            percent: urgency.percent,
            members: cause.place().into_iter().collect(),
        }));
        if let Some((_, most)) = others.first() {
            let members = others.iter().filter_map(|(cause, _)| cause.place()).collect();
            let Urgency { level, days, percent } = *most;
            groups.push(Group { cause: rest, level, days, percent, members });
        }
    }
    groups
}

impl Group<'_> {
    /// By severity, time left and size. What is down has no time left. What is only unknown comes last.
    fn order(&self) -> impl Ord + use<> {
        let kind = self.cause.kind();
        let is_unknown = kind == AttentionKind::Unknown;
        let days = match kind {
            AttentionKind::Down => 0,
            _ => self.days.map_or(u32::MAX, |days| days.saturating_add(1)),
        };
        // The most urgent of a kind stand before the group of the others, however large that is.
        let is_more = matches!(self.cause, Cause::MoreFillingUp | Cause::MoreUndersized);
        let size = if is_more { 1 } else { self.members.len() };
        (Reverse((self.level, !is_unknown)), days, Reverse(size), kind, is_more, Reverse(self.percent))
    }

    fn code_order(&self, other: &Self, visible: &Visible) -> std::cmp::Ordering {
        let place = |group: &Self| group.cause.place();
        place(self).cmp(&place(other)).then_with(|| {
            let code = |group: &Self| group.cause.code(visible.vms());
            code(self).cmp(&code(other))
        })
    }
}
