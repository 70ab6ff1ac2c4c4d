//! The pure core: facts in, [`Snapshot`] out. No I/O; time is an argument.

pub mod facts;
