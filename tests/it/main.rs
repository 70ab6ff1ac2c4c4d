//! Integration tests, one binary: the borders between folders, the program against the simulated cluster, and
//! the program against a real control plane.

mod borders;
mod program;
mod real_cluster;
mod sources;
