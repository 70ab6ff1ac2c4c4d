//! The names by which a row of a snapshot depends on what was observed, for `dirty`, `dependencies` and `objects`.
//!
//! A name is all that is known under it: a row that looked something up under a name is joined again when
//! something under that name changed. Too many rows joined again cost time; one too few shows an old figure.

use std::{
    hash::{BuildHasher, Hash},
    sync::LazyLock,
};

use hashbrown::{DefaultHashBuilder, HashSet};

use super::observation::Key;
use model::vm::Kind;

/// What a row can look up. The first text is a namespace, unless the variant says otherwise.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) enum Name<'a> {
    /// A Wukong.
    Wukong(&'a str, &'a str),
    /// A VirtualMachine, its instance, and what names them: Wukongs, migrations, pods by their domain, and the
    /// answer of the guest's agent.
    Vm(&'a str, &'a str),
    /// The objects with this uid, and those that name it as their owner. Of no namespace.
    Uid(&'a str),
    /// The launcher pods with this generated prefix, and whether several VMs share it.
    PodPrefix(&'a str, &'a str),
    /// A pod and its samples.
    Pod(&'a str, &'a str),
    /// A claim, its PersistentVolume, the pods that mount it, and what kubelets report of it.
    Claim(&'a str, &'a str),
    /// A Longhorn volume, by its name alone.
    Longhorn(&'a str),
    /// An instance type; of no namespace if it is cluster-wide.
    Instancetype(&'a str, &'a str),
    /// A node, its kubelet and its virt-handler. Of no namespace.
    Node(&'a str),
    /// The pods on a node. No row looks it up: a node has many.
    PodsOn(&'a str),
    /// Node, namespace and name of a claim that a pod mounts there. Its pods have the claim's name too.
    Mount(&'a str, &'a str, &'a str),
    /// Namespace and name of a pod, and its volume. Its pod has the claim's name too.
    PodVolume(&'a str, &'a str, &'a str),
}

/// One seed for the whole program: nobody outside can make names that collide.
static HASHER: LazyLock<DefaultHashBuilder> = LazyLock::new(DefaultHashBuilder::default);

impl<'a> Name<'a> {
    pub fn claim(key: &'a Key) -> Self {
        Name::Claim(&key.namespace, &key.name)
    }

    pub fn vm(key: &'a Key) -> Self {
        Name::Vm(&key.namespace, &key.name)
    }

    pub fn hash(self) -> u64 {
        HASHER.hash_one(self)
    }

    /// Returns the hash that rows keep: half as large. Two names with the same hash cost a superfluous join.
    pub fn short_hash(self) -> u32 {
        self.hash() as u32
    }
}

/// The key of a row: each Wukong, VirtualMachine and VirtualMachineInstance may have one.
pub(super) type RowKey = (Kind, Key);

/// Names beyond which everything counts as changed.
const MOST_NAMES: usize = 400_000;

/// What changed since the last join.
#[derive(Debug, Default)]
pub(super) struct Touched {
    names: HashSet<u32>,
    /// Objects that were not there before, each of which may have a row.
    pub added: Vec<RowKey>,
    pub everything: bool,
}

impl Touched {
    pub fn touch(&mut self, name: Name) {
        self.names.insert(name.short_hash());
        if self.names.len() > MOST_NAMES {
            self.touch_everything();
        }
    }

    pub fn touch_hash(&mut self, name: u64) {
        self.names.insert(name as u32);
    }

    pub fn touch_everything(&mut self) {
        self.everything = true;
        self.names = HashSet::new();
    }

    pub fn has_any(&self, names: &[u32]) -> bool {
        !self.names.is_empty() && names.iter().any(|name| self.names.contains(name))
    }
}
