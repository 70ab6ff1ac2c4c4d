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
use collector::archive::{LongTermHistory, Requester, busy};
use i18n::msg;
use model::{
    Millis,
    history::{History, Span},
    reason::Reason,
    vm::Vm,
};
use wukong_core::{
    archive::{self, Answer, Times},
    history::HistoryStore,
    insight::Findings,
    observation::SourceError,
};

/// Longest wait of a page for its charts, well within `ANSWER_TIMEOUT`.
const DEADLINE: Duration = Duration::from_secs(6);
/// How long an answer is cached: a tenth of the shortest step that comes from Prometheus (30 min). A failure
/// is cached for less, but long enough that a crowd of viewers does not ask again at once.
const STANDS: Duration = Duration::from_secs(180);
const FAILURE_STANDS: Duration = Duration::from_secs(10);
/// Most cached histories, of 2 to 3 kB each. The answer of Prometheus is not cached, since it can be
/// megabytes for a VM with many claims. Beyond the limit, the requester with the most histories loses its
/// oldest.
const HELD: usize = 256;

/// Returns who asks: the network of the peer, which other limits count too.
pub fn requester(extensions: &http::Extensions) -> Requester {
    extensions.get::<Peer>().map_or_else(Requester::default, |peer| {
        let mut hasher = DefaultHasher::new();
        peer.network().hash(&mut hasher);
        Requester::Viewer(hasher.finish())
    })
}

/// The histories and findings that readers can get.
#[derive(Clone)]
pub struct HistoryReader {
    pub store: Arc<HistoryStore>,
    pub findings: watch::Receiver<Arc<Findings>>,
    archive: Option<Arc<LongTerm>>,
}

/// Prometheus, and its answers of the last minutes.
struct LongTerm {
    archive: LongTermHistory,
    deadline: Duration,
    held: Mutex<HashMap<(String, Span), Held>>,
}

#[derive(Clone)]
struct Held {
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
        archive: Option<LongTermHistory>,
    ) -> Self {
        let long_term = |archive| Arc::new(LongTerm { archive, deadline: DEADLINE, held: Mutex::default() });
        Self { store, findings, archive: archive.map(long_term) }
    }

    /// Returns the same reader with another deadline.
    #[cfg(test)]
    pub fn within(self, deadline: Duration) -> Self {
        let other = |old: Arc<LongTerm>| {
            Arc::new(LongTerm { archive: old.archive.clone(), deadline, held: Mutex::default() })
        };
        Self { archive: self.archive.map(other), ..self }
    }

    /// Returns a reader without any history.
    pub fn none() -> Self {
        Self::new(Arc::default(), watch::channel(Arc::default()).1, None)
    }

    /// Returns the history of a VM. It waits only for a long span that is not cached.
    pub async fn history(&self, requester: Requester, vm: &Vm, span: Span, now: Millis) -> History {
        match (span, &self.archive) {
            (Span::Hour | Span::Day, _) => self.store.history(&vm.uid, span, now),
            (_, None) => archive::without(span, now, archive::not_configured()),
            (_, Some(long_term)) => long_term.held(requester, vm, span, now).await.history,
        }
    }
}

impl LongTerm {
    async fn held(&self, requester: Requester, vm: &Vm, span: Span, now: Millis) -> Held {
        let key = (vm.uid.clone(), span);
        if let Some(held) = self.find(&key, requester) {
            return held;
        }
        let times = archive::times(span, now);
        let answer = self.ask(requester, vm, times).await;
        let history = archive::history(vm, span, times, &answer);
        let held = Held { since: Instant::now(), by: requester, history, failed: answer.is_err() };
        // A queue that is full for one requester is not full for the next.
        if !held.is(Reason::Busy) {
            self.keep(key, held.clone());
        }
        held
    }

    /// Asks Prometheus. `LongTermHistory` merges equal queries.
    async fn ask(&self, requester: Requester, vm: &Vm, times: Times) -> Arc<Answer> {
        let mut ticket = match self.archive.ask(requester, archive::of(vm), times) {
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

    fn find(&self, key: &(String, Span), requester: Requester) -> Option<Held> {
        let held = self.held.lock();
        held.get(key).filter(|held| held.stands() && held.is_for(requester)).cloned()
    }

    fn keep(&self, key: (String, Span), answer: Held) {
        let mut held = self.held.lock();
        if held.len() >= HELD && !held.contains_key(&key) {
            held.retain(|_, held| held.stands());
        }
        if held.len() >= HELD
            && !held.contains_key(&key)
            && let Some(oldest) = oldest_of_the_greediest(&held)
        {
            held.remove(&oldest);
        }
        held.insert(key, answer);
    }
}

/// Returns the oldest history of the requester with the most histories, so that a viewer who opens
/// everything evicts only their own.
fn oldest_of_the_greediest(held: &HashMap<(String, Span), Held>) -> Option<(String, Span)> {
    let mut counts: HashMap<Requester, usize> = HashMap::new();
    held.values().for_each(|held| *counts.entry(held.by).or_default() += 1);
    let (greediest, _) = counts.into_iter().max_by_key(|(_, count)| *count)?;
    let theirs = held.iter().filter(|(_, held)| held.by == greediest);
    theirs.min_by_key(|(_, held)| held.since).map(|(key, _)| key.clone())
}

impl Held {
    fn stands(&self) -> bool {
        self.since.elapsed() < if self.failed { FAILURE_STANDS } else { STANDS }
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
