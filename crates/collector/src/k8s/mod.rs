//! Wire types only: the few fields of the JSON of Kubernetes, Prometheus and Ceph that this program uses, and
//! how to read them without trusting them.
//!
//! Unknown fields are skipped unread, among them `managedFields`, the larger half of many objects. A field of
//! the wrong type counts as absent: one odd object must not make its whole list unreadable.

pub mod ceph;
pub mod core;
pub mod guest_agent;
pub mod kubevirt;
pub mod lenient;
pub mod longhorn;
pub mod meta;
pub mod peer_error;
pub mod pod_metrics;
pub mod prometheus;
pub mod rbac;
pub mod storage;
pub mod summary;
pub mod text;
pub mod time;
pub mod wukong;
