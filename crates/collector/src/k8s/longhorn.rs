//! `longhorn.io/v1beta2` Volume.

use serde::Deserialize;

use super::lenient::{Identifier, Scalar};

/// The spec of a Longhorn volume.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct LonghornSpec {
    /// Bytes, as text: it is an int64, which JSON numbers might round.
    pub size: Scalar,
    /// `v1` or `v2`; absent before 1.6.
    pub data_engine: Identifier,
    /// The data engine before 1.6.
    pub backend_store_driver: Identifier,
}

/// The status of a Longhorn volume.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct LonghornStatus {
    /// Bytes that one replica takes, snapshots included.
    pub actual_size: Scalar,
}
