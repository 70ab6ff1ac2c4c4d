//! Waiting for what a started program does in its own time.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

/// The longest that a test waits for something that must happen: a debug build beside other programs is slow. Only
/// a failure takes this long.
const PATIENCE: Duration = Duration::from_secs(120);

/// Looks until it finds something, which it returns. Fails with the last reason after [`PATIENCE`].
pub fn eventually<T>(mut look: impl FnMut() -> Result<T, String>) -> T {
    let begun = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(why) => assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {why}"),
        }
        sleep(Duration::from_millis(200));
    }
}
