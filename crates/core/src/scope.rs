//! What a viewer may see, and the part of a snapshot that is left of it.
//!
//! [`Visible`] is the only way from a snapshot to what is served: every view takes it, so whatever counts or
//! names something is computed from rows that the viewer may see.

use std::{
    collections::BTreeMap,
    hash::{Hash, Hasher},
    sync::Arc,
};

use sha2::{Digest, Sha256};

use super::{Snapshot, findings::Findings, tallies};
use model::{
    Millis,
    groups::Node,
    insight::Insight,
    message::Message,
    source::{SourceHealth, SourceId, SourceState},
    totals::Totals,
    vm::{Kind, Vm},
};

/// Which rows a viewer may see: a row shows if the viewer may list the row's own kind in its namespace.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The kinds that the viewer may list in every namespace.
    everywhere: Kinds,
    /// The other kinds that the viewer may list, by namespace.
    namespaces: Arc<BTreeMap<Box<str>, Kinds>>,
    /// Whether the viewer may list nodes.
    nodes: bool,
    digest: u128,
}

/// A set of kinds of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds(u8);

impl Kinds {
    pub const ALL: Self = Self(0b111);

    /// Returns the set with this kind.
    #[must_use]
    pub fn with(self, kind: Kind) -> Self {
        Self(self.0 | 1 << kind as u8)
    }

    pub fn contains(self, kind: Kind) -> bool {
        self.0 & 1 << kind as u8 != 0
    }

    fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl Scope {
    /// Returns the scope of a viewer who may see everything.
    pub fn all() -> Self {
        Self::new(Kinds::ALL, BTreeMap::new(), true)
    }

    /// Returns the scope of a viewer who may see nothing.
    pub fn none() -> Self {
        Self::new(Kinds::default(), BTreeMap::new(), false)
    }

    /// Returns the scope of a viewer who may list these kinds everywhere, others in some namespaces, and
    /// perhaps nodes.
    pub fn new(everywhere: Kinds, namespaces: BTreeMap<Box<str>, Kinds>, nodes: bool) -> Self {
        let others = namespaces.into_iter().map(|(name, kinds)| (name, kinds.without(everywhere)));
        let namespaces: BTreeMap<_, _> = others.filter(|(_, kinds)| *kinds != Kinds::default()).collect();
        let digest = digest(everywhere, &namespaces, nodes);
        Self { everywhere, namespaces: Arc::new(namespaces), nodes, digest }
    }

    /// Returns whether the viewer may see rows of this kind in this namespace.
    pub fn allows(&self, kind: Kind, namespace: &str) -> bool {
        self.everywhere.contains(kind)
            || self.namespaces.get(namespace).is_some_and(|kinds| kinds.contains(kind))
    }

    /// Returns whether the viewer may see every VM.
    pub fn has_all_vms(&self) -> bool {
        self.everywhere == Kinds::ALL
    }

    /// Returns whether the viewer may see nodes.
    pub fn has_nodes(&self) -> bool {
        self.nodes
    }

    /// Returns whether the viewer may see every VM and every node. Only then are the details of sources
    /// shown, since they name nodes, permissions and objects of any namespace.
    pub fn is_all(&self) -> bool {
        self.has_all_vms() && self.nodes
    }

    /// Returns whether it allows everything that the other one allows.
    pub fn covers(&self, other: &Self) -> bool {
        let has = |namespace: &str, kinds: Kinds| {
            let own = self.namespaces.get(namespace).copied().unwrap_or_default();
            kinds.without(self.everywhere).without(own) == Kinds::default()
        };
        self.digest == other.digest
            || other.everywhere.without(self.everywhere) == Kinds::default()
                && (self.nodes || !other.nodes)
                && other.namespaces.iter().all(|(namespace, kinds)| has(namespace, *kinds))
    }

    /// Returns the number of namespaces in which the viewer may see some rows only because of a right for that
    /// namespace; `None` if they may see rows in all of them.
    pub fn namespaces(&self) -> Option<usize> {
        (self.everywhere == Kinds::default()).then(|| self.namespaces.len())
    }

    /// Returns about how many bytes it takes.
    pub fn bytes(&self) -> usize {
        let names = self.namespaces.keys().map(|name| name.len() + size_of::<(Box<str>, Kinds)>());
        size_of::<Self>() + names.sum::<usize>()
    }

    /// Returns a number that is equal for equal scopes: 128 bits of SHA-256.
    pub fn digest(&self) -> u128 {
        self.digest
    }
}

impl PartialEq for Scope {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
            && (self.everywhere, self.nodes) == (other.everywhere, other.nodes)
            && self.namespaces == other.namespaces
    }
}

impl Eq for Scope {}

impl Hash for Scope {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

fn digest(everywhere: Kinds, namespaces: &BTreeMap<Box<str>, Kinds>, nodes: bool) -> u128 {
    let mut hasher = Sha256::new();
    hasher.update([everywhere.0, u8::from(nodes)]);
    for (name, kinds) in namespaces {
        // No name of a namespace holds a zero byte.
        hasher.update(name.as_bytes());
        hasher.update([0, kinds.0]);
    }
    let digest = hasher.finalize();
    digest.iter().take(16).fold(0, |number, byte| number << 8 | u128::from(*byte))
}

/// What a viewer may see of one snapshot. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Visible {
    shown: Arc<Snapshot>,
    scope: Scope,
    findings: Arc<Findings>,
}

impl Visible {
    /// Returns the part of the snapshot that lies in the scope.
    pub fn new(snapshot: &Arc<Snapshot>, scope: &Scope) -> Self {
        let shown = if scope.is_all() { snapshot.clone() } else { Arc::new(restrict(snapshot, scope)) };
        Self { shown, scope: scope.clone(), findings: Arc::default() }
    }

    /// Returns the same with what is visible of these findings.
    #[must_use]
    pub fn with_findings(self, findings: Arc<Findings>) -> Self {
        Self { findings, ..self }
    }

    /// Returns when the findings were computed.
    pub fn findings_at(&self) -> Option<Millis> {
        self.findings.at
    }

    /// Returns the findings about VMs that the viewer may see, the most urgent first.
    pub fn findings(&self) -> impl Iterator<Item = &Insight> {
        self.findings.findings.iter().filter(|row| self.scope.allows(row.kind, &row.namespace))
    }

    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Returns the number of the snapshot, which grows with every snapshot.
    pub fn seq(&self) -> u64 {
        self.shown.seq
    }

    /// Returns the VMs, sorted by name, then namespace.
    pub fn vms(&self) -> &[Arc<Vm>] {
        &self.shown.vms
    }

    /// Returns the totals of the VMs.
    pub fn totals(&self) -> &Totals {
        &self.shown.totals
    }

    /// Returns the nodes, sorted by name; none if the viewer may not list nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.shown.nodes
    }

    pub fn sources(&self) -> &[SourceHealth] {
        &self.shown.sources
    }

    pub fn last_seen(&self) -> Option<Millis> {
        self.shown.last_seen
    }

    /// Returns whether every source was tried once.
    pub fn is_ready(&self) -> bool {
        self.shown.ready
    }
}

fn restrict(snapshot: &Snapshot, scope: &Scope) -> Snapshot {
    let vms: Vec<Arc<Vm>> = if scope.has_all_vms() {
        snapshot.vms.clone()
    } else {
        let allowed = |vm: &&Arc<Vm>| scope.allows(vm.summary.kind, &vm.summary.namespace);
        snapshot.vms.iter().filter(allowed).cloned().collect()
    };
    Snapshot {
        seq: snapshot.seq,
        at: snapshot.at,
        totals: Totals::of(vms.iter().map(|vm| &**vm)),
        nodes: if scope.nodes { snapshot.nodes.clone() } else { Arc::default() },
        sources: tallies::recount(
            snapshot.sources.iter().map(|source| state_alone(source, snapshot.at)),
            &vms,
        ),
        last_seen: snapshot
            .last_seen
            .map(|seen| if snapshot.at - seen < RECENT { snapshot.at } else { seen }),
        ready: snapshot.ready,
        targets: Default::default(),
        vms,
    }
}

/// For viewers who may not see everything, a source that answered within this time has answered now.
const RECENT: Millis = 5_000;
/// Their times of sources are rounded to this, so that they do not tell when a hidden object changed.
const STEP: Millis = 15_000;

/// Returns the state of a source and since when it holds. The rest names nodes, permissions and objects, or
/// counts VMs, of any namespace. So does the exact time of the last answer: a watch answers when an object
/// changes. A healthy source says how late it is now.
fn state_alone(source: &SourceHealth, at: Millis) -> SourceHealth {
    // Destructured, so that a new field does not compile until it is handled here.
    let SourceHealth {
        id,
        state,
        reason,
        error: _,
        fix: _,
        warning: _,
        last_success,
        last_bytes: _,
        latency: _,
        reviews: _,
        vms: _,
        volumes: _,
        vms_missing: _,
        vms_stale: _,
        node: _,
    } = source;
    SourceHealth {
        id: *id,
        state: *state,
        reason: *reason,
        error: Message::default(),
        fix: Message::default(),
        warning: Message::default(),
        // The last review tells when somebody else looked.
        last_success: last_success.filter(|_| *id != SourceId::AccessReviews).map(|last| {
            let time = if *state == SourceState::Healthy { at } else { last };
            time - time.rem_euclid(STEP)
        }),
        last_bytes: None,
        latency: None,
        reviews: None,
        vms: 0,
        volumes: 0,
        vms_missing: 0,
        vms_stale: 0,
        node: String::new(),
    }
}
