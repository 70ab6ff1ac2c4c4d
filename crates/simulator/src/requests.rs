//! The requests that the cluster received; tests count calls with it.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::atomic::{AtomicUsize, Ordering},
};

use parking_lot::Mutex;

use super::faults::{Class, Target};

/// The number of log lines that are kept.
const LOG_LINES: usize = 10_000;

/// Counts and logs requests.
#[derive(Debug, Default)]
pub struct Requests {
    seen: Mutex<RequestLog>,
    open_watches: AtomicUsize,
}

#[derive(Debug, Default)]
struct RequestLog {
    counts: BTreeMap<(Class, String), u64>,
    log: VecDeque<String>,
}

impl Requests {
    pub fn total(&self) -> u64 {
        self.count(&Target::Any)
    }

    /// The number of requests that match the target.
    pub fn count(&self, target: &Target) -> u64 {
        let seen = self.seen.lock();
        seen.counts
            .iter()
            .filter(|((class, path), _)| target.matches(class, path))
            .map(|(_, count)| count)
            .sum()
    }

    /// Number of requests by path, without the query string.
    pub fn by_path(&self) -> BTreeMap<String, u64> {
        let mut paths = BTreeMap::new();
        for ((_, path), count) in &self.seen.lock().counts {
            *paths.entry(path.clone()).or_default() += count;
        }
        paths
    }

    /// The latest requests, oldest first, such as `GET /api/v1/pods?limit=500`.
    pub fn log(&self) -> Vec<String> {
        self.seen.lock().log.iter().cloned().collect()
    }

    /// Forgets the requests so far; open watches are still counted.
    pub fn reset(&self) {
        *self.seen.lock() = RequestLog::default();
    }

    /// The number of watches that are open now.
    pub fn open_watches(&self) -> usize {
        self.open_watches.load(Ordering::Relaxed)
    }

    pub(super) fn record(&self, class: Class, path: &str, line: String) {
        let mut seen = self.seen.lock();
        *seen.counts.entry((class, path.to_owned())).or_default() += 1;
        seen.log.push_back(line);
        if seen.log.len() > LOG_LINES {
            seen.log.pop_front();
        }
    }

    pub(super) fn watch_opened(&self) {
        self.open_watches.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn watch_closed(&self) {
        self.open_watches.fetch_sub(1, Ordering::Relaxed);
    }
}
