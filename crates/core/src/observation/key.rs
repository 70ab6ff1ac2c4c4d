//! The names by which objects are found.

/// Namespace and name of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub namespace: Box<str>,
    pub name: Box<str>,
}

impl Key {
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

/// Namespace and name for a lookup, borrowed, so that no [`Key`] is allocated.
#[derive(Hash)]
pub struct KeyRef<'a>(pub &'a str, pub &'a str);

impl hashbrown::Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        (self.1, self.0) == (&*key.name, &*key.namespace)
    }
}
