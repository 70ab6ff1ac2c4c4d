//! What is kept of one watch or poll: when it last succeeded, and what keeps it.

use super::observation::SourceError;
use model::{Millis, reason::Reason};

/// The record of one watch or poll.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SourceStatus {
    pub last_success: Option<Millis>,
    pub last_bytes: Option<Millis>,
    /// The failure that has not been followed by a success.
    pub error: Option<SourceError>,
    /// What is not known of its objects, because there is more of them than is read or kept.
    pub omitted: Vec<SourceError>,
}

impl SourceStatus {
    pub fn succeeded(&mut self, at: Millis) {
        self.last_success = Some(at);
        self.error = None;
    }

    /// Bytes on a watch: a success if there was a list before it. A watch that broke off and is reopened where it
    /// was lists nothing again, so this is all that ends its failure; one that lost its API lists anew first.
    pub fn alive(&mut self, at: Millis) {
        self.last_bytes = Some(at);
        let absent = self.error.as_ref().is_some_and(|error| error.reason == Reason::ApiAbsent);
        if self.last_success.is_some() && !absent {
            self.succeeded(at);
        }
    }

    pub fn failed(&mut self, error: SourceError) {
        self.error = Some(error);
    }

    pub fn tried(&self) -> bool {
        self.last_success.is_some() || self.error.is_some()
    }
}
