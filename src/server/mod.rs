//! The native half: cluster → `collect` → `snapshot` → `serve`. Wiring lives here.

pub mod clock;
pub mod config;
pub mod serve;
pub mod snapshot;
