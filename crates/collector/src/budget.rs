//! Limits how many bytes all answers under way may hold together, within what the manifest's memory limit
//! leaves.
//!
//! An answer may hold one read buffer without a place. A larger one waits for one of a few places; one that
//! outgrows its place waits for one of fewer, larger places. The holder of a largest place never waits for
//! another, so places become free by their holders' deadlines. A small answer never waits behind a huge one.
//! Each kind of peer has its own places, so one kind never keeps another waiting.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes that an answer or a watch may hold without a place.
const FREE: usize = 64 << 10;

/// The places for one kind of peer, sorted from small to large. Clones share the places.
#[derive(Clone, Debug)]
pub struct Budget(Arc<[SlotPool]>);

#[derive(Debug)]
struct SlotPool {
    /// Bytes of the largest answer that fits into such a place.
    size: usize,
    free: Arc<Semaphore>,
}

/// The budgets of the process: 133 MiB together. 10,000 VMs take a further 240 MB; the memory limit is 672
/// MiB.
#[derive(Clone, Debug)]
pub struct Budgets {
    /// Single objects of lists and watches, and PodMetrics items: a list is never held as a whole.
    pub objects: Budget,
    /// Kubelet summaries: 0.5 MB for 110 pods, 2.3 MB for 500 pods.
    pub kubelets: Budget,
    /// What is kept of virt-handlers' answers while they are read: 200 kB for 100 guests with long names.
    pub handlers: Budget,
    /// Guest agents' answers: 250 bytes per file system.
    pub guests: Budget,
    /// Prometheus and Ceph: 3 minutes of samples for the claims of 10,000 VMs are 23 MB.
    pub outside: Budget,
    /// Reviews of tokens and access: a user of many groups.
    pub reviews: Budget,
    /// Single Events of lists: most have 1 kB, and etcd holds none that is larger than 1.5 MiB.
    pub events: Budget,
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            objects: Budget::new(&[(8, 1 << 20), (2, 4 << 20)]),
            kubelets: Budget::new(&[(16, 1 << 20), (2, 8 << 20)]),
            handlers: Budget::new(&[(16, 256 << 10), (4, 2 << 20)]),
            guests: Budget::new(&[(8, 256 << 10)]),
            outside: Budget::new(&[(4, 1 << 20), (2, 32 << 20)]),
            reviews: Budget::new(&[(4, 256 << 10)]),
            events: Budget::new(&[(1, 2 << 20)]),
        }
    }
}

impl Budget {
    /// Takes pairs of a number of places and their size in bytes, smallest size first.
    pub fn new(places: &[(usize, usize)]) -> Self {
        let places = places
            .iter()
            .map(|(count, size)| SlotPool { size: *size, free: Arc::new(Semaphore::new(*count)) });
        Self(places.collect())
    }

    /// Bytes of the largest answer that can be read.
    pub fn largest(&self) -> usize {
        self.0.last().map_or(FREE, |places| places.size)
    }

    /// A lease that covers only the free amount at first.
    pub fn lease(&self) -> Lease {
        Lease { budget: self.clone(), covers: FREE, place: None }
    }
}

/// The right of one answer to hold bytes. Dropping it frees its place: after decoding, or, where much is kept of
/// the answer, when that has been added to what the other answers say.
#[derive(Debug)]
pub struct Lease {
    budget: Budget,
    /// Bytes that may be held now.
    covers: usize,
    place: Option<OwnedSemaphorePermit>,
}

impl Lease {
    /// Waits until this many bytes may be held. Returns false if no place is that large.
    pub async fn cover(&mut self, bytes: usize) -> bool {
        if bytes <= self.covers {
            return true;
        }
        let Some(places) = self.budget.0.iter().find(|places| bytes <= places.size) else { return false };
        // The semaphores are never closed.
        let Ok(place) = places.free.clone().acquire_owned().await else { return false };
        (self.covers, self.place) = (places.size, Some(place));
        true
    }

    /// How large a buffer should be that holds this many bytes: as large as its place. A buffer that doubles takes
    /// up to twice the place, and pages that are never written take no memory.
    pub fn buffer_for(&self, bytes: usize) -> usize {
        if self.place.is_some() { self.covers.max(bytes) } else { bytes.next_power_of_two() }
    }

    /// Gives the place back: the lease covers only the free amount again.
    pub fn release(&mut self) {
        (self.covers, self.place) = (FREE, None);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::{FutureExt, StreamExt, stream::FuturesUnordered};
    use tokio::time::{sleep, timeout};

    use super::*;

    const SMALL: usize = FREE + 1;
    const LARGE: usize = 1000 * FREE;

    fn budget() -> Budget {
        Budget::new(&[(4, 2 * FREE), (2, LARGE)])
    }

    impl Budget {
        /// Bytes of all places that are taken.
        fn taken(&self, all: &[usize]) -> usize {
            let taken = self.0.iter().zip(all).map(|(of, all)| (all - of.free.available_permits()) * of.size);
            taken.sum()
        }
    }

    #[tokio::test]
    async fn a_thousand_growing_answers_never_hold_more_than_there_is_and_all_end() {
        let budget = budget();
        let most = 4 * 2 * FREE + 2 * LARGE;
        let grow = |n: usize| {
            let budget = budget.clone();
            async move {
                let mut lease = budget.lease();
                for bytes in [FREE, SMALL, 2 * FREE, 3 * FREE, LARGE].into_iter().take(1 + n % 5) {
                    assert!(lease.cover(bytes).await);
                    assert!(budget.taken(&[4, 2]) <= most);
                    sleep(Duration::from_millis(n as u64 % 7)).await;
                }
            }
        };
        let answers: FuturesUnordered<_> = (0..1000).map(grow).collect();
        let all = timeout(Duration::from_secs(60), answers.collect::<Vec<_>>());
        assert_eq!(all.await.expect("they wait for one another").len(), 1000);
        assert_eq!(budget.taken(&[4, 2]), 0, "every place is free again");
    }

    #[tokio::test]
    async fn a_small_answer_does_not_wait_behind_huge_ones() {
        let budget = budget();
        let mut huge = [budget.lease(), budget.lease(), budget.lease()];
        for lease in &mut huge[..2] {
            assert!(lease.cover(LARGE).await);
        }
        assert_eq!(huge[2].cover(LARGE).now_or_never(), None, "both large places are taken");
        let mut small = budget.lease();
        assert_eq!(small.cover(SMALL).now_or_never(), Some(true));
        assert_eq!(budget.lease().cover(FREE).now_or_never(), Some(true));
        huge[0].release();
        assert!(huge[2].cover(LARGE).await);
    }

    #[tokio::test]
    async fn an_answer_that_is_larger_than_every_place_is_refused_at_once() {
        let mut lease = budget().lease();
        assert!(!lease.cover(LARGE + 1).await);
        assert!(lease.cover(LARGE).await);
        assert_eq!(budget().largest(), LARGE);
    }

    #[test]
    fn the_budgets_are_what_the_documentation_says() {
        let Budgets { objects, kubelets, handlers, guests, outside, reviews, events } = Budgets::default();
        let bytes = |budget: &Budget| -> usize {
            budget.0.iter().map(|places| places.size * places.free.available_permits()).sum()
        };
        let all = [&objects, &kubelets, &handlers, &guests, &outside, &reviews, &events];
        assert_eq!(all.map(|budget| bytes(budget) >> 20), [16, 32, 12, 2, 68, 1, 2]);
    }
}
