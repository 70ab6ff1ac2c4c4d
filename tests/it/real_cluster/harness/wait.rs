//! Waiting for what the cluster does in its own time.

use std::time::{Duration, Instant};

/// How often something that is waited for is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// The first value that `look` gives within `limit`, or the last reason why it gave none.
pub async fn within<T>(
    limit: Duration,
    mut look: impl AsyncFnMut() -> Result<T, String>,
) -> Result<T, String> {
    let start = Instant::now();
    loop {
        match look().await {
            Ok(value) => return Ok(value),
            Err(why) if start.elapsed() > limit => return Err(format!("not within {limit:?}: {why}")),
            Err(_) => tokio::time::sleep(LOOK).await,
        }
    }
}

/// Fails unless `holds`: for the `look` of [`within`].
pub fn check(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}
