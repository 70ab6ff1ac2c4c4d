//! The past for readers: out of memory at once; longer spans out of an archive, asked once for all who look at the
//! same VM, held for a while, and never waited for without an end.
//!
//! Viewers share the archive's queue fairly, and what is held too: see [`Requester`]. A request of which no peer is known
//! counts as everybody's.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

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

/// A page waits so long for its charts, well within what the router allows an answer.
const DEADLINE: Duration = Duration::from_secs(6);
/// How long an answer stands: a tenth of the shortest step that comes from an archive. A failure stands for less, and
/// long enough that a crowd of viewers does not ask again at once.
const STANDS: Duration = Duration::from_secs(180);
const FAILURE_STANDS: Duration = Duration::from_secs(10);
/// Histories that are held, of 2 to 3 kB each: what the archive answered is not, which can be megabytes of a VM with many
/// claims. Beyond it the oldest goes of the requester who has the most of them.
const HELD: usize = 256;

/// Who asks, as far as anything tells requests apart: the network that other limits count too.
pub fn requester(extensions: &http::Extensions) -> Requester {
    extensions.get::<Peer>().map_or_else(Requester::default, |peer| {
        let mut hasher = DefaultHasher::new();
        peer.network().hash(&mut hasher);
        Requester::Viewer(hasher.finish())
    })
}

/// Everything that is known of the past.
#[derive(Clone)]
pub struct HistoryReader {
    pub store: Arc<HistoryStore>,
    pub drawn: watch::Receiver<Arc<Findings>>,
    archive: Option<Arc<LongTerm>>,
}

/// An archive, and its answers of the last minutes.
struct LongTerm {
    archive: LongTermHistory,
    deadline: Duration,
    held: Mutex<HashMap<(String, Span), Held>>,
}

#[derive(Clone)]
struct Held {
    since: Instant,
    /// Who asked for it.
    by: Requester,
    history: History,
    failed: bool,
}

impl HistoryReader {
    pub fn new(
        store: Arc<HistoryStore>,
        drawn: watch::Receiver<Arc<Findings>>,
        archive: Option<LongTermHistory>,
    ) -> Self {
        let long_term = |archive| Arc::new(LongTerm { archive, deadline: DEADLINE, held: Mutex::default() });
        Self { store, drawn, archive: archive.map(long_term) }
    }

    /// The same with another deadline.
    #[cfg(test)]
    pub fn within(self, deadline: Duration) -> Self {
        let other = |old: Arc<LongTerm>| {
            Arc::new(LongTerm { archive: old.archive.clone(), deadline, held: Mutex::default() })
        };
        Self { archive: self.archive.map(other), ..self }
    }

    /// A past of which nothing was ever kept.
    pub fn none() -> Self {
        Self::new(Arc::default(), watch::channel(Arc::default()).1, None)
    }

    /// Ready at once, but for a long span that nobody has asked about lately.
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
        // That there was no room for one requester's question says nothing to the next.
        if !held.is(Reason::Busy) {
            self.keep(key, held.clone());
        }
        held
    }

    /// The same question of several is asked once: the archive's queue sees to that.
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
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(key).filter(|held| held.stands() && held.is_for(requester)).cloned()
    }

    fn keep(&self, key: (String, Span), answer: Held) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
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

/// So that one viewer who looks at everything pushes out what they asked for themselves.
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

    /// That one requester's question came too late, perhaps behind others of theirs, says nothing to another.
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
