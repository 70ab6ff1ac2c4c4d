//! `v1` PersistentVolume: the fields that say how its volume is stored and in which backend.

use serde::Deserialize;

use super::{
    lenient::{Identifier, Obj},
    meta::Nothing,
};

/// The spec of a PersistentVolume.
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
    /// If absent: `rbd`.
    pub pool: Identifier,
}

/// The claim that the volume is bound to.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ClaimRef {
    pub namespace: Identifier,
    pub name: Identifier,
}

/// The CSI source of a PersistentVolume.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Csi {
    pub driver: Identifier,
    pub volume_handle: Identifier,
    pub volume_attributes: Obj<VolumeAttributes>,
}

/// The attributes that ceph-csi writes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct VolumeAttributes {
    pub pool: Identifier,
    pub image_name: Identifier,
    /// If absent: the pool's default namespace; for a static volume, the namespace in ceph-csi's ConfigMap.
    pub rados_namespace: Identifier,
    /// A boolean in the format of Go's `strconv.ParseBool`.
    pub static_volume: Identifier,
    pub volume_name_prefix: Identifier,
    /// This and the next three are set for CephFS volumes.
    pub fs_name: Identifier,
    pub root_path: Identifier,
    pub subvolume_name: Identifier,
    pub subvolume_path: Identifier,
}
