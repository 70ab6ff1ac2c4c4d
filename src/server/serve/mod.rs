//! Reads the snapshot, never the cluster.

pub mod reader;
