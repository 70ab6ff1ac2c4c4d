//! What all rows depend on. If any of it changes, `rows` joins all of them again.

use super::{observation::SourceError, state::ClusterState};
use model::{Millis, source::SourceId};

#[derive(Debug, PartialEq)]
pub(super) struct Conditions {
    statuses: Vec<StatusShown>,
    has_pods: bool,
    has_nodes: bool,
    is_longhorn_at_home: bool,
    longhorn_time: Millis,
    wall_step: Millis,
    own_skew: Option<Millis>,
    /// How often a clock was found to be off by another amount.
    skews: u64,
}

/// The parts of a source's status that a figure may show.
#[derive(Debug, PartialEq)]
struct StatusShown {
    source: SourceId,
    namespace: Option<String>,
    listed: bool,
    error: Option<SourceError>,
    omitted: Vec<SourceError>,
}

impl Conditions {
    pub fn of(state: &ClusterState) -> Self {
        let statuses = state.source_statuses.iter().map(|((source, namespace), status)| StatusShown {
            source: *source,
            namespace: namespace.clone(),
            listed: status.last_success.is_some(),
            error: status.error.clone(),
            omitted: status.omitted.clone(),
        });
        Self {
            statuses: statuses.collect(),
            has_pods: !state.pods.is_empty(),
            has_nodes: !state.nodes.is_empty(),
            is_longhorn_at_home: state.is_longhorn_at_home,
            longhorn_time: state.longhorn_time(),
            wall_step: state.wall_step,
            own_skew: state.own_skew,
            skews: state.skews.changes(),
        }
    }
}
