//! Why a source failed.

use model::{message::Message, reason::Reason};

/// Why a source gave nothing, described for people, with the node and the permission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceError {
    pub reason: Reason,
    pub detail: Message,
}
