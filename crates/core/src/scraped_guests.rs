//! What guests do according to Prometheus, for nodes whose virt-handler cannot be asked. `activity` uses it.

use super::{
    activity::{GuestCounts, describe, failed, uncounted_interfaces},
    dependencies::Dependencies,
    fix,
    observation::{
        GuestMemory, InstanceFacts, InstanceSample, KeyRef, ScrapedGuest, ScrapedGuests, SourceError,
    },
    receipt::Receipt,
    state::{ClusterState, ScrapedRound},
};
use model::{
    Millis,
    activity::{GuestActivity, Origin},
    figure::{Missing, Source},
    reason::Reason,
    source::SourceId,
};

impl ClusterState {
    /// Returns the guests of an answer that are on the node that it names: on another one it was before a migration.
    pub(super) fn scraped_guests(
        &self,
        facts: ScrapedGuests,
        before: &ScrapedRound,
        at: Millis,
    ) -> ScrapedRound {
        let ScrapedGuests { guests, gap, contention_since } = facts;
        let is_there = |guest: &&ScrapedGuest| {
            self.instances.get(&guest.instance).is_some_and(|instance| *instance.node_name == *guest.node)
        };
        let kept = |guest: &ScrapedGuest| {
            let last = before.known.get(&guest.instance).filter(|(last, _)| last.node == guest.node);
            let receipt = Receipt::after(last.map(|(_, receipt)| *receipt), Some(guest.at), at);
            (guest.instance.clone(), (guest.clone(), receipt))
        };
        ScrapedRound { known: guests.iter().filter(is_there).map(kept).collect(), gap, contention_since }
    }

    /// What Prometheus says of a guest.
    pub(super) fn scraped(
        &self,
        instance: Option<&InstanceFacts>,
        running: bool,
        dependencies: &Dependencies,
    ) -> Result<GuestActivity, Missing> {
        if !running {
            return Err(Reason::NotRunning.into());
        }
        let error = self.current_error(SourceId::Prometheus);
        if self.prometheus.answered.is_none() && error.is_none() {
            let fix = fix::configure(SourceId::Prometheus);
            return Err(Missing { fix, ..Missing::from(Reason::NotConfigured) });
        }
        let instance = instance.ok_or(Reason::NotReported)?;
        let why = |reason: Reason| match error.or(self.prometheus.guests.gap.as_ref()) {
            Some(error) => failed(error, SourceId::Prometheus),
            None => reason.into(),
        };
        let key = KeyRef(&instance.namespace, &instance.name);
        let known =
            self.prometheus.guests.known.get(&key).filter(|(guest, _)| *guest.node == *instance.node_name);
        let known = known.filter(|_| !error.is_some_and(SourceError::is_denial));
        let (guest, receipt) = known.ok_or_else(|| why(Reason::NotReported))?;
        let age = dependencies.age_of(receipt, self.limits.disk_interval.max(self.limits.metrics_interval));
        if age.expired {
            return Err(why(Reason::Expired));
        }
        let origin = Origin {
            source: Source::Prometheus,
            at: self.taken_at(receipt, SourceId::Prometheus, ""),
            window_ms: guest.rates.as_ref().map_or(0, |rates| rates.window_ms),
            stale: age.stale,
        };
        let memory =
            self.prometheus.instances.get(&key).map(|(sample, _)| memory(sample)).unwrap_or_default();
        let counted = GuestCounts {
            rates: guest.rates.as_ref(),
            memory: &memory,
            migration: None,
            contention_since: self.prometheus.guests.contention_since,
            counters: None,
        };
        Ok(describe(&counted, uncounted_interfaces(instance), origin))
    }
}

fn memory(sample: &InstanceSample) -> GuestMemory {
    GuestMemory { available: sample.guest_available, usable: sample.guest_usable, ..GuestMemory::default() }
}
