//! Tests of the simulated cluster over its sockets, by plain HTTP and by a Kubernetes client.

mod api;
mod backends;
mod ceph;
mod direct;
mod faults;
mod figures;
mod nodes;
mod prometheus;
mod reports;
mod scenario;
mod shapes;
mod stories;
mod support;
mod virt_handlers;
mod watches;
