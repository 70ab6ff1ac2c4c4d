//! A queue of questions that are answered by a source, shared fairly between requesters.
//!
//! Each requester has its own line. The next question comes from the requester with the fewest questions
//! under way; if several have as few, from the one that has waited longest for its turn. One place is
//! reserved for a requester that has nothing under way, so that the slow questions of one requester never
//! hold all places. The backfill has a place of its own: it takes none of the viewers' places, and they do
//! not take its place.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, watch};

/// How many questions of viewers are under way at the same time.
pub const PLACES: usize = 4;
/// How many questions may wait, per viewer and in total. A question beyond that is refused at once.
pub const WAITING_EACH: usize = 8;
pub const WAITING: usize = 64;

/// Who asks. A viewer's number is a hash of the signed-in user or of the peer's network. Viewers that cannot
/// be told apart share one number, and therefore their places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Requester {
    /// Fills gaps in the program's own history after a start.
    Backfill,
    Viewer(u64),
}

impl Default for Requester {
    fn default() -> Self {
        Self::Viewer(0)
    }
}

/// The queue is full: the question was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueFull;

/// Creates a queue and returns both of its ends.
pub fn queue<Q, A>() -> (Asker<Q, A>, Questions<Q, A>) {
    let shared = Arc::new(Shared { queue: Mutex::new(Queue::new(false)), changed: Notify::new() });
    (Asker(shared.clone()), Questions(shared))
}

/// The asking end. Clones share one queue.
#[derive(Debug)]
pub struct Asker<Q, A>(pub(super) Arc<Shared<Q, A>>);

impl<Q, A> Clone for Asker<Q, A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<Q: PartialEq, A> Asker<Q, A> {
    /// Queues a question, or joins an equal question of another requester. Fails at once if too many questions wait
    /// already.
    pub fn ask(&self, requester: Requester, about: Q) -> Result<Ticket<A>, QueueFull> {
        self.0.ask(requester, about)
    }
}

/// The state of a question.
#[derive(Debug)]
enum Progress<A> {
    Waiting,
    UnderWay,
    Answered(Arc<A>),
    /// A requester with a shorter line took its place in the queue.
    Displaced,
}

/// The queue as both ends share it. The lock is never held across an await.
#[derive(Debug)]
pub(super) struct Shared<Q, A> {
    queue: Mutex<Queue<Q, A>>,
    /// Notifies the answering end that a question may have become startable.
    changed: Notify,
}

impl<Q, A> Shared<Q, A> {
    fn lock(&self) -> MutexGuard<'_, Queue<Q, A>> {
        self.queue.lock()
    }
}

impl<Q: PartialEq, A> Shared<Q, A> {
    fn ask(&self, requester: Requester, about: Q) -> Result<Ticket<A>, QueueFull> {
        let progress = self.lock().put(requester, about)?;
        self.changed.notify_one();
        Ok(Ticket { progress })
    }
}

/// A question that was accepted. Dropping it abandons the question.
#[derive(Debug)]
pub struct Ticket<A> {
    progress: watch::Receiver<Progress<A>>,
}

/// Why a ticket got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswered {
    Displaced,
    /// The answering end is gone.
    Gone,
}

impl<A> Ticket<A> {
    /// Waits for the answer without a time limit: the caller sets the deadline.
    pub async fn answer(&mut self) -> Result<Arc<A>, Unanswered> {
        let ended = |progress: &Progress<A>| matches!(progress, Progress::Answered(_) | Progress::Displaced);
        match self.progress.wait_for(ended).await.as_deref() {
            Ok(Progress::Answered(answer)) => Ok(answer.clone()),
            Ok(_) => Err(Unanswered::Displaced),
            Err(_) => Err(Unanswered::Gone),
        }
    }

    /// Whether the question still waits for its turn.
    pub fn is_waiting(&self) -> bool {
        matches!(*self.progress.borrow(), Progress::Waiting)
    }
}

/// The answering end of the queue.
#[derive(Debug)]
pub struct Questions<Q, A>(Arc<Shared<Q, A>>);

impl<Q: Clone, A> Questions<Q, A> {
    /// Waits for the next question that has a place. The place is free again once its [`Reply`] is dropped.
    pub async fn next(&mut self) -> Question<Q, A> {
        loop {
            let started = self.0.lock().start();
            if let Some((id, requester)) = started
                && let Some(question) = self.question(id, requester)
            {
                return question;
            }
            self.0.changed.notified().await;
        }
    }

    fn question(&self, id: u64, requester: Requester) -> Option<Question<Q, A>> {
        let queue = self.0.lock();
        let entry = queue.entry(id)?;
        let reply = Reply { shared: self.0.clone(), id, progress: entry.progress.clone() };
        Some(Question { requester, about: entry.about.clone(), reply })
    }
}

impl<Q, A> Drop for Questions<Q, A> {
    fn drop(&mut self) {
        *self.0.lock() = Queue::new(true);
    }
}

/// A question under way.
#[derive(Debug)]
pub struct Question<Q, A> {
    /// The requester whose turn it used; others may wait for the same answer.
    pub requester: Requester,
    pub about: Q,
    pub reply: Reply<Q, A>,
}

/// Sends the answer to one question. If it is dropped without an answer, those who wait learn that there is
/// none.
#[derive(Debug)]
pub struct Reply<Q, A> {
    shared: Arc<Shared<Q, A>>,
    id: u64,
    progress: Arc<watch::Sender<Progress<A>>>,
}

impl<Q, A> Reply<Q, A> {
    /// Sends the answer to all tickets of the question.
    pub fn send(self, answer: A) {
        self.progress.send_replace(Progress::Answered(Arc::new(answer)));
    }

    /// Completes when nobody waits for the answer any more.
    pub async fn closed(&self) {
        self.progress.closed().await;
    }
}

impl<Q, A> Drop for Reply<Q, A> {
    fn drop(&mut self) {
        self.shared.lock().finish(self.id);
        self.shared.changed.notify_one();
    }
}

/// All questions that wait or are under way: at most [`WAITING`] and a few more, so a linear search is
/// enough.
#[derive(Debug)]
struct Queue<Q, A> {
    entries: Vec<Entry<Q, A>>,
    /// Sorted by turn: the front line is next.
    lines: VecDeque<Line>,
    last_id: u64,
    closed: bool,
}

#[derive(Debug)]
struct Entry<Q, A> {
    id: u64,
    about: Q,
    progress: Arc<watch::Sender<Progress<A>>>,
    /// The requester whose place it occupies; `None` while it waits.
    holder: Option<Requester>,
}

/// The waiting questions of one requester, oldest first. A question that several requesters ask is in several
/// lines.
#[derive(Debug)]
struct Line {
    requester: Requester,
    ids: VecDeque<u64>,
}

impl<Q: PartialEq, A> Queue<Q, A> {
    fn put(&mut self, requester: Requester, about: Q) -> Result<watch::Receiver<Progress<A>>, QueueFull> {
        if self.closed {
            // The sender is dropped at once, so the ticket reports that nobody answers.
            return Ok(watch::channel(Progress::Waiting).1);
        }
        self.forget_abandoned();
        if let Some(entry) = self.entries.iter().find(|entry| entry.about == about) {
            let (id, progress) = (entry.id, entry.progress.subscribe());
            if entry.holder.is_none() {
                self.add_waiting_requester(requester, id);
            }
            return Ok(progress);
        }
        self.make_room(requester)?;
        self.last_id += 1;
        let (sender, progress) = watch::channel(Progress::Waiting);
        let id = self.last_id;
        self.entries.push(Entry { id, about, progress: Arc::new(sender), holder: None });
        self.line(requester).ids.push_back(id);
        Ok(progress)
    }
}

impl<Q, A> Queue<Q, A> {
    fn new(closed: bool) -> Self {
        Self { entries: Vec::new(), lines: VecDeque::new(), last_id: 0, closed }
    }

    /// Adds a waiting question to this requester's line as well, since its turn there may come sooner.
    fn add_waiting_requester(&mut self, requester: Requester, id: u64) {
        let line = self.line(requester);
        if !line.ids.contains(&id) && line.ids.len() < WAITING_EACH {
            line.ids.push_back(id);
        }
    }

    /// Makes room in a full queue: a requester whose line is shorter by at least two takes the place of the
    /// newest question in the longest line. Requesters with few questions are thus not kept out by those with
    /// many.
    fn make_room(&mut self, requester: Requester) -> Result<(), QueueFull> {
        let own = self.line(requester).ids.len();
        if own >= WAITING_EACH {
            return Err(QueueFull);
        }
        if requester == Requester::Backfill {
            return Ok(());
        }
        if self.entries.iter().filter(|entry| entry.holder.is_none()).count() < WAITING {
            return Ok(());
        }
        let longest = self.lines.iter_mut().max_by_key(|line| line.ids.len());
        let displaced = longest.filter(|line| line.ids.len() > own + 1).and_then(|line| line.ids.pop_back());
        let displaced = displaced.ok_or(QueueFull)?;
        if self.lines.iter().all(|line| !line.ids.contains(&displaced)) {
            if let Some(entry) = self.entry(displaced) {
                entry.progress.send_replace(Progress::Displaced);
            }
            self.entries.retain(|entry| entry.id != displaced);
            return Ok(());
        }
        // Other requesters wait for it too: it stays in their lines, so no room was gained.
        Err(QueueFull)
    }

    /// The question whose turn it is, and the requester that has the turn.
    fn start(&mut self) -> Option<(u64, Requester)> {
        self.forget_abandoned();
        let place = self.next_line()?;
        let mut line = self.lines.remove(place)?;
        let id = line.ids.pop_front()?;
        let requester = line.requester;
        self.lines.push_back(line);
        self.lines.iter_mut().for_each(|line| line.ids.retain(|other| *other != id));
        let entry = self.entries.iter_mut().find(|entry| entry.id == id)?;
        entry.holder = Some(requester);
        entry.progress.send_replace(Progress::UnderWay);
        Some((id, requester))
    }

    fn next_line(&self) -> Option<usize> {
        let is_backfill = |line: &Line| line.requester == Requester::Backfill;
        let lines = || self.lines.iter().enumerate().filter(|(_, line)| !line.ids.is_empty());
        if let Some((place, _)) = lines().find(|(_, line)| is_backfill(line))
            && self.under_way(Requester::Backfill) == 0
        {
            return Some(place);
        }
        let viewers = lines().filter(|(_, line)| !is_backfill(line));
        let (place, line) = viewers.min_by_key(|(place, line)| (self.under_way(line.requester), *place))?;
        let taken = self.entries.iter().filter(|entry| matches!(entry.holder, Some(Requester::Viewer(_))));
        match PLACES.saturating_sub(taken.count()) {
            0 => None,
            1 if self.under_way(line.requester) > 0 => None,
            _ => Some(place),
        }
    }

    fn finish(&mut self, id: u64) {
        self.entries.retain(|entry| entry.id != id);
    }

    fn under_way(&self, requester: Requester) -> usize {
        self.entries.iter().filter(|entry| entry.holder == Some(requester)).count()
    }

    fn entry(&self, id: u64) -> Option<&Entry<Q, A>> {
        self.entries.iter().find(|entry| entry.id == id)
    }

    fn line(&mut self, requester: Requester) -> &mut Line {
        let place = self.lines.iter().position(|line| line.requester == requester).unwrap_or_else(|| {
            self.lines.push_back(Line { requester, ids: VecDeque::new() });
            self.lines.len() - 1
        });
        &mut self.lines[place]
    }

    /// Drops waiting questions that nobody waits for any more, and empty lines.
    fn forget_abandoned(&mut self) {
        let Self { entries, lines, .. } = self;
        entries.retain(|entry| entry.holder.is_some() || entry.progress.receiver_count() > 0);
        for line in lines.iter_mut() {
            line.ids.retain(|id| entries.iter().any(|entry| entry.id == *id));
        }
        lines.retain(|line| !line.ids.is_empty());
    }
}

#[cfg(test)]
mod tests;
