//! Reads from the audit log which requests the API server got.

use std::{collections::HashSet, path::PathBuf};

use serde_json::Value;

/// Requests of every service account, with the bodies of access reviews; a watch is logged as soon as it is answered.
pub const POLICY: &str = r#"
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Request
    userGroups: ["system:serviceaccounts"]
    resources: [{group: authorization.k8s.io, resources: [subjectaccessreviews]}]
  - level: Metadata
    userGroups: ["system:serviceaccounts"]
  - level: None
"#;

#[derive(Clone)]
pub struct Audit {
    log: PathBuf,
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    pub verb: String,
    pub uri: String,
    /// The answer's status.
    pub code: u64,
    /// When it came, in milliseconds since the epoch.
    pub received_ms: i64,
}

impl AuditEntry {
    pub fn lists_metrics(&self) -> bool {
        self.verb == "list" && self.uri.starts_with("/apis/metrics.k8s.io/")
    }

    /// The node whose kubelet was asked for its summary.
    pub fn summary_of(&self) -> Option<&str> {
        self.uri.strip_prefix("/api/v1/nodes/")?.strip_suffix("/proxy/stats/summary")
    }
}

impl Audit {
    pub fn new(log: PathBuf) -> Self {
        Self { log }
    }

    /// Returns all requests of `user` so far, each once.
    pub fn of(&self, user: &str) -> Vec<AuditEntry> {
        self.events_of(user)
            .into_iter()
            .map(|event| AuditEntry {
                verb: event["verb"].as_str().unwrap_or_default().to_owned(),
                uri: event["requestURI"].as_str().unwrap_or_default().to_owned(),
                code: event["responseStatus"]["code"].as_u64().unwrap_or_default(),
                received_ms: milliseconds(&event["requestReceivedTimestamp"]),
            })
            .collect()
    }
}

impl Audit {
    /// Returns what `user` asked in SubjectAccessReviews so far: the `spec` of each.
    pub fn access_reviews_of(&self, user: &str) -> Vec<Value> {
        let specs = self.events_of(user).into_iter().map(|mut event| event["requestObject"]["spec"].take());
        specs.filter(Value::is_object).collect()
    }

    fn events_of(&self, user: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let mut seen = HashSet::new();
        text.lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|event| event["user"]["username"] == user)
            .filter(|event| seen.insert(event["auditID"].to_string()))
            .collect()
    }
}

fn milliseconds(time: &Value) -> i64 {
    let time = time.as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    time.map_or(0, jiff::Timestamp::as_millisecond)
}
