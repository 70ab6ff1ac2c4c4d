//! Runs the pure core as tokio tasks: `publish` is the one writer of snapshots, `backfill` fills the history
//! and computes findings. `server` starts both.

pub mod backfill;
pub mod publish;
