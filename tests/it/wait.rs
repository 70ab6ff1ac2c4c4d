//! Waiting for what a started program does in its own time.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

/// The longest that a test waits for something that must happen: a debug build beside other programs is slow. Only
/// a failure takes this long.
const TEST_TIMEOUT: Duration = Duration::from_secs(120);

/// Looks until it finds something, which it returns. Fails with the last reason after [`TEST_TIMEOUT`].
pub fn eventually<T>(mut look: impl FnMut() -> Result<T, String>) -> T {
    let begun = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(why) => assert!(begun.elapsed() < TEST_TIMEOUT, "not within {TEST_TIMEOUT:?}: {why}"),
        }
        sleep(Duration::from_millis(200));
    }
}
