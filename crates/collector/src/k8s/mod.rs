//! Wire types only: the few fields of Kubernetes JSON, and of Prometheus' and Ceph's, that this program uses, and how
//! to read them without trust.
//!
//! Unknown fields are skipped unread (`managedFields` among them, the larger half of many objects). A field of
//! the wrong type counts as absent: one odd object must not cost the list that it is in.

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
pub mod storage;
pub mod summary;
pub mod text;
pub mod time;
pub mod wukong;
