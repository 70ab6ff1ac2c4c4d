//! The pipeline as a whole, against the simulated cluster.

mod faults;
