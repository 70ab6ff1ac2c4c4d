//! `v1` PersistentVolume, as far as it leads to a backend.

use serde::Deserialize;

use super::lenient::{Identifier, Obj};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PersistentVolumeSpec {
    pub claim_ref: Obj<ClaimRef>,
    pub csi: Obj<Csi>,
}

/// The claim that it is bound to.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ClaimRef {
    pub namespace: Identifier,
    pub name: Identifier,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Csi {
    pub driver: Identifier,
    pub volume_handle: Identifier,
    pub volume_attributes: Obj<VolumeAttributes>,
}

/// ceph-csi's.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct VolumeAttributes {
    pub pool: Identifier,
    pub image_name: Identifier,
    /// Absent: the pool's default namespace.
    pub rados_namespace: Identifier,
}
