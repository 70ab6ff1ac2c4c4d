//! The metrics of what guests do, by KubeVirt's names since 1.1, and the figures that follow from them. Up to 1.0 there is
//! no latency and no contention under these names.

use std::collections::HashMap;

use model::activity_history::ActivityFigure;
use wukong_core::{long_term::RecordedSeries, observation::Key};

type SeriesByKey = HashMap<Key, RecordedSeries>;

/// A metric of KubeVirt.
#[derive(Debug)]
pub struct ActivityMetric {
    pub name: &'static str,
    pub combine: Combine,
    /// How many of its integers make one of the metric's unit: an answer has fractions.
    pub scale: f64,
}

/// How the series of a guest become one.
#[derive(Debug)]
pub enum Combine {
    /// The sum of the rates of all devices, which this label tells apart.
    Sum(&'static str),
    /// The mean of the rates of all vCPUs, which this label tells apart.
    Mean(&'static str),
    /// The amount itself.
    Gauge,
}

const fn rate(name: &'static str, combine: Combine, scale: f64) -> ActivityMetric {
    ActivityMetric { name, combine, scale }
}

/// Bytes per second in thousandths, operations per second in millionths, nanoseconds per second, and the share of a
/// vCPU's time in thousandths of a percent.
const BYTES: f64 = 1e3;
const OPERATIONS: f64 = 1e6;
const TIME: f64 = 1e9;
const SHARE: f64 = 1e5;
/// All of a vCPU's time.
const WHOLE: u64 = 100_000;

impl ActivityMetric {
    pub const COUNT: usize = 11;
    /// In the order in which [`figures`] takes their answers.
    pub const ALL: [Self; Self::COUNT] = [
        rate("kubevirt_vmi_network_receive_bytes_total", Combine::Sum("interface"), BYTES),
        rate("kubevirt_vmi_network_transmit_bytes_total", Combine::Sum("interface"), BYTES),
        rate("kubevirt_vmi_storage_read_traffic_bytes_total", Combine::Sum("drive"), BYTES),
        rate("kubevirt_vmi_storage_write_traffic_bytes_total", Combine::Sum("drive"), BYTES),
        rate("kubevirt_vmi_storage_iops_read_total", Combine::Sum("drive"), OPERATIONS),
        rate("kubevirt_vmi_storage_iops_write_total", Combine::Sum("drive"), OPERATIONS),
        rate("kubevirt_vmi_storage_read_times_seconds_total", Combine::Sum("drive"), TIME),
        rate("kubevirt_vmi_storage_write_times_seconds_total", Combine::Sum("drive"), TIME),
        rate("kubevirt_vmi_vcpu_delay_seconds_total", Combine::Mean("id"), SHARE),
        rate("kubevirt_vmi_memory_available_bytes", Combine::Gauge, 1.0),
        rate("kubevirt_vmi_memory_usable_bytes", Combine::Gauge, 1.0),
    ];
}

/// Returns the figures in the order of [`ActivityFigure::ALL`] from the answers for all metrics.
pub fn figures(answers: [SeriesByKey; ActivityMetric::COUNT]) -> [SeriesByKey; ActivityFigure::COUNT] {
    let [receive, transmit, read, write, reads, writes, read_time, write_time, delay, available, usable] =
        answers;
    let memory = combine(&available, &usable, u64::checked_sub);
    let contention =
        |values: RecordedSeries| values.into_iter().map(|value| Some(value?.min(WHOLE))).collect();
    let contention = delay.into_iter().map(|(key, values)| (key, contention(values))).collect();
    [
        receive,
        transmit,
        read,
        write,
        memory,
        contention,
        combine(&read_time, &reads, latency),
        combine(&write_time, &writes, latency),
    ]
}

/// Nanoseconds of a mean operation, from nanoseconds per second and millionths of operations per second. Unknown
/// without an operation.
fn latency(time: u64, operations: u64) -> Option<u64> {
    let nanos = (u128::from(time) * OPERATIONS as u128).checked_div(operations.into())?;
    u64::try_from(nanos).ok()
}

/// Combines two series where both are known.
fn combine(first: &SeriesByKey, second: &SeriesByKey, of: fn(u64, u64) -> Option<u64>) -> SeriesByKey {
    let values = |(key, first): (&Key, &RecordedSeries)| {
        let pairs = first.iter().zip(second.get(key)?);
        Some((key.clone(), pairs.map(|(first, second)| of((*first)?, (*second)?)).collect()))
    };
    first.iter().filter_map(values).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn figures_of(values: impl Fn(usize) -> RecordedSeries) -> [RecordedSeries; ActivityFigure::COUNT] {
        let key = Key::new("prod", "web");
        let answers = std::array::from_fn(|metric| [(key.clone(), values(metric))].into());
        figures(answers).map(|figure| figure[&key].clone())
    }

    #[test]
    fn a_latency_is_time_over_operations_and_unknown_without_any() {
        let values = [1, 2, 3, 4, 2_000_000, 0, 10_000_000, 0, 150_000, 700, 200];
        let all = figures_of(|metric| vec![Some(values[metric])]).map(|of| of[0]);
        let want = [Some(1), Some(2), Some(3), Some(4), Some(500), Some(100_000), Some(5_000_000), None];
        assert_eq!(all, want, "two reads of 5 ms; a vCPU cannot wait for longer than its time");
    }

    #[test]
    fn memory_that_is_more_usable_than_available_is_unknown() {
        assert_eq!(
            figures_of(|metric| vec![Some(metric as u64)])[ActivityFigure::GuestMemory as usize],
            [None]
        );
    }

    proptest! {
        #[test]
        fn no_answer_panics_and_what_is_unknown_stays_unknown(
            values in prop::collection::vec(prop::option::of(any::<u64>()), ActivityMetric::COUNT),
        ) {
            let all = figures_of(|metric| vec![values[metric]]).map(|of| of[0]);
            prop_assert!(all[7].is_none() || values[5].is_some_and(|writes| writes > 0) && values[7].is_some());
            prop_assert!(all[4].is_none_or(|memory| Some(memory) <= values[9]));
        }
    }
}
