//! Joins those rows of the last snapshot (`last_rows`) again that may have changed: those that depend on a name that
//! was touched (`dirty`), or on the clock (`dependencies`). If a condition changes that all of them depend on
//! (`conditions`), all of them are joined.

use std::sync::Arc;

use hashbrown::HashSet;

use super::{
    conditions::{Conditions, StatusShown},
    dependencies::Dependencies,
    inventory::Entry,
    last_rows::{Joined, OmittedRows, Row, Rows, SharedPrefixes, Shown},
    parallel::parallel,
    pod_names::cut_prefix,
    row_limit::keep_fairly,
    state::ClusterState,
    touched::{Name, RowKey, Touched},
};
use model::Millis;

/// A row that is joined again.
struct Dirty<'a> {
    key: RowKey,
    before: Option<Shown>,
    entry: Option<Entry<'a>>,
    prefix: Option<u64>,
    dependencies: Dependencies,
}

impl Rows {
    /// Joins the rows again that may have changed.
    pub fn update(&mut self, state: &ClusterState, touched: Touched, now: Millis) {
        let conditions = state.conditions();
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

    fn join(&mut self, state: &ClusterState, dirty: Vec<Dirty>) {
        let prefixes = &self.prefixes;
        let joined = parallel(dirty, |row| join_row(state, prefixes, row));
        self.replace(joined, |key| state.has_object(key));
    }
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
fn join_row(state: &ClusterState, prefixes: &SharedPrefixes, row: Dirty) -> Joined {
    let Dirty { key, before, entry, prefix, dependencies } = row;
    let shown = entry.map(|entry| {
        let vm = state.join_one(&entry, prefixes, &dependencies);
        let asks = state.asks(&entry, &vm, &dependencies);
        let last = before.as_ref().map(|before| &before.vm).filter(|last| ***last == vm);
        Shown { vm: last.cloned().unwrap_or_else(|| Arc::new(vm)), prefix, asks }
    });
    let (names, until) = dependencies.finish();
    Joined { key, before, row: Row { names, until, shown } }
}

impl ClusterState {
    /// Returns what all rows depend on, as it is now.
    fn conditions(&self) -> Conditions {
        let statuses = self.source_statuses.iter().map(|((source, namespace), status)| StatusShown {
            source: *source,
            namespace: namespace.clone(),
            listed: status.last_success.is_some(),
            error: status.error.clone(),
            omitted: status.omitted.clone(),
        });
        Conditions {
            statuses: statuses.collect(),
            has_pods: !self.pods.is_empty(),
            has_nodes: !self.nodes.is_empty(),
            is_longhorn_at_home: self.is_longhorn_at_home,
            longhorn_time: self.longhorn_time(),
            wall_step: self.wall_step,
            own_skew: self.own_skew,
            skews: self.skews.changes(),
        }
    }
}
