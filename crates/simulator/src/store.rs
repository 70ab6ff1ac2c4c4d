//! Objects with resource versions, and a bounded log of their changes, as in etcd and the API server's watch
//! cache. It does not depend on what an object is.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    ops::Bound,
    sync::Arc,
};

use super::resource::Resource;

/// One version of an object.
#[derive(Debug)]
pub struct Entry<B> {
    pub key: Box<str>,
    pub revision: u64,
    pub body: B,
}

/// A change. Without `before` it is an addition, without `after` a deletion.
#[derive(Debug)]
pub struct Event<B> {
    pub revision: u64,
    pub resource: Resource,
    pub before: Option<Arc<Entry<B>>>,
    pub after: Option<Arc<Entry<B>>>,
}

/// The requested revision has left the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expired {
    pub oldest: u64,
}

/// The objects of all resources, with one revision counter.
#[derive(Debug)]
pub struct Store<B> {
    revision: u64,
    /// All events after this revision are in the log.
    compacted: u64,
    window: usize,
    objects: HashMap<Resource, BTreeMap<Box<str>, Arc<Entry<B>>>>,
    log: VecDeque<Arc<Event<B>>>,
}

impl<B> Store<B> {
    /// Returns an empty store that remembers the last `window` changes.
    pub fn new(window: usize) -> Self {
        Self { revision: 1, compacted: 1, window, objects: HashMap::new(), log: VecDeque::new() }
    }

    pub fn revision(&self) -> u64 {
        self.revision
    }

    pub fn get(&self, resource: Resource, key: &str) -> Option<Arc<Entry<B>>> {
        self.objects.get(&resource)?.get(key).cloned()
    }

    /// Adds or replaces an object, at a new revision.
    pub fn put(&mut self, resource: Resource, key: &str, body: B) {
        self.revision += 1;
        let entry = Arc::new(Entry { key: key.into(), revision: self.revision, body });
        let before = self.objects.entry(resource).or_default().insert(key.into(), entry.clone());
        self.record(resource, before, Some(entry));
    }

    /// Removes an object; returns false if there is none.
    pub fn remove(&mut self, resource: Resource, key: &str) -> bool {
        let Some(before) = self.objects.get_mut(&resource).and_then(|map| map.remove(key)) else {
            return false;
        };
        self.revision += 1;
        self.record(resource, Some(before), None);
        true
    }

    /// Forgets every change so far: requests for an older revision are answered with 410.
    pub fn compact(&mut self) {
        self.log.clear();
        self.compacted = self.revision;
    }

    /// Returns the objects whose key starts with `prefix` and is greater than `after`, as they were at
    /// `revision`. Fails if the revision has left the log.
    pub fn list(
        &self,
        resource: Resource,
        prefix: &str,
        after: &str,
        revision: u64,
    ) -> Result<Vec<Arc<Entry<B>>>, Expired> {
        let mut past = self.undone(resource, revision)?;
        past.retain(|key, _| key.starts_with(prefix) && **key > *after);
        let mut found = Vec::new();
        for (key, entry) in self.range(resource, prefix, after) {
            match past.remove(key) {
                Some(old) => found.extend(old),
                None => found.push(entry.clone()),
            }
        }
        let deleted: Vec<_> = past.into_values().flatten().collect();
        if !deleted.is_empty() {
            found.extend(deleted);
            found.sort_by(|a, b| a.key.cmp(&b.key));
        }
        Ok(found)
    }

    /// Returns the changes of a resource after `revision`, oldest first. Fails if the revision has left the
    /// log.
    pub fn since(&self, resource: Resource, revision: u64) -> Result<Vec<Arc<Event<B>>>, Expired> {
        self.check(revision)?;
        let start = self.log.partition_point(|event| event.revision <= revision);
        Ok(self.log.range(start..).filter(|event| event.resource == resource).cloned().collect())
    }

    fn check(&self, revision: u64) -> Result<(), Expired> {
        if revision < self.compacted { Err(Expired { oldest: self.compacted }) } else { Ok(()) }
    }

    /// Returns the keys that changed after `revision`, with their entries at that revision.
    fn undone(&self, resource: Resource, revision: u64) -> Result<OldVersions<'_, B>, Expired> {
        self.check(revision)?;
        let mut past = HashMap::new();
        for event in self.log.iter().rev().take_while(|event| event.revision > revision) {
            let side = event.after.as_ref().or(event.before.as_ref());
            if let (true, Some(entry)) = (event.resource == resource, side) {
                past.insert(&*entry.key, event.before.clone());
            }
        }
        Ok(past)
    }

    fn range<'a>(
        &'a self,
        resource: Resource,
        prefix: &'a str,
        after: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a Arc<Entry<B>>)> {
        let start = if after.is_empty() { Bound::Included(prefix) } else { Bound::Excluded(after) };
        let map = self.objects.get(&resource);
        map.into_iter()
            .flat_map(move |map| map.range::<str, _>((start, Bound::Unbounded)))
            .map(|(key, entry)| (&**key, entry))
            .take_while(move |(key, _)| key.starts_with(prefix))
    }

    fn record(&mut self, resource: Resource, before: Option<Arc<Entry<B>>>, after: Option<Arc<Entry<B>>>) {
        self.log.push_back(Arc::new(Event { revision: self.revision, resource, before, after }));
        while self.log.len() > self.window {
            if let Some(event) = self.log.pop_front() {
                self.compacted = event.revision;
            }
        }
    }
}

type OldVersions<'a, B> = HashMap<&'a str, Option<Arc<Entry<B>>>>;

#[cfg(test)]
mod tests {
    use super::*;
    use Resource::{Nodes, Pods};

    fn names(found: Vec<Arc<Entry<u32>>>) -> Vec<(String, u32)> {
        found.iter().map(|entry| (entry.key.to_string(), entry.body)).collect()
    }

    #[test]
    fn an_old_revision_is_listed_as_it_was() {
        let mut store = Store::new(100);
        store.put(Pods, "a/x", 1);
        store.put(Pods, "a/y", 2);
        store.put(Nodes, "a", 9);
        let then = store.revision();
        store.put(Pods, "a/x", 10);
        store.put(Pods, "a/x", 11);
        store.remove(Pods, "a/y");
        store.put(Pods, "a/z", 3);
        let at = |prefix: &str, after: &str, rv| names(store.list(Pods, prefix, after, rv).unwrap());
        assert_eq!(at("", "", then), [("a/x".into(), 1), ("a/y".into(), 2)]);
        assert_eq!(at("", "", store.revision()), [("a/x".into(), 11), ("a/z".into(), 3)]);
        assert_eq!(at("", "a/x", then), [("a/y".into(), 2)]);
        assert_eq!(at("b/", "", then), []);
    }

    #[test]
    fn the_window_forgets_and_says_so() {
        let mut store = Store::new(2);
        for n in 0..4 {
            store.put(Pods, "a/x", n);
        }
        let now = store.revision();
        assert_eq!(store.since(Pods, now - 2).unwrap().len(), 2);
        assert_eq!(store.since(Pods, now - 3).unwrap_err(), Expired { oldest: now - 2 });
        assert!(store.list(Pods, "", "", now - 3).is_err());
        store.compact();
        assert!(store.since(Pods, now - 1).is_err());
        assert!(store.since(Pods, now).unwrap().is_empty());
    }

    #[test]
    fn a_namespace_is_not_a_prefix_of_another() {
        let mut store = Store::new(10);
        store.put(Pods, "shop/x", 1);
        store.put(Pods, "shop-eu/x", 2);
        assert_eq!(names(store.list(Pods, "shop/", "", store.revision()).unwrap()), [("shop/x".into(), 1)]);
    }
}
