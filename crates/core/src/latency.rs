//! Percentiles of how long a source takes to answer, over its last answers. `ClusterState` has one for each
//! source.

use std::collections::VecDeque;

use model::source::Latency;

/// Answers that are remembered: over an hour at one every 15 s.
const ANSWERS: usize = 256;

#[derive(Clone, Debug, Default)]
pub(super) struct Latencies(VecDeque<u32>);

impl Latencies {
    /// Adds one answer; drops the oldest if there are too many.
    pub fn add(&mut self, millis: u32) {
        if self.0.len() == ANSWERS {
            self.0.pop_front();
        }
        self.0.push_back(millis);
    }

    /// Returns the percentiles by nearest rank; `None` before the first answer.
    pub fn percentiles(&self) -> Option<Latency> {
        let mut sorted: Vec<u32> = self.0.iter().copied().collect();
        sorted.sort_unstable();
        let rank =
            |percent: usize| sorted.get((sorted.len() * percent).div_ceil(100).checked_sub(1)?).copied();
        Some(Latency { p50: rank(50)?, p99: rank(99)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_last_answers() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.percentiles(), None);
        latencies.add(7);
        assert_eq!(latencies.percentiles(), Some(Latency { p50: 7, p99: 7 }));
        (1..=100).for_each(|millis| latencies.add(millis));
        (0..ANSWERS - 100).for_each(|_| latencies.add(1000));
        assert_eq!(latencies.percentiles(), Some(Latency { p50: 1000, p99: 1000 }), "the 7 is forgotten");
        let mut latencies = Latencies::default();
        (1..=100).rev().for_each(|millis| latencies.add(millis));
        assert_eq!(latencies.percentiles(), Some(Latency { p50: 50, p99: 99 }));
    }
}
