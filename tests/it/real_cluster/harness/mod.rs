//! The parts of the tests on a real cluster: the control plane, the kubelets, and the program.

pub mod access;
pub mod agents;
pub mod api;
pub mod audit;
pub mod ceph;
pub mod control_plane;
pub mod guest;
pub mod kubelet;
pub mod kubevirt;
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
pub mod virt_handler;
pub mod wait;
