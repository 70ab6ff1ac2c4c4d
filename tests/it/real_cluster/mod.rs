//! The program against a real etcd, kube-apiserver and metrics-server, with RBAC on and stub kubelets below.
//!
//! They need a network namespace of their own, so a plain `cargo test` lists them as ignored, with this reason;
//! `end2end/cluster/run-tests.sh` makes the namespace and runs them.

mod baseline;
mod browser;
mod cost;
mod figures;
mod harness;
mod late_crds;
mod mixed;
mod outage;
mod permissions;
mod staleness;
