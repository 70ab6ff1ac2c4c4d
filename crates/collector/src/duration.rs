//! Durations as text.

use std::time::Duration;

/// A duration in seconds as text, such as `5` or `0.5`.
pub fn seconds(time: Duration) -> String {
    time.as_secs_f64().to_string()
}
