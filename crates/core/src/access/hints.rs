//! Which namespaces could matter to whom, by the bindings of the cluster. A hint only decides what is asked
//! first: other authorisers know no bindings, and a role behind a binding may allow something else.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use super::UserInfo;

/// Whom a binding names. A ServiceAccount is the user `system:serviceaccount:NAMESPACE:NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    User(String),
    Group(String),
}

/// A namespace, or `None` for the whole cluster.
type BindingScope = Option<Arc<str>>;

/// The bindings of each subject. Each place has a number that differs when what it binds the subject to has
/// changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BindingHints {
    subjects: HashMap<Subject, BTreeMap<BindingScope, u64>>,
}

impl BindingHints {
    /// Adds a binding: where it grants something, to whom, and the role. A binding's other parts change no right.
    pub fn add(&mut self, place: Option<Arc<str>>, subjects: impl IntoIterator<Item = Subject>, role: &str) {
        let mut hasher = DefaultHasher::new();
        role.hash(&mut hasher);
        let number = hasher.finish();
        for subject in subjects {
            // The sum does not depend on the order of bindings.
            let sum = self.subjects.entry(subject).or_default().entry(place.clone()).or_default();
            *sum = sum.wrapping_add(number);
        }
    }

    /// Returns the places of a user's bindings, their own and those of their groups, each with its number.
    pub fn places_of(&self, user: &UserInfo) -> BTreeMap<BindingScope, u64> {
        let groups = user.groups.iter().map(|group| Subject::Group(group.clone()));
        let mut places = BTreeMap::new();
        for subject in groups.chain([Subject::User(user.name.clone())]) {
            for (place, number) in self.subjects.get(&subject).into_iter().flatten() {
                let sum: &mut u64 = places.entry(place.clone()).or_default();
                *sum = sum.wrapping_add(*number);
            }
        }
        places
    }
}
