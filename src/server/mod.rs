//! The native half: cluster → `collect` → `snapshot` → `serve`. Wiring lives here.

pub mod collect;
pub mod config;
pub mod k8s;
pub mod snapshot;
