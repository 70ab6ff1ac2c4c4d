//! CPU and memory of one VM: from its launcher pod's PodMetrics, else from KubeVirt's metrics in Prometheus.
//! `join` uses it.

use super::{
    containers::{Incomplete, PodUsage},
    dependencies::Dependencies,
    fix,
    observation::{InstanceFacts, InstanceSample, KeyRef, SourceError},
    pod::{Pod, PodSample},
    receipt::Age,
    state::ClusterState,
    touched::Name,
};
use i18n::msg;
use model::{
    Millis,
    figure::{Basis, Figure, Missing, Sample, Source, Unit},
    message::Message,
    reason::Reason,
    source::SourceId,
};

/// Milliseconds up to which a pod without a sample counts as new. metrics-server needs at most half a minute.
pub(super) const NEW_FOR: Millis = 180_000;
/// The longest window in milliseconds that keeps a figure fresh. A metrics API measures over some minutes at
/// most.
pub(super) const LONGEST_WINDOW: Millis = 600_000;

/// The VM whose figures are computed.
pub(super) struct VmContext<'a> {
    pub namespace: &'a str,
    pub name: &'a str,
    pub running: bool,
    pub pod: Result<Pod<'a>, Reason>,
    pub instance: Option<&'a InstanceFacts>,
}

/// One of the two figures: its allocation, and how to read its usage.
pub(super) struct UsageQuery {
    pub unit: Unit,
    pub allocated: Option<u64>,
    pub read: fn(&PodUsage) -> Option<u64>,
    /// Reads the same figure and its window from KubeVirt's own metrics.
    pub of_instance: fn(&InstanceSample) -> Option<(u64, u32)>,
}

impl ClusterState {
    pub(super) fn usage(&self, vm: &VmContext, query: &UsageQuery, dependencies: &Dependencies) -> Figure {
        match self.try_usage(vm, query, dependencies) {
            Ok(sample) => Figure::Known(sample),
            Err(missing) => {
                let second = self.of_prometheus_instance(vm, query, dependencies);
                second
                    .filter(|_| missing.reason != Reason::Hugepages)
                    .map_or(Figure::Missing(missing), Figure::Known)
            }
        }
    }

    /// Returns the figure from KubeVirt's own metrics, used if metrics.k8s.io has none. They name the
    /// instance, so no pod is needed.
    fn of_prometheus_instance(
        &self,
        vm: &VmContext,
        query: &UsageQuery,
        dependencies: &Dependencies,
    ) -> Option<Sample> {
        let instance = vm.instance.filter(|_| vm.running)?;
        let of = query.allocated?;
        let (sample, receipt) =
            self.prometheus.instances.get(&KeyRef(&instance.namespace, &instance.name))?;
        let (used, window_ms) = (query.of_instance)(sample)?;
        let age = dependencies.age_of(receipt, self.limits.metrics_interval);
        let at = self.taken_at(receipt, SourceId::Prometheus, "");
        let (unit, source) = (query.unit, Source::Prometheus);
        let known = Sample { unit, used, of, at, window_ms, source, basis: Basis::Own, stale: age.stale };
        (!age.expired && !self.denied(SourceId::Prometheus)).then_some(known)
    }

    fn try_usage(
        &self,
        vm: &VmContext,
        query: &UsageQuery,
        dependencies: &Dependencies,
    ) -> Result<Sample, Missing> {
        let missing =
            |reason| Missing { fix: fix::figure(reason, vm.namespace, vm.name), ..Missing::from(reason) };
        if !vm.running {
            return Err(missing(Reason::NotRunning));
        }
        let denial = self.metrics_error(vm.namespace).filter(|error| error.is_denial());
        let pod = match (&vm.pod, denial) {
            (Ok(pod), _) => pod,
            (Err(_), Some(error)) => return Err(failed(error, None)),
            (Err(reason), None) => return Err(missing(*reason)),
        };
        let allocated = query.allocated.ok_or_else(|| missing(Reason::NoAllocation))?;
        dependencies.note(Name::Pod(pod.namespace, pod.name));
        let Some(samples) = self.metrics.get(&KeyRef(pod.namespace, pod.name)) else {
            return Err(self.unsampled(pod, dependencies, missing));
        };
        let incomplete = samples.incomplete.as_ref().map(describe).unwrap_or_default();
        let Some(last) = &samples.last else {
            return Err(Missing { detail: incomplete, ..missing(Reason::BadAnswer) });
        };
        let used = (query.read)(&last.usage).ok_or_else(|| missing(Reason::BadAnswer))?;
        let (sample, age) = self.sample(last, pod.node, query.unit, used, allocated, dependencies);
        match denial {
            Some(error) => Err(failed(error, Some(sample))),
            None if age.expired => Err(self.expired(vm.namespace, sample, incomplete)),
            // The working set excludes hugepages, so its value says nothing about this VM's memory.
            None if query.unit == Unit::Bytes && vm.instance.is_some_and(|instance| instance.hugepages) => {
                let guest_reports = vm.instance.is_some_and(|instance| {
                    self.prometheus.instances.contains_key(&KeyRef(&instance.namespace, &instance.name))
                });
                let fix = fix::hugepages(guest_reports);
                Err(Missing { last: Some(sample), fix, ..missing(Reason::Hugepages) })
            }
            None => Ok(sample),
        }
    }

    /// Returns why a pod has no sample: the source fails, was not asked yet, or does not have the pod.
    fn unsampled(
        &self,
        pod: &Pod,
        dependencies: &Dependencies,
        missing: impl Fn(Reason) -> Missing,
    ) -> Missing {
        let new = pod.created.is_none_or(|created| is_new(created, dependencies));
        // The pod may be one of those that were left out of the answer.
        let omitted =
            self.source_status(SourceId::PodMetrics, pod.namespace).and_then(|status| status.omitted.first());
        match (self.metrics_error(pod.namespace), omitted) {
            (Some(error), _) => failed(error, None),
            _ if !self.metrics_answered(pod.namespace) => missing(Reason::Starting),
            _ if new => missing(Reason::TooNew),
            // Its text names objects of other namespaces.
            (None, Some(omitted)) => {
                failed(&SourceError { detail: Message::default(), ..omitted.clone() }, None)
            }
            (None, None) => Missing {
                fix: fix::unsampled(pod.node, pod.namespace, pod.name),
                ..missing(Reason::NotSampled)
            },
        }
    }

    fn sample(
        &self,
        last: &PodSample,
        node: &str,
        unit: Unit,
        used: u64,
        of: u64,
        dependencies: &Dependencies,
    ) -> (Sample, Age) {
        let window_ms = last.window_ms;
        let interval = self.limits.metrics_interval.max(Millis::from(window_ms).min(LONGEST_WINDOW));
        let age = dependencies.age_of(&last.receipt, interval);
        let at = self.taken_at(&last.receipt, SourceId::PodMetrics, node);
        let (source, basis, stale) = (Source::PodMetrics, Basis::Own, age.stale);
        (Sample { unit, used, of, at, window_ms, source, basis, stale }, age)
    }

    fn expired(&self, namespace: &str, last: Sample, incomplete: Message) -> Missing {
        match self.metrics_error(namespace) {
            Some(error) => failed(error, Some(last)),
            None => Missing { last: Some(last), detail: incomplete, ..Missing::from(Reason::Expired) },
        }
    }
}

/// Returns why an item does not cover its whole pod, as a message.
fn describe(incomplete: &Incomplete) -> Message {
    match incomplete {
        Incomplete::Empty => msg!(error.no_containers),
        Incomplete::Without(container) => msg!(error.without_container, container = &**container),
    }
}

/// Returns a figure that is missing because the metrics API failed.
fn failed(error: &SourceError, last: Option<Sample>) -> Missing {
    fix::missing(error, fix::source(SourceId::PodMetrics, error.reason), last)
}

/// Whether something created at that time is still starting.
pub(super) fn is_new(created: Millis, dependencies: &Dependencies) -> bool {
    dependencies.is_within(created, NEW_FOR)
}
