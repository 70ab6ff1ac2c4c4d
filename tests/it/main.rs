//! Integration tests, one binary: the borders between folders, manifests, documentation and words, the program against the
//! simulated cluster, and the program against a real control plane.

mod borders;
mod code;
mod demo;
mod deploy;
mod docs;
mod event_clients;
mod live;
mod past;
mod program;
mod real_cluster;
mod replicas;
mod sizes;
mod sources;
mod tls;
mod wait;
mod words;
