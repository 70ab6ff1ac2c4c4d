//! A budget of reviews: so many in a second, and no more than a second's worth at once.

use model::Millis;

/// A token bucket.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    a_second: u32,
    /// Thousandths of reviews that may be asked.
    left: u64,
    at: Option<Millis>,
}

impl Budget {
    pub fn new(a_second: u32) -> Self {
        Self { a_second, left: 0, at: None }
    }

    /// Adds what has become free since the last call.
    pub fn refill(&mut self, now: Millis) {
        let full = u64::from(self.a_second) * 1000;
        let passed = self.at.map_or(1000, |at| u64::try_from(now - at).unwrap_or(0).min(1000));
        self.left = (self.left + passed * u64::from(self.a_second)).min(full);
        self.at = Some(now);
    }

    pub fn is_empty(&self) -> bool {
        self.left < 1000
    }

    /// Returns how many reviews may be asked now.
    pub fn whole(&self) -> usize {
        usize::try_from(self.left / 1000).unwrap_or(usize::MAX)
    }

    /// Takes one review.
    pub fn take(&mut self) {
        self.left = self.left.saturating_sub(1000);
    }
}
