//! Keeps the watched objects of one kind, by key and by the other names under which rows look them up. The
//! indexes follow each change, so that no join builds them. `ClusterState` has one [`Objects`] for each kind.

use std::{cmp::Ordering, fmt::Debug, ops::Deref, slice, sync::Arc};

use hashbrown::{HashMap, HashSet};

use super::{
    observation::{Change, Key, Named},
    touched::{Name, Touched},
};
use model::vm::Kind;

/// What is kept of one object. `dirty` implements it for each kind.
pub(super) trait Facts: Named + PartialEq + Debug {
    /// The kind of row that an object of this kind may have.
    const ROW: Option<Kind> = None;

    /// Visits each name under which a row may look the object up.
    fn names(&self, visit: &mut dyn FnMut(Name));

    /// Whether objects are looked up by this name, rather than by key.
    fn is_index(_name: &Name) -> bool {
        false
    }

    /// Whether all rows look the same with either of the two.
    fn is_same(&self, other: &Self) -> bool {
        self == other
    }

    /// The order of objects of one name.
    fn order(&self, other: &Self) -> Ordering {
        (self.namespace(), self.name()).cmp(&(other.namespace(), other.name()))
    }
}

/// Objects of one kind.
#[derive(Debug)]
pub(super) struct Objects<T> {
    by_key: HashMap<Key, Arc<T>>,
    by_name: HashMap<u64, NamedObjects<T>>,
    /// Whether any object changed since the last join, whether any was added, and whether any was removed.
    pub changed: bool,
    pub grown: bool,
    pub shrunk: bool,
}

impl<T> Default for Objects<T> {
    fn default() -> Self {
        Self { by_key: HashMap::new(), by_name: HashMap::new(), changed: false, grown: false, shrunk: false }
    }
}

/// For reading. Only the methods of [`Objects`] change it, and touch the names of what they change.
impl<T> Deref for Objects<T> {
    type Target = HashMap<Key, Arc<T>>;

    fn deref(&self) -> &Self::Target {
        &self.by_key
    }
}

impl<T: Facts> Objects<T> {
    /// Returns the objects of this name in their order. The hash of another name may be the same: check that
    /// they have it.
    pub fn named(&self, name: Name) -> &[Arc<T>] {
        self.by_name.get(&name.hash()).map(NamedObjects::as_slice).unwrap_or_default()
    }

    pub fn apply(&mut self, change: Change<T>, touched: &mut Touched) {
        match change {
            Change::Replaced { namespace, items, .. } => {
                let items = items.into_iter().filter(Named::is_of_use);
                let mut gone: HashSet<Key> = self.keys_in(namespace.as_deref()).collect();
                for item in items {
                    gone.remove(&item.key());
                    self.insert(item, touched);
                }
                gone.iter().for_each(|key| self.remove(key, touched));
            }
            Change::Applied { item, .. } if item.is_of_use() => self.insert(item, touched),
            Change::Applied { item, .. } => self.remove(&item.key(), touched),
            Change::Deleted { key, .. } => self.remove(&key, touched),
        }
    }

    /// Removes all objects, or those of one namespace.
    pub fn clear(&mut self, namespace: Option<&str>, touched: &mut Touched) {
        let gone: Vec<Key> = self.keys_in(namespace).collect();
        gone.iter().for_each(|key| self.remove(key, touched));
    }

    fn keys_in<'a>(&'a self, namespace: Option<&'a str>) -> impl Iterator<Item = Key> + 'a {
        let is_in = move |key: &&Key| namespace.is_none_or(|namespace| *key.namespace == *namespace);
        self.by_key.keys().filter(is_in).cloned()
    }

    pub fn insert(&mut self, item: T, touched: &mut Touched) {
        let key = item.key();
        let before = self.by_key.get(&key).cloned();
        match &before {
            Some(before) => {
                if !before.is_same(&item) {
                    self.changed = true;
                    before.names(&mut |name| touched.touch(name));
                    item.names(&mut |name| touched.touch(name));
                }
                self.remove_from_index(before);
            }
            None => {
                (self.changed, self.grown) = (true, true);
                item.names(&mut |name| touched.touch(name));
                touched.added.extend(T::ROW.map(|kind| (kind, key.clone())));
            }
        }
        let item = Arc::new(item);
        self.add_to_index(&item);
        self.by_key.insert(key, item);
    }

    pub fn remove(&mut self, key: &Key, touched: &mut Touched) {
        if let Some(gone) = self.by_key.remove(key) {
            (self.changed, self.shrunk) = (true, true);
            gone.names(&mut |name| touched.touch(name));
            self.remove_from_index(&gone);
        }
    }

    fn add_to_index(&mut self, item: &Arc<T>) {
        let by_name = &mut self.by_name;
        item.names(&mut |name| {
            if T::is_index(&name) {
                match by_name.entry(name.hash()) {
                    hashbrown::hash_map::Entry::Vacant(entry) => {
                        entry.insert(NamedObjects::One(item.clone()));
                    }
                    hashbrown::hash_map::Entry::Occupied(mut entry) => entry.get_mut().add(item),
                }
            }
        });
    }

    fn remove_from_index(&mut self, item: &T) {
        let by_name = &mut self.by_name;
        item.names(&mut |name| {
            if T::is_index(&name)
                && let hashbrown::hash_map::Entry::Occupied(mut entry) = by_name.entry(name.hash())
                && entry.get_mut().remove(item)
            {
                entry.remove();
            }
        });
    }

    /// Whether the index is what it would be if it were built now.
    #[cfg(test)]
    pub fn is_index_exact(&self) -> bool {
        let mut fresh = Self::default();
        self.by_key.values().for_each(|item| fresh.add_to_index(item));
        let is_same = |(name, few): (&u64, &NamedObjects<T>)| {
            let fresh = fresh.by_name.get(name).map(NamedObjects::as_slice).unwrap_or_default();
            fresh.len() == few.as_slice().len()
                && std::iter::zip(fresh, few.as_slice()).all(|(a, b)| Arc::ptr_eq(a, b))
        };
        fresh.by_name.len() == self.by_name.len() && self.by_name.iter().all(is_same)
    }
}

/// The objects of one name, in their order. Most names have one object, which takes no allocation.
#[derive(Debug)]
enum NamedObjects<T> {
    One(Arc<T>),
    Many(Vec<Arc<T>>),
}

impl<T> NamedObjects<T> {
    fn as_slice(&self) -> &[Arc<T>] {
        match self {
            Self::One(item) => slice::from_ref(item),
            Self::Many(items) => items,
        }
    }
}

impl<T: Facts> NamedObjects<T> {
    /// Adds an object, unless it is among them: some objects have a name twice.
    fn add(&mut self, item: &Arc<T>) {
        if let Self::One(one) = self {
            *self = Self::Many(vec![one.clone()]);
        }
        if let Self::Many(items) = self
            && let Err(place) = items.binary_search_by(|of| of.order(item))
        {
            items.insert(place, item.clone());
        }
    }

    /// Removes an object. Returns whether none is left.
    fn remove(&mut self, item: &T) -> bool {
        match self {
            Self::One(one) => one.order(item).is_eq(),
            Self::Many(items) => {
                if let Ok(place) = items.binary_search_by(|of| of.order(item)) {
                    items.remove(place);
                }
                items.is_empty()
            }
        }
    }
}
