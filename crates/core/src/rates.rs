//! Computes rates from counters of one guest. A rate needs two samples of the same guest on the same node; what
//! starts over has no rate until there are two samples again: a gap, never a spike, never a negative rate.
//!
//! All counters of the host belong to one QEMU process. If its CPU time falls, the process is another one, and
//! everything starts over. A device that was unplugged and plugged in again starts over alone, as does what the
//! guest itself counts when its driver starts again.

mod taps;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::observation::{
    DriveCounters, GuestCounters, InterfaceCounters, OperationCounters, PagingCounters, TrafficCounters,
    VcpuDelay,
};
pub use taps::{TapRates, TapSample, TapTracker};

use model::{
    Millis,
    rates::{DriveRates, GuestRates, InterfaceRates, OperationRates, Rate, TrafficRates},
};

/// Samples of one guest that are nearer than this are one sample: the time between them is known too badly.
pub const SHORTEST_WINDOW: Millis = 500;

/// One run of a guest: counters of another instance, or of another node, cannot be compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuestRun {
    /// uid of the VirtualMachineInstance.
    pub instance: Box<str>,
    pub node: Box<str>,
}

/// The counters of one guest at one time of the steady clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestSample {
    pub run: GuestRun,
    pub at: Millis,
    pub counters: GuestCounters,
}

/// The last sample of a guest, and the rates up to it.
#[derive(Clone, Debug)]
pub struct RateTracker {
    last: GuestSample,
    rates: Option<Arc<GuestRates>>,
}

impl RateTracker {
    /// The first sample, which has no rates.
    pub fn new(first: GuestSample) -> Self {
        Self { last: first, rates: None }
    }

    /// Takes the next sample. One that is not later than the last, is farther from it than `longest` milliseconds,
    /// or is of another run of the guest starts over. One that repeats the last, or follows it at once, changes
    /// nothing.
    pub fn add(&mut self, sample: GuestSample, longest: Millis) {
        let apart = sample.at.checked_sub(self.last.at);
        if sample.run == self.last.run && apart.is_some_and(|apart| (0..SHORTEST_WINDOW).contains(&apart)) {
            return;
        }
        self.rates = between(&self.last, &sample, longest).map(Arc::new);
        self.last = sample;
    }

    /// The rates up to the last sample; `None` if it started over.
    pub fn rates(&self) -> Option<&Arc<GuestRates>> {
        self.rates.as_ref()
    }

    pub fn last(&self) -> &GuestSample {
        &self.last
    }
}

/// Returns the rates between two samples; `None` if the later one starts over. An average over more than `longest`
/// milliseconds describes nothing that happens now.
pub fn between(earlier: &GuestSample, later: &GuestSample, longest: Millis) -> Option<GuestRates> {
    let window = later.at.checked_sub(earlier.at)?;
    let is_restarted =
        later.counters.cpu_time < earlier.counters.cpu_time && later.counters.cpu_time.is_some();
    if earlier.run != later.run || !(SHORTEST_WINDOW..=longest).contains(&window) || is_restarted {
        return None;
    }
    let (old, new) = (&earlier.counters, &later.counters);
    let window = Window(u32::try_from(window).ok()?);
    let [swap_in, swap_out, major_faults] = window.paging(&old.paging, &new.paging);
    let interface = |new: &InterfaceCounters| window.interface(named(&old.interfaces, new), new);
    let drive = |new: &DriveCounters| window.drive(named(&old.drives, new), new);
    Some(GuestRates {
        window_ms: window.0,
        contention: window.contention(old.delay, new.delay),
        swap_in,
        swap_out,
        major_faults,
        interfaces: new.interfaces.iter().map(interface).collect(),
        drives: new.drives.iter().map(drive).collect(),
        interfaces_left_out: new.interfaces_left_out,
        drives_left_out: new.drives_left_out,
    })
}

/// A device of a guest, which its name identifies.
trait Device {
    fn name(&self) -> &Arc<str>;
}

impl Device for InterfaceCounters {
    fn name(&self) -> &Arc<str> {
        &self.name
    }
}

impl Device for DriveCounters {
    fn name(&self) -> &Arc<str> {
        &self.name
    }
}

/// Returns the earlier counters of a device; those of a new device are empty.
fn named<'a, T: Device>(earlier: &'a [T], later: &T) -> Option<&'a T> {
    earlier.iter().find(|earlier| earlier.name() == later.name())
}

/// The length of a window in milliseconds.
#[derive(Clone, Copy)]
struct Window(u32);

impl Window {
    /// Rates of counters that start over together: if one of them fell, none has a rate.
    fn rates<const N: usize>(self, old: [Option<u64>; N], new: [Option<u64>; N]) -> [Option<Rate>; N] {
        growth(old, new).map(|growth| Some(Rate::of(growth?, self.0)))
    }

    fn paging(self, old: &PagingCounters, new: &PagingCounters) -> [Option<Rate>; 3] {
        let counters = |of: &PagingCounters| [of.swap_in, of.swap_out, of.major_faults];
        self.rates(counters(old), counters(new))
    }

    fn interface(self, old: Option<&InterfaceCounters>, new: &InterfaceCounters) -> InterfaceRates {
        let counters = |of: &InterfaceCounters| {
            let TrafficCounters { bytes: a, packets: b, errors: c, drops: d } = of.receive;
            let TrafficCounters { bytes: e, packets: f, errors: g, drops: h } = of.transmit;
            [a, b, c, d, e, f, g, h]
        };
        let [a, b, c, d, e, f, g, h] = self.rates(old.map_or([None; 8], counters), counters(new));
        let rates = |bytes, packets, errors, drops| TrafficRates { bytes, packets, errors, drops };
        InterfaceRates { name: new.name.clone(), receive: rates(a, b, c, d), transmit: rates(e, f, g, h) }
    }

    fn drive(self, old: Option<&DriveCounters>, new: &DriveCounters) -> DriveRates {
        let operations = |of: &OperationCounters| [of.bytes, of.operations, of.time];
        let counters = |of: &DriveCounters| {
            let ([a, b, c], [d, e, f]) = (operations(&of.read), operations(&of.write));
            [a, b, c, d, e, f]
        };
        let [a, b, c, d, e, f] = growth(old.map_or([None; 6], counters), counters(new));
        let (read, write) = (self.operations(a, b, c), self.operations(d, e, f));
        DriveRates { name: new.name.clone(), read, write }
    }

    fn operations(self, bytes: Option<u64>, operations: Option<u64>, time: Option<u64>) -> OperationRates {
        let rate = |growth: Option<u64>| Some(Rate::of(growth?, self.0));
        let latency = operations.and_then(|operations| time?.checked_div(operations));
        OperationRates { bytes: rate(bytes), operations: rate(operations), latency }
    }

    /// Returns the waiting time as a part of the vCPUs' time, in thousandths of a percent, at most all of it.
    /// `None` if a vCPU was added or removed.
    fn contention(self, old: Option<VcpuDelay>, new: Option<VcpuDelay>) -> Option<u32> {
        let (old, new) = (old?, new?);
        let waited = new.nanos.checked_sub(old.nanos).filter(|_| old.vcpus == new.vcpus && new.vcpus > 0)?;
        let whole = u128::from(self.0) * 1_000_000 * u128::from(new.vcpus);
        u32::try_from((u128::from(waited) * 100_000 / whole).min(100_000)).ok()
    }
}

/// Returns by how much each counter grew. All are unknown if one fell.
fn growth<const N: usize>(old: [Option<u64>; N], new: [Option<u64>; N]) -> [Option<u64>; N] {
    let fell = |(old, new): (&Option<u64>, &Option<u64>)| old.zip(*new).is_some_and(|(old, new)| new < old);
    if old.iter().zip(&new).any(fell) {
        return [None; N];
    }
    std::array::from_fn(|index| new[index]?.checked_sub(old[index]?))
}
