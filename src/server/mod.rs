//! The native half: cluster → `collect` → `snapshot` → `serve`. Wiring lives here.

pub mod config;
pub mod snapshot;
