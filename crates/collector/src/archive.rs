//! Where questions are put to an archive that remembers longer than this program.
//!
//! This is the seam: the application asks through [`LongTermHistory`], and whoever answers takes [`Questions`].

mod queue;

use std::sync::Arc;

use self::queue::{Full, Shared};
pub use self::queue::{Question, Questions, Reply, Requester, Ticket, Unanswered};
use i18n::msg;
use model::reason::Reason;
use wukong_core::{
    archive::{Answer, Of, Times},
    observation::SourceError,
};

/// Where questions are put.
#[derive(Clone, Debug)]
pub struct LongTermHistory(Arc<Shared>);

impl LongTermHistory {
    pub fn new() -> (Self, Questions) {
        let shared = Arc::new(Shared::default());
        (Self(shared.clone()), Questions(shared))
    }

    /// Takes the question in, or says at once that there are too many.
    pub fn ask(&self, requester: Requester, of: Of, times: Times) -> Result<Ticket, SourceError> {
        self.0.ask(requester, of, times).map_err(|Full| busy())
    }

    /// Asks, and waits for as long as it takes: the caller has the deadline.
    pub async fn answer(&self, requester: Requester, of: Of, times: Times) -> Arc<Answer> {
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

/// Too many questions wait already.
pub fn busy() -> SourceError {
    SourceError { reason: Reason::Busy, detail: msg!(past.busy) }
}
