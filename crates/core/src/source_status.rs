//! The status of one watch or poll: when it last succeeded, and its current failure. `apply` updates it;
//! `health` reads it.

use std::collections::BTreeMap;

use super::observation::SourceError;
use model::{Millis, reason::Reason, source::SourceId};

/// The status of each source, by namespace if it is asked by namespace.
pub(super) type SourceStatuses = BTreeMap<(SourceId, Option<String>), SourceStatus>;

/// The status of one watch or poll.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SourceStatus {
    pub last_success: Option<Millis>,
    pub last_bytes: Option<Millis>,
    /// The failure that no success has followed.
    pub error: Option<SourceError>,
    /// Which objects are not known, because there are more than are read or kept.
    pub omitted: Vec<SourceError>,
}

impl SourceStatus {
    /// Records a success, which ends a failure.
    pub fn succeeded(&mut self, at: Millis) {
        self.last_success = Some(at);
        self.error = None;
    }

    /// Records bytes on a watch. They count as a success if a list came before. A watch that broke off and
    /// resumes does not list again, so only this ends its failure; a watch whose API was absent lists again
    /// first.
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

    /// Whether it has succeeded or failed at least once.
    pub fn tried(&self) -> bool {
        self.last_success.is_some() || self.error.is_some()
    }
}
