//! Traffic of a guest from the tap devices of its launcher pod, which the kubelet counts. The same rules hold as for the
//! counters of virt-handler: what starts over has no rate until there are two samples again.

use super::{super::observation::TapBytes, SHORTEST_WINDOW, growth};
use model::{Millis, rates::Rate};

/// How much older the measurement in one answer may be than that in another. A kubelet answers with what cAdvisor
/// measured last, every 10 to 30 s (`jitter` in manager/container.go of cAdvisor).
const LONGEST_DELAY: Millis = 30_000;

/// Measurements that are nearer than this are one: kubelets write their times in whole seconds. cAdvisor's are not nearer.
const SHORTEST_MEASURED: Millis = 10_000;

/// The devices of one launcher pod at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TapSample {
    /// When the answer was received, by the steady clock.
    pub at: Millis,
    /// When it was measured, by the node's clock; `None` if the kubelet does not say.
    pub measured: Option<Millis>,
    pub bytes: TapBytes,
}

/// The rates between two samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TapRates {
    pub receive: Rate,
    pub transmit: Rate,
    pub window_ms: u32,
}

/// The last sample of one launcher pod, and the rates up to it.
#[derive(Clone, Copy, Debug)]
pub struct TapTracker {
    last: TapSample,
    rates: Option<TapRates>,
}

impl TapTracker {
    /// The first sample, which has no rates.
    pub fn new(first: TapSample) -> Self {
        Self { last: first, rates: None }
    }

    /// Takes the next sample of the same pod. One that repeats the last changes nothing.
    pub fn add(&mut self, sample: TapSample, longest: Millis) {
        if !is_repeated(&self.last, &sample) {
            (self.rates, self.last) = (between(&self.last, &sample, longest), sample);
        }
    }

    /// The rates up to the last sample; `None` if it started over.
    pub fn rates(&self) -> Option<TapRates> {
        self.rates
    }
}

fn is_repeated(last: &TapSample, next: &TapSample) -> bool {
    match (last.measured, next.measured) {
        (Some(last), Some(next)) => (0..SHORTEST_MEASURED).contains(&next.saturating_sub(last)),
        (None, None) => (0..SHORTEST_WINDOW).contains(&next.at.saturating_sub(last.at)),
        _ => false,
    }
}

/// Returns the rates between two samples; `None` if the later one starts over: the devices are others, a counter fell,
/// or the time between them is not known.
fn between(earlier: &TapSample, later: &TapSample, longest: Millis) -> Option<TapRates> {
    if earlier.bytes.devices != later.bytes.devices {
        return None;
    }
    let window_ms = window(earlier, later, longest)?;
    let counters = |TapBytes { receive, transmit, .. }: TapBytes| [Some(receive), Some(transmit)];
    let [receive, transmit] = growth(counters(earlier.bytes), counters(later.bytes));
    let rate = |growth: Option<u64>| Some(Rate::of(growth?, window_ms));
    Some(TapRates { receive: rate(receive)?, transmit: rate(transmit)?, window_ms })
}

/// Returns the milliseconds between two measurements, by the node's clock. If they do not fit the time between the
/// answers, that clock was set. A window that is too short would make a peak.
fn window(earlier: &TapSample, later: &TapSample, longest: Millis) -> Option<u32> {
    let received = later.at.checked_sub(earlier.at).filter(|received| *received >= 0)?;
    let window = match (earlier.measured, later.measured) {
        (Some(earlier), Some(later)) => {
            let measured = later.checked_sub(earlier)?;
            let possible = received / 2..=received.saturating_add(LONGEST_DELAY);
            Some(measured).filter(|measured| possible.contains(measured))?
        }
        (None, None) => received,
        _ => return None,
    };
    let window = Some(window).filter(|window| (SHORTEST_WINDOW..=longest).contains(window))?;
    u32::try_from(window).ok()
}
