//! Names of the claims and instances for which figures are kept. A source that answers about everything
//! in one piece, such as Prometheus, keeps nothing of other names: anybody who runs an exporter can invent them.

use std::hash::{BuildHasher, RandomState};

/// Names of claims and instances, by the hash of each: 8 bytes, however long the name is.
#[derive(Clone, Debug, Default)]
pub struct TrackedNames {
    hasher: RandomState,
    /// Sorted.
    claims: Box<[u64]>,
    instances: Box<[u64]>,
}

impl TrackedNames {
    /// The names of these claims and instances, each with its namespace.
    pub fn new<'a>(
        claims: impl Iterator<Item = (&'a str, &'a str)>,
        instances: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        Self::hashed_by(RandomState::new(), claims, instances)
    }

    /// The same with a given hasher: only values with the same hasher can be compared.
    pub fn hashed_by<'a>(
        hasher: RandomState,
        claims: impl Iterator<Item = (&'a str, &'a str)>,
        instances: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let sorted = |mut hashes: Vec<u64>| {
            hashes.sort_unstable();
            hashes.dedup();
            hashes.into_boxed_slice()
        };
        let claims = sorted(claims.map(|name| hasher.hash_one(name)).collect());
        let instances = sorted(instances.map(|name| hasher.hash_one(name)).collect());
        Self { hasher, claims, instances }
    }

    pub fn has_claim(&self, namespace: &str, name: &str) -> bool {
        self.claims.binary_search(&self.hasher.hash_one((namespace, name))).is_ok()
    }

    pub fn has_instance(&self, namespace: &str, name: &str) -> bool {
        self.instances.binary_search(&self.hasher.hash_one((namespace, name))).is_ok()
    }
}

impl PartialEq for TrackedNames {
    fn eq(&self, other: &Self) -> bool {
        (&self.claims, &self.instances) == (&other.claims, &other.instances)
    }
}

impl Eq for TrackedNames {}
