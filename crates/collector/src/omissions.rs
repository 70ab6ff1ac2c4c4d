//! Records which objects of a source are not known, because they are larger or more than this program keeps.
//! The record is reported beside the known objects, and entries are removed once an object is small again.

use std::{
    collections::{BTreeSet, HashSet},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    error::source_error,
    quota::{Crowd, Quota},
};
use i18n::Render;
use i18n::msg;
use model::{message::Message, reason::Reason};
use wukong_core::observation::{Key, SourceError};

/// How many objects are remembered in each set; the rest are only counted, or ignored.
const REMEMBERED: usize = 10_000;
/// How many objects are named to people.
const NAMED: usize = 3;
/// The minimum time between two log messages about one collection: an object may grow and shrink at any rate.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// The omitted objects of one collection.
#[derive(Debug, Default)]
pub struct Omissions {
    /// Objects that are larger than is read, or not readable.
    left_out: ObjectNames,
    /// Objects with lists that were cut.
    shortened: ObjectNames,
    /// Objects that are over the quota.
    crowded_out: HashSet<Key>,
    changed: bool,
    logged_at: Option<Instant>,
}

/// Keys of objects, and the number of objects without a known key.
#[derive(Debug, Default)]
struct ObjectNames {
    keys: BTreeSet<Key>,
    unnamed: usize,
}

impl Omissions {
    /// Removes an object that was read, or is gone.
    pub fn clear(&mut self, key: &Key) {
        let gone =
            [self.left_out.keys.remove(key), self.shortened.keys.remove(key), self.crowded_out.remove(key)];
        self.changed |= gone.contains(&true);
    }

    /// Records an object that was read. `shortened` means that its lists were cut.
    pub fn read(&mut self, key: Key, shortened: bool) {
        if shortened {
            let gone = [self.left_out.keys.remove(&key), self.crowded_out.remove(&key)];
            self.changed |= gone.contains(&true) | self.shortened.add(Some(key));
        } else if !self.is_empty() {
            self.clear(&key);
        }
    }

    fn is_empty(&self) -> bool {
        self.left_out.keys.is_empty() && self.shortened.keys.is_empty() && self.crowded_out.is_empty()
    }

    /// Records an object that is too large or not readable. `key` is `None` if its beginning does not name
    /// it.
    pub fn leave_out(&mut self, key: Option<Key>) {
        self.changed |= self.left_out.add(key);
    }

    /// Records an object that is over the quota.
    pub fn crowd_out(&mut self, key: Key) {
        if self.crowded_out.len() < REMEMBERED {
            self.changed |= self.crowded_out.insert(key);
        }
    }

    /// Whether any object is over the quota.
    pub fn is_crowded(&self) -> bool {
        !self.crowded_out.is_empty()
    }

    /// Takes over the omissions of a new list. They are reported unless there were none before and there are
    /// none now.
    pub fn replace(&mut self, mut new: Self) {
        let was = !self.is_empty() || self.left_out.unnamed > 0;
        (new.changed, new.logged_at) = (new.changed || was, self.logged_at);
        *self = new;
    }

    /// Prepares the omissions of a new list, which are reported in place of those before.
    pub fn follow(&mut self, before: &Self) {
        (self.changed, self.logged_at) = (true, before.logged_at);
    }

    /// Returns the omissions to report, and logs them; `None` if they have not changed since the last call.
    /// `source` and `namespace` are for the log. `largest` is how many bytes of an object are read.
    pub fn take_errors(
        &mut self,
        (source, namespace): (&str, Option<&str>),
        largest: usize,
        quota: &Quota,
    ) -> Option<Vec<SourceError>> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        let errors = self.errors(largest, quota);
        if !errors.is_empty() && self.logged_at.is_none_or(|at| at.elapsed() > LOG_EVERY) {
            self.logged_at = Some(Instant::now());
            for error in &errors {
                tracing::warn!(
                    source,
                    namespace,
                    detail = error.detail.english(),
                    "objects left out or truncated"
                );
            }
        }
        Some(errors)
    }

    fn errors(&self, largest: usize, quota: &Quota) -> Vec<SourceError> {
        let mut errors = Vec::new();
        if self.left_out.count() > 0 {
            let (count, bytes) = (self.left_out.count().to_string(), largest.to_string());
            errors.push(msg!(
                collect.left_out,
                count = count,
                objects = self.left_out.words(),
                bytes = bytes
            ));
        }
        if self.shortened.count() > 0 {
            let count = self.shortened.count().to_string();
            errors.push(msg!(collect.shortened, count = count, objects = self.shortened.words()));
        }
        if self.is_crowded() {
            let count = match self.crowded_out.len() {
                REMEMBERED => format!("≥ {REMEMBERED}"),
                count => count.to_string(),
            };
            let Crowd { limit, of_all, fullest } = quota.crowd();
            let bytes = limit.to_string();
            errors.push(match of_all {
                true => msg!(collect.crowded_all, count = count, bytes = bytes, namespace = fullest),
                false => msg!(collect.crowded_out, count = count, bytes = bytes, namespace = fullest),
            });
        }
        errors.into_iter().map(|detail| source_error(Reason::TooLarge, detail)).collect()
    }
}

impl ObjectNames {
    /// Adds an object. Returns whether that changed anything.
    fn add(&mut self, key: Option<Key>) -> bool {
        match key {
            Some(key) if self.keys.len() < REMEMBERED => self.keys.insert(key),
            Some(key) if self.keys.contains(&key) => false,
            _ => {
                self.unnamed = self.unnamed.saturating_add(1);
                true
            }
        }
    }

    fn count(&self) -> usize {
        self.keys.len() + self.unnamed
    }

    /// The names for people, such as `prod/web, prod/db, prod/mail +12`.
    fn words(&self) -> Message {
        let name = |key: &Key| match &*key.namespace {
            "" => key.name.to_string(),
            namespace => format!("{namespace}/{}", key.name),
        };
        let mut words = self.keys.iter().take(NAMED).map(name).collect::<Vec<_>>().join(", ");
        match self.count() - self.keys.len().min(NAMED) {
            0 => {}
            more if words.is_empty() => words = format!("+{more}"),
            more => words.push_str(&format!(" +{more}")),
        }
        words.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{quota::TotalQuota, tests::is_translated};

    fn key(name: &str) -> Key {
        Key::new("prod", name)
    }

    fn reported(omissions: &Omissions) -> Vec<String> {
        let errors = omissions.errors(4096, &Quota::new(100, &TotalQuota::new(100)));
        assert!(errors.iter().all(|error| error.reason == Reason::TooLarge && is_translated(error)));
        errors.iter().map(|error| error.detail.english()).collect()
    }

    #[test]
    fn an_object_that_is_left_out_is_named_until_it_is_small_again() {
        let mut omissions = Omissions::default();
        assert!(reported(&omissions).is_empty());
        for name in ["a", "b", "c", "d"] {
            omissions.leave_out(Some(key(name)));
        }
        omissions.leave_out(None);
        assert!(std::mem::take(&mut omissions.changed));
        let [words] = &reported(&omissions)[..] else { panic!("{omissions:?}") };
        assert!(words.contains("prod/a, prod/b, prod/c +2") && words.contains("4096"), "{words}");
        omissions.leave_out(Some(key("a")));
        assert!(!omissions.changed, "that was reported");
        for name in ["a", "b", "c", "d"] {
            omissions.clear(&key(name));
        }
        assert!(
            omissions.changed && reported(&omissions)[0].contains("+1"),
            "the one without a name is left"
        );
    }

    #[test]
    fn cut_objects_and_omitted_objects_are_reported_separately() {
        let mut omissions = Omissions::default();
        omissions.read(key("long"), true);
        (0..20_000).for_each(|n| omissions.crowd_out(key(&n.to_string())));
        let words = reported(&omissions);
        assert!(words[0].contains("prod/long"), "{words:?}");
        assert!(words[1].contains("≥ 10000"), "{words:?}");
        assert_eq!(omissions.crowded_out.len(), REMEMBERED);
        omissions.read(key("long"), false);
        assert_eq!(reported(&omissions).len(), 1);
    }
}
