//! Keeps the rows of the last snapshot. `ClusterState` has them; `rows` joins those again that may have changed.

use std::{collections::BTreeMap, mem, sync::Arc};

use hashbrown::{HashMap, HashSet};

use super::{
    conditions::Conditions,
    observation::{Image, SourceError},
    sums::Sums,
    touched::{Name, RowKey},
};
use i18n::msg;
use model::{
    Millis,
    activity::Activity,
    figure::Source,
    reason::Reason,
    source::SourceId,
    totals::Totals,
    vm::{Kind, Status, Vm},
};

/// The rows of the last snapshot.
#[derive(Debug, Default)]
pub(super) struct Rows {
    all: HashMap<RowKey, Row>,
    pub prefixes: SharedPrefixes,
    /// `None` if all rows must be joined.
    pub conditions: Option<Conditions>,
    pub joined: Millis,
    /// The VMs of the snapshot in its order, which is that of [`order`].
    pub vms: Vec<Arc<Vm>>,
    pub sums: Sums,
    pub omitted: OmittedRows,
    pub changes: Changes,
    /// How many rows the last join joined.
    #[cfg(test)]
    pub joined_again: usize,
}

/// What changed with the last join, so that what is made of all VMs is made again only then.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Changes {
    pub nodes: bool,
    pub guests: bool,
    pub images: bool,
    /// On which nodes VMs run that virt-handler counts, or does not.
    pub counted: bool,
    /// The names of claims and instances.
    pub names: bool,
}

/// The row of one object.
#[derive(Debug)]
pub(super) struct Row {
    /// Hashes of the names that it depends on.
    pub names: Box<[u32]>,
    /// When it changes by the clock alone.
    pub until: Millis,
    /// `None` if another row shows its object.
    pub shown: Option<Shown>,
}

/// The VM that a row shows.
#[derive(Debug)]
pub(super) struct Shown {
    pub vm: Arc<Vm>,
    pub prefix: Option<u64>,
    pub asks: VmTargets,
}

/// What one VM is worth asking for.
#[derive(Debug, PartialEq)]
pub(super) struct VmTargets {
    /// Its node.
    pub node: bool,
    /// Its guest's agent.
    pub guest: bool,
    pub images: Box<[Image]>,
}

/// A row that was joined again, with what it showed before.
pub(super) struct Joined {
    pub key: RowKey,
    pub before: Option<Shown>,
    pub row: Row,
}

/// Truncated pod name prefixes, and how many VMs would give them to their pods.
#[derive(Debug, Default)]
pub(super) struct SharedPrefixes(HashMap<u64, u32>);

impl SharedPrefixes {
    /// Whether more than one VM has this prefix.
    pub fn contains(&self, prefix: Name) -> bool {
        self.0.get(&prefix.hash()).is_some_and(|count| *count > 1)
    }

    /// Counts a VM that has another prefix than before, and calls `changed` with each that is now shared, or no
    /// longer.
    pub fn replace(&mut self, before: Option<u64>, now: Option<u64>, mut changed: impl FnMut(u64)) {
        if before == now {
            return;
        }
        if let Some(before) = before {
            let count = self.0.entry(before).or_default();
            *count -= 1;
            match count {
                0 => drop(self.0.remove(&before)),
                1 => changed(before),
                _ => {}
            }
        }
        if let Some(now) = now {
            let count = self.0.entry(now).or_default();
            *count += 1;
            if *count == 2 {
                changed(now);
            }
        }
    }
}

impl Rows {
    /// Makes the next join join all rows.
    pub fn forget(&mut self) {
        self.conditions = None;
    }

    pub fn totals(&self) -> Totals {
        self.sums.totals(&self.vms)
    }

    /// Returns the VMs in any order, with what each is worth asking for.
    pub fn shown(&self) -> impl Iterator<Item = (&Vm, &VmTargets)> {
        self.all.values().filter_map(|row| row.shown.as_ref()).map(|shown| (&*shown.vm, &shown.asks))
    }

    /// Removes and returns the rows that fit, with what they showed.
    pub fn take(&mut self, fits: impl Fn(&Row) -> bool) -> Vec<(RowKey, Option<Shown>)> {
        self.all.extract_if(|_, row| fits(row)).map(|(key, row)| (key, row.shown)).collect()
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Replaces the rows that were joined again. A row that shows nothing is kept while its object exists.
    pub fn replace(&mut self, joined: Vec<Joined>, exists: impl Fn(&RowKey) -> bool) {
        #[cfg(test)]
        {
            self.joined_again = joined.len();
        }
        let is_most = joined.len() * 2 > self.all.len();
        self.changes = Changes::default();
        let (mut gone, mut new) = (HashSet::new(), Vec::new());
        for Joined { key, before, row } in joined {
            let now = row.shown.as_ref();
            self.changes.compare(before.as_ref(), now);
            let is_same = |(before, now): (&Shown, &Shown)| Arc::ptr_eq(&before.vm, &now.vm);
            if !before.as_ref().zip(now).is_some_and(is_same) {
                if let Some(before) = before {
                    gone.insert(Arc::as_ptr(&before.vm));
                    if !is_most {
                        self.sums.remove(&before.vm);
                    }
                }
                if let Some(now) = now {
                    new.push(now.vm.clone());
                    if !is_most {
                        self.sums.add(&now.vm);
                    }
                }
            }
            if row.shown.is_some() || exists(&key) {
                self.all.insert(key, row);
            }
        }
        merge(&mut self.vms, &gone, new);
        if is_most {
            self.sums = Sums::default();
            self.vms.iter().for_each(|vm| self.sums.add(vm));
        }
    }
}

/// The VMs that a snapshot leaves out.
#[derive(Debug, Default)]
pub(super) struct OmittedRows {
    pub by_source: BTreeMap<SourceId, usize>,
    pub most: usize,
    /// The namespace that has the most VMs.
    pub fullest: String,
}

impl OmittedRows {
    /// Returns what the source of these VMs reports.
    pub fn error(&self, id: SourceId) -> Option<SourceError> {
        let count = self.by_source.get(&id)?.to_string();
        let (most, namespace) = (self.most.to_string(), self.fullest.clone());
        let detail = msg!(collect.crowded_vms, count = count, most = most, namespace = namespace);
        Some(SourceError { reason: Reason::TooLarge, detail })
    }
}

impl Changes {
    fn compare(&mut self, before: Option<&Shown>, now: Option<&Shown>) {
        let node = |shown: &&Shown| shown.asks.node;
        let nodes = [before, now].map(|shown| shown.filter(node).map(|shown| &shown.vm.summary.node));
        self.nodes |= nodes[0] != nodes[1];
        let counted = [before, now].map(|shown| {
            let running = shown.filter(|shown| shown.vm.summary.status == Status::Running);
            running.map(|shown| (&shown.vm.summary.node, is_counted(&shown.vm)))
        });
        self.counted |= counted[0] != counted[1];
        let guest = |shown: &&Shown| shown.asks.guest;
        let guests =
            [before, now].map(|shown| shown.filter(guest).map(|shown| (&shown.vm.vm_name, &shown.vm.uid)));
        self.guests |= guests[0] != guests[1];
        let images = [before, now].map(|shown| shown.map(|shown| &*shown.asks.images).unwrap_or_default());
        self.images |= images[0] != images[1];
        let names = [before, now].map(|shown| shown.map(|shown| &*shown.vm));
        self.names |= match names {
            [Some(before), Some(now)] => before.vm_name != now.vm_name || !claims(before).eq(claims(now)),
            [None, None] => false,
            _ => true,
        };
    }
}

fn claims(vm: &Vm) -> impl Iterator<Item = &str> {
    vm.volumes.iter().map(|volume| volume.claim.as_str())
}

/// Whether virt-handler counts what the VM does now.
pub(super) fn is_counted(vm: &Vm) -> bool {
    match &vm.activity {
        Activity::Known(known) => known.source == Source::VirtHandler && !known.stale,
        Activity::Missing(_) => false,
    }
}

/// The order of a snapshot: by name, namespace, uid, kind.
fn order(vm: &Vm) -> (&str, &str, &str, Kind) {
    (&vm.summary.name, &vm.summary.namespace, &vm.uid, vm.summary.kind)
}

/// Takes the VMs that are gone out of a snapshot's list, and puts the new ones into their places.
fn merge(vms: &mut Vec<Arc<Vm>>, gone: &HashSet<*const Vm>, new: Vec<Arc<Vm>>) {
    if !gone.is_empty() {
        vms.retain(|vm| !gone.contains(&Arc::as_ptr(vm)));
    }
    if new.is_empty() {
        return;
    }
    let mut last = mem::take(vms).into_iter();
    vms.reserve(last.len() + new.len());
    for vm in sorted(new) {
        let before = last.as_slice().partition_point(|last| order(last) < order(&vm));
        vms.extend(last.by_ref().take(before));
        vms.push(vm);
    }
    vms.extend(last);
}

/// Sorts VMs. Most comparisons need only the first bytes of the names, which lie side by side.
fn sorted(vms: Vec<Arc<Vm>>) -> impl Iterator<Item = Arc<Vm>> {
    let mut vms: Vec<_> = vms.into_iter().map(|vm| (beginning(&vm.summary.name), vm)).collect();
    vms.sort_unstable_by(|(a_begins, a), (b_begins, b)| {
        a_begins.cmp(b_begins).then_with(|| order(a).cmp(&order(b)))
    });
    vms.into_iter().map(|(_, vm)| vm)
}

/// Returns the first 16 bytes of the name as a number that sorts as the name does.
fn beginning(name: &str) -> u128 {
    let mut bytes = [0; 16];
    let length = name.len().min(bytes.len());
    bytes[..length].copy_from_slice(&name.as_bytes()[..length]);
    u128::from_be_bytes(bytes)
}
