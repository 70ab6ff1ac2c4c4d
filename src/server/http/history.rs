//! Reads histories for `reader`. Short spans come from memory at once. Long spans come from Prometheus: one
//! query serves all viewers of the same VM, its answer is cached, and the wait is limited.
//!
//! Viewers share the queue of Prometheus queries and the cache fairly: see [`Requester`]. Requests without a
//! known peer count as one requester.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use super::peer::Peer;
use collector::long_term::{LongTermHistory, Requester, busy};
use i18n::msg;
use model::{
    Millis,
    history::{History, Span},
    reason::Reason,
    vm::Vm,
};
use wukong_core::{
    history::HistoryStore,
    insight::Findings,
    long_term::{self, Answer, Times},
    observation::SourceError,
};

/// Longest wait of a page for its charts, well within `ANSWER_TIMEOUT`.
const DEADLINE: Duration = Duration::from_secs(6);
/// How long an answer is cached: a tenth of the shortest step that comes from Prometheus (30 min). A failure
/// is cached for less, but long enough that a crowd of viewers does not ask again at once.
const CACHE_TIME: Duration = Duration::from_secs(180);
const FAILURE_CACHE_TIME: Duration = Duration::from_secs(10);
/// Most cached histories, of 8 to 14 kB each. The answer of Prometheus is not cached, since it can be
/// megabytes for a VM with many claims. Beyond the limit, the requester with the most histories loses its
/// oldest. (moka evicts without regard to who asked, so that one requester could evict the histories of others.)
const CACHED: usize = 256;

/// Returns who asks: the network of the peer, which other limits count too.
pub fn requester(extensions: &http::Extensions) -> Requester {
    extensions.get::<Peer>().map_or_else(Requester::default, |peer| {
        let mut hasher = DefaultHasher::new();
        peer.client().hash(&mut hasher);
        Requester::Viewer(hasher.finish())
    })
}

/// The histories and findings that readers can get.
#[derive(Clone)]
pub struct HistoryReader {
    pub store: Arc<HistoryStore>,
    pub findings: watch::Receiver<Arc<Findings>>,
    long_term: Option<Arc<LongTermCache>>,
}

/// Prometheus, and its answers of the last minutes.
struct LongTermCache {
    source: LongTermHistory,
    deadline: Duration,
    cache: Mutex<HashMap<(String, Span), CachedHistory>>,
}

#[derive(Clone)]
struct CachedHistory {
    since: Instant,
    /// The requester that asked for it.
    by: Requester,
    history: History,
    failed: bool,
}

impl HistoryReader {
    pub fn new(
        store: Arc<HistoryStore>,
        findings: watch::Receiver<Arc<Findings>>,
        long_term: Option<LongTermHistory>,
    ) -> Self {
        let cached = |source| Arc::new(LongTermCache { source, deadline: DEADLINE, cache: Mutex::default() });
        Self { store, findings, long_term: long_term.map(cached) }
    }

    /// Returns the same reader with another deadline.
    #[cfg(test)]
    pub fn within(self, deadline: Duration) -> Self {
        let other = |old: Arc<LongTermCache>| {
            Arc::new(LongTermCache { source: old.source.clone(), deadline, cache: Mutex::default() })
        };
        Self { long_term: self.long_term.map(other), ..self }
    }

    /// Returns a reader without any history.
    pub fn none() -> Self {
        Self::new(Arc::default(), watch::channel(Arc::default()).1, None)
    }

    /// Returns the history of a VM. It waits only for a long span that is not cached.
    pub async fn history(&self, requester: Requester, vm: &Vm, span: Span, now: Millis) -> History {
        match (span, &self.long_term) {
            (Span::Hour | Span::Day, _) => self.store.history(&vm.uid, &vm.volumes, span, now),
            (_, None) => long_term::empty_history(span, now, long_term::not_configured()),
            (_, Some(long_term)) => long_term.get(requester, vm, span, now).await.history,
        }
    }
}

impl LongTermCache {
    async fn get(&self, requester: Requester, vm: &Vm, span: Span, now: Millis) -> CachedHistory {
        let key = (vm.uid.clone(), span);
        if let Some(cached) = self.find(&key, requester) {
            return cached;
        }
        let times = long_term::times(span, now);
        let answer = self.ask_prometheus(requester, vm, times).await;
        let history = long_term::history(vm, span, times, &answer);
        let cached = CachedHistory { since: Instant::now(), by: requester, history, failed: answer.is_err() };
        // A queue that is full for one requester is not full for the next.
        if !cached.is(Reason::Busy) {
            self.keep(key, cached.clone());
        }
        cached
    }

    /// Asks Prometheus. `LongTermHistory` merges equal queries.
    async fn ask_prometheus(&self, requester: Requester, vm: &Vm, times: Times) -> Arc<Answer> {
        let mut ticket = match self.source.ask(requester, long_term::select_vm(vm), times) {
            Ok(ticket) => ticket,
            Err(error) => return Arc::new(Err(error)),
        };
        match timeout(self.deadline, ticket.answer()).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(why)) => Arc::new(Err(why.into())),
            Err(_) if ticket.is_waiting() => Arc::new(Err(busy())),
            Err(_) => Arc::new(Err(late(self.deadline))),
        }
    }

    fn find(&self, key: &(String, Span), requester: Requester) -> Option<CachedHistory> {
        let cache = self.cache.lock();
        cache.get(key).filter(|cached| cached.is_valid() && cached.is_for(requester)).cloned()
    }

    fn keep(&self, key: (String, Span), history: CachedHistory) {
        let mut cache = self.cache.lock();
        if cache.len() >= CACHED && !cache.contains_key(&key) {
            cache.retain(|_, cached| cached.is_valid());
        }
        if cache.len() >= CACHED
            && !cache.contains_key(&key)
            && let Some(oldest) = oldest_of_the_greediest(&cache)
        {
            cache.remove(&oldest);
        }
        cache.insert(key, history);
    }
}

/// Returns the oldest history of the requester with the most histories, so that a viewer who opens
/// everything evicts only their own.
fn oldest_of_the_greediest(cache: &HashMap<(String, Span), CachedHistory>) -> Option<(String, Span)> {
    let mut counts: HashMap<Requester, usize> = HashMap::new();
    cache.values().for_each(|cached| *counts.entry(cached.by).or_default() += 1);
    let (greediest, _) = counts.into_iter().max_by_key(|(_, count)| *count)?;
    let theirs = cache.iter().filter(|(_, cached)| cached.by == greediest);
    theirs.min_by_key(|(_, cached)| cached.since).map(|(key, _)| key.clone())
}

impl CachedHistory {
    fn is_valid(&self) -> bool {
        self.since.elapsed() < if self.failed { FAILURE_CACHE_TIME } else { CACHE_TIME }
    }

    /// Returns whether the answer is valid for this requester. A timeout is not valid for others: the query
    /// may have waited behind other queries of its requester.
    fn is_for(&self, requester: Requester) -> bool {
        self.by == requester || !self.is(Reason::TimedOut)
    }

    fn is(&self, reason: Reason) -> bool {
        self.failed && self.history.lacks.as_ref().is_some_and(|lacks| lacks.reason == reason)
    }
}

fn late(deadline: Duration) -> SourceError {
    let detail = msg!(collect.late, peer = "Prometheus", seconds = deadline.as_secs().to_string());
    SourceError { reason: Reason::TimedOut, detail }
}
