//! Limits how many bytes of facts are kept of one collection, and lets one namespace use half of them at
//! most. So a tenant of one namespace cannot push out the objects of the others.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
};

use wukong_core::observation::Key;

/// The quota of one collection, and what its objects take.
#[derive(Debug)]
pub struct Quota {
    /// The limit in bytes for all objects.
    limit: usize,
    taken: usize,
    by_namespace: HashMap<Box<str>, usize>,
    /// What each object takes, by the hash of its key: the keys themselves are held by the join.
    objects: HashMap<u64, usize>,
    hasher: RandomState,
}

impl Quota {
    /// A quota of `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            taken: 0,
            by_namespace: HashMap::new(),
            objects: HashMap::new(),
            hasher: RandomState::new(),
        }
    }

    /// Whether there is room for this version of the object. If not, the object takes no room any more.
    pub fn admit(&mut self, key: &Key, weight: usize) -> bool {
        self.leave(key);
        let own = self.by_namespace.get(&key.namespace).copied().unwrap_or_default();
        let fits = |taken: usize, limit: usize| taken.checked_add(weight).is_some_and(|sum| sum <= limit);
        if !fits(self.taken, self.limit) || !fits(own, self.limit / 2) {
            return false;
        }
        self.taken += weight;
        match self.by_namespace.get_mut(&key.namespace) {
            Some(own) => *own += weight,
            None => drop(self.by_namespace.insert(key.namespace.clone(), weight)),
        }
        self.objects.insert(self.hasher.hash_one(key), weight);
        true
    }

    /// Gives back what the object takes, if anything.
    pub fn leave(&mut self, key: &Key) {
        let Some(weight) = self.objects.remove(&self.hasher.hash_one(key)) else { return };
        self.taken -= weight;
        if let Some(own) = self.by_namespace.get_mut(&key.namespace) {
            *own -= weight;
            if *own == 0 {
                self.by_namespace.remove(&key.namespace);
            }
        }
    }

    /// The limit in bytes for all objects.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// The namespace whose objects take the most.
    pub fn fullest(&self) -> Option<&str> {
        self.by_namespace.iter().max_by_key(|(_, taken)| **taken).map(|(namespace, _)| &**namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_namespace_takes_half_and_leaves_the_others_theirs() {
        let mut quota = Quota::new(100);
        let key = |namespace: &str, n: u32| Key::new(namespace, &n.to_string());
        let admitted = (0..1000).filter(|n| quota.admit(&key("a", *n), 10)).count();
        assert_eq!((admitted, quota.fullest()), (5, Some("a")));
        let others = (0..10).filter(|n| quota.admit(&key(&format!("ns-{n}"), 0), 10)).count();
        assert_eq!(others, 5, "all is taken");
        assert!(!quota.admit(&key("ns-9", 0), 10));
        quota.leave(&key("a", 0));
        assert!(quota.admit(&key("ns-9", 0), 10), "what leaves makes quota");
    }

    #[test]
    fn an_object_takes_what_its_last_version_does() {
        let mut quota = Quota::new(100);
        let key = Key::new("a", "x");
        for (weight, fits) in [(50, true), (10, true), (51, false), (50, true), (usize::MAX, false)] {
            assert_eq!(quota.admit(&key, weight), fits, "{weight}");
        }
        assert_eq!((quota.taken, quota.objects.len(), quota.by_namespace.len()), (0, 0, 0));
        quota.leave(&key);
        assert_eq!(quota.taken, 0);
    }
}
