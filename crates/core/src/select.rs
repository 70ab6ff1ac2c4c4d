//! Selects and sorts the VMs of a query, and counts what each filter would leave, for the views. Pure, and
//! one pass: every open page asks about 10,000 VMs, so nothing is allocated for a VM that is only checked.

use std::{
    cmp::{Ordering, Reverse},
    sync::Arc,
};

use hashbrown::HashMap;
use model::{
    attention::{Attention, AttentionKind, AttentionKinds},
    figure::{Figure, Sample},
    query::{Order, Query, Sort},
    totals::Totals,
    view::{Facet, Facets},
    vm::{Status, Vm, VmSummary},
};

use super::{Visible, amounts, attention, incidents, outlook::Outlooks};

/// The VMs that match, by name and namespace as in the snapshot until they are sorted.
pub struct Selection<'a> {
    pub vms: Vec<&'a Arc<Vm>>,
    pub facets: Facets,
}

impl<'a> Selection<'a> {
    /// Selects the VMs of a query and counts its facets.
    pub fn of(visible: &'a Visible, query: &Query) -> Self {
        let filter = Filter::new(query, visible);
        let outlooks = Outlooks::of(visible);
        let mut vms = Vec::new();
        let mut tally = Tally::default();
        for (at, vm) in visible.vms().iter().enumerate() {
            let checks = filter.check(at, vm, attention::kinds(vm, &outlooks.of_vm(vm)));
            tally.add(&vm.summary, &checks);
            if checks.all() {
                vms.push(vm);
            }
        }
        Self { vms, facets: tally.facets() }
    }

    /// Returns the totals of the VMs.
    pub fn totals(&self) -> Totals {
        Totals::of(self.vms.iter().map(|vm| &***vm))
    }

    /// Sorts the VMs. Those without the value that is sorted by come last in either order; equal ones are
    /// sorted by name.
    pub fn sort(&mut self, query: &Query) {
        let order = query.order;
        let vms = &mut self.vms;
        let percent = |figure: &Figure| figure.sample().map(Sample::percent_milli);
        let used = |figure: &Figure| figure.sample().map(|sample| sample.used);
        match query.sort {
            Sort::Name if order == Order::Desc => vms.reverse(),
            Sort::Name => {}
            Sort::Namespace => by(vms, order, |vm| Some(vm.summary.namespace.as_str())),
            Sort::Node => by(vms, order, |vm| Some(vm.summary.node.as_str()).filter(|node| !node.is_empty())),
            Sort::Status => by(vms, order, |vm| Some(urgency(vm.summary.status))),
            Sort::Cpu => by(vms, order, |vm| percent(&vm.summary.usage.cpu)),
            Sort::Memory => by(vms, order, |vm| percent(&vm.summary.usage.memory)),
            Sort::Disk => by(vms, order, |vm| percent(&vm.summary.usage.disk)),
            Sort::CpuUsed => by(vms, order, |vm| used(&vm.summary.usage.cpu)),
            Sort::MemoryUsed => by(vms, order, |vm| used(&vm.summary.usage.memory)),
            Sort::DiskUsed => by(vms, order, |vm| used(&vm.summary.usage.disk)),
            Sort::FullestDisk => by(vms, order, |vm| vm.summary.usage.fullest_disk),
            Sort::GuestMemory => by(vms, order, |vm| amounts::guest_memory(vm).known()),
            Sort::Network => by(vms, order, |vm| amounts::network(vm).known()),
            Sort::Storage => by(vms, order, |vm| amounts::storage(vm).known()),
            Sort::Operations => by(vms, order, |vm| amounts::operations(vm).known()),
            Sort::Latency => by(vms, order, |vm| amounts::latency(vm).known()),
            Sort::Contention => by(vms, order, |vm| amounts::contention(vm).known()),
            // Of two samples, the one that was taken earlier is older.
            Sort::Age => by(vms, order, |vm| vm.summary.oldest().map(Reverse)),
        }
    }
}

/// Sorts by a key. The sort is stable and the VMs come sorted by name, so equal ones stay in that order.
fn by<'a, K: Ord>(vms: &mut [&'a Arc<Vm>], order: Order, key: impl Fn(&'a Vm) -> Option<K>) {
    let mut keyed: Vec<(Option<K>, &Arc<Vm>)> = vms.iter().map(|vm| (key(vm), *vm)).collect();
    keyed.sort_by(|(a, _), (b, _)| compare(a, b, order));
    for (place, (_, vm)) in vms.iter_mut().zip(keyed) {
        *place = vm;
    }
}

fn compare<K: Ord>(a: &Option<K>, b: &Option<K>, order: Order) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => order.apply(a.cmp(b)),
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}

/// The sort key of a status: what needs attention comes first.
fn urgency(status: Status) -> u8 {
    match status {
        Status::Error => 0,
        Status::Unknown => 1,
        Status::Pending => 2,
        Status::Creating => 3,
        Status::Running => 4,
        Status::Stopped => 5,
    }
}

/// Returns the VMs that the list shows for a node.
pub fn on_node<'a>(visible: &'a Visible, node: &'a str) -> impl Iterator<Item = &'a Vm> {
    visible.vms().iter().map(|vm| &**vm).filter(move |vm| is_on_node(&vm.summary, node))
}

/// Whether the VM is on the node, or migrates to it.
fn is_on_node(vm: &VmSummary, node: &str) -> bool {
    vm.node == node || vm.migrating_to == node
}

/// The filters of a query, prepared for comparison.
struct Filter<'a> {
    query: &'a Query,
    /// In lower case.
    text: String,
    /// The places of the VMs of the incident that the query asks for, in order.
    incident: Option<Vec<usize>>,
}

/// Which parts of a filter a VM passes.
struct Checks {
    text: bool,
    namespace: bool,
    status: bool,
    node: bool,
    attention: bool,
    /// What the VM needs attention for, even if the query does not ask for that.
    kinds: AttentionKinds,
}

impl Checks {
    fn all(&self) -> bool {
        self.text && self.namespace && self.status && self.node && self.attention
    }
}

impl<'a> Filter<'a> {
    fn new(query: &'a Query, visible: &Visible) -> Self {
        let incident = match &query.attention {
            Some(Attention { kind: Some(kind), cause }) if !cause.is_empty() => {
                Some(incidents::members(visible, *kind, cause))
            }
            _ => None,
        };
        Self { query, text: query.q.to_lowercase(), incident }
    }

    /// Checks the VM at a place, which needs attention for these kinds of causes.
    fn check(&self, at: usize, vm: &Vm, kinds: AttentionKinds) -> Checks {
        let (query, summary) = (self.query, &vm.summary);
        let attention = match (&self.incident, &query.attention) {
            (Some(members), _) => members.binary_search(&at).is_ok(),
            (None, None) => true,
            (None, Some(wanted)) => wanted.kind.map_or(!kinds.is_empty(), |kind| kinds.contains(kind)),
        };
        Checks {
            text: self.text.is_empty() || self.finds(vm),
            namespace: query.namespace.is_empty() || summary.namespace == query.namespace,
            status: query.status.is_none_or(|status| is_counted_as(summary.status, status)),
            node: query.node.is_empty() || is_on_node(summary, &query.node),
            attention,
            kinds,
        }
    }

    fn finds(&self, vm: &Vm) -> bool {
        let summary = &vm.summary;
        [&summary.name, &summary.namespace, &summary.node, &summary.ip_address, &vm.os_image]
            .into_iter()
            .any(|field| contains(field, &self.text))
    }
}

/// Whether a status counts as `wanted`. As in the totals, VMs that are being created count as pending.
fn is_counted_as(status: Status, wanted: Status) -> bool {
    status == wanted || (wanted, status) == (Status::Pending, Status::Creating)
}

/// Whether the text contains `part`, ignoring case. `part` is in lower case and not empty.
fn contains(text: &str, part: &str) -> bool {
    if text.is_ascii() {
        let (text, part) = (text.as_bytes(), part.as_bytes());
        return text.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part));
    }
    text.to_lowercase().contains(part)
}

/// VMs that each filter value would leave, given the other filters.
#[derive(Default)]
struct Tally<'a> {
    namespaces: HashMap<&'a str, u32>,
    nodes: HashMap<&'a str, u32>,
    statuses: [u32; 6],
    attention: u32,
    attention_kinds: [u32; AttentionKind::COUNT],
}

impl<'a> Tally<'a> {
    fn add(&mut self, vm: &'a VmSummary, checks: &Checks) {
        let Checks { text, namespace, status, node, attention, kinds } = *checks;
        *self.namespaces.entry(&vm.namespace).or_default() += u32::from(text && status && node && attention);
        for name in [&vm.node, &vm.migrating_to].into_iter().filter(|name| !name.is_empty()) {
            *self.nodes.entry(name).or_default() += u32::from(text && namespace && status && attention);
        }
        if text && namespace && node && attention {
            for (count, wanted) in self.statuses.iter_mut().zip(Status::ALL) {
                *count += u32::from(is_counted_as(vm.status, wanted));
            }
        }
        if text && namespace && status && node {
            self.attention += u32::from(!kinds.is_empty());
            for (count, kind) in self.attention_kinds.iter_mut().zip(AttentionKind::ALL) {
                *count += u32::from(kinds.contains(kind));
            }
        }
    }

    fn facets(self) -> Facets {
        let facet = |counts: HashMap<&str, u32>| {
            let mut counts: Vec<(&str, u32)> = counts.into_iter().collect();
            counts.sort_unstable();
            let (names, vms) =
                counts.into_iter().map(|(name, vms)| (name.to_owned(), vms)).unzip::<_, _, Vec<_>, _>();
            Facet { names: names.into(), vms }
        };
        Facets {
            namespaces: facet(self.namespaces),
            nodes: facet(self.nodes),
            statuses: self.statuses,
            attention: self.attention,
            attention_kinds: self.attention_kinds,
        }
    }
}
