//! Reads what kubelets count of launcher pods, for `activity` and `pressure`.

use super::{
    dependencies::Dependencies,
    observation::SourceError,
    pod::Pod,
    rates::TapRates,
    receipt::{Age, Receipt},
    state::ClusterState,
    touched::Name,
};
use model::{
    Millis,
    activity::{Origin, Traffic},
    figure::Source,
    source::SourceId,
};

/// The longest time in milliseconds until a kubelet measures a pod's devices and pressure again, however often it is
/// asked (`housekeepingInterval` of cAdvisor, with its jitter).
pub(super) const LONGEST_PERIOD: Millis = 30_000;

impl ClusterState {
    /// Returns the traffic of a VM as the kubelet of its launcher pod counts it. `uncounted` is how many of its interfaces the kubelet cannot see.
    pub(super) fn kubelet_traffic(
        &self,
        pod: &Pod,
        uncounted: u32,
        dependencies: &Dependencies,
    ) -> Option<(Traffic, Origin)> {
        dependencies.note(Name::Node(pod.node));
        if !self.limits.asks(SourceId::Kubelet) || self.kubelet_error(pod).is_some_and(SourceError::is_denial)
        {
            return None;
        }
        let (TapRates { receive, transmit, window_ms }, receipt) = self.launcher_stats.get(pod)?.traffic()?;
        let (origin, expired) = self.kubelet_origin(pod, receipt, window_ms, dependencies);
        (!expired).then_some((Traffic { receive, transmit, uncounted }, origin))
    }

    /// Returns the origin of a figure of this pod's kubelet, and whether it has expired.
    pub(super) fn kubelet_origin(
        &self,
        pod: &Pod,
        receipt: &Receipt,
        window_ms: u32,
        dependencies: &Dependencies,
    ) -> (Origin, bool) {
        let Age { stale, expired } =
            dependencies.age_of(receipt, self.limits.disk_interval.max(LONGEST_PERIOD));
        let source = self.kubelets.get(pod.node).and_then(|kubelet| kubelet.source);
        let at = self.taken_at(receipt, SourceId::Kubelet, pod.node);
        (Origin { source: source.unwrap_or(Source::KubeletProxy), at, window_ms, stale }, expired)
    }

    /// Returns why the kubelet of this pod's node does not answer.
    pub(super) fn kubelet_error(&self, pod: &Pod) -> Option<&SourceError> {
        self.kubelets.get(pod.node)?.error.as_ref()
    }
}
