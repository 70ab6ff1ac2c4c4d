//! Reads the Events of one VM for `reader`. One set of lists serves all viewers of a VM for half a minute, and no
//! page waits longer than it is told to: what has not come by then is shown the next time. What is read is kept for all
//! viewers, so each viewer's own right to list Events in the namespace is checked before anything of it is shown.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use crate::server::access::Rights;
use collector::{
    events::{EventsAnswer, VmEventsAsker},
    queue::{Requester, Ticket, Unanswered},
};
use model::{Millis, events::VmEvents, vm::Vm};
use wukong_core::events::{busy, not_allowed, pending, query, unread};

/// How long the first rendering of a page waits for Events.
pub const PAGE_WAITS: Duration = Duration::from_millis(400);
/// How long a request for Events alone waits, of a page that is shown already or of a program.
pub const REQUEST_WAITS: Duration = Duration::from_secs(2);
/// How long an answer is kept, a failure too.
const CACHE_TIME: Duration = Duration::from_secs(30);
/// Most answers that are kept, of 50 Events each: 20 kB, or 100 kB if every text is as long as it may be. No more can be read
/// in [`CACHE_TIME`] than that. Beyond the limit, the requester with the most answers loses its oldest.
const CACHED: usize = 128;

/// Who asks for Events.
pub struct EventsViewer<'a> {
    /// Whose turn of the queue it is.
    pub requester: Requester,
    /// The viewer's rights; `None` without sign-in.
    pub rights: Option<&'a Rights>,
    /// How long the answer is waited for.
    pub waits: Duration,
}

/// Reads Events for all viewers. Cheap to clone.
#[derive(Clone, Default)]
pub struct EventsReader(Option<Arc<EventsCache>>);

struct EventsCache {
    source: VmEventsAsker,
    answers: Mutex<HashMap<String, CachedAnswer>>,
}

/// An answer, or the question that is under way.
#[derive(Clone)]
struct CachedAnswer {
    /// The requester that asked.
    by: Requester,
    asked: Instant,
    /// `None` until it comes.
    answer: watch::Receiver<Option<TimedAnswer>>,
}

#[derive(Clone)]
struct TimedAnswer {
    at: Instant,
    answer: Result<Arc<EventsAnswer>, Unanswered>,
}

impl EventsReader {
    pub fn new(source: VmEventsAsker) -> Self {
        Self(Some(Arc::new(EventsCache { source, answers: Mutex::default() })))
    }

    /// Returns the Events of a VM that the viewer may see, or why there are none. The caller has checked that they may see
    /// the VM.
    pub async fn read(&self, viewer: EventsViewer<'_>, vm: &Vm, now: Millis) -> VmEvents {
        let Some(cache) = &self.0 else { return VmEvents::missing(pending()) };
        let deadline = Instant::now() + viewer.waits;
        let namespace = &vm.summary.namespace;
        let allowed = match viewer.rights {
            None => Some(true),
            Some(rights) if viewer.waits.is_zero() => rights.may_list_events(namespace),
            Some(rights) => rights.may_list_events_by(namespace, deadline).await,
        };
        match allowed {
            Some(true) => cache.read(&viewer, vm, now, deadline).await,
            Some(false) => VmEvents::missing(not_allowed(namespace)),
            None => VmEvents::missing(pending()),
        }
    }
}

impl EventsCache {
    async fn read(&self, viewer: &EventsViewer<'_>, vm: &Vm, now: Millis, deadline: Instant) -> VmEvents {
        let Some(mut answer) = self.find_or_ask(viewer.requester, vm, now) else {
            return VmEvents::missing(busy());
        };
        let mut known = answer.borrow().clone();
        if known.is_none() && !viewer.waits.is_zero() {
            let waited = timeout_at(deadline, answer.wait_for(Option::is_some)).await;
            known = waited.ok().and_then(Result::ok).and_then(|answer| answer.clone());
        }
        match known.map(|known| known.answer) {
            None => VmEvents::missing(pending()),
            Some(Err(_)) => VmEvents::missing(busy()),
            Some(Ok(answer)) => match &*answer {
                Ok(events) => events.clone(),
                Err(error) => VmEvents::missing(unread(error)),
            },
        }
    }

    /// Returns where the answer about a VM is or will be; `None` if too many questions wait already.
    fn find_or_ask(
        &self,
        requester: Requester,
        vm: &Vm,
        now: Millis,
    ) -> Option<watch::Receiver<Option<TimedAnswer>>> {
        let mut answers = self.answers.lock();
        if let Some(known) = answers.get(&vm.uid).filter(|known| known.is_valid()) {
            return Some(known.answer.clone());
        }
        let ticket = self.source.ask(requester, query(vm, now)).ok()?;
        let (sender, answer) = watch::channel(None);
        // It is kept even if nobody waits any more: their pages ask again.
        tokio::spawn(keep(ticket, sender));
        make_room(&mut answers);
        let asked = Instant::now();
        answers.insert(vm.uid.clone(), CachedAnswer { by: requester, asked, answer: answer.clone() });
        Some(answer)
    }
}

async fn keep(mut ticket: Ticket<EventsAnswer>, answer: watch::Sender<Option<TimedAnswer>>) {
    let received = ticket.answer().await;
    answer.send_replace(Some(TimedAnswer { at: Instant::now(), answer: received }));
}

impl CachedAnswer {
    fn is_valid(&self) -> bool {
        match &*self.answer.borrow() {
            // If its sender is gone, no answer will come.
            None => self.answer.has_changed().is_ok(),
            Some(TimedAnswer { answer: Err(_), .. }) => false,
            Some(TimedAnswer { at, .. }) => at.elapsed() < CACHE_TIME,
        }
    }
}

fn make_room(answers: &mut HashMap<String, CachedAnswer>) {
    if answers.len() < CACHED {
        return;
    }
    answers.retain(|_, answer| answer.is_valid());
    if answers.len() < CACHED {
        return;
    }
    let mut counts: HashMap<Requester, usize> = HashMap::new();
    answers.values().for_each(|answer| *counts.entry(answer.by).or_default() += 1);
    let Some((greediest, _)) = counts.into_iter().max_by_key(|(_, count)| *count) else { return };
    let theirs = answers.iter().filter(|(_, answer)| answer.by == greediest);
    if let Some(oldest) = theirs.min_by_key(|(_, answer)| answer.asked).map(|(uid, _)| uid.clone()) {
        answers.remove(&oldest);
    }
}
