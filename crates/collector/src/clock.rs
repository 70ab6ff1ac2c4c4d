//! The clocks, handed to whoever needs the time.
//!
//! The wall clock may be set while the program runs, and stands for moments that people read. The steady clock began with it, and is never
//! set: what was received when, and how long ago, goes by it.

use std::{
    sync::LazyLock,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use model::Millis;

/// The moment that the steady clock counts from, by both clocks.
static BEGIN: LazyLock<(Instant, Millis)> = LazyLock::new(|| (Instant::now(), now()));

/// The wall clock.
pub fn now() -> Millis {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as Millis)
}

/// The steady clock.
pub fn steady() -> Millis {
    let (begin, wall) = *BEGIN;
    wall.saturating_add(Millis::try_from(begin.elapsed().as_millis()).unwrap_or(Millis::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steady_clock_begins_with_the_wall_clock() {
        let first = steady();
        assert!((now() - first).abs() < 3_600_000);
        assert!(steady() >= first);
    }
}
