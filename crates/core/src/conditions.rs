//! What all rows depend on. If any of it changes, `rows` joins all of them again. `last_rows` keeps it.

use super::observation::SourceError;
use model::{Millis, source::SourceId};

#[derive(Debug, PartialEq)]
pub(super) struct Conditions {
    pub statuses: Vec<StatusShown>,
    pub has_pods: bool,
    pub has_nodes: bool,
    pub is_longhorn_at_home: bool,
    pub longhorn_time: Millis,
    pub wall_step: Millis,
    pub own_skew: Option<Millis>,
    /// How often a clock was found to be off by another amount.
    pub skews: u64,
}

/// The parts of a source's status that a figure may show.
#[derive(Debug, PartialEq)]
pub(super) struct StatusShown {
    pub source: SourceId,
    pub namespace: Option<String>,
    pub listed: bool,
    pub error: Option<SourceError>,
    pub omitted: Vec<SourceError>,
}
