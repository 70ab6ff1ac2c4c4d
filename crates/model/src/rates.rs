//! Rates of one guest between two samples of its counters: traffic of its network interfaces and drives,
//! paging, and how long its vCPUs waited. `core::rates` computes them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// An amount per second, in thousandths: a guest may read once in ten seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rate(pub u64);

impl Rate {
    /// What a counter that grew by `growth` in `window_ms` milliseconds counted per second; zero for a window
    /// of zero.
    pub fn of(growth: u64, window_ms: u32) -> Self {
        let thousandths = u128::from(growth) * 1_000_000 / u128::from(window_ms.max(1));
        Self(if window_ms == 0 { 0 } else { u64::try_from(thousandths).unwrap_or(u64::MAX) })
    }

    pub fn per_second(self) -> f64 {
        self.0 as f64 / 1000.0
    }
}

/// The rates of one guest. A rate is `None` if a counter is not reported, or started over within the window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestRates {
    /// The time between the two samples, in milliseconds. All rates are averages over it.
    pub window_ms: u32,
    /// How much of the vCPUs' time they waited for a CPU of the host, in thousandths of a percent.
    pub contention: Option<u32>,
    /// Bytes that the guest read from its swap space and wrote to it.
    pub swap_in: Option<Rate>,
    pub swap_out: Option<Rate>,
    /// Page faults for which the guest had to read from a disk.
    pub major_faults: Option<Rate>,
    pub interfaces: Arc<[InterfaceRates]>,
    pub drives: Arc<[DriveRates]>,
    /// Whether there are more interfaces, or drives, than are read of one guest.
    pub interfaces_left_out: bool,
    pub drives_left_out: bool,
}

/// The rates of one network interface, as the guest sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceRates {
    pub name: Arc<str>,
    pub receive: TrafficRates,
    pub transmit: TrafficRates,
}

/// One direction of a network interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrafficRates {
    pub bytes: Option<Rate>,
    pub packets: Option<Rate>,
    pub errors: Option<Rate>,
    /// Dropped packets.
    pub drops: Option<Rate>,
}

/// The rates of one drive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriveRates {
    pub name: Arc<str>,
    pub read: OperationRates,
    pub write: OperationRates,
}

/// The reads or the writes of a drive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationRates {
    pub bytes: Option<Rate>,
    pub operations: Option<Rate>,
    /// Mean time of an operation in nanoseconds; `None` if there was no operation.
    pub latency: Option<u64>,
}

impl GuestRates {
    /// The traffic of all interfaces together: received and transmitted bytes. `None` if an interface is not
    /// known, because the sum of the others would look like the whole.
    pub fn network(&self) -> [Option<Rate>; 2] {
        let sum = |rate: fn(&InterfaceRates) -> Option<Rate>| {
            sum_all(self.interfaces_left_out, self.interfaces.iter().map(rate))
        };
        [sum(|interface| interface.receive.bytes), sum(|interface| interface.transmit.bytes)]
    }

    /// All drives together: reads and writes. An amount is `None` if that of one drive is not known.
    pub fn storage(&self) -> [OperationRates; 2] {
        let sum = |of: fn(&DriveRates) -> &OperationRates| OperationRates {
            bytes: sum_all(self.drives_left_out, self.drives.iter().map(|drive| of(drive).bytes)),
            operations: sum_all(self.drives_left_out, self.drives.iter().map(|drive| of(drive).operations)),
            latency: self.mean_latency(of),
        };
        [sum(|drive| &drive.read), sum(|drive| &drive.write)]
    }

    /// The mean over all operations of all drives.
    fn mean_latency(&self, of: fn(&DriveRates) -> &OperationRates) -> Option<u64> {
        let (mut time, mut operations) = (0u128, 0u128);
        for drive in self.drives.iter().map(of) {
            let rate = u128::from(drive.operations?.0);
            if rate > 0 {
                time += u128::from(drive.latency?) * rate;
                operations += rate;
            }
        }
        u64::try_from(time.checked_div(operations)?).ok().filter(|_| !self.drives_left_out)
    }
}

/// The sum, if all are known, and there are any.
fn sum_all(left_out: bool, rates: impl ExactSizeIterator<Item = Option<Rate>>) -> Option<Rate> {
    if left_out || rates.len() == 0 {
        return None;
    }
    rates.into_iter().try_fold(Rate(0), |sum, rate| Some(Rate(sum.0.saturating_add(rate?.0))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drive(reads: Option<u64>, latency: Option<u64>) -> DriveRates {
        let read = OperationRates { bytes: reads.map(Rate), operations: reads.map(Rate), latency };
        DriveRates { read, ..DriveRates::default() }
    }

    fn of_drives(drives: &[DriveRates], left_out: bool) -> OperationRates {
        let rates = GuestRates { drives: drives.into(), drives_left_out: left_out, ..GuestRates::default() };
        rates.storage()[0]
    }

    #[test]
    fn a_rate_is_per_second() {
        for (growth, window, want) in
            [(60, 60_000, 1000), (1, 60_000, 16), (0, 5000, 0), (7, 0, 0), (u64::MAX, 1, u64::MAX)]
        {
            assert_eq!(Rate::of(growth, window), Rate(want), "{growth} in {window} ms");
        }
    }

    #[test]
    fn a_sum_without_one_of_its_parts_is_unknown() {
        let (fast, slow, idle) =
            (drive(Some(3000), Some(10)), drive(Some(1000), Some(50)), drive(Some(0), None));
        let all = of_drives(&[fast.clone(), slow.clone(), idle.clone()], false);
        assert_eq!((all.bytes, all.latency), (Some(Rate(4000)), Some(20)), "weighted by the operations");
        let unknown = OperationRates::default();
        assert_eq!(of_drives(&[fast.clone(), drive(None, None)], false), unknown, "one drive started over");
        assert_eq!(of_drives(&[fast], true), unknown, "one drive was not read");
        assert_eq!(of_drives(&[], false), unknown, "no drive is reported");
        assert_eq!(of_drives(&[idle], false).latency, None, "no operation has no latency");
        assert_eq!(of_drives(&[drive(Some(5), None)], false).latency, None, "the times are not reported");
    }

    #[test]
    fn the_traffic_of_a_guest_is_that_of_all_its_interfaces() {
        let interface = |bytes: Option<u64>| InterfaceRates {
            receive: TrafficRates { bytes: bytes.map(Rate), ..TrafficRates::default() },
            ..InterfaceRates::default()
        };
        let network = |interfaces: &[InterfaceRates]| {
            GuestRates { interfaces: interfaces.into(), ..GuestRates::default() }.network()
        };
        assert_eq!(network(&[interface(Some(1)), interface(Some(2))]), [Some(Rate(3)), None]);
        assert_eq!(network(&[interface(Some(1)), interface(None)]), [None, None]);
    }
}
