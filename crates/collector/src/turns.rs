//! A queue of keys that are polled again and again, a few at a time. Used by the polls of kubelets and guest
//! agents.
//!
//! A key that does not answer in time is a suspect: suspects wait behind the others, and never take more than
//! half of the slots.

use std::{
    collections::{BTreeSet, HashMap},
    hash::Hash,
};

use tokio::time::Instant;

/// The queue. `T` is what else is known of each key.
#[derive(Debug)]
pub struct PollQueue<K, T> {
    entries: HashMap<K, Entry<T>>,
    /// Keys that are not being asked, by when they are due: first those that answered in time, then suspects.
    waiting: [BTreeSet<(Instant, K)>; 2],
    asked: usize,
    /// How many suspects are being asked.
    hanging: usize,
}

#[derive(Debug)]
struct Entry<T> {
    due: Instant,
    asked: bool,
    /// Whether it did not answer in time when it was last asked.
    suspect: bool,
    /// False once the key is no longer wanted; it is then forgotten as soon as its answer has come.
    wanted: bool,
    of: T,
}

/// The next key to ask.
#[derive(Debug)]
pub struct PollTurn<'a, K> {
    pub due: Instant,
    pub suspect: bool,
    pub key: &'a K,
}

/// How many suspects may be asked at the same time.
pub fn room_for_suspects(slots: usize) -> usize {
    (slots / 2).max(1)
}

impl<K, T> Default for PollQueue<K, T> {
    fn default() -> Self {
        Self { entries: HashMap::new(), waiting: [BTreeSet::new(), BTreeSet::new()], asked: 0, hanging: 0 }
    }
}

impl<K: Clone + Eq + Hash + Ord, T> PollQueue<K, T> {
    /// Adds a key. Returns whether it is new: a known key keeps its turn.
    pub fn admit(&mut self, key: &K, of: impl FnOnce() -> T, due: Instant) -> bool {
        if self.entries.contains_key(key) {
            return false;
        }
        let entry = Entry { due, asked: false, suspect: false, wanted: true, of: of() };
        self.entries.insert(key.clone(), entry);
        self.waiting[0].insert((due, key.clone()))
    }

    /// Forgets all keys that are not wanted; keys that are being asked are forgotten once their answer has
    /// come.
    pub fn keep(&mut self, wanted: impl Fn(&K) -> bool) {
        self.entries.retain(|key, entry| {
            entry.wanted = wanted(key);
            entry.wanted || entry.asked
        });
        let entries = &self.entries;
        self.waiting.iter_mut().for_each(|queue| queue.retain(|(_, key)| entries.contains_key(key)));
    }

    /// Forgets all keys.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    pub fn get(&self, key: &K) -> Option<&T> {
        self.entries.get(key).map(|entry| &entry.of)
    }

    pub fn get_mut(&mut self, key: &K) -> Option<&mut T> {
        self.entries.get_mut(key).map(|entry| &mut entry.of)
    }

    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.entries.keys()
    }

    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.entries.values_mut().map(|entry| &mut entry.of)
    }

    /// How many keys are being asked.
    pub fn asked(&self) -> usize {
        self.asked
    }

    /// How many suspects are being asked.
    pub fn hanging(&self) -> usize {
        self.hanging
    }

    /// The next key that may be asked: the one that is due the longest, else the one that is due next.
    /// Suspects are only considered with `suspects`, and come after other keys that are due.
    pub fn next(&self, now: Instant, suspects: bool, may: impl Fn(&K) -> bool) -> Option<PollTurn<'_, K>> {
        let first = |suspect: bool| {
            let (due, key) = self.waiting[usize::from(suspect)].iter().find(|(_, key)| may(key))?;
            Some(PollTurn { due: *due, suspect, key })
        };
        let suspect = suspects.then(|| first(true)).flatten();
        first(false).into_iter().chain(suspect).min_by_key(|turn| (turn.due.max(now), turn.suspect))
    }

    /// The key with the earliest due time, due or not; a suspect only if there is no other key.
    pub fn first(&self) -> Option<&K> {
        let [well, suspects] = &self.waiting;
        well.first().or(suspects.first()).map(|(_, key)| key)
    }

    /// Marks a key as being asked.
    pub fn begin(&mut self, key: &K) {
        if let Some(entry) = self.entries.get_mut(key) {
            self.waiting[usize::from(entry.suspect)].remove(&(entry.due, key.clone()));
            entry.asked = true;
            self.asked += 1;
            self.hanging += usize::from(entry.suspect);
        }
    }

    /// Ends a request: the key is due again at `due`, and a suspect if it was late. Forgets a key that is not
    /// wanted.
    pub fn end(&mut self, key: &K, due: Instant, late: bool) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        self.asked = self.asked.saturating_sub(1);
        self.hanging = self.hanging.saturating_sub(usize::from(entry.suspect));
        if !entry.wanted {
            self.entries.remove(key);
            return;
        }
        (entry.asked, entry.due, entry.suspect) = (false, due, late);
        self.waiting[usize::from(late)].insert((due, key.clone()));
    }

    /// Makes all keys due that wait for a later time.
    pub fn all_due(&mut self, now: Instant) {
        let waits = |entry: &Entry<T>| !entry.asked && entry.due > now;
        for (key, entry) in self.entries.iter_mut().filter(|(_, entry)| waits(entry)) {
            let queue = &mut self.waiting[usize::from(entry.suspect)];
            queue.remove(&(entry.due, key.clone()));
            entry.due = now;
            queue.insert((now, key.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn next(turns: &PollQueue<&'static str, ()>, now: Instant, suspects: bool) -> Option<&'static str> {
        turns.next(now, suspects, |_| true).map(|turn| *turn.key)
    }

    #[test]
    fn suspects_wait_behind_whoever_is_due() {
        let (mut turns, now, second) = (PollQueue::default(), Instant::now(), Duration::from_secs(1));
        for key in ["a", "b"] {
            assert!(turns.admit(&key, || (), now) && !turns.admit(&key, || (), now));
        }
        turns.begin(&"a");
        assert_eq!((next(&turns, now, true), turns.asked(), turns.hanging()), (Some("b"), 1, 0));
        turns.end(&"a", now - second, true);
        assert_eq!(next(&turns, now, true), Some("b"), "a is due for longer, and suspect");
        assert_eq!(next(&turns, now - second, true), Some("a"), "b is not due yet");
        assert_eq!(next(&turns, now - second, false), Some("b"), "there is no room for suspects");
        turns.begin(&"a");
        assert_eq!((turns.asked(), turns.hanging()), (1, 1));
        turns.end(&"a", now + second, false);
        turns.all_due(now);
        assert_eq!((turns.next(now, true, |key| *key == "a").unwrap().due, turns.hanging()), (now, 0));
    }

    #[test]
    fn what_nobody_wants_is_forgotten_once_it_has_answered() {
        let (mut turns, now) = (PollQueue::default(), Instant::now());
        for key in ["a", "b"] {
            turns.admit(&key, || (), now);
        }
        turns.begin(&"a");
        turns.keep(|_| false);
        assert_eq!(turns.keys().collect::<Vec<_>>(), [&"a"]);
        turns.end(&"a", now, false);
        assert_eq!((turns.keys().count(), turns.first(), turns.asked()), (0, None, 0));
    }
}
