//! The program against a real etcd, kube-apiserver and metrics-server, with RBAC on, stub kubelets and virt-handlers
//! below, and against a real Prometheus and a real Ceph.
//!
//! They need a network namespace of their own, so a plain `cargo test` lists them as ignored, with this reason;
//! `end2end/cluster/run-tests.sh` makes the namespace and runs them.

mod baseline;
mod browser;
mod ceph;
mod check;
mod cost;
mod credentials;
mod direct;
mod events;
mod faults;
mod figures;
mod harness;
mod identity;
mod ipv6;
mod late_crds;
mod layers;
mod mixed;
mod outage;
mod peers;
mod people;
mod permissions;
mod prometheus;
mod proxies;
mod reviews;
mod sign_in;
mod staleness;
mod tiers;
mod virt_handlers;
