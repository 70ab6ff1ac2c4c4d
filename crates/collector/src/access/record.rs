//! How the API server answers reviews: counted over a minute, with the failures that stand.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use parking_lot::Mutex;

use i18n::Render;
use model::{Millis, reason::Reason, source::ReviewCounts};
use wukong_core::observation::{ReviewFacts, SourceError};

const MINUTE: Millis = 60_000;
/// Response times that are kept until the next facts.
const MOST_TIMES: usize = 128;

/// What a review is about. The two need different permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReviewKind {
    Token,
    Rights,
}

/// Records every review that is sent. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct ReviewRecord(Arc<Mutex<Record>>);

#[derive(Debug, Default)]
struct Record {
    last_success: Option<Millis>,
    /// The failures that no success has followed: of reviews of tokens, and of rights.
    token_error: Option<SourceError>,
    rights_error: Option<SourceError>,
    took: Vec<u32>,
    /// Reviews of the last minute, by second.
    recent: VecDeque<(Millis, u32)>,
}

impl ReviewRecord {
    /// Adds a review that was answered, or why it was not.
    pub fn add(&self, about: ReviewKind, answer: Result<Duration, &SourceError>, now: Millis) {
        let mut record = self.0.lock();
        record.count(now);
        match answer {
            Ok(took) => record.succeeded(about, took, now),
            Err(error) => record.failed(about, error),
        }
    }

    /// Returns what is recorded by now, with these counts.
    pub fn facts(&self, counts: ReviewCounts, now: Millis) -> ReviewFacts {
        let mut record = self.0.lock();
        record.forget_old(now);
        let last_minute = record.recent.iter().map(|(_, count)| count).sum();
        ReviewFacts {
            last_success: record.last_success,
            errors: record.token_error.iter().chain(&record.rights_error).cloned().collect(),
            took: std::mem::take(&mut record.took),
            counts: ReviewCounts { last_minute, ..counts },
        }
    }
}

impl Record {
    fn count(&mut self, now: Millis) {
        self.forget_old(now);
        let second = now - now.rem_euclid(1_000);
        match self.recent.back_mut().filter(|(last, _)| *last == second) {
            Some((_, count)) => *count += 1,
            None => self.recent.push_back((second, 1)),
        }
    }

    fn forget_old(&mut self, now: Millis) {
        while self.recent.front().is_some_and(|(second, _)| now - second > MINUTE) {
            self.recent.pop_front();
        }
    }

    fn succeeded(&mut self, about: ReviewKind, took: Duration, now: Millis) {
        self.last_success = Some(now);
        if self.took.len() < MOST_TIMES {
            self.took.push(u32::try_from(took.as_millis()).unwrap_or(u32::MAX));
        }
        if let Some(error) = self.error_mut(about).take() {
            tracing::info!(?about, after = error.reason.code(), "the API server answers reviews again");
        }
        // The API server answers, so failures of the other kind of review are over too, but for a missing permission.
        let other = if about == ReviewKind::Token { ReviewKind::Rights } else { ReviewKind::Token };
        self.error_mut(other).take_if(|error| error.reason != Reason::Forbidden);
    }

    fn failed(&mut self, about: ReviewKind, error: &SourceError) {
        let before = self.error_mut(about).replace(error.clone());
        if before.is_none_or(|before| before.reason != error.reason) {
            let why = error.detail.english();
            tracing::warn!(
                ?about,
                reason = error.reason.code(),
                why,
                "the API server does not answer reviews"
            );
        }
    }

    fn error_mut(&mut self, about: ReviewKind) -> &mut Option<SourceError> {
        match about {
            ReviewKind::Token => &mut self.token_error,
            ReviewKind::Rights => &mut self.rights_error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 1_800_000_000_500;
    const TOOK: Duration = Duration::from_millis(7);

    fn error(reason: Reason) -> SourceError {
        SourceError { reason, detail: reason.code().into() }
    }

    fn reasons(record: &ReviewRecord) -> Vec<Reason> {
        let errors = record.facts(ReviewCounts::default(), NOW).errors;
        errors.into_iter().map(|error| error.reason).collect()
    }

    #[test]
    fn reviews_count_for_a_minute() {
        let record = ReviewRecord::default();
        for second in 0..90 {
            record.add(ReviewKind::Rights, Ok(TOOK), NOW + second * 1_000);
            record.add(ReviewKind::Token, Err(&error(Reason::TimedOut)), NOW + second * 1_000);
        }
        let facts = |at| record.facts(ReviewCounts { users: 3, ..ReviewCounts::default() }, at);
        let after = facts(NOW + 89_000);
        assert_eq!((after.counts.last_minute, after.counts.users), (120, 3));
        assert_eq!((after.last_success, after.took.len()), (Some(NOW + 89_000), 90));
        let idle = facts(NOW + 200_000);
        assert_eq!((idle.counts.last_minute, idle.took.len()), (0, 0), "times are told once");
    }

    #[test]
    fn a_failure_stands_until_its_own_kind_succeeds_or_the_api_server_is_there_again() {
        let record = ReviewRecord::default();
        record.add(ReviewKind::Token, Err(&error(Reason::Forbidden)), NOW);
        record.add(ReviewKind::Rights, Err(&error(Reason::Unreachable)), NOW);
        assert_eq!(reasons(&record), [Reason::Forbidden, Reason::Unreachable]);
        record.add(ReviewKind::Rights, Ok(TOOK), NOW);
        assert_eq!(reasons(&record), [Reason::Forbidden], "nobody granted the other permission");
        record.add(ReviewKind::Token, Err(&error(Reason::TimedOut)), NOW);
        record.add(ReviewKind::Rights, Ok(TOOK), NOW);
        assert_eq!(reasons(&record), []);
    }
}
