//! The wall clock, handed to whoever needs the time.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::model::Millis;

pub fn now() -> Millis {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as Millis)
}
