//! Times that lie ahead of this program's clock.
//!
//! A figure ages from its sample's own time, which the clock of its source sets. A clock that runs ahead, or a source
//! that lies, would keep the figure fresh for as long. So a time that lies ahead is replaced by when this very sample
//! was first received: it ages like any other, and repeating it does not make it younger.

use std::hash::Hash;

use hashbrown::HashMap;

use crate::model::Millis;

/// When the samples of the last answer whose times lie ahead were first received: by what they are of, and their time
/// as the source says it. Empty where the clocks agree.
#[derive(Debug)]
pub(super) struct Ahead<K>(HashMap<(K, Millis), Millis>);

impl<K> Default for Ahead<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Clone + Eq + Hash> Ahead<K> {
    /// Replaces the times of an answer that lie ahead of when it was received. What the answer before said is known.
    pub fn settle<'a>(&mut self, received: Millis, samples: impl Iterator<Item = (&'a K, &'a mut Millis)>)
    where
        K: 'a,
    {
        let mut ahead = HashMap::new();
        let clocks_agree = self.0.is_empty();
        for (of, at) in samples.filter(|(_, at)| **at > received || !clocks_agree) {
            let sample = (of.clone(), *at);
            // One that was ahead when it was first received grows no younger when its time comes.
            let first = self.0.get(&sample).copied().or((*at > received).then_some(received));
            if let Some(first) = first {
                // Should this program's own clock be set back, nothing is received before it was.
                *at = received.min(first);
                ahead.insert(sample, *at);
            }
        }
        self.0 = ahead;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The time that is kept of one sample.
    fn settled(
        ahead: &mut Ahead<&'static str>,
        of: &'static str,
        mut at: Millis,
        received: Millis,
    ) -> Millis {
        ahead.settle(received, [(&of, &mut at)].into_iter());
        at
    }

    #[test]
    fn a_time_ahead_is_when_the_sample_was_first_received() {
        let mut ahead = Ahead::default();
        let far = 4_000_000_000_000;
        for (of, at, received, want) in [
            ("a", 90, 100, 90),
            ("a", 100, 100, 100),
            ("a", far, 200, 200),
            ("a", far, 300, 200),
            ("a", far, 150, 150),
            ("a", far + 1, 400, 400),
            ("b", far + 1, 500, 500),
            ("a", far + 1, 600, 600),
            ("a", 700, 650, 650),
            ("a", 700, 800, 650),
            ("a", 790, 800, 790),
        ] {
            assert_eq!(settled(&mut ahead, of, at, received), want, "{of} {at} {received}");
        }
    }
}
