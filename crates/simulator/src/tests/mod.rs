//! The simulated cluster asked over its socket, by plain HTTP and by a Kubernetes client.

mod api;
mod backends;
mod beside;
mod content;
mod faulty;
mod polled;
mod shapes;
mod support;
mod watching;
