//! Clusters in which every text carries the mark of the object that it is about, and every number is one that no
//! other object has.
//!
//! `objects` makes the objects; a test below checks that each of their fields is marked.

use std::collections::{BTreeMap, BTreeSet};

use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};

use super::{
    objects::{KINDS, NAMESPACES, NODES, NOW, Row, SHARED, events, finding, node, source, vm},
    scan::Facts,
};
use i18n::{Lang, Localize};
use model::{
    activity::Activity,
    groups::Node,
    insight::Insight,
    rates::{OperationRates, Rate},
    source::{SourceHealth, SourceId, SourceState},
    vm::{Kind, Status, Vm},
};
use wukong_core::{amounts, details::details};

/// What a user may list, in the test's own words.
#[derive(Clone, Debug, Default)]
pub struct Rights {
    pub everywhere: Vec<Kind>,
    /// By namespace.
    pub places: Vec<(usize, Kind)>,
    pub nodes: bool,
    /// The namespaces whose Events they may list.
    pub events: Vec<usize>,
}

impl Rights {
    pub fn everything() -> Self {
        Self { everywhere: KINDS.to_vec(), places: vec![], nodes: true, events: (0..NAMESPACES).collect() }
    }

    /// Returns whether the user may see the Events of a row's VM.
    pub fn sees_events(&self, row: &Row) -> bool {
        self.sees(row) && self.events.contains(&row.namespace)
    }

    pub fn sees(&self, row: &Row) -> bool {
        self.everywhere.contains(&row.kind) || self.places.contains(&(row.namespace, row.kind))
    }

    pub fn sees_all(&self) -> bool {
        self.nodes && KINDS.iter().all(|kind| self.everywhere.contains(kind))
    }
}

/// Everything of a cluster.
#[derive(Clone, Debug)]
pub struct CanaryCluster {
    pub rows: Vec<Row>,
    /// The salts of nodes and of sources.
    pub nodes: usize,
    pub sources: usize,
}

impl CanaryCluster {
    pub fn random(rng: &mut StdRng, rows: usize) -> Self {
        let row = |id| Row {
            id,
            kind: *KINDS.choose(rng).unwrap(),
            // Every namespace has a VM.
            namespace: if id < NAMESPACES { id } else { rng.random_range(0..NAMESPACES) },
            shared: rng.random_bool(0.25).then(|| rng.random_range(0..SHARED)),
            salt: 0,
            step: 0,
            events_salt: 0,
        };
        let mut rows: Vec<Row> = (0..rows).map(row).collect();
        let mut taken = BTreeSet::new();
        for row in &mut rows {
            row.shared = row.shared.filter(|name| taken.insert((*name, row.namespace)));
        }
        Self { rows, nodes: 0, sources: 0 }
    }

    /// Returns a cluster that looks the same to a user with these rights: everything that they may not see is
    /// something else, and perhaps there is more of it.
    pub fn twin(&self, rights: &Rights) -> Self {
        let mut rows = Vec::new();
        for row in &self.rows {
            if rights.sees(row) {
                rows.push(Row { events_salt: usize::from(!rights.sees_events(row)), ..row.clone() });
                continue;
            }
            rows.push(Row { salt: 1, shared: None, events_salt: 1, ..row.clone() });
            if row.id % 2 == 0 {
                rows.push(Row { salt: 2, shared: None, events_salt: 2, ..row.clone() });
            }
        }
        let nodes = if rights.nodes { self.nodes } else { 1 };
        let sources = if rights.sees_all() { self.sources } else { 1 };
        Self { rows, nodes, sources }
    }

    /// Returns the next moment: what `changes` returns true for is different.
    pub fn changed(&self, step: usize, changes: impl Fn(&Row) -> bool) -> Self {
        let step_of = |row: &Row| if changes(row) { step } else { row.step };
        let rows = self.rows.iter().map(|row| Row { step: step_of(row), ..row.clone() }).collect();
        Self { rows, ..self.clone() }
    }

    pub fn vms(&self) -> Vec<Vm> {
        self.rows.iter().map(vm).collect()
    }

    pub fn seen(&self, rights: &Rights) -> Vec<Vm> {
        self.rows.iter().filter(|row| rights.sees(row)).map(vm).collect()
    }

    pub fn node_objects(&self) -> Vec<Node> {
        let more = if self.nodes == 0 { 0 } else { 2 };
        (0..NODES + more).map(|id| node(id, self.nodes)).collect()
    }

    pub fn source_states(&self) -> Vec<SourceHealth> {
        SourceId::ALL.into_iter().map(|id| source(id, self.sources)).collect()
    }

    pub fn findings(&self) -> Vec<(Row, Insight)> {
        self.rows.iter().filter_map(|row| Some((row.clone(), finding(row)?))).collect()
    }

    /// Returns what a user with these rights may learn.
    pub fn facts(&self, rights: &Rights) -> Facts {
        let mut facts = Facts::default();
        for vm in self.seen(rights) {
            add_activity(&mut facts, &vm.activity);
            vm.pressure.iter().for_each(|sample| facts.add(&sample.origin));
            facts.add(&details(&vm, &[]).localized(Lang::English));
            facts.add(&amounts::row(&vm));
            facts.add(&vm.localized(Lang::English));
        }
        for row in self.rows.iter().filter(|row| rights.sees_events(row)) {
            facts.add(&events(row));
        }
        let findings = self.findings().into_iter().filter(|(row, _)| rights.sees(row));
        findings.for_each(|(_, finding)| facts.add(&finding));
        if rights.nodes {
            self.node_objects().into_iter().for_each(|node| facts.add(&node.localized(Lang::English)));
        }
        // Since when a source answers is for everybody, in steps of 15 s.
        for source in self.source_states() {
            let time = if source.state == SourceState::Healthy { Some(NOW) } else { source.last_success };
            facts.add(&time.map(|time| time - time % 15_000));
        }
        if rights.sees_all() {
            self.source_states().into_iter().for_each(|source| facts.add(&source.localized(Lang::English)));
        }
        facts
    }
}

/// Adds what answers say of a guest's activity: rates are per second there, and latencies in seconds.
fn add_activity(facts: &mut Facts, activity: &Activity) {
    let Activity::Known(known) = activity else { return };
    let rates = known.rates.iter();
    let devices = rates.clone().flat_map(|rates| rates.interfaces.iter());
    let traffic = devices.flat_map(|of| [of.receive, of.transmit]);
    let mut all: Vec<Option<Rate>> =
        traffic.flat_map(|of| [of.bytes, of.packets, of.errors, of.drops]).collect();
    let drives = rates.flat_map(|rates| rates.drives.iter()).flat_map(|of| [of.read, of.write]);
    let storage = known.storage.iter().flat_map(|of| [of.read, of.write]);
    for OperationRates { bytes, operations, latency } in drives.chain(storage) {
        all.extend([bytes, operations]);
        facts.add(&latency.map(|nanos| nanos / 1_000_000_000));
    }
    all.extend(known.swap.iter().flat_map(|of| [Some(of.r#in), Some(of.out)]));
    all.extend(known.network.iter().flat_map(|of| [Some(of.receive), Some(of.transmit)]));
    all.extend(known.major_faults.iter().map(|rate| Some(*rate)));
    all.into_iter().flatten().for_each(|rate| facts.add(&(rate.0 / 1000)));
}

/// Fields whose texts are not free, but one of a few words.
const CODES: [&str; 11] = [
    "summary.kind",
    "finding.kind",
    "summary.status",
    ".unit",
    ".source",
    ".basis",
    ".reason",
    "source.id",
    "source.state",
    ".verdict",
    "details.pressure",
];
/// Fields that may be empty. Reasons without details are those of devices, for which the model has no text.
const MAY_BE_EMPTY: [&str; 6] = [
    "summary.node",
    "summary.migrating_to",
    "details.hostname",
    "details.pressure",
    "rates.Err.detail",
    "rates.Err.fix",
];

/// Returns the fields of an object that carry neither a mark nor a number of its own.
fn unmarked(value: &serde_json::Value, place: &str, found: &mut BTreeMap<String, String>) {
    use serde_json::Value;
    let is_one_of = |fields: &[&str]| fields.iter().any(|field| place.ends_with(field));
    let is_marked = match value {
        Value::Array(items) => return items.iter().for_each(|item| unmarked(item, place, found)),
        Value::Object(fields) => {
            return fields.iter().for_each(|(name, item)| unmarked(item, &format!("{place}.{name}"), found));
        }
        Value::Null | Value::Bool(_) => return,
        Value::String(text) if text.is_empty() => is_one_of(&MAY_BE_EMPTY),
        Value::String(text) => text.contains("zq") || is_one_of(&CODES),
        Value::Number(number) => number.as_u64().is_some_and(|number| number >= Facts::LEAST),
    };
    if !is_marked {
        found.insert(place.to_owned(), value.to_string());
    }
}

#[test]
fn every_field_of_every_object_is_marked() {
    let world = CanaryCluster::random(&mut StdRng::seed_from_u64(3), 200);
    let mut found = BTreeMap::new();
    for vm in world.vms() {
        let details = details(&vm, &[]).localized(Lang::English);
        unmarked(&serde_json::to_value(details).unwrap(), "details", &mut found);
        unmarked(&serde_json::to_value(vm.localized(Lang::English)).unwrap(), "vm", &mut found);
    }
    for row in &world.rows {
        unmarked(&serde_json::to_value(events(row)).unwrap(), "events", &mut found);
    }
    for source in world.source_states() {
        unmarked(&serde_json::to_value(source.localized(Lang::English)).unwrap(), "source", &mut found);
    }
    for node in world.node_objects() {
        unmarked(&serde_json::to_value(node.localized(Lang::English)).unwrap(), "node", &mut found);
    }
    for (_, finding) in world.findings() {
        unmarked(&serde_json::to_value(finding).unwrap(), "finding", &mut found);
    }
    assert_eq!(found, BTreeMap::new());
    let vms = world.vms();
    let statuses: BTreeSet<Status> = vms.iter().map(|vm| vm.summary.status).collect();
    assert_eq!(statuses.len(), Status::ALL.len());
}

#[test]
fn a_twin_keeps_what_is_seen_and_nothing_else() {
    let world = CanaryCluster::random(&mut StdRng::seed_from_u64(4), 60);
    let rights = Rights { places: vec![(1, Kind::Wukong), (2, Kind::Wukong)], ..Rights::default() };
    let twin = world.twin(&rights);
    assert_eq!(world.seen(&rights), twin.seen(&rights));
    let hidden = world.facts(&Rights::everything()).without(&world.facts(&rights));
    // Sources answer at the same times in both.
    let mut times = Facts::default();
    world.source_states().iter().for_each(|source| times.add(&source.last_success));
    let others = twin.facts(&Rights::everything()).without(&twin.facts(&rights)).without(&times);
    assert!(hidden.numbers.len() > 1_000 && hidden.owners.len() > 50);
    assert!(hidden.numbers.is_disjoint(&others.numbers));
    // Names of namespaces and nodes are those of the cluster, whatever happens there.
    let kept = |owner: &&String| owner.starts_with(['n', 'k']);
    assert_eq!(hidden.owners.intersection(&others.owners).find(|owner| !kept(owner)), None);
}
