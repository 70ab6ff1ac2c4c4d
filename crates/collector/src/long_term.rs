//! The interface between the application and a source that remembers longer than this program, such as
//! Prometheus.
//!
//! The application asks through [`LongTermHistory`]; the source takes [`Questions`] and answers them.

mod queue;

use std::sync::Arc;

use self::queue::{Full, Shared};
pub use self::queue::{Question, Questions, Reply, Requester, Ticket, Unanswered};
use i18n::msg;
use model::reason::Reason;
use wukong_core::{
    long_term::{Answer, Times, VmSelection},
    observation::SourceError,
};

/// The asking end: accepts questions about the past. Clones share one queue.
#[derive(Clone, Debug)]
pub struct LongTermHistory(Arc<Shared>);

impl LongTermHistory {
    /// Creates the queue and returns both of its ends.
    pub fn new() -> (Self, Questions) {
        let shared = Arc::new(Shared::default());
        (Self(shared.clone()), Questions(shared))
    }

    /// Queues the question. Fails at once with [`busy`] if too many questions wait already.
    pub fn ask(&self, requester: Requester, of: VmSelection, times: Times) -> Result<Ticket, SourceError> {
        self.0.ask(requester, of, times).map_err(|Full| busy())
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
            Unanswered::Gone => SourceError { reason: Reason::Unreachable, detail: msg!(collect.ending) },
        }
    }
}

/// The error for a question that was refused because too many wait already.
pub fn busy() -> SourceError {
    SourceError { reason: Reason::Busy, detail: msg!(past.busy) }
}
