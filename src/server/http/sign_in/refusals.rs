//! Refusals in the audit log: some lines about each client, and how many were left out.

use super::{audit, line_limit::LineLimit};
use crate::server::http::peer::{Client, Peer};

/// Lines about one client in a minute.
const LINES: u32 = 10;

/// The refusals of the last minute.
pub struct Refusals(LineLimit<Option<Client>, Option<Peer>>);

impl Default for Refusals {
    fn default() -> Self {
        Self(LineLimit::new(LINES))
    }
}

impl Refusals {
    /// Writes that somebody was refused, or counts it if there are enough lines about them. Returns whether it was
    /// written.
    pub fn note(&self, why: audit::Refusal, peer: Option<Peer>) -> bool {
        let is_line = self.0.count(peer.map(Peer::client), || peer);
        if is_line {
            audit::refused(why, peer, 0);
        }
        is_line
    }

    /// Writes how many refusals were left out, and forgets what is older than a minute.
    pub fn tidy(&self) {
        for (peer, left_out) in self.0.take_left_out() {
            audit::refused(audit::Refusal::LeftOut, peer.flatten(), left_out);
        }
    }
}
