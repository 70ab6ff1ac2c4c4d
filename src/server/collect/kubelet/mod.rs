//! Each node's `/stats/summary` through the API server's node proxy: volumes only.
//!
//! A node that hangs holds one slot for its deadline, after which it is suspect: suspects wait behind the others
//! and never take more than half of the slots. A node that fails is asked once a cycle like any other; only while
//! the API server itself is away is everything held back, and one node asked until it answers again.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{
    Closed, Outlet,
    error::{Failure, UNAUTHORIZED, seconds, source_error, transport_error},
    now,
    poll::{Asker, Pace},
};
use crate::{
    model::{Millis, figure::Source, reason::Reason},
    server::{
        config::CollectConfig,
        k8s::{
            summary::{PodRef, Summary, VolumeUsage},
            time,
        },
        snapshot::facts::{
            Key, NodeTarget, Observation, SourceError, SummaryFacts, Targets, VolumeRef, VolumeStats,
        },
    },
};

/// The seed's volume name for a claim, beside `pvcRef`.
const PVC_PREFIX: &str = "kubernetes.io~pvc/";

/// Asks every target at once, then each at its interval, until nobody listens.
pub async fn poll(
    asker: Asker,
    config: &CollectConfig,
    mut targets: watch::Receiver<Targets>,
    outlet: Outlet,
) -> Result<(), Closed> {
    let mut round = Round::new(asker, config, outlet);
    let mut publishing = true;
    loop {
        let nodes = targets.borrow_and_update().nodes.clone();
        round.aim(&nodes);
        round.start_due();
        let due = round.next_start();
        tokio::select! {
            changed = targets.changed(), if publishing => publishing = changed.is_ok(),
            Some(done) = round.asked.join_next() => round.finish(done)?,
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            // No node to ask, and nobody who could name one any more.
            else => return Err(Closed),
        }
    }
}

/// One node that is asked again and again.
#[derive(Debug)]
struct Node {
    due: Instant,
    asked: bool,
    /// It did not answer in time when it was last asked.
    suspect: bool,
}

/// The end of one request.
struct Asked {
    node: String,
    started: Instant,
    /// None: nobody listens any more.
    outcome: Option<Outcome>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Answered,
    /// The node gave no figures: itself, or the API server on its behalf.
    Failed,
    Late,
    /// The API server could not be reached.
    Away,
}

struct Round {
    asker: Asker,
    namespaces: Option<Arc<[String]>>,
    outlet: Outlet,
    slots: usize,
    nodes: BTreeMap<String, Node>,
    asked: JoinSet<Asked>,
    pace: Pace,
    /// Set while the API server is away: when one node is asked whether it is back.
    probe_at: Option<Instant>,
}

impl Round {
    fn new(asker: Asker, config: &CollectConfig, outlet: Outlet) -> Self {
        Self {
            asker,
            namespaces: config.namespaces.as_deref().map(Arc::from),
            outlet,
            slots: config.kubelet_concurrency.max(1),
            nodes: BTreeMap::new(),
            asked: JoinSet::new(),
            pace: Pace::new(config.disk_interval),
            probe_at: None,
        }
    }

    /// New nodes are due at once; those that hold no VM any more are forgotten.
    fn aim(&mut self, targets: &[NodeTarget]) {
        let wanted: HashSet<&str> = targets.iter().map(|target| &*target.name).collect();
        self.nodes.retain(|name, node| node.asked || wanted.contains(name.as_str()));
        for NodeTarget { name, .. } in targets {
            if !self.nodes.contains_key(&**name) {
                let node = Node { due: Instant::now(), asked: false, suspect: false };
                self.nodes.insert(name.to_string(), node);
            }
        }
    }

    /// Starts what is due and has a slot, the longest due first, suspects last.
    fn start_due(&mut self) {
        let now = Instant::now();
        while let Some(name) = self.next_due(now) {
            self.start(name);
        }
    }

    fn next_due(&self, now: Instant) -> Option<String> {
        let running = self.asked.len();
        let slots = if self.probe_at.is_some() { 1 } else { self.slots };
        if running >= slots || self.probe_at.is_some_and(|at| now < at) {
            return None;
        }
        let hanging = self.nodes.values().filter(|node| node.asked && node.suspect).count();
        let room_for_suspects = hanging < (self.slots / 2).max(1);
        let waiting = self.nodes.iter().filter(|(_, node)| !node.asked && node.due <= now);
        let allowed = waiting.filter(|(_, node)| !node.suspect || room_for_suspects);
        allowed.min_by_key(|(_, node)| (node.suspect, node.due)).map(|(name, _)| name.clone())
    }

    fn start(&mut self, name: String) {
        if let Some(node) = self.nodes.get_mut(&name) {
            node.asked = true;
        }
        let (asker, outlet, namespaces) = (self.asker.clone(), self.outlet.clone(), self.namespaces.clone());
        self.asked.spawn(async move {
            let started = Instant::now();
            let outcome = ask(&asker, &name, namespaces, &outlet).await.ok();
            Asked { node: name, started, outcome }
        });
    }

    /// When the earliest node that is waiting for its time, not for a slot, will start.
    fn next_start(&self) -> Option<Instant> {
        if self.asked.len() >= self.slots {
            return None;
        }
        let now = Instant::now();
        let waiting = self.nodes.values().filter(|node| !node.asked);
        match self.probe_at {
            Some(_) if !self.asked.is_empty() => None,
            Some(at) => waiting.map(|node| node.due.max(at)).min(),
            None => waiting.map(|node| node.due).filter(|due| *due > now).min(),
        }
    }

    fn finish(&mut self, done: Result<Asked, tokio::task::JoinError>) -> Result<(), Closed> {
        let Asked { node, started, outcome } = match done {
            Ok(asked) => asked,
            // A panic while asking: which node it was is lost with the task, so all are asked anew.
            Err(_) => {
                tracing::error!("asking a kubelet failed inside this program");
                self.nodes.clear();
                return Ok(());
            }
        };
        let outcome = outcome.ok_or(Closed)?;
        let due = self.due_again(outcome, started);
        if let Some(node) = self.nodes.get_mut(&node) {
            *node = Node { due, asked: false, suspect: outcome == Outcome::Late };
        }
        Ok(())
    }

    fn due_again(&mut self, outcome: Outcome, started: Instant) -> Instant {
        match outcome {
            Outcome::Away => return self.hold(),
            // No proof that the API server is back: a node that hangs looks the same.
            Outcome::Late => {}
            Outcome::Failed | Outcome::Answered => self.probe_at = None,
        }
        if outcome == Outcome::Answered {
            self.pace.succeeded();
        }
        if outcome == Outcome::Failed && self.pace.settling(Instant::now()) {
            return Instant::now() + self.pace.soon();
        }
        started + self.pace.interval()
    }

    /// Holds everything back; of many that fail together the first decides for how long.
    fn hold(&mut self) -> Instant {
        let now = Instant::now();
        self.pace.away(now);
        if self.probe_at.is_none_or(|at| at <= now) {
            self.probe_at = Some(now + self.pace.soon());
        }
        now
    }
}

async fn ask(
    asker: &Asker,
    node: &str,
    namespaces: Option<Arc<[String]>>,
    outlet: &Outlet,
) -> Result<Outcome, Closed> {
    let result = match path(node) {
        Some(path) => asker.ask(&path, move |answer| decode(answer, namespaces.as_deref())).await,
        None => Err(Failure::BadName),
    };
    let outcome = match &result {
        Ok(_) => Outcome::Answered,
        Err(Failure::Late(_)) => Outcome::Late,
        Err(failure) if failure.is_transport() => Outcome::Away,
        Err(_) => Outcome::Failed,
    };
    let proxied = |volumes| SummaryFacts { source: Source::KubeletProxy, volumes };
    let result = result.map(proxied).map_err(|failure| describe(node, &failure));
    outlet.send(Observation::Summary { node: node.to_owned(), at: now(), result }).await?;
    Ok(outcome)
}

/// None for what cannot be a node's name. Names come from objects that their users write, a Wukong's status among
/// them: one with slashes would choose which path this program's credentials are used on.
fn path(node: &str) -> Option<String> {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    let outer = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let (first, last) = (node.bytes().next(), node.bytes().next_back());
    let valid = node.len() <= 253 && outer(first) && outer(last) && node.bytes().all(inner);
    valid.then(|| format!("/api/v1/nodes/{node}/proxy/stats/summary"))
}

fn describe(node: &str, failure: &Failure) -> SourceError {
    match failure {
        Failure::Late(deadline) => source_error(
            Reason::TimedOut,
            format!("no answer from the kubelet of {node} within {}", seconds(*deadline)),
        ),
        Failure::Transport(error) => transport_error(error.as_ref()),
        Failure::Status { code, .. } => describe_status(node, code.as_u16()),
        Failure::TooLarge(_) | Failure::Undecodable => {
            source_error(Reason::BadAnswer, format!("kubelet of {node}: {failure}"))
        }
        Failure::BadName => source_error(Reason::NoNode, "the name of its node is not valid"),
    }
}

fn describe_status(node: &str, code: u16) -> SourceError {
    match code {
        401 => source_error(Reason::Forbidden, UNAUTHORIZED),
        403 => source_error(Reason::Forbidden, format!("get nodes/proxy (node {node})")),
        404 => source_error(Reason::Unreachable, format!("node {node} or its summary does not exist (404)")),
        504 => source_error(Reason::TimedOut, format!("the kubelet of {node} timed out (504)")),
        429 => source_error(Reason::Unreachable, "the API server asks for fewer requests (429)"),
        500..=599 => source_error(
            Reason::Unreachable,
            format!("the API server cannot reach the kubelet of {node} ({code})"),
        ),
        _ => source_error(Reason::BadAnswer, format!("the kubelet of {node} answers {code}")),
    }
}

fn decode(answer: &[u8], namespaces: Option<&[String]>) -> Option<Vec<VolumeStats>> {
    let summary: Summary<'_> = serde_json::from_slice(answer).ok()?;
    let ours = |pod: &PodRef<'_>| namespaces.is_none_or(|ours| ours.iter().any(|own| *own == *pod.namespace));
    let mut stats = Vec::new();
    for pod in summary.pods().filter(|pod| ours(&pod.pod_ref)) {
        let used = pod.volumes().filter(|volume| of_interest(&pod.pod_ref, volume));
        stats.extend(used.map(|volume| volume_stats(&pod.pod_ref, volume)));
    }
    Some(stats)
}

/// Claims, named as such or by the pod of a VM: a pod volume's name leads to its claim.
fn of_interest(pod: &PodRef<'_>, volume: &VolumeUsage<'_>) -> bool {
    let of_a_vm = pod.name.starts_with("virt-launcher-") || pod.name.starts_with("hp-volume-");
    volume.pvc_ref.is_some()
        || volume.name.starts_with(PVC_PREFIX)
        || of_a_vm && !volume.name.starts_with("kube-api-access-")
}

fn volume_stats(pod: &PodRef<'_>, volume: VolumeUsage<'_>) -> VolumeStats {
    VolumeStats {
        of: volume_ref(pod, &volume),
        used: volume.used(),
        capacity: volume.capacity(),
        available: volume.available(),
        inodes: volume.inodes(),
        at: volume.time.as_deref().and_then(time::rfc3339).filter(|at: &Millis| *at > 0),
    }
}

/// `pvcRef` first, then the seed's volume name, then the pod's volume of that name.
fn volume_ref(pod: &PodRef<'_>, volume: &VolumeUsage<'_>) -> VolumeRef {
    match (&volume.pvc_ref, volume.name.strip_prefix(PVC_PREFIX)) {
        (Some(claim), _) => VolumeRef::Claim(Key::new(&claim.namespace, &claim.name)),
        (None, Some(claim)) => VolumeRef::Claim(Key::new(&pod.namespace, claim)),
        (None, None) => VolumeRef::PodVolume {
            pod: Key::new(&pod.namespace, &pod.name),
            volume: volume.name.as_ref().into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = r#"{"node": {"nodeName": "n1", "cpu": {"usageNanoCores": 1}}, "pods": [
        {"podRef": {"name": "virt-launcher-web-x", "namespace": "prod", "uid": "p-1"}, "containers": [{"name": "compute"}], "volume": [
            {"time": "2026-03-04T09:12:00Z", "name": "root", "usedBytes": 5, "capacityBytes": 9, "availableBytes": 4, "inodes": 7, "inodesUsed": 2,
                "pvcRef": {"name": "web-root", "namespace": "prod"}},
            {"name": "data", "usedBytes": 1},
            {"name": "kube-api-access-abc", "usedBytes": 1}]},
        {"podRef": {"name": "web-frontend", "namespace": "prod", "uid": "p-2"}, "volume": [
            {"name": "cache", "usedBytes": 1}, {"name": "kubernetes.io~pvc/old", "usedBytes": 3}]},
        {"podRef": {"name": "hp-volume-x", "namespace": "dev"}, "volume": [{"name": "hot", "usedBytes": -1}]}]}"#;

    #[test]
    fn volumes_of_vms_and_claims_are_kept() {
        let stats = decode(ANSWER.as_bytes(), None).unwrap();
        let claim = |name| VolumeRef::Claim(Key::new("prod", name));
        let volume = |namespace, pod, volume: &str| VolumeRef::PodVolume {
            pod: Key::new(namespace, pod),
            volume: volume.into(),
        };
        let got: Vec<_> = stats.iter().map(|v| (v.of.clone(), v.used)).collect();
        assert_eq!(
            got,
            [
                (claim("web-root"), Some(5)),
                (volume("prod", "virt-launcher-web-x", "data"), Some(1)),
                (claim("old"), Some(3)),
                (volume("dev", "hp-volume-x", "hot"), None)
            ]
        );
        let root = &stats[0];
        assert_eq!((root.capacity, root.available, root.inodes), (Some(9), Some(4), Some(7)));
        assert_eq!(root.at, Some(1_772_615_520_000));
    }

    #[test]
    fn other_namespaces_are_not_looked_at() {
        let stats = decode(ANSWER.as_bytes(), Some(&["dev".to_owned()])).unwrap();
        assert!(
            matches!(stats.as_slice(), [VolumeStats { of: VolumeRef::PodVolume { pod, .. }, .. }] if *pod.namespace == *"dev")
        );
    }

    #[test]
    fn a_name_cannot_choose_another_path() {
        assert_eq!(
            path("node-1.example.org").unwrap(),
            "/api/v1/nodes/node-1.example.org/proxy/stats/summary"
        );
        for name in ["", ".", "..", "../../secrets", "a/b", "a?b", "a%2fb", "a b", "A", "-a", "a.", "a#"] {
            assert_eq!(path(name), None, "{name}");
        }
        assert_eq!(path(&"a".repeat(254)), None);
    }

    #[test]
    fn every_failure_names_its_node() {
        for code in [403, 404, 418, 500, 502, 503, 504] {
            let error = describe_status("n7", code);
            assert!(error.detail.contains("n7"), "{error:?}");
        }
        assert_eq!(describe_status("n7", 403).reason, Reason::Forbidden);
    }
}
