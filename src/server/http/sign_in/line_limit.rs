//! Limits how many lines the audit log gets about one subject in a minute, and counts those that were left out: nobody
//! can fill the log, and nothing happens in silence.

use std::{collections::HashMap, hash::Hash, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);
/// Most subjects that are counted. All others count as one.
const MOST_SUBJECTS: usize = 4_096;

/// The lines of the last minute, by subject. `T` describes a subject in the line that counts the others.
pub struct LineLimit<K, T> {
    most: u32,
    counts: Mutex<HashMap<Option<K>, Count<T>>>,
}

struct Count<T> {
    since: Instant,
    /// `None` if these are several subjects.
    subject: Option<T>,
    lines: u32,
    left_out: u64,
}

impl<K: Eq + Hash, T: Clone> LineLimit<K, T> {
    /// Takes how many lines each subject gets in a minute.
    pub fn new(most: u32) -> Self {
        Self { most, counts: Mutex::default() }
    }

    /// Returns whether to write a line about the subject, and counts it.
    pub fn count(&self, key: K, subject: impl FnOnce() -> T) -> bool {
        let mut counts = self.counts.lock();
        let key = Some(key);
        let is_counted = counts.contains_key(&key) || counts.len() < MOST_SUBJECTS;
        let key = key.filter(|_| is_counted);
        let subject = is_counted.then_some(subject);
        let new = || Count { since: Instant::now(), subject: subject.map(|of| of()), lines: 0, left_out: 0 };
        let count = counts.entry(key).or_insert_with(new);
        let is_line = count.lines < self.most;
        count.lines += u32::from(is_line);
        count.left_out += u64::from(!is_line);
        is_line
    }

    /// Returns how many lines were left out about whom in minutes that are over.
    pub fn take_left_out(&self) -> Vec<(Option<T>, u64)> {
        let over = |count: &Count<T>| count.since.elapsed() >= MINUTE;
        let mut counts = self.counts.lock();
        let ended = counts.values().filter(|count| over(count) && count.left_out > 0);
        let ended = ended.map(|count| (count.subject.clone(), count.left_out)).collect();
        counts.retain(|_, count| !over(count));
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_subject_gets_its_lines_a_minute_and_the_rest_is_counted() {
        let limit = LineLimit::new(10);
        let count = |of: u8| limit.count(of, || of);
        let lines = (0..25).filter(|_| count(1)).count();
        assert_eq!((lines, count(2)), (10, true));
        assert!(limit.take_left_out().is_empty(), "the minute is not over");
        tokio::time::advance(MINUTE).await;
        assert_eq!(limit.take_left_out(), [(Some(1), 15)]);
        assert!(count(1) && limit.take_left_out().is_empty());
    }

    #[test]
    fn subjects_beyond_the_limit_count_as_one() {
        let limit = LineLimit::new(10);
        assert!((0..MOST_SUBJECTS).all(|of| limit.count(of, || of)));
        let others = MOST_SUBJECTS..MOST_SUBJECTS + 50;
        let lines = others.filter(|of| limit.count(*of, || *of)).count();
        assert_eq!((lines, limit.counts.lock().len()), (10, MOST_SUBJECTS + 1));
    }
}
