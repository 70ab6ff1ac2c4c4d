//! Questions that wait for an archive, shared fairly between those who ask.
//!
//! Each requester has a line of its own. The next question is that of the requester with the fewest under way, and of
//! several such requesters the one that has waited longest for its turn. One place is kept for a requester that has
//! nothing under way, so that no requester's slow questions hold all of them. The backfill has a place of its own: it takes
//! none of the viewers', and they take none of its.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, watch};

use wukong_core::archive::{Answer, Of, Times};

/// Viewers' questions under way at the same time.
pub const PLACES: usize = 4;
/// Questions of one viewer that wait, and of all: a question beyond that is refused at once.
pub const WAITING_EACH: usize = 8;
pub const WAITING: usize = 64;

/// Who asks. A viewer's number is whatever tells viewers apart, such as a hash of the peer's address; all viewers that
/// nothing tells apart share one number, and so their places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Requester {
    /// Fills the memory's gaps after a start.
    Backfill,
    Viewer(u64),
}

impl Default for Requester {
    fn default() -> Self {
        Self::Viewer(0)
    }
}

/// The line is full: the question was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// How far a question has come.
#[derive(Clone, Debug)]
enum Progress {
    Waiting,
    UnderWay,
    Answered(Arc<Answer>),
    /// A requester with a shorter line took its place.
    Displaced,
}

/// Both ends hold it. The lock is never held across an await.
#[derive(Debug, Default)]
pub(super) struct Shared {
    queue: Mutex<Queue>,
    /// Tells the one who answers that a question may have become startable.
    changed: Notify,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a question in, or joins the same question of somebody else.
    pub fn ask(&self, requester: Requester, of: Of, times: Times) -> Result<Ticket, Full> {
        let progress = self.lock().put(requester, of, times)?;
        self.changed.notify_one();
        Ok(Ticket { progress })
    }
}

/// A question that was taken in. Dropped, it is no longer waited for.
#[derive(Debug)]
pub struct Ticket {
    progress: watch::Receiver<Progress>,
}

/// Why a ticket has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswered {
    Displaced,
    /// Nobody answers questions any more.
    Gone,
}

impl Ticket {
    /// Waits for as long as it takes: the caller has the deadline.
    pub async fn answer(&mut self) -> Result<Arc<Answer>, Unanswered> {
        let ended = |progress: &Progress| matches!(progress, Progress::Answered(_) | Progress::Displaced);
        match self.progress.wait_for(ended).await.as_deref() {
            Ok(Progress::Answered(answer)) => Ok(answer.clone()),
            Ok(_) => Err(Unanswered::Displaced),
            Err(_) => Err(Unanswered::Gone),
        }
    }

    /// Whether its turn has not come yet.
    pub fn is_waiting(&self) -> bool {
        matches!(*self.progress.borrow(), Progress::Waiting)
    }
}

/// The end at which questions are answered.
#[derive(Debug)]
pub struct Questions(pub(super) Arc<Shared>);

impl Questions {
    /// The next question that has a place. The place is free again once its [`Reply`] is dropped.
    pub async fn next(&mut self) -> Question {
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

    fn question(&self, id: u64, requester: Requester) -> Option<Question> {
        let queue = self.0.lock();
        let entry = queue.entry(id)?;
        let reply = Reply { shared: self.0.clone(), id, progress: entry.progress.clone() };
        Some(Question { requester, of: entry.of.clone(), times: entry.times, reply })
    }
}

impl Drop for Questions {
    fn drop(&mut self) {
        *self.0.lock() = Queue { closed: true, ..Queue::default() };
    }
}

/// A question under way.
#[derive(Debug)]
pub struct Question {
    /// Whose turn it took; others may wait for the same answer.
    pub requester: Requester,
    pub of: Of,
    pub times: Times,
    pub reply: Reply,
}

/// Where the answer of one question goes. Dropped without one, those who wait learn that there is none.
#[derive(Debug)]
pub struct Reply {
    shared: Arc<Shared>,
    id: u64,
    progress: Arc<watch::Sender<Progress>>,
}

impl Reply {
    pub fn send(self, answer: Answer) {
        self.progress.send_replace(Progress::Answered(Arc::new(answer)));
    }

    /// Ends once nobody waits for the answer any more.
    pub async fn closed(&self) {
        self.progress.closed().await;
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.shared.lock().finish(self.id);
        self.shared.changed.notify_one();
    }
}

/// Everything that waits or is under way. At most [`WAITING`] and a few entries, so it is searched, not indexed.
#[derive(Debug, Default)]
struct Queue {
    entries: Vec<Entry>,
    /// In the order of their turns.
    lines: VecDeque<Line>,
    last_id: u64,
    closed: bool,
}

#[derive(Debug)]
struct Entry {
    id: u64,
    of: Of,
    times: Times,
    progress: Arc<watch::Sender<Progress>>,
    /// Who holds a place with it; none while it waits.
    holder: Option<Requester>,
}

/// Questions of one requester that wait, oldest first. A question that several ask stands in several lines.
#[derive(Debug)]
struct Line {
    requester: Requester,
    ids: VecDeque<u64>,
}

impl Queue {
    fn put(&mut self, requester: Requester, of: Of, times: Times) -> Result<watch::Receiver<Progress>, Full> {
        if self.closed {
            // Its sender is gone at once: who waits learns that nobody answers.
            return Ok(watch::channel(Progress::Waiting).1);
        }
        self.forget_abandoned();
        if let Some(entry) = self.entries.iter().find(|entry| (&entry.of, entry.times) == (&of, times)) {
            let (id, progress) = (entry.id, entry.progress.subscribe());
            if entry.holder.is_none() {
                self.line_up_too(requester, id);
            }
            return Ok(progress);
        }
        self.make_room(requester)?;
        self.last_id += 1;
        let (sender, progress) = watch::channel(Progress::Waiting);
        let id = self.last_id;
        self.entries.push(Entry { id, of, times, progress: Arc::new(sender), holder: None });
        self.line(requester).ids.push_back(id);
        Ok(progress)
    }

    /// A further turn for a question that waits in somebody else's line: its own turn may come sooner.
    fn line_up_too(&mut self, requester: Requester, id: u64) {
        let line = self.line(requester);
        if !line.ids.contains(&id) && line.ids.len() < WAITING_EACH {
            line.ids.push_back(id);
        }
    }

    /// In a full queue a requester takes the place of the longest line's newest question, should its own line be
    /// shorter by two: many who ask little are not kept out by a few who ask much.
    fn make_room(&mut self, requester: Requester) -> Result<(), Full> {
        let own = self.line(requester).ids.len();
        if own >= WAITING_EACH {
            return Err(Full);
        }
        if requester == Requester::Backfill {
            return Ok(());
        }
        if self.entries.iter().filter(|entry| entry.holder.is_none()).count() < WAITING {
            return Ok(());
        }
        let longest = self.lines.iter_mut().max_by_key(|line| line.ids.len());
        let displaced = longest.filter(|line| line.ids.len() > own + 1).and_then(|line| line.ids.pop_back());
        let displaced = displaced.ok_or(Full)?;
        if self.lines.iter().all(|line| !line.ids.contains(&displaced)) {
            if let Some(entry) = self.entry(displaced) {
                entry.progress.send_replace(Progress::Displaced);
            }
            self.entries.retain(|entry| entry.id != displaced);
            return Ok(());
        }
        // Others wait for it too: it stays in their lines, and there is no room.
        Err(Full)
    }

    /// The question whose turn it is, and who has that turn.
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

    fn entry(&self, id: u64) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.id == id)
    }

    fn line(&mut self, requester: Requester) -> &mut Line {
        let place = self.lines.iter().position(|line| line.requester == requester).unwrap_or_else(|| {
            self.lines.push_back(Line { requester, ids: VecDeque::new() });
            self.lines.len() - 1
        });
        &mut self.lines[place]
    }

    /// What waits and nobody waits for, and lines without a question.
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
