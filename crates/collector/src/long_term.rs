//! The interface between the application and a source that remembers longer than this program, such as
//! Prometheus.
//!
//! The application asks through [`LongTermHistory`]; the source takes [`Questions`] and answers them.

use std::sync::Arc;

use crate::queue::{self, Asker, QueueFull};
pub use crate::queue::{Requester, Unanswered};
use i18n::msg;
use model::reason::Reason;
use wukong_core::{
    long_term::{Answer, Times, VmSelection},
    observation::SourceError,
};

/// What is asked about the past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastQuery {
    pub of: VmSelection,
    pub times: Times,
}

/// The answering end of the queue, a question under way, its reply, and what the asking end waits on.
pub type Questions = queue::Questions<PastQuery, Answer>;
pub type Question = queue::Question<PastQuery, Answer>;
pub type Reply = queue::Reply<PastQuery, Answer>;
pub type Ticket = queue::Ticket<Answer>;

/// The asking end: accepts questions about the past. Clones share one queue.
#[derive(Clone, Debug)]
pub struct LongTermHistory(Asker<PastQuery, Answer>);

impl LongTermHistory {
    /// Creates the queue and returns both of its ends.
    pub fn new() -> (Self, Questions) {
        let (asker, questions) = queue::queue();
        (Self(asker), questions)
    }

    /// Queues the question. Fails at once with [`busy`] if too many questions wait already.
    pub fn ask(&self, requester: Requester, of: VmSelection, times: Times) -> Result<Ticket, SourceError> {
        self.0.ask(requester, PastQuery { of, times }).map_err(|QueueFull| busy())
    }

    /// Queues the question and waits for its answer without a time limit: the caller sets the deadline.
    pub async fn answer(&self, requester: Requester, of: VmSelection, times: Times) -> Arc<Answer> {
        match self.ask(requester, of, times) {
            Ok(mut ticket) => ticket.answer().await.unwrap_or_else(|why| Arc::new(Err(why.into()))),
            Err(error) => Arc::new(Err(error)),
        }
    }
}

impl From<Unanswered> for SourceError {
    fn from(why: Unanswered) -> Self {
        match why {
            Unanswered::Displaced => busy(),
            Unanswered::Gone => Self { reason: Reason::Unreachable, detail: msg!(collect.ending) },
        }
    }
}

/// The error for a question that was refused because too many wait already.
pub fn busy() -> SourceError {
    SourceError { reason: Reason::Busy, detail: msg!(past.busy) }
}
