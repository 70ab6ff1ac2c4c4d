//! Where there is something to ask about, and a set of such places.

use std::{collections::HashMap, sync::Arc};

use model::vm::Kind;

use super::{Question, ReviewedResource};

/// A namespace, and a kind of rows in it.
pub(super) type Place = (Arc<str>, Kind);

/// The namespaces that hold rows, and the kinds of these rows. The order never changes while it is kept, so
/// that what users know about a place stays valid.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    pub all: Vec<Place>,
    /// The index in `all` of each place that still holds rows. A namespace that was deleted and created again has a new,
    /// higher index.
    pub live: HashMap<Place, usize>,
}

impl Places {
    /// Returns the question about the place of this index. `None` if it holds no rows any more.
    pub fn question(&self, at: usize) -> Option<Question> {
        let place @ (namespace, kind) = self.all.get(at)?;
        let question =
            || Question { namespace: Some(namespace.clone()), resource: ReviewedResource::Rows(*kind) };
        // A place that came back has a higher index.
        (self.index_of(place)? == at).then(question)
    }

    /// Returns the index of a place that holds rows.
    pub fn index_of(&self, place: &Place) -> Option<usize> {
        self.live.get(place).copied()
    }

    /// Returns the index of a question's place.
    pub fn index(&self, question: &Question) -> Option<usize> {
        match (&question.namespace, question.resource) {
            (Some(namespace), ReviewedResource::Rows(kind)) => self.index_of(&(namespace.clone(), kind)),
            _ => None,
        }
    }
}

/// A set of places: a bit each, since there are as many as there are users and namespaces.
#[derive(Clone, Debug, Default)]
pub(super) struct PlaceSet(Vec<u64>);

impl PlaceSet {
    pub fn contains(&self, at: usize) -> bool {
        self.0.get(at / 64).is_some_and(|bits| bits >> (at % 64) & 1 == 1)
    }

    pub fn insert(&mut self, at: usize) {
        let word = at / 64;
        self.0.resize(self.0.len().max(word + 1), 0);
        self.0[word] |= 1 << (at % 64);
    }
}

impl FromIterator<usize> for PlaceSet {
    fn from_iter<I: IntoIterator<Item = usize>>(places: I) -> Self {
        let mut set = Self::default();
        places.into_iter().for_each(|at| set.insert(at));
        set
    }
}
