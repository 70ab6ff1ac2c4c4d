//! All I/O with the cluster and its neighbours. Watches and polls become observations
//! (`wukong_core::observation::Observation`) on a channel; no object is kept here. Only `bindings` keeps what it
//! makes hints of, for sign-in.
//!
//! Each source degrades on its own: it has its own task and back-off, and reports in plain words why it fails.

pub mod access;
mod addresses;
mod bindings;
mod budget;
mod ceph;
pub mod client;
pub mod clock;
pub mod config;
mod connect;
mod duration;
mod error;
pub mod events;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
mod guest_agent;
mod identity;
pub mod identity_provider;
mod items;
pub mod k8s;
mod kept_objects;
mod kinds;
mod kubelet;
mod lines;
mod list_watch;
pub mod long_term;
mod metrics_api;
mod observation_sender;
mod omissions;
mod outside;
mod pinned;
mod poll;
mod prometheus;
pub mod queue;
mod quota;
mod risk;
mod sources;
mod targets;
#[cfg(test)]
mod tests;
mod transport;
mod virt_handler;
mod watch;

pub use self::{
    bindings::follow_bindings,
    budget::{Budget, Budgets},
    client::{Cluster, ConnectError, connect, from_kubeconfig_text},
    observation_sender::QueuedObservation,
    prometheus::PrometheusHistory,
    sources::run,
};
