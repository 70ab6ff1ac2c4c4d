//! Keeps the rows of the last snapshot, and joins only those again that may have changed: those that depend on
//! a name that was touched (`dirty`), or on the clock (`dependencies`). If a condition changes that all of them
//! depend on (`conditions`), all of them are joined.

use std::{mem, sync::Arc};

use hashbrown::{HashMap, HashSet};

use super::{
    conditions::Conditions,
    dependencies::Dependencies,
    inventory::Entry,
    parallel::parallel,
    pod_names::cut_prefix,
    row_limit::{OmittedRows, keep_fairly},
    state::ClusterState,
    sums::Sums,
    targets::{Asks, is_counted},
    touched::{Name, RowKey, Touched},
};
use model::{
    Millis,
    totals::Totals,
    vm::{Kind, Status, Vm},
};

/// The rows of the last snapshot.
#[derive(Debug, Default)]
pub(super) struct Rows {
    all: HashMap<RowKey, Row>,
    prefixes: SharedPrefixes,
    /// `None` if all rows must be joined.
    conditions: Option<Conditions>,
    joined: Millis,
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
struct Row {
    /// Hashes of the names that it depends on.
    names: Box<[u32]>,
    /// When it changes by the clock alone.
    until: Millis,
    /// `None` if another row shows its object.
    shown: Option<Shown>,
}

#[derive(Debug)]
struct Shown {
    vm: Arc<Vm>,
    prefix: Option<u64>,
    asks: Asks,
}

/// A row that is joined again.
struct Dirty<'a> {
    key: RowKey,
    before: Option<Shown>,
    entry: Option<Entry<'a>>,
    prefix: Option<u64>,
    dependencies: Dependencies,
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
    fn replace(&mut self, before: Option<u64>, now: Option<u64>, mut changed: impl FnMut(u64)) {
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

    /// Joins the rows again that may have changed.
    pub fn update(&mut self, state: &ClusterState, touched: Touched, now: Millis) {
        let conditions = Conditions::of(state);
        let is_whole =
            touched.everything || now < self.joined || self.conditions.as_ref() != Some(&conditions);
        (self.conditions, self.joined) = (Some(conditions), now);
        let mut rows = self.take(|row| is_whole || row.until <= now || touched.has_any(&row.names));
        let mut known: HashSet<RowKey> = rows.iter().map(|(key, _)| key.clone()).collect();
        let mut added = if is_whole { state.row_keys() } else { touched.added };
        added.retain(|key| known.insert(key.clone()));
        rows.extend(added.into_iter().map(|key| (key, None)));
        let mut dirty = find_entries(state, rows, now);
        let crossed = self.count_prefixes(&dirty, is_whole);
        let more = self.take(|row| crossed.has_any(&row.names));
        dirty.extend(find_entries(state, more, now));
        let shown = dirty.iter().filter(|row| row.before.is_some()).count();
        let entries = dirty.iter().filter(|row| row.entry.is_some()).count();
        self.omitted = OmittedRows::default();
        if self.vms.len() - shown + entries > state.limits.most_vms {
            let others = self.take(|_| true);
            dirty.extend(find_entries(state, others, now));
            self.leave_out(&mut dirty, state.limits.most_vms);
        }
        self.join(state, dirty);
    }

    pub fn totals(&self) -> Totals {
        self.sums.totals(&self.vms)
    }

    /// Returns the VMs in any order, with what each is worth asking for.
    pub fn shown(&self) -> impl Iterator<Item = (&Vm, &Asks)> {
        self.all.values().filter_map(|row| row.shown.as_ref()).map(|shown| (&*shown.vm, &shown.asks))
    }

    /// Removes and returns the rows that fit, with what they showed.
    fn take(&mut self, fits: impl Fn(&Row) -> bool) -> Vec<(RowKey, Option<Shown>)> {
        self.all.extract_if(|_, row| fits(row)).map(|(key, row)| (key, row.shown)).collect()
    }

    /// Counts the prefixes of the rows. Returns the names of those that are now shared, or no longer.
    fn count_prefixes(&mut self, dirty: &[Dirty], is_whole: bool) -> Touched {
        if is_whole {
            self.prefixes = SharedPrefixes::default();
        }
        let mut crossed = Touched::default();
        for row in dirty {
            let before = row.before.as_ref().filter(|_| !is_whole).and_then(|before| before.prefix);
            self.prefixes.replace(before, row.prefix, |prefix| crossed.touch_hash(prefix));
        }
        crossed
    }

    /// Leaves out rows beyond the limit. Which ones depends on all others, so the next join joins all of them.
    fn leave_out(&mut self, dirty: &mut Vec<Dirty>, most: usize) {
        self.forget();
        let mut entries: Vec<(RowKey, Entry)> =
            dirty.iter().filter_map(|row| Some((row.key.clone(), row.entry?))).collect();
        entries.sort_unstable_by(|(_, a), (_, b)| a.order().cmp(&b.order()));
        let (kept, omitted) = keep_fairly(entries, most);
        let kept: HashSet<RowKey> = kept.into_iter().map(|(key, _)| key).collect();
        dirty.iter_mut().filter(|row| !kept.contains(&row.key)).for_each(|row| row.entry = None);
        self.omitted = omitted;
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    fn join(&mut self, state: &ClusterState, dirty: Vec<Dirty>) {
        #[cfg(test)]
        {
            self.joined_again = dirty.len();
        }
        let prefixes = &self.prefixes;
        let joined = parallel(dirty, |row| join_row(state, prefixes, row));
        let is_most = joined.len() * 2 > self.all.len();
        self.changes = Changes::default();
        let (mut gone, mut new) = (HashSet::new(), Vec::new());
        for (key, before, row) in joined {
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
            if row.shown.is_some() || state.has_object(&key) {
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

/// Finds out what each of these rows shows.
fn find_entries<'a>(
    state: &'a ClusterState,
    rows: Vec<(RowKey, Option<Shown>)>,
    now: Millis,
) -> Vec<Dirty<'a>> {
    let cluster_ahead = state.wall_step.saturating_add(state.own_skew.unwrap_or_default());
    parallel(rows, |(key, before)| {
        let dependencies = Dependencies::new(now, state.wall_step, cluster_ahead);
        let entry = state.entry(&key, &dependencies);
        let has_name = |entry: &&Entry| !entry.vm_name.is_empty();
        let prefix = entry
            .as_ref()
            .filter(has_name)
            .map(|entry| Name::PodPrefix(entry.namespace(), &cut_prefix(entry.vm_name)).hash());
        Dirty { key, before, entry, prefix, dependencies }
    })
}

/// Joins a row. A VM that did not change is shared with the last snapshot, so that two snapshots share most of
/// their memory.
fn join_row(state: &ClusterState, prefixes: &SharedPrefixes, row: Dirty) -> (RowKey, Option<Shown>, Row) {
    let Dirty { key, before, entry, prefix, dependencies } = row;
    let shown = entry.map(|entry| {
        let vm = state.join_one(&entry, prefixes, &dependencies);
        let asks = state.asks(&entry, &vm, &dependencies);
        let last = before.as_ref().map(|before| &before.vm).filter(|last| ***last == vm);
        Shown { vm: last.cloned().unwrap_or_else(|| Arc::new(vm)), prefix, asks }
    });
    let (names, until) = dependencies.finish();
    (key, before, Row { names, until, shown })
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
