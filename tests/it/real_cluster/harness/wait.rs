//! Waits for changes of the cluster, with a time limit.

use std::time::{Duration, Instant};

/// Time between two checks.
const CHECK_INTERVAL: Duration = Duration::from_millis(200);

/// Returns the first value that `look` gives within `limit`, or its last error.
pub async fn within<T>(
    limit: Duration,
    mut look: impl AsyncFnMut() -> Result<T, String>,
) -> Result<T, String> {
    let start = Instant::now();
    loop {
        match look().await {
            Ok(value) => return Ok(value),
            Err(why) if start.elapsed() > limit => return Err(format!("not within {limit:?}: {why}")),
            Err(_) => tokio::time::sleep(CHECK_INTERVAL).await,
        }
    }
}

/// Returns an error unless `holds`, for the `look` of [`within`].
pub fn check(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}
