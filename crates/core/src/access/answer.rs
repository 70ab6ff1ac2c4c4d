//! What is known about one question.

use model::Millis;

use super::{ALLOW_ENDS, ALLOW_ENDS_WAITING, RENEW_AFTER};

/// The last answer to a question, and whether it is asked again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ReviewAnswer {
    /// Whether the last answer was an allow, and when it came.
    last: Option<(bool, Millis)>,
    /// Whether a valid allow is due for renewal, and the renewal is not answered yet.
    waiting: bool,
    /// The question is not asked again before this time.
    pub due: Millis,
}

impl ReviewAnswer {
    pub fn new(allowed: bool, now: Millis) -> Self {
        Self { last: Some((allowed, now)), waiting: false, due: now + RENEW_AFTER }
    }

    /// Returns whether the last answer is still valid. Denials never expire; an expired allow counts as no
    /// answer.
    pub fn is_known(&self, now: Millis) -> bool {
        self.last.is_some_and(|(allowed, _)| !allowed || self.allows(now))
    }

    /// Returns whether the last answer was an allow, even an expired one.
    pub fn is_allow(&self) -> bool {
        self.last.is_some_and(|(allowed, _)| allowed)
    }

    /// Returns until when it allows. `None` if it does not.
    pub fn allows_until(&self) -> Option<Millis> {
        let (_, at) = self.last.filter(|(allowed, _)| *allowed)?;
        Some(at + if self.waiting { ALLOW_ENDS_WAITING } else { ALLOW_ENDS })
    }

    pub fn allows(&self, now: Millis) -> bool {
        self.allows_until().is_some_and(|until| now < until)
    }

    /// Returns whether it allows only because its renewal waits.
    pub fn is_late(&self, now: Millis) -> bool {
        self.allows(now) && self.last.is_some_and(|(_, at)| now >= at + ALLOW_ENDS)
    }

    /// Returns when it ends, or becomes late. `None` if it does not allow.
    pub fn changes_at(&self, now: Millis) -> Option<Millis> {
        let late = self.last.map(|(_, at)| at + ALLOW_ENDS).filter(|late| now < *late);
        self.allows_until().filter(|until| now < *until).map(|until| late.unwrap_or(until))
    }

    /// Notes that its renewal is due. An allow that has ended by then stays ended.
    pub fn wait(&mut self, now: Millis) {
        self.waiting |= self.allows(now);
    }
}
