//! `longhorn.io/v1beta2` Volume.

use serde::Deserialize;

use super::lenient::Scalar;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct LonghornSpec {
    /// Bytes, as text: it is an int64 that JSON's numbers might round.
    pub size: Scalar,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct LonghornStatus {
    /// Bytes that one replica takes, snapshots included.
    pub actual_size: Scalar,
}
