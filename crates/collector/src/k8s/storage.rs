//! `v1` PersistentVolume, as far as it tells how its volume lies, and leads to a backend.

use serde::Deserialize;

use super::{
    lenient::{Identifier, Obj},
    meta::Nothing,
};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PersistentVolumeSpec {
    pub claim_ref: Obj<ClaimRef>,
    pub csi: Obj<Csi>,
    pub host_path: Option<Obj<Nothing>>,
    pub rbd: Option<Obj<InTreeRbd>>,
}

/// An RBD volume of the plugin that was part of Kubernetes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct InTreeRbd {
    pub image: Identifier,
    /// Absent: `rbd`.
    pub pool: Identifier,
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
    /// Absent: the pool's default namespace; of a static volume, that of ceph-csi's ConfigMap.
    pub rados_namespace: Identifier,
    /// A boolean as Go's `strconv.ParseBool` reads it.
    pub static_volume: Identifier,
    pub volume_name_prefix: Identifier,
    /// Of a CephFS volume.
    pub fs_name: Identifier,
    pub root_path: Identifier,
    pub subvolume_name: Identifier,
    pub subvolume_path: Identifier,
}
