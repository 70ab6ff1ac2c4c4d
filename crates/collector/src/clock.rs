//! The clocks. Code that needs the time gets it from here.
//!
//! The wall clock may be set while the program runs; it is used for times that people read. The steady clock
//! is never set: it starts at the wall clock's time when first used, and measures when something was received
//! and how long ago.

use std::{
    sync::LazyLock,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use model::Millis;

/// The moment at which the steady clock starts, by both clocks.
static BEGIN: LazyLock<(Instant, Millis)> = LazyLock::new(|| (Instant::now(), now()));

/// The wall clock, in milliseconds since the epoch.
pub fn now() -> Millis {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as Millis)
}

/// The steady clock, in milliseconds on the scale of the wall clock.
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
