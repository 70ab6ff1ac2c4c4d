//! `v1` PersistentVolume, as far as it leads to a backend.

use serde::Deserialize;

use super::lenient::{Obj, Text};

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
    pub namespace: Text,
    pub name: Text,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Csi {
    pub driver: Text,
    pub volume_handle: Text,
    pub volume_attributes: Obj<VolumeAttributes>,
}

/// ceph-csi's.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct VolumeAttributes {
    pub pool: Text,
    pub image_name: Text,
    /// Absent: the pool's default namespace.
    pub rados_namespace: Text,
}
