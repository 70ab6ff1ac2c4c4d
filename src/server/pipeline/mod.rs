//! What ties the pure core to tokio: the one writer of snapshots, and the tasks that look after the past.

pub mod backfill;
pub mod publish;
