//! CPU and memory of one VM, from its launcher pod's PodMetrics.

use super::facts::{At, InstanceFacts, InstanceSample, PodMetricsFacts, SourceError};
use super::{
    MISSING_AFTER, STALE_AFTER, mend,
    pods::Pod,
    world::{Received, World},
};
use crate::model::{
    Millis,
    figure::{Basis, Figure, Sample, Source, Unit},
    reason::{Missing, Reason},
    source::SourceId,
};

/// A pod that is older than this and has no sample is not new: metrics-server takes half a minute at most.
pub(super) const NEW_FOR: Millis = 180_000;
/// A metrics API measures over minutes at most: a longer window does not keep a figure fresh any longer.
const LONGEST_WINDOW: Millis = 600_000;

/// The VM whose figures are made.
pub(super) struct Subject<'a> {
    pub namespace: &'a str,
    pub name: &'a str,
    pub running: bool,
    pub pod: Result<Pod<'a>, Reason>,
    pub instance: Option<&'a InstanceFacts>,
}

/// One of the two figures: what is allocated, and how to read what is used.
pub(super) struct Quest {
    pub unit: Unit,
    pub allocated: Option<u64>,
    pub read: fn(&PodMetricsFacts) -> Option<u64>,
    /// The same of KubeVirt's own metrics, with its window.
    pub of_instance: fn(&InstanceSample) -> Option<(u64, u32)>,
}

impl World {
    pub(super) fn usage(&self, subject: &Subject, quest: &Quest, now: Millis) -> Figure {
        match self.try_usage(subject, quest, now) {
            Ok(sample) => Figure::Known(sample),
            Err(missing) => {
                let second = self.of_prometheus_instance(subject, quest, now);
                second
                    .filter(|_| missing.reason != Reason::Hugepages)
                    .map_or(Figure::Missing(missing), Figure::Known)
            }
        }
    }

    /// KubeVirt's own metrics, where metrics.k8s.io has no figure. They name the instance: no pod is looked for.
    fn of_prometheus_instance(&self, subject: &Subject, quest: &Quest, now: Millis) -> Option<Sample> {
        let instance = subject.instance.filter(|_| subject.running)?;
        let of = quest.allocated?;
        let sample = self.prometheus.instances.get(&At(&instance.namespace, &instance.name))?;
        let (used, window_ms) = (quest.of_instance)(sample)?;
        let interval = self.limits.metrics_interval;
        let age = Age::new(now, sample.at, interval);
        let (unit, at, source) = (quest.unit, sample.at, Source::Prometheus);
        let known = Sample { unit, used, of, at, window_ms, source, basis: Basis::Own, stale: age.stale };
        (!age.expired && !self.denied(SourceId::Prometheus)).then_some(known)
    }

    fn denied(&self, id: SourceId) -> bool {
        let track = self.tracks.get(&(id, None));
        track.and_then(|track| track.error.as_ref()).is_some_and(denies)
    }

    fn try_usage(&self, subject: &Subject, quest: &Quest, now: Millis) -> Result<Sample, Missing> {
        let missing = |reason| Missing {
            mend: mend::figure(reason, subject.namespace, subject.name),
            ..Missing::from(reason)
        };
        if !subject.running {
            return Err(missing(Reason::NotRunning));
        }
        let denial = self.metrics_error(subject.namespace).filter(|error| denies(error));
        let pod = match (&subject.pod, denial) {
            (Ok(pod), _) => pod,
            (Err(_), Some(error)) => return Err(failed(error, None)),
            (Err(reason), None) => return Err(missing(*reason)),
        };
        let allocated = quest.allocated.ok_or_else(|| missing(Reason::NoAllocation))?;
        let Some(received) = self.metrics.get(&At(pod.namespace, pod.name)) else {
            return Err(self.unsampled(pod, now, missing));
        };
        let used = (quest.read)(&received.facts).ok_or_else(|| missing(Reason::BadAnswer))?;
        let (sample, age) = self.sample(received, quest.unit, used, allocated, now);
        match denial {
            Some(error) => Err(failed(error, Some(sample))),
            None if age.expired => Err(self.expired(subject.namespace, sample)),
            // The pod's working set is without them: a number, but not of this memory.
            None if quest.unit == Unit::Bytes
                && subject.instance.is_some_and(|instance| instance.hugepages) =>
            {
                let told = subject.instance.is_some_and(|instance| {
                    self.prometheus.instances.contains_key(&At(&instance.namespace, &instance.name))
                });
                let mend = mend::hugepages(told);
                Err(Missing { last: Some(sample), mend, ..missing(Reason::Hugepages) })
            }
            None => Ok(sample),
        }
    }

    /// No sample at all: because the source fails, was not asked, or does not have this pod.
    fn unsampled(&self, pod: &Pod, now: Millis, missing: impl Fn(Reason) -> Missing) -> Missing {
        let new = pod.created.is_none_or(|created| is_new(created, now));
        match self.metrics_error(pod.namespace) {
            Some(error) => failed(error, None),
            None if !self.metrics_answered(pod.namespace) => missing(Reason::Starting),
            None if new => missing(Reason::TooNew),
            None => Missing {
                mend: mend::unsampled(pod.node, pod.namespace, pod.name),
                ..missing(Reason::NotSampled)
            },
        }
    }

    fn sample(
        &self,
        received: &Received<PodMetricsFacts>,
        unit: Unit,
        used: u64,
        of: u64,
        now: Millis,
    ) -> (Sample, Age) {
        let facts = &received.facts;
        let window = Millis::from(facts.window_ms).min(LONGEST_WINDOW);
        let interval = self.limits.metrics_interval.max(window);
        // A time that lies ahead of when the sample was first received is that of another clock.
        let at = facts.at.min(received.first_seen);
        let age = Age::new(now, at, interval);
        let (source, basis, stale) = (Source::PodMetrics, Basis::Own, age.stale);
        (Sample { unit, used, of, at, window_ms: facts.window_ms, source, basis, stale }, age)
    }

    fn expired(&self, namespace: &str, last: Sample) -> Missing {
        match self.metrics_error(namespace) {
            Some(error) => failed(error, Some(last)),
            None => Missing { last: Some(last), ..Missing::from(Reason::Expired) },
        }
    }
}

/// Whether the source said no, as opposed to saying nothing.
fn denies(error: &SourceError) -> bool {
    matches!(error.reason, Reason::Forbidden | Reason::ApiAbsent)
}

fn failed(error: &SourceError, last: Option<Sample>) -> Missing {
    let mend = mend::source(SourceId::PodMetrics, error.reason);
    Missing { reason: error.reason, detail: error.detail.clone(), mend, last }
}

/// Whether what was created then is still coming up. A time that lies far ahead says nothing: a clock is off.
pub(super) fn is_new(created: Millis, now: Millis) -> bool {
    now.saturating_sub(created).saturating_abs() < NEW_FOR
}

/// How old a sample is, against its interval. No sample's time lies ahead of when it was received: see [`super::ahead`].
pub(super) struct Age {
    pub stale: bool,
    pub expired: bool,
}

impl Age {
    pub fn new(now: Millis, at: Millis, interval: Millis) -> Self {
        // One of the future was received before this program's own clock was set back: nobody knows how old it is.
        let age = now.saturating_sub(at).saturating_abs();
        Self {
            stale: age > interval.saturating_mul(STALE_AFTER),
            expired: age > interval.saturating_mul(MISSING_AFTER),
        }
    }
}
