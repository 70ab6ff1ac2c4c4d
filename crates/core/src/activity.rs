//! The activity of one VM: from what the virt-handler of its node counts, else from Prometheus, and its traffic else from
//! the kubelet of its launcher pod. `join` adds it to each VM.

use std::sync::Arc;

use super::{
    choose,
    counted_guests::NodeHandler,
    dependencies::Dependencies,
    fix,
    observation::{
        DriveCounters, GuestCounters, GuestMemory, InstanceFacts, InterfaceCounters, KubevirtVersion,
        SourceError,
    },
    pod::Pod,
    state::ClusterState,
    touched::Name,
};
use i18n::msg;
use model::{
    activity::{Activity, GuestActivity, MemoryUse, MigrationProgress, Origin, Part, Storage, Swap, Traffic},
    figure::{Basis, Missing, Sample, Source, Unit},
    rates::GuestRates,
    reason::Reason,
    source::SourceId,
};

impl ClusterState {
    /// Returns the activity of a VM, whose instance must be known and run.
    pub(super) fn activity(
        &self,
        instance: Option<&InstanceFacts>,
        pod: Option<&Pod>,
        running: bool,
        dependencies: &Dependencies,
    ) -> Activity {
        let sources: [&dyn Fn() -> Result<GuestActivity, Missing>; 2] =
            [&|| self.counted(instance, running, dependencies), &|| {
                self.scraped(instance, running, dependencies)
            }];
        let counted = choose::first(sources.into_iter().map(|ask| ask()));
        let kubelet = || self.kubelet_traffic(pod?, uncounted_interfaces(instance?), dependencies);
        match choose::with_network(counted, kubelet) {
            Ok(activity) => Activity::Known(Box::new(activity)),
            Err(missing) => Activity::Missing(Box::new(missing)),
        }
    }

    /// What the virt-handler of the VM's node counts.
    fn counted(
        &self,
        instance: Option<&InstanceFacts>,
        running: bool,
        dependencies: &Dependencies,
    ) -> Result<GuestActivity, Missing> {
        if !running {
            return Err(Reason::NotRunning.into());
        }
        if !self.limits.asks(SourceId::VirtHandler) {
            let fix = fix::configure(SourceId::VirtHandler);
            return Err(Missing { fix, ..Missing::from(Reason::NotConfigured) });
        }
        let instance = instance.ok_or(Reason::NotReported)?;
        dependencies.note(Name::Node(&instance.node_name));
        let handler = self.counted_guests.node(&instance.node_name);
        let denial =
            self.current_error(SourceId::VirtHandler).filter(|error| error.reason == Reason::Forbidden);
        let guest = self.counted_guests.guest(instance);
        let guest = guest.filter(|_| denial.is_none()).ok_or_else(|| self.uncounted(handler, instance))?;
        let at = guest.tracker.last().at;
        let age = dependencies.age(at, self.limits.disk_interval);
        if age.expired {
            let error = handler
                .and_then(|handler| handler.error.as_ref())
                .or(self.current_error(SourceId::VirtHandler));
            return Err(
                error.map_or_else(|| Reason::Expired.into(), |error| failed(error, SourceId::VirtHandler))
            );
        }
        let uncounted = uncounted_interfaces(instance);
        let rates = guest.tracker.rates();
        let origin = Origin {
            source: Source::VirtHandler,
            at: self.wall(at),
            window_ms: rates.map_or(0, |rates| rates.window_ms),
            stale: age.stale,
        };
        let counted = GuestCounts {
            rates,
            memory: &guest.memory,
            migration: guest.migration.as_deref(),
            contention_since: handler.and_then(|handler| handler.contention_since),
            counters: Some(&guest.tracker.last().counters),
        };
        Ok(describe(&counted, uncounted, origin))
    }

    /// Returns why a guest has no sample: its virt-handler fails, was not asked yet, or does not have the guest.
    fn uncounted(&self, handler: Option<&NodeHandler>, instance: &InstanceFacts) -> Missing {
        let error =
            handler.and_then(|handler| handler.error.as_ref()).or(self.current_error(SourceId::VirtHandler));
        match (error, handler.and_then(|handler| handler.answered)) {
            (Some(error), _) => failed(error, SourceId::VirtHandler),
            (None, None) if instance.node_name.is_empty() => Reason::NoNode.into(),
            (None, None) => Reason::Starting.into(),
            (None, Some(_)) => Missing { fix: fix::next_sample(), ..Missing::from(Reason::FirstSample) },
        }
    }

    /// The guest's memory use for the VM's page.
    pub(super) fn counted_memory(activity: &Activity) -> Option<Sample> {
        let Activity::Known(activity) = activity else { return None };
        let MemoryUse { used, total: of } = *activity.memory.as_ref().ok()?;
        let GuestActivity { at, source, stale, .. } = **activity;
        // Prometheus is asked for memory more often than for this.
        if source == Source::Prometheus {
            return None;
        }
        Some(Sample { unit: Unit::Bytes, used, of, at, window_ms: 0, source, basis: Basis::Own, stale })
    }
}

/// How many of an instance's interfaces have traffic that the host does not see.
pub(super) fn uncounted_interfaces(instance: &InstanceFacts) -> u32 {
    let interfaces = instance.details.interfaces.iter();
    interfaces.filter(|interface| interface.is_sriov).map(|_| 1).sum()
}

/// What one source has counted of a guest.
pub(super) struct GuestCounts<'a> {
    pub rates: Option<&'a Arc<GuestRates>>,
    pub memory: &'a GuestMemory,
    pub migration: Option<&'a MigrationProgress>,
    /// See [`NodeHandler`].
    pub contention_since: Option<KubevirtVersion>,
    /// The counters of the last sample; `None` if the source has only rates.
    pub counters: Option<&'a GuestCounters>,
}

pub(super) fn describe(counted: &GuestCounts<'_>, uncounted: u32, origin: Origin) -> GuestActivity {
    let GuestCounts { rates, memory, migration, contention_since, counters } = *counted;
    let Origin { source, at, window_ms, stale } = origin;
    let known = || rates.map(|rates| &**rates).ok_or_else(first_sample);
    GuestActivity {
        source,
        at,
        window_ms,
        stale,
        memory: memory_use(memory),
        swap: known().and_then(swap),
        major_faults: known().and_then(|rates| rates.major_faults.ok_or_else(no_balloon)),
        network: known().and_then(|rates| network(rates, uncounted, counters)),
        network_from: None,
        storage: known().and_then(|rates| storage(rates, counters)),
        contention: known().and_then(|rates| contention(rates, contention_since)),
        migration: migration.map(|progress| Box::new(*progress)),
        rates: rates.cloned(),
    }
}

/// Returns `available − usable`: what the guest cannot give up.
fn memory_use(memory: &GuestMemory) -> Part<MemoryUse> {
    let (total, usable) = memory.available.zip(memory.usable).ok_or_else(no_balloon)?;
    let used = total.checked_sub(usable).filter(|_| total > 0);
    used.map(|used| MemoryUse { used, total }).ok_or_else(|| Box::new(Reason::BadAnswer.into()))
}

fn swap(rates: &GuestRates) -> Part<Swap> {
    let (r#in, out) = rates.swap_in.zip(rates.swap_out).ok_or_else(no_balloon)?;
    Ok(Swap { r#in, out })
}

fn network(rates: &GuestRates, uncounted: u32, counters: Option<&GuestCounters>) -> Part<Traffic> {
    let has_none = rates.interfaces.is_empty() && !rates.interfaces_left_out;
    match rates.network() {
        [Some(receive), Some(transmit)] => Ok(Traffic { receive, transmit, uncounted }),
        _ if has_none && uncounted > 0 => Err(sriov()),
        _ => {
            let lacks_one =
                |of: &InterfaceCounters| of.receive.bytes.is_none() || of.transmit.bytes.is_none();
            let is_unreported = counters.is_some_and(|of| of.interfaces.iter().any(lacks_one));
            Err(incomplete(rates.interfaces_left_out, rates.interfaces.is_empty() || is_unreported))
        }
    }
}

fn storage(rates: &GuestRates, counters: Option<&GuestCounters>) -> Part<Storage> {
    let [read, write] = rates.storage();
    let is_known = [read, write].iter().all(|of| of.bytes.is_some() && of.operations.is_some());
    let lacks_one = |of: &DriveCounters| {
        [of.read, of.write].iter().any(|of| of.bytes.is_none() || of.operations.is_none())
    };
    let is_unreported = counters.is_some_and(|of| of.drives.iter().any(lacks_one));
    let missing = || incomplete(rates.drives_left_out, rates.drives.is_empty() || is_unreported);
    is_known.then_some(Storage { read, write }).ok_or_else(missing)
}

/// Why the sum over all devices is not known. A counter that is not a number is not reported either.
fn incomplete(left_out: bool, is_unreported: bool) -> Box<Missing> {
    if left_out || is_unreported {
        uncounted_device(left_out)
    } else {
        // One of them was plugged in, or started over.
        first_sample()
    }
}

/// Why a device is not among those that are counted.
pub(super) fn uncounted_device(left_out: bool) -> Box<Missing> {
    Box::new(if left_out { Reason::TooLarge } else { Reason::NotReported }.into())
}

fn contention(rates: &GuestRates, since: Option<KubevirtVersion>) -> Part<u32> {
    rates.contention.ok_or_else(|| match since {
        Some(version) => {
            let version = format!("{}.{}", version.0, version.1);
            let detail = msg!(error.old_kubevirt, version = version.as_str());
            let fix = msg!(fix.upgrade_kubevirt, version = version);
            Box::new(Missing { detail, fix, ..Missing::from(Reason::NotReported) })
        }
        None => Box::new(Reason::NotReported.into()),
    })
}

/// A network card of the host is passed through to the guest.
pub(super) fn sriov() -> Box<Missing> {
    Box::new(Missing { detail: msg!(error.sriov), ..Reason::NotReported.into() })
}

pub(super) fn first_sample() -> Box<Missing> {
    Box::new(Missing { fix: fix::next_sample(), ..Missing::from(Reason::FirstSample) })
}

/// Windows, and guests without a balloon driver, do not report it.
fn no_balloon() -> Box<Missing> {
    let (detail, fix) = (msg!(error.no_balloon), msg!(fix.balloon));
    Box::new(Missing { detail, fix, ..Missing::from(Reason::NotReported) })
}

pub(super) fn failed(error: &SourceError, source: SourceId) -> Missing {
    fix::missing(error, fix::source(source, error.reason), None)
}
