//! How many bytes the answers under way may hold, all of them together: below what the manifest's memory limit leaves.
//!
//! An answer holds a read buffer's worth without asking. A larger one waits for one of a few places, and one that outgrows
//! that place waits for one of fewer and larger places. Nothing that holds a place of the last kind waits for another, so
//! that places come free by their holders' deadlines. A small answer never waits behind a huge one, and what one kind of
//! peer sends never keeps another kind waiting: each has places of its own.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What an answer, or a watch, holds without a place.
const FREE: usize = 64 << 10;

/// The places of one kind of peer, smaller ones first.
#[derive(Clone, Debug)]
pub struct Budget(Arc<[Places]>);

#[derive(Debug)]
struct Places {
    /// Bytes of the largest answer that fits.
    size: usize,
    free: Arc<Semaphore>,
}

/// The budgets of one process: 118 MiB together. 10,000 VMs take 200 MB beside them, of 384 MiB.
#[derive(Clone, Debug)]
pub struct Budgets {
    /// Objects of lists and watches, each for itself, and PodMetrics: a list is never held whole.
    pub objects: Budget,
    /// A summary of 110 pods is 0.5 MB, one of 500 pods 2.3 MB.
    pub kubelets: Budget,
    /// A file system is 250 bytes.
    pub guests: Budget,
    /// Prometheus and Ceph. 3 minutes of the claims of 10,000 VMs are 23 MB.
    pub outside: Budget,
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            objects: Budget::new(&[(8, 1 << 20), (2, 4 << 20)]),
            kubelets: Budget::new(&[(16, 1 << 20), (2, 8 << 20)]),
            guests: Budget::new(&[(8, 256 << 10)]),
            outside: Budget::new(&[(4, 1 << 20), (2, 32 << 20)]),
        }
    }
}

impl Budget {
    /// How many places there are of each size.
    pub fn new(places: &[(usize, usize)]) -> Self {
        let places =
            places.iter().map(|(count, size)| Places { size: *size, free: Arc::new(Semaphore::new(*count)) });
        Self(places.collect())
    }

    /// Bytes of the largest answer that is read at all.
    pub fn largest(&self) -> usize {
        self.0.last().map_or(FREE, |places| places.size)
    }

    pub fn lease(&self) -> Lease {
        Lease { budget: self.clone(), covers: FREE, place: None }
    }
}

/// What one answer may hold. Its place is free again once this is dropped: after decoding.
#[derive(Debug)]
pub struct Lease {
    budget: Budget,
    /// Bytes.
    covers: usize,
    place: Option<OwnedSemaphorePermit>,
}

impl Lease {
    /// Waits until so many bytes may be held. False where no answer may be that large.
    pub async fn cover(&mut self, bytes: usize) -> bool {
        if bytes <= self.covers {
            return true;
        }
        let Some(places) = self.budget.0.iter().find(|places| bytes <= places.size) else { return false };
        // They are never closed.
        let Ok(place) = places.free.clone().acquire_owned().await else { return false };
        (self.covers, self.place) = (places.size, Some(place));
        true
    }

    /// Nothing is held any more, for now.
    pub fn release(&mut self) {
        (self.covers, self.place) = (FREE, None);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::{StreamExt, stream::FuturesUnordered};
    use tokio::time::{Instant, sleep, timeout};

    use super::*;

    const SMALL: usize = FREE + 1;
    const LARGE: usize = 1000 * FREE;

    fn budget() -> Budget {
        Budget::new(&[(4, 2 * FREE), (2, LARGE)])
    }

    impl Budget {
        /// Bytes that places are taken for.
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
        let waits = timeout(Duration::from_millis(50), huge[2].cover(LARGE));
        assert!(waits.await.is_err(), "both large places are taken");
        let started = Instant::now();
        let mut small = budget.lease();
        assert!(small.cover(SMALL).await && budget.lease().cover(FREE).await);
        assert!(started.elapsed() < Duration::from_millis(50), "{:?}", started.elapsed());
        huge[0].release();
        assert!(huge[2].cover(LARGE).await);
    }

    #[tokio::test]
    async fn what_is_larger_than_every_place_is_refused_at_once() {
        let mut lease = budget().lease();
        assert!(!lease.cover(LARGE + 1).await);
        assert!(lease.cover(LARGE).await);
        assert_eq!(budget().largest(), LARGE);
    }

    #[test]
    fn the_budgets_are_what_the_documentation_says() {
        let Budgets { objects, kubelets, guests, outside } = Budgets::default();
        let bytes = |budget: &Budget| -> usize {
            budget.0.iter().map(|places| places.size * places.free.available_permits()).sum()
        };
        let mib = [&objects, &kubelets, &guests, &outside].map(|budget| bytes(budget) >> 20);
        assert_eq!(mib, [16, 32, 2, 68]);
    }
}
