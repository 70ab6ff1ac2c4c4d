//! What the tests of the real cluster stand on: the control plane, the kubelets under it, and the program beside it.

pub mod access;
pub mod agents;
pub mod api;
pub mod audit;
pub mod ceph;
pub mod control_plane;
pub mod kubelet;
pub mod machine;
pub mod metrics_stub;
pub mod pki;
pub mod process;
pub mod program;
pub mod prometheus;
pub mod proxy;
pub mod shared;
pub mod storage;
pub mod tls;
pub mod wait;
