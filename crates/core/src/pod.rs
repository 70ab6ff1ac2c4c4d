//! A launcher pod as `join` sees it, and what metrics.k8s.io says of a pod.

use super::{
    containers::{Incomplete, PodUsage},
    observation::{Named, PodFacts},
    receipt::Receipt,
};
use model::Millis;

/// What metrics.k8s.io says of a pod.
#[derive(Debug, PartialEq)]
pub(super) struct PodSamples {
    pub namespace: String,
    pub name: String,
    pub created_by: String,
    /// The last item that covered the whole pod.
    pub last: Option<PodSample>,
    /// Why the newest item does not cover the whole pod.
    pub incomplete: Option<Incomplete>,
    /// When the pod was last reported.
    pub last_reported: Millis,
}

impl Named for PodSamples {
    fn namespace(&self) -> &str {
        &self.namespace
    }

    fn name(&self) -> &str {
        &self.name
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct PodSample {
    pub usage: PodUsage,
    pub window_ms: u32,
    pub receipt: Receipt,
}

/// A launcher pod as `join` sees it: from the pod itself, or from its PodMetrics if pods cannot be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pod<'a> {
    pub uid: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
    pub node: &'a str,
    pub created: Option<i64>,
    pub created_by: &'a str,
    pub domain: &'a str,
    pub ended: bool,
    /// Its phase is `Running`, also while it is being deleted: the pods of a drained node stay so until their
    /// guests have shut down.
    pub alive: bool,
    pub running: bool,
}

impl<'a> From<&'a PodFacts> for Pod<'a> {
    fn from(facts: &'a PodFacts) -> Self {
        Self {
            uid: &facts.uid,
            namespace: &facts.namespace,
            name: &facts.name,
            node: &facts.node_name,
            created: Some(facts.created),
            created_by: &facts.created_by,
            domain: &facts.domain,
            ended: facts.has_ended(),
            alive: facts.phase == "Running",
            running: facts.phase == "Running" && !facts.deleting,
        }
    }
}

impl<'a> From<&'a PodSamples> for Pod<'a> {
    fn from(facts: &'a PodSamples) -> Self {
        Self {
            uid: "",
            namespace: &facts.namespace,
            name: &facts.name,
            node: "",
            created: None,
            created_by: &facts.created_by,
            domain: "",
            ended: false,
            alive: true,
            running: true,
        }
    }
}
