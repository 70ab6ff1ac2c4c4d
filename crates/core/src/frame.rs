//! Builds the frame of every view: the cluster, the time and the sources. `view`, `groups` and `insight` use
//! it.

use super::{STALE_AFTER, Visible};
use model::{Millis, view::Frame};

/// What does not change while the program runs.
#[derive(Clone, Debug)]
pub struct Identity {
    pub cluster: String,
    pub demo: bool,
    /// How often pages ask again, in milliseconds: the shortest interval of a source.
    pub refresh: u32,
}

/// Returns the frame of a view cut at `now`.
pub fn frame(visible: &Visible, identity: &Identity, now: Millis) -> Frame {
    Frame {
        cluster: identity.cluster.clone(),
        demo: identity.demo,
        now,
        last_seen: visible.last_seen(),
        stale_after: identity.refresh.saturating_mul(STALE_AFTER as u32),
        refresh: identity.refresh,
        ready: visible.is_ready(),
        all_vms: visible.scope().has_all_vms(),
        nodes: visible.scope().has_nodes(),
        sources: visible.sources().to_vec(),
    }
}
