//! The past for readers: out of memory at once; longer spans out of an archive, asked once for all who look at the
//! same VM, held for a while, and never waited for without an end.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OnceCell, watch},
    time::{Instant, timeout},
};

use crate::{
    model::{
        Millis,
        history::{History, Span},
        reason::Reason,
        vm::Vm,
    },
    server::snapshot::{
        archive::{self, Archive},
        facts::SourceError,
        history::Store,
        insight::Drawn,
    },
    words::msg,
};

/// A page waits so long for its charts, well within what the router allows an answer.
const DEADLINE: Duration = Duration::from_secs(6);
/// How long an answer stands: a tenth of the shortest step that comes from an archive. A failure stands for less, and
/// long enough that a crowd of viewers does not ask again at once.
const STANDS: Duration = Duration::from_secs(180);
const FAILURE_STANDS: Duration = Duration::from_secs(10);
/// Answers that are held, of 2 to 3 kB each.
const HELD: usize = 256;

/// Everything that is known of the past.
#[derive(Clone)]
pub struct Past {
    pub store: Arc<Store>,
    pub drawn: watch::Receiver<Arc<Drawn>>,
    archive: Option<Arc<Asked>>,
}

struct Asked {
    archive: Archive,
    answers: Mutex<HashMap<(String, Span), Slot>>,
}

#[derive(Clone)]
struct Slot {
    asked: Instant,
    answer: Arc<OnceCell<Arc<Held>>>,
}

struct Held {
    times: archive::Times,
    answer: archive::Answer,
}

impl Past {
    pub fn new(store: Arc<Store>, drawn: watch::Receiver<Arc<Drawn>>, archive: Option<Archive>) -> Self {
        let asked = |archive| Arc::new(Asked { archive, answers: Mutex::default() });
        Self { store, drawn, archive: archive.map(asked) }
    }

    /// A past of which nothing was ever kept.
    pub fn none() -> Self {
        Self::new(Arc::default(), watch::channel(Arc::default()).1, None)
    }

    /// Ready at once, but for a long span that nobody has asked about lately.
    pub async fn history(&self, vm: &Vm, span: Span, now: Millis) -> History {
        match (span, &self.archive) {
            (Span::Hour | Span::Day, _) => self.store.history(&vm.uid, span, now),
            (_, None) => archive::without(span, now, archive::not_configured()),
            (_, Some(asked)) => {
                let held = asked.held(vm, span, now).await;
                archive::history(vm, span, held.times, &held.answer)
            }
        }
    }
}

impl Asked {
    async fn held(&self, vm: &Vm, span: Span, now: Millis) -> Arc<Held> {
        let answer = self.slot(&vm.uid, span).answer;
        if let Some(held) = answer.get() {
            return held.clone();
        }
        // Whoever comes first asks; should that one leave, the next who waits goes on.
        answer.get_or_init(|| self.ask(vm, span, now)).await.clone()
    }

    async fn ask(&self, vm: &Vm, span: Span, now: Millis) -> Arc<Held> {
        let times = archive::times(span, now);
        let answer = timeout(DEADLINE, self.archive.ask(archive::of(vm), times)).await;
        Arc::new(Held { times, answer: answer.unwrap_or_else(|_| Err(late())) })
    }

    fn slot(&self, uid: &str, span: Span) -> Slot {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (uid.to_owned(), span);
        if let Some(slot) = answers.get(&key).filter(|slot| slot.stands()) {
            return slot.clone();
        }
        if answers.len() >= HELD {
            answers.retain(|_, slot| slot.stands());
        }
        if answers.len() >= HELD
            && let Some(oldest) =
                answers.iter().min_by_key(|(_, slot)| slot.asked).map(|(key, _)| key.clone())
        {
            answers.remove(&oldest);
        }
        let slot = Slot { asked: Instant::now(), answer: Arc::default() };
        answers.insert(key, slot.clone());
        slot
    }
}

impl Slot {
    fn stands(&self) -> bool {
        let longest = match self.answer.get() {
            Some(held) if held.answer.is_err() => DEADLINE + FAILURE_STANDS,
            _ => STANDS,
        };
        self.asked.elapsed() < longest
    }
}

fn late() -> SourceError {
    let detail = msg!(collect.late, peer = "Prometheus", seconds = DEADLINE.as_secs().to_string());
    SourceError { reason: Reason::TimedOut, detail }
}
