//! Limits how many bytes of facts are kept, of one collection and of all together, and lets one namespace use half of
//! them at most. So a tenant of one namespace cannot push out the objects of the others.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    mem::take,
    sync::Arc,
};

use parking_lot::Mutex;

use wukong_core::observation::Key;

/// Bytes by namespace.
type Bytes = HashMap<Box<str>, usize>;

/// What the objects of all collections may take together. Clones share it.
#[derive(Clone, Debug)]
pub struct TotalQuota {
    limit: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_namespace: Bytes,
}

impl TotalQuota {
    /// A quota of `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, taken: Arc::default() }
    }

    fn admit(&self, namespace: &str, weight: usize) -> bool {
        let mut taken = self.taken.lock();
        let own = taken.by_namespace.get(namespace).copied().unwrap_or_default();
        let fits = fits(taken.all, weight, self.limit) && fits(own, weight, self.limit / 2);
        if fits {
            taken.all += weight;
            add(&mut taken.by_namespace, namespace, weight);
        }
        fits
    }

    fn give_back(&self, namespace: &str, weight: usize) {
        let mut taken = self.taken.lock();
        taken.all -= weight;
        subtract(&mut taken.by_namespace, namespace, weight);
    }

    fn fullest(&self) -> Option<String> {
        fullest(&self.taken.lock().by_namespace).map(str::to_owned)
    }
}

/// Why objects of a collection are left out.
#[derive(Debug)]
pub struct Crowd {
    /// The limit in bytes that was reached: of this collection, or of all together.
    pub limit: usize,
    pub of_all: bool,
    /// The namespace whose objects take the most of it.
    pub fullest: String,
}

/// The quota of one collection, and what its objects take.
#[derive(Debug)]
pub struct Quota {
    /// The limit in bytes for all objects.
    limit: usize,
    taken: usize,
    by_namespace: Bytes,
    /// What each object takes, by the hash of its key: the keys themselves are held by the join.
    objects: HashMap<u64, usize>,
    hasher: RandomState,
    total: TotalQuota,
    /// What this collection takes of the total.
    charged: Bytes,
    /// What the list before takes of the total, while this one replaces it.
    credit: Bytes,
    /// Whether the total was too small for an object.
    total_reached: bool,
}

impl Quota {
    /// A quota of `limit` bytes, within the total of all collections.
    pub fn new(limit: usize, total: &TotalQuota) -> Self {
        Self {
            limit,
            taken: 0,
            by_namespace: HashMap::new(),
            objects: HashMap::new(),
            hasher: RandomState::new(),
            total: total.clone(),
            charged: HashMap::new(),
            credit: HashMap::new(),
            total_reached: false,
        }
    }

    /// A quota for a new list of the same collection. Until the new list replaces the old one, it takes of the total
    /// only what it needs beyond the old one.
    pub fn successor(&self) -> Self {
        let mut successor = Self::new(self.limit, &self.total);
        successor.credit.clone_from(&self.charged);
        successor
    }

    /// Replaces the quota of the list before.
    pub fn replace(&mut self, mut before: Self) {
        self.credit.clear();
        for (namespace, bytes) in take(&mut before.charged) {
            add(&mut self.charged, &namespace, bytes);
        }
        let namespaces: Vec<_> = self.charged.keys().cloned().collect();
        namespaces.iter().for_each(|namespace| {
            self.charge(namespace);
        });
    }

    /// Whether there is room for this version of the object. If not, the object takes no room any more.
    pub fn admit(&mut self, key: &Key, weight: usize) -> bool {
        self.leave(key);
        let own = self.by_namespace.get(&key.namespace).copied().unwrap_or_default();
        if !fits(self.taken, weight, self.limit) || !fits(own, weight, self.limit / 2) {
            return false;
        }
        add(&mut self.by_namespace, &key.namespace, weight);
        if !self.charge(&key.namespace) {
            subtract(&mut self.by_namespace, &key.namespace, weight);
            self.total_reached = true;
            return false;
        }
        self.taken += weight;
        self.objects.insert(self.hasher.hash_one(key), weight);
        true
    }

    /// Gives back what the object takes, if anything.
    pub fn leave(&mut self, key: &Key) {
        let Some(weight) = self.objects.remove(&self.hasher.hash_one(key)) else { return };
        self.taken -= weight;
        subtract(&mut self.by_namespace, &key.namespace, weight);
        self.charge(&key.namespace);
    }

    /// Takes of the total what the namespace's objects take, or gives the rest back. Returns whether that fits.
    fn charge(&mut self, namespace: &str) -> bool {
        let bytes = |of: &Bytes| of.get(namespace).copied().unwrap_or_default();
        let wanted = bytes(&self.by_namespace).saturating_sub(bytes(&self.credit));
        let charged = bytes(&self.charged);
        if wanted > charged {
            if !self.total.admit(namespace, wanted - charged) {
                return false;
            }
            add(&mut self.charged, namespace, wanted - charged);
        } else if wanted < charged {
            self.total.give_back(namespace, charged - wanted);
            subtract(&mut self.charged, namespace, charged - wanted);
        }
        true
    }

    /// Returns which limit leaves objects out, and whose objects take the most of it.
    pub fn crowd(&self) -> Crowd {
        match self.total_reached {
            true => Crowd {
                limit: self.total.limit,
                of_all: true,
                fullest: self.total.fullest().unwrap_or_default(),
            },
            false => Crowd {
                limit: self.limit,
                of_all: false,
                fullest: fullest(&self.by_namespace).unwrap_or_default().to_owned(),
            },
        }
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        for (namespace, bytes) in take(&mut self.charged) {
            self.total.give_back(&namespace, bytes);
        }
    }
}

fn fits(taken: usize, weight: usize, limit: usize) -> bool {
    taken.checked_add(weight).is_some_and(|sum| sum <= limit)
}

fn add(bytes: &mut Bytes, namespace: &str, weight: usize) {
    match bytes.get_mut(namespace) {
        Some(own) => *own += weight,
        None => drop(bytes.insert(namespace.into(), weight)),
    }
}

fn subtract(bytes: &mut Bytes, namespace: &str, weight: usize) {
    if let Some(own) = bytes.get_mut(namespace) {
        *own -= weight;
        if *own == 0 {
            bytes.remove(namespace);
        }
    }
}

fn fullest(bytes: &Bytes) -> Option<&str> {
    bytes.iter().max_by_key(|(_, taken)| **taken).map(|(namespace, _)| &**namespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_namespace_takes_half_and_leaves_the_others_theirs() {
        let mut quota = Quota::new(100, &TotalQuota::new(usize::MAX));
        let key = |namespace: &str, n: u32| Key::new(namespace, &n.to_string());
        let admitted = (0..1000).filter(|n| quota.admit(&key("a", *n), 10)).count();
        assert_eq!((admitted, &*quota.crowd().fullest), (5, "a"));
        let others = (0..10).filter(|n| quota.admit(&key(&format!("ns-{n}"), 0), 10)).count();
        assert_eq!(others, 5, "all is taken");
        assert!(!quota.admit(&key("ns-9", 0), 10));
        quota.leave(&key("a", 0));
        assert!(quota.admit(&key("ns-9", 0), 10), "what leaves makes quota");
    }

    #[test]
    fn an_object_takes_what_its_last_version_does() {
        let mut quota = Quota::new(100, &TotalQuota::new(usize::MAX));
        let key = Key::new("a", "x");
        for (weight, fits) in [(50, true), (10, true), (51, false), (50, true), (usize::MAX, false)] {
            assert_eq!(quota.admit(&key, weight), fits, "{weight}");
        }
        assert_eq!((quota.taken, quota.objects.len(), quota.by_namespace.len()), (0, 0, 0));
        quota.leave(&key);
        assert_eq!(quota.taken, 0);
    }

    fn total(total: &TotalQuota) -> usize {
        total.taken.lock().all
    }

    #[test]
    fn all_collections_share_the_total_and_one_namespace_has_half_of_it() {
        let all = TotalQuota::new(100);
        let mut quotas = [(); 3].map(|()| Quota::new(80, &all));
        let key = |namespace: &str, n: u32| Key::new(namespace, &n.to_string());
        let mut admitted = 0;
        for quota in &mut quotas {
            admitted += (0..10).filter(|n| quota.admit(&key("a", *n), 10)).count();
        }
        assert_eq!(admitted, 5, "each collection alone had room for four");
        let crowd = quotas[2].crowd();
        assert_eq!((crowd.limit, crowd.of_all, &*crowd.fullest), (100, true, "a"));
        let others = (0..10).filter(|n| quotas[2].admit(&key(&format!("ns-{n}"), 0), 10)).count();
        assert_eq!((others, total(&all)), (5, 100));
        quotas[0].leave(&key("a", 0));
        assert!(quotas[1].admit(&key("a", 7), 10), "what leaves one collection is free for another");
        drop(quotas);
        assert_eq!((total(&all), all.taken.lock().by_namespace.len()), (0, 0));
    }

    #[test]
    fn a_list_that_replaces_another_takes_the_total_once() {
        let all = TotalQuota::new(100);
        let mut quota = Quota::new(80, &all);
        let admit = |quota: &mut Quota, namespace: &str, objects: std::ops::Range<u32>| {
            objects.filter(|n| quota.admit(&Key::new(namespace, &n.to_string()), 10)).count()
        };
        assert_eq!((admit(&mut quota, "a", 0..4), admit(&mut quota, "b", 0..4)), (4, 4));
        let mut failed = quota.successor();
        assert_eq!((admit(&mut failed, "a", 0..4), admit(&mut failed, "c", 0..2)), (4, 2));
        assert_eq!(total(&all), 100);
        drop(failed);
        assert_eq!(total(&all), 80, "a list that failed leaves nothing");
        let mut next = quota.successor();
        assert_eq!((admit(&mut next, "a", 0..2), admit(&mut next, "c", 0..2)), (2, 2));
        next.replace(quota);
        assert_eq!(total(&all), 40);
        assert_eq!(admit(&mut next, "a", 2..4), 2);
        assert_eq!(total(&all), 60);
        drop(next);
        assert_eq!((total(&all), all.taken.lock().by_namespace.len()), (0, 0));
    }
}
