//! The kinds of what needs a person, and the filter of the list for them. `core::attention` decides which VM needs
//! attention, `core::incidents` merges what has one cause.

use serde::{Deserialize, Serialize};

/// What a VM needs attention for, in the order of pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AttentionKind {
    /// It is known, or feared, not to run although it should: its node is lost, a fault paused its guest, or it failed.
    Down,
    /// A file system or a volume is full, or soon will be.
    FillingUp,
    /// It has too little CPU or memory.
    Undersized,
    /// Its vCPUs wait for a CPU of the host.
    Contended,
    SlowDisk,
    /// Its live migration does not converge.
    Migration,
    /// It does not start.
    NotStarting,
    /// Its state or a figure is unknown or stale.
    Unknown,
}

impl AttentionKind {
    pub const COUNT: usize = 8;
    pub const ALL: [Self; Self::COUNT] = [
        Self::Down,
        Self::FillingUp,
        Self::Undersized,
        Self::Contended,
        Self::SlowDisk,
        Self::Migration,
        Self::NotStarting,
        Self::Unknown,
    ];
    /// The kinds in addresses and JSON.
    const CODES: [&str; Self::COUNT] =
        ["down", "filling", "undersized", "contended", "slow-disk", "migration", "schedule", "unknown"];

    pub fn code(self) -> &'static str {
        Self::CODES[self as usize]
    }
}

/// What one VM needs attention for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttentionKinds(u8);

impl AttentionKinds {
    pub const NONE: Self = Self(0);

    pub fn only(kind: AttentionKind) -> Self {
        Self::NONE.with(kind)
    }

    #[must_use]
    pub fn with(self, kind: AttentionKind) -> Self {
        Self(self.0 | 1 << kind as u8)
    }

    pub fn contains(self, kind: AttentionKind) -> bool {
        self.0 & 1 << kind as u8 != 0
    }

    pub fn is_empty(self) -> bool {
        self == Self::NONE
    }
}

/// The filter `attention`: `1` for every VM that needs attention, a kind, or `KIND.CAUSE` for the VMs of one incident.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Attention {
    /// `None` for all kinds.
    pub kind: Option<AttentionKind>,
    /// Identifies one incident of the kind; empty for all of them.
    pub cause: String,
}

/// The longest cause: a kind, a namespace and a name.
pub const MAX_CAUSE: usize = 22 + 1 + 63 + 1 + 253;

impl Attention {
    /// What the parameter may be, for messages.
    pub(crate) const EXPECTED: &str =
        "0, 1, down, filling, undersized, contended, slow-disk, migration, schedule, unknown or KIND.CAUSE";

    /// Parses what [`Self::code`] writes. `None` if it is nothing of that.
    pub(crate) fn parse(code: &str) -> Option<Self> {
        if code == "1" {
            return Some(Self::default());
        }
        let (kind, cause) = code.split_once('.').unwrap_or((code, ""));
        let at = AttentionKind::CODES.iter().position(|code| *code == kind)?;
        let is_cause = cause.len() <= MAX_CAUSE && (!cause.is_empty() || kind.len() == code.len());
        is_cause.then(|| Self { kind: Some(AttentionKind::ALL[at]), cause: cause.to_owned() })
    }

    /// Returns the parameter's value.
    pub fn code(&self) -> String {
        match self.kind {
            None => "1".to_owned(),
            Some(kind) if self.cause.is_empty() => kind.code().to_owned(),
            Some(kind) => [kind.code(), ".", &self.cause].concat(),
        }
    }
}

impl From<AttentionKind> for Attention {
    fn from(kind: AttentionKind) -> Self {
        Self { kind: Some(kind), cause: String::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_read_back() {
        let all = AttentionKind::ALL.map(Attention::from);
        let causes = ["worker-1.example.com", "guest-agent.agent-off", "a b<&>\u{1}"];
        let causes = causes.map(|cause| Attention { cause: cause.into(), ..AttentionKind::Down.into() });
        for attention in [Attention::default()].into_iter().chain(all).chain(causes) {
            assert_eq!(Attention::parse(&attention.code()), Some(attention));
        }
        for other in ["", "yes", "2", "Down", "down.", "1.x", ".x", "oversized"] {
            assert_eq!(Attention::parse(other), None, "{other}");
        }
        let of = |length| Attention::parse(&format!("down.{}", "x".repeat(length)));
        assert!(of(MAX_CAUSE).is_some() && of(MAX_CAUSE + 1).is_none());
    }

    #[test]
    fn what_is_expected_names_every_code() {
        for kind in AttentionKind::ALL {
            assert!(Attention::EXPECTED.contains(kind.code()), "{}", kind.code());
        }
    }
}
