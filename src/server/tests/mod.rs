//! The whole pipeline against the simulated cluster.

mod faults;
mod guests;
