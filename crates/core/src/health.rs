//! Computes the health of each source for a snapshot: how well it answers. `tallies` counts the figures that are
//! missing or old because of it.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    fix,
    guest_disks::GuestDisks,
    kubelet::NodeVolumes,
    latency::Latencies,
    observation::{Key, NodeTarget, ReviewFacts, SourceError, Targets},
    skew::describe_own,
    source_status::SourceStatus,
    state::ClusterState,
    sums::is_unsampled,
    tallies::Tally,
};
use i18n::msg;
use model::{
    Millis,
    message::Message,
    reason::Reason,
    source::{ReviewCounts, SourceHealth, SourceId, SourceState},
    vm::Vm,
};

/// The state of one source, summed up over all its namespaces, nodes or guests.
struct Summary {
    tried: bool,
    last_success: Option<Millis>,
    last_bytes: Option<Millis>,
    errors: Vec<SourceError>,
    asked: usize,
    /// The nodes for which the source fails, if it is asked node by node.
    nodes: Vec<String>,
}

impl ClusterState {
    pub(super) fn health(&self) -> Vec<SourceHealth> {
        let targets = &self.targets;
        let wall = |at: Option<Millis>| at.map(|at| self.wall(at));
        let is_there = |(id, _): &(SourceId, Tally)| *id != SourceId::AccessReviews || self.reviews.is_some();
        let describe = |(id, tally)| match self.limits.asks(id) {
            true => {
                let described = describe(id, self.summarise(id, targets), tally);
                SourceHealth {
                    latency: self.latencies.get(&id).and_then(Latencies::percentiles),
                    reviews: self.review_counts(id),
                    warning: self.warning(id),
                    last_success: wall(described.last_success),
                    last_bytes: wall(described.last_bytes),
                    ..described
                }
            }
            false => not_configured(id),
        };
        self.rows.sums.tallies.by_source().filter(is_there).map(describe).collect()
    }

    /// Returns risky settings and clocks that are off. If this program's own clock is off, only the source of
    /// CPU and memory says so.
    fn warning(&self, id: SourceId) -> Message {
        let clocks = match self.own_skew {
            Some(own) if id == SourceId::PodMetrics => vec![describe_own(own)],
            Some(_) => Vec::new(),
            None => self.skews.describe(id),
        };
        let mut warnings: Vec<Message> = self.risks.get(&id).cloned().into_iter().chain(clocks).collect();
        match warnings.pop() {
            Some(only) if warnings.is_empty() => only,
            last => Message::List(warnings.into_iter().chain(last).collect()),
        }
    }

    fn summarise(&self, id: SourceId, targets: &Targets) -> Summary {
        match id {
            SourceId::PodMetrics => self.summarise_metrics(),
            SourceId::Kubelet => self.summarise_kubelets(&targets.nodes),
            SourceId::VirtHandler => {
                self.summarise_handlers(targets.nodes.iter().filter(|node| node.has_vms))
            }
            SourceId::GuestAgent => self.summarise_guests(&targets.guests),
            SourceId::Prometheus => self.summarise_prometheus(),
            SourceId::AccessReviews => self.summarise_reviews(),
            _ => self.summarise_source(id),
        }
    }

    /// Sums up PodMetrics. An answer without the pods of a node makes the source degraded, not failed.
    fn summarise_metrics(&self) -> Summary {
        let mut summary = self.summarise_source(SourceId::PodMetrics);
        // A source that fails as a whole already has an error.
        let any = summary.errors.is_empty() && self.rows.sums.unsampled > 0;
        let nodes = if any { unsampled(&self.rows.vms) } else { BTreeSet::new() };
        if !nodes.is_empty() {
            summary.errors.push(left_out(&nodes));
            summary.nodes = nodes.into_iter().map(str::to_owned).collect();
        }
        summary
    }

    /// Sums up Prometheus. A round that was answered in part makes the source degraded, not failed.
    fn summarise_prometheus(&self) -> Summary {
        let mut summary = self.summarise_source(SourceId::Prometheus);
        summary.tried |= !summary.errors.is_empty();
        let warned = |detail: &Message| SourceError { reason: Reason::BadAnswer, detail: detail.clone() };
        if summary.errors.is_empty() {
            let gaps = self.prometheus.gaps.iter().map(|gap| &gap.error);
            let mut errors: Vec<SourceError> =
                gaps.filter(|error| error.reason == Reason::TooLarge).cloned().collect();
            let others = self
                .prometheus
                .warnings
                .iter()
                .filter(|detail| errors.iter().all(|error| error.detail != **detail));
            let others: Vec<SourceError> = others.map(warned).collect();
            errors.extend(others);
            summary.errors = errors;
        }
        summary
    }

    /// Sums up access reviews. Without anybody to ask about nothing can be wrong.
    fn summarise_reviews(&self) -> Summary {
        let ReviewFacts { last_success, errors, .. } = self.reviews.clone().unwrap_or_default();
        let asked = errors.len();
        Summary { tried: true, last_success, last_bytes: None, errors, asked, nodes: Vec::new() }
    }

    fn review_counts(&self, id: SourceId) -> Option<ReviewCounts> {
        self.reviews.as_ref().filter(|_| id == SourceId::AccessReviews).map(|facts| facts.counts)
    }

    /// Sums up the guests that should be asked.
    fn summarise_guests(&self, targets: &[Key]) -> Summary {
        let known: Vec<&GuestDisks> = targets.iter().filter_map(|key| self.guests.get(key)).collect();
        Summary {
            // Guests are asked a few at a time: one answer proves that they can be asked.
            tried: (targets.is_empty() || !known.is_empty()) && self.inventory_tried(),
            last_success: known.iter().filter_map(|guest| guest.answered).max(),
            last_bytes: None,
            errors: known.iter().filter_map(|guest| guest.error.clone()).collect(),
            asked: known.len(),
            nodes: Vec::new(),
        }
    }

    fn summarise_source(&self, id: SourceId) -> Summary {
        let statuses: Vec<&SourceStatus> = self
            .source_statuses
            .iter()
            .filter(|((source, _), _)| *source == id)
            .map(|(_, status)| status)
            .collect();
        Summary {
            tried: !statuses.is_empty() && statuses.iter().all(|status| status.tried()),
            // The oldest success, so that one silent namespace shows.
            last_success: statuses.iter().map(|status| status.last_success).min().flatten(),
            last_bytes: statuses.iter().filter_map(|status| status.last_bytes).min(),
            errors: statuses
                .iter()
                .flat_map(|status| status.error.iter().chain(&status.omitted))
                .cloned()
                .chain(self.rows.omitted.error(id))
                .collect(),
            asked: statuses.len(),
            nodes: Vec::new(),
        }
    }

    /// Sums up the kubelets of the nodes that should be asked. Without such nodes nothing can be wrong.
    fn summarise_kubelets(&self, nodes: &[NodeTarget]) -> Summary {
        let fails = |node: &&NodeTarget| self.kubelets.get(&*node.name).is_some_and(|of| of.error.is_some());
        let known: Vec<&NodeVolumes> =
            nodes.iter().filter_map(|node| self.kubelets.get(&*node.name)).collect();
        Summary {
            // A new node without VMs is not waited for: no figure of a VM depends on it, and an autoscaler adds some at any
            // time.
            tried: nodes.iter().all(|node| !node.has_vms || self.kubelets.contains_key(&*node.name))
                && self.inventory_tried(),
            last_success: known.iter().filter_map(|kubelet| kubelet.answered).max(),
            last_bytes: None,
            errors: known.iter().filter_map(|kubelet| kubelet.error.clone()).collect(),
            asked: nodes.len(),
            nodes: nodes.iter().filter(|node| fails(node)).map(|node| node.name.to_string()).collect(),
        }
    }

    /// Sums up the virt-handlers of the nodes with VMs. If none can be asked, that is the error, and
    /// not that of each node.
    fn summarise_handlers<'a>(&self, nodes: impl Iterator<Item = &'a NodeTarget> + Clone) -> Summary {
        let found = self.summarise_source(SourceId::VirtHandler);
        if !found.errors.is_empty() || !found.tried {
            return found;
        }
        let failing: Vec<(&str, &SourceError)> = nodes
            .clone()
            .filter_map(|node| Some((&*node.name, self.counted_guests.node(&node.name)?.error.as_ref()?)))
            .collect();
        Summary {
            last_success: self.counted_guests.answered(),
            errors: failing.iter().map(|(_, error)| (*error).clone()).collect(),
            asked: nodes.clone().count(),
            tried: nodes.clone().all(|node| self.counted_guests.node(&node.name).is_some())
                && self.inventory_tried(),
            nodes: failing.into_iter().map(|(node, _)| node.to_owned()).collect(),
            ..found
        }
    }

    fn inventory_tried(&self) -> bool {
        [SourceId::Wukongs, SourceId::VirtualMachines, SourceId::Instances, SourceId::Pods]
            .into_iter()
            .all(|id| self.summarise_source(id).tried)
    }

    /// Returns the error of PodMetrics for this namespace that no success has followed.
    pub(super) fn metrics_error(&self, namespace: &str) -> Option<&SourceError> {
        self.source_status(SourceId::PodMetrics, namespace)?.error.as_ref()
    }

    /// Whether PodMetrics were ever answered for this namespace.
    pub(super) fn metrics_answered(&self, namespace: &str) -> bool {
        self.source_status(SourceId::PodMetrics, namespace)
            .is_some_and(|status| status.last_success.is_some())
    }

    /// Returns when the cluster last answered anything.
    pub(super) fn last_seen(&self) -> Option<Millis> {
        let statuses =
            self.source_statuses.values().filter_map(|status| status.last_success.max(status.last_bytes));
        statuses.chain(self.kubelets.values().filter_map(|kubelet| kubelet.answered)).max()
    }
}

/// Returns the nodes whose pods the metrics API leaves out.
fn unsampled(vms: &[Arc<Vm>]) -> BTreeSet<&str> {
    vms.iter().filter(|vm| is_unsampled(vm)).map(|vm| &*vm.summary.node).collect()
}

/// Returns the error for those nodes, with at most three names.
fn left_out(nodes: &BTreeSet<&str>) -> SourceError {
    const NAMED: usize = 3;
    let mut names = nodes.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    if nodes.len() > NAMED {
        names.push_str(&format!(" +{}", nodes.len() - NAMED));
    }
    SourceError { reason: Reason::NotSampled, detail: msg!(collect.unsampled, nodes = names) }
}

fn not_configured(id: SourceId) -> SourceHealth {
    SourceHealth {
        id,
        state: SourceState::NotConfigured,
        reason: None,
        error: Message::default(),
        fix: fix::configure(id),
        warning: Message::default(),
        last_success: None,
        last_bytes: None,
        latency: None,
        reviews: None,
        vms: 0,
        volumes: 0,
        vms_missing: 0,
        vms_stale: 0,
        node: String::new(),
    }
}

fn describe(id: SourceId, summary: Summary, tally: Tally) -> SourceHealth {
    let reason = summary.errors.first().map(|error| error.reason);
    SourceHealth {
        id,
        state: state(&summary),
        reason,
        error: describe_errors(&summary),
        fix: reason.map(|reason| fix::source(id, reason)).unwrap_or_default(),
        warning: Message::default(),
        last_success: summary.last_success,
        last_bytes: summary.last_bytes,
        latency: None,
        reviews: None,
        vms: tally.vms,
        volumes: tally.volumes,
        vms_missing: tally.missing,
        vms_stale: tally.stale,
        node: if let [node] = summary.nodes.as_slice() { node.clone() } else { String::new() },
    }
}

fn state(summary: &Summary) -> SourceState {
    let all = |reason| {
        summary.errors.len() == summary.asked && summary.errors.iter().all(|error| error.reason == reason)
    };
    match () {
        () if summary.errors.is_empty() && summary.tried => SourceState::Healthy,
        () if summary.errors.is_empty() => SourceState::Starting,
        () if all(Reason::Forbidden) => SourceState::Forbidden,
        () if all(Reason::ApiAbsent) => SourceState::Absent,
        () => SourceState::Degraded,
    }
}

/// Returns at most three errors in full, and the number of the others.
fn describe_errors(summary: &Summary) -> Message {
    const SHOWN: usize = 3;
    let mut shown: Vec<Message> =
        summary.errors.iter().take(SHOWN).map(|error| error.detail.clone()).collect();
    if summary.errors.len() > SHOWN {
        shown.push(msg!(error.more, count = (summary.errors.len() - SHOWN).to_string()));
    }
    Message::List(shown)
}
