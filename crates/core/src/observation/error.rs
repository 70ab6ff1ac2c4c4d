//! Why a source failed.

use model::{message::Message, reason::Reason};

/// Why a source gave nothing, described for people, with the node and the permission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceError {
    pub reason: Reason,
    pub detail: Message,
}

impl SourceError {
    /// Returns whether the source refused, which counts at once: it answered 403, or does not serve the API.
    pub fn is_denial(&self) -> bool {
        matches!(self.reason, Reason::Forbidden | Reason::ApiAbsent)
    }
}
