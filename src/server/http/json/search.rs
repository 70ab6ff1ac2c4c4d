//! The JSON of `GET /api/search`.

use serde::Serialize;

use wukong_core::search::{Match, MatchKind};

/// Names that contain a text.
#[derive(Serialize)]
pub struct SearchJson<'a> {
    matches: Vec<MatchJson<'a>>,
}

#[derive(Serialize)]
struct MatchJson<'a> {
    /// `vm`, `node` or `namespace`.
    kind: &'static str,
    /// Of a VM; null for others.
    namespace: Option<&'a str>,
    name: &'a str,
}

impl<'a> SearchJson<'a> {
    pub fn new(matches: &[Match<'a>]) -> Self {
        let one = |found: &Match<'a>| {
            let (kind, namespace) = match found.kind {
                MatchKind::Vm => ("vm", Some(found.namespace)),
                MatchKind::Node => ("node", None),
                MatchKind::Namespace => ("namespace", None),
            };
            MatchJson { kind, namespace, name: found.name }
        };
        Self { matches: matches.iter().map(one).collect() }
    }
}
